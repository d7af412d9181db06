"""Everything that can go wrong, as a tree. `api/errors.py` says what each is in HTTP.

QueueingError
├── InvalidRequest              a rule was broken; `title` says which family of rules
│   └── OverLimit               a number or size is out of its bounds
├── NotFound
│   ├── QueueNotFound
│   ├── MessageNotFound
│   └── ClaimNotFound
├── NotAllowed
│   ├── MessageIsClaimed        deleted without the claim that holds it
│   └── WrongClaim              deleted with another live claim, or not under one of those given
├── ClaimExpired                deleted with a claim that does not hold the message: over, unknown
├── Conflict
│   ├── AbsentKey               a patch replaces or removes what is not there
│   └── MetadataChanged         somebody else replaced the metadata meanwhile (the service retries)
├── IdempotencyKeyReused        the same key with another body
├── StaleSettings               the queue's settings are not those the step was made for (retried)
├── KeyUnavailable              a stored body is encrypted with a key that this node does not have
└── StorageUnavailable          the store is away or full: nothing is known to be done; safe to retry

SetupError                      not an answer to a request: the process cannot start as configured
"""

from __future__ import annotations

from queueing.core.models import Metadata

API = "Invalid API request"
BODY = "Invalid request body"
PARAMETER = "Invalid parameter"
CLIENT_ID = "Wrong UUID value"
QUEUE_NAME = "Invalid queue identification"


class QueueingError(Exception):
    """Root of the tree; the message is a sentence for the client."""


class InvalidRequest(QueueingError):
    """The request breaks a rule: the message names the field, what was expected and what came."""

    def __init__(self, message: str, title: str = API) -> None:
        super().__init__(message)
        self.title = title


class OverLimit(InvalidRequest):
    """A number or a size is out of its bounds."""


class NotFound(QueueingError):
    """There is no such thing in this project."""


class QueueNotFound(NotFound):
    pass


class MessageNotFound(NotFound):
    pass


class ClaimNotFound(NotFound):
    pass


class NotAllowed(QueueingError):
    """The message is held by a claim that the request does not name."""


class MessageIsClaimed(NotAllowed):
    pass


class WrongClaim(NotAllowed):
    pass


class ClaimExpired(QueueingError):
    """The claim that the request names holds nothing: it is over, or never was."""


class Conflict(QueueingError):
    """The request does not fit what is stored."""


class AbsentKey(Conflict):
    pass


class MetadataChanged(Conflict):
    pass


class IdempotencyKeyReused(QueueingError):
    """An Idempotency-Key came back with another body."""


class StaleSettings(QueueingError):
    """The queue's settings are others than the step was made for; `current` are those it has.

    Nothing was done. Never reaches a client: the service repeats the step with `current`.
    """

    def __init__(self, current: Metadata) -> None:
        super().__init__(f"settings are of version {current.version!r}")
        self.current = current


class KeyUnavailable(QueueingError):
    """A stored body cannot be read or written here: the encryption key is not the one it needs.

    The operator's to mend, and nothing is lost: another node, or this one with the key, answers.
    The message names the message and the key's id, never the key or what is encrypted.
    """


class StorageUnavailable(QueueingError):
    """The store did not answer, or refused for want of space or a leader. Safe to retry."""


class SetupError(Exception):
    """The process cannot start as configured; the message is one line that says what to do."""

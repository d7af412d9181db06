"""What went wrong, in HTTP: one table, and the handlers that use it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, NamedTuple

import falcon

from queueing.api import body, documents
from queueing.api.middleware.request_id import identify
from queueing.api.request import Request
from queueing.core import errors
from queueing.core.errors import InvalidRequest, QueueingError

log = logging.getLogger("queueing.api")


class Answer(NamedTuple):
    status: str
    title: str | None  # None: the error has one of its own
    description: str | None = None  # None: what the error says


# What several drivers notice is put in the same words, whichever of them did.
NO_QUEUE = "There is no such queue in this project."
NO_CLAIM = "There is no such claim in this queue: it is over, was released, or never was."
CLAIMED = "A claimed message must be deleted with the claim_id that holds it. Got none."
OTHER_CLAIM = "Messages must be under a claim that the request names. Got one that is not."
OVER = "claim_id must name the claim that holds the message. Got one that is over or unknown."
REUSED = (
    "Idempotency-Key must be a new one for another body. Got one that was used for an earlier post."
)
UNAVAILABLE = "The store did not answer. Nothing is known to be done; repeat the request."
UNREADABLE = "This node does not have the key of an encrypted message. Nothing is lost."

STATUS: Mapping[type[QueueingError], Answer] = {
    errors.InvalidRequest: Answer(falcon.HTTP_400, None),
    errors.NotFound: Answer(falcon.HTTP_404, "Not found"),
    errors.QueueNotFound: Answer(falcon.HTTP_404, "Not found", NO_QUEUE),
    errors.ClaimNotFound: Answer(falcon.HTTP_404, "Not found", NO_CLAIM),
    errors.MessageIsClaimed: Answer(falcon.HTTP_403, "Unable to delete", CLAIMED),
    errors.WrongClaim: Answer(falcon.HTTP_403, "Unable to delete", OTHER_CLAIM),
    errors.ClaimExpired: Answer(falcon.HTTP_400, "Unable to delete", OVER),
    errors.Conflict: Answer(falcon.HTTP_409, "Resource conflict"),
    errors.IdempotencyKeyReused: Answer(falcon.HTTP_422, "Idempotency key reused", REUSED),
    errors.KeyUnavailable: Answer(falcon.HTTP_503, "Service temporarily unavailable", UNREADABLE),
    errors.StorageUnavailable: Answer(
        falcon.HTTP_503, "Service temporarily unavailable", UNAVAILABLE
    ),
}
"""An error that is not here is answered as the nearest one above it in the tree; the root is a bug."""

RETRY_AFTER = "1"  # seconds


def add_error_handlers(app: falcon.App[Request, falcon.Response]) -> None:
    app.add_error_handler(QueueingError, refused)
    app.add_error_handler(falcon.HTTPError, refused_by_falcon)
    app.add_error_handler(Exception, failed)


def refused(req: Request, resp: falcon.Response, error: QueueingError, _params: object) -> None:
    for kind in type(error).__mro__:
        answer = STATUS.get(kind)
        if answer is not None:
            break
    else:
        failed(req, resp, error, _params)
        return
    if answer.status is falcon.HTTP_503:
        log.warning("%s: %s", type(error).__name__, error, extra={"request_id": req.reference})
        resp.set_header("Retry-After", RETRY_AFTER)
    title = answer.title or (error.title if isinstance(error, InvalidRequest) else "")
    _answer(req, resp, answer.status, title, answer.description or str(error))


def refused_by_falcon(
    req: Request, resp: falcon.Response, error: falcon.HTTPError, _params: object
) -> None:
    """Routing, methods, media types, policy."""
    if not req.request_id:
        identify(req, resp)  # Falcon refuses some methods before any middleware runs
    if error.headers is not None:
        resp.set_headers(error.headers)
    bad_verb = isinstance(error, falcon.HTTPBadRequest)
    title = "Bad request" if bad_verb else error.title
    _answer(req, resp, falcon.code_to_http_status(error.status), title, error.description)


def failed(req: Request, resp: falcon.Response, error: Exception, _params: object) -> None:
    """A bug. The client learns nothing but the id under which the log has the rest."""
    log.error(
        "%s %s failed",
        req.method,
        ascii(req.path),
        exc_info=error,
        extra={"request_id": req.reference},
    )
    description = f"The request could not be processed. It is logged under {req.reference}."
    _answer(req, resp, falcon.HTTP_500, "Internal server error", description)


def _answer(
    req: Request, resp: falcon.Response, status: str, title: str | None, description: str | None
) -> None:
    if req.method == "OPTIONS":  # hides every error behind an empty 200
        resp.status = falcon.HTTP_200
        return
    document: dict[str, Any] = {"title": title}
    if description:
        document["description"] = description
    resp.status = status
    answer = documents.encode(document)
    if body.may_be_left(req.env):
        resp.stream = body.ThenDrop(answer, req.env)
        resp.content_length = len(answer)
    else:
        resp.data = answer

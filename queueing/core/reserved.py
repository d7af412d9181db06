"""The reserved keys of a queue's metadata: what they may hold, what they default to, what they mean.

Every other key is the client's own. A reserved key that holds null is not set.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final, NamedTuple

from queueing.core.errors import API, InvalidRequest, OverLimit
from queueing.core.limits import Limits
from queueing.core.models import DeadLetterRule
from queueing.core.rules import LEAST_TTL, is_queue_name

MAX_POST_SIZE: Final = "_max_messages_post_size"
MESSAGE_TTL: Final = "_default_message_ttl"
MESSAGE_DELAY: Final = "_default_message_delay"
DEAD_LETTER_QUEUE: Final = "_dead_letter_queue"
DEAD_LETTER_TTL: Final = "_dead_letter_queue_messages_ttl"
MAX_CLAIMS: Final = "_max_claim_count"
ENCRYPTED: Final = "_enable_encrypt_messages"
FLAVOR: Final = "_flavor"
RETRY_POLICY: Final = "_retry_policy"

SHOWN: Final = (
    MAX_POST_SIZE,
    MESSAGE_TTL,
    MESSAGE_DELAY,
    DEAD_LETTER_QUEUE,
    DEAD_LETTER_TTL,
    MAX_CLAIMS,
    ENCRYPTED,
)
"""The keys that every queue shows, set or not."""

RESERVED: Final = (*SHOWN, FLAVOR, RETRY_POLICY)

_LARGEST = (1 << 63) - 1  # of the integers that JSON may have
_MOST_CLAIMS = (1 << 53) - 1  # what every store counts exactly; larger rules mean as much
_POLICY_NUMBERS = {
    "retries_with_no_delay": 3,
    "minimum_delay_retries": 3,
    "minimum_delay": 5,
    "maximum_delay": 30,
    "maximum_delay_retries": 3,
}
_BACKOFFS = ("linear", "arithmetic", "geometric", "exponential")
_LEAST_SPREAD = 10  # seconds between the delays of a retry policy


class QueueSettings(NamedTuple):
    """What a queue's metadata means to who posts and claims; `version` is the metadata's."""

    version: str
    max_post_size: int
    message_ttl: int
    message_delay: int
    dead_letter: DeadLetterRule | None
    encrypted: bool


def settings(version: str, values: Mapping[str, object], limits: Limits) -> QueueSettings:
    """Read the reserved values of a stored document. Never fails: limits may have changed since it
    was checked, so what is out of bounds counts as the bound, and what is ill-typed as not set.
    A default that is 0 is not set, just as it is not shown.
    """
    target = values.get(DEAD_LETTER_QUEUE)
    max_claims = _within(values.get(MAX_CLAIMS), 1, _MOST_CLAIMS)
    dead_letter = None
    if isinstance(target, str) and is_queue_name(target) and max_claims is not None:
        ttl = _within(values.get(DEAD_LETTER_TTL), LEAST_TTL, limits.max_message_ttl)
        dead_letter = DeadLetterRule(target, max_claims, ttl)
    size = _within(values.get(MAX_POST_SIZE), 1, limits.max_messages_post_size)
    ttl = _within(values.get(MESSAGE_TTL), LEAST_TTL, limits.max_message_ttl)
    delay = _within(values.get(MESSAGE_DELAY), 0, limits.max_message_delay)
    return QueueSettings(
        version,
        max_post_size=limits.max_messages_post_size if size is None else size,
        message_ttl=limits.default_message_ttl if ttl is None else ttl,
        message_delay=limits.default_message_delay if delay is None else delay,
        dead_letter=dead_letter,
        encrypted=values.get(ENCRYPTED) is True,
    )


def defaults(limits: Limits) -> dict[str, object]:
    """What the keys of `SHOWN` show when they are not set."""
    return {
        MAX_POST_SIZE: limits.max_messages_post_size,
        MESSAGE_TTL: limits.default_message_ttl,
        MESSAGE_DELAY: limits.default_message_delay,
        DEAD_LETTER_QUEUE: None,
        DEAD_LETTER_TTL: None,
        MAX_CLAIMS: None,
        ENCRYPTED: False,
    }


def check(values: Mapping[str, object], queue_name: str, limits: Limits, title: str) -> None:
    """Refuse reserved values that the queue of this name may not have.

    :raises InvalidRequest: with this title; titled API where encryption is asked for without a key
    """
    _integer(values, MAX_POST_SIZE, 1, limits.max_messages_post_size, title)
    _integer(values, MESSAGE_TTL, LEAST_TTL, limits.max_message_ttl, title)
    _integer(values, MESSAGE_DELAY, 0, limits.max_message_delay, title)
    _integer(values, DEAD_LETTER_TTL, LEAST_TTL, limits.max_message_ttl, title)
    _integer(values, MAX_CLAIMS, 0, _LARGEST, title)
    _dead_letter_queue(values.get(DEAD_LETTER_QUEUE), queue_name, title)
    _encrypted(values.get(ENCRYPTED), limits, title)
    flavor = values.get(FLAVOR)
    if flavor is not None and not isinstance(flavor, str):
        raise InvalidRequest(f"{FLAVOR} must be a string or null. Got {_json(flavor)}.", title)
    _retry_policy(values.get(RETRY_POLICY), title)


def _integer(
    values: Mapping[str, object], key: str, least: int, most: int, title: str
) -> int | None:
    value = values.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidRequest(f"{key} must be an integer or null. Got {_json(value)}.", title)
    if not least <= value <= most:
        raise OverLimit(
            f"{key} must be at least {least} and may not exceed {most}. Got {_json(value)}.", title
        )
    return value


def _dead_letter_queue(value: object, queue_name: str, title: str) -> None:
    if value is None:
        return
    if not isinstance(value, str) or not is_queue_name(value):
        raise InvalidRequest(
            f"{DEAD_LETTER_QUEUE} must be the name of a queue (1 to 64 letters, digits, '_', '-' or"
            f" '.') or null. Got {_json(value)}.",
            title,
        )
    if value == queue_name:
        raise InvalidRequest(
            f"{DEAD_LETTER_QUEUE} must be another queue than this one. Got {_json(value)}.", title
        )


def _encrypted(value: object, limits: Limits, title: str) -> None:
    if value is not None and not isinstance(value, bool):
        raise InvalidRequest(f"{ENCRYPTED} must be a boolean or null. Got {_json(value)}.", title)
    if value and not limits.message_encryption_key:
        raise InvalidRequest(
            f"{ENCRYPTED} can only be true where an encryption key is configured, and none is."
            " Got true.",
            API,
        )


def _retry_policy(value: object, title: str) -> None:
    if value is None:
        return
    if not isinstance(value, dict):
        raise InvalidRequest(
            f"{RETRY_POLICY} must be an object or null. Got {_json(value)}.", title
        )
    numbers = {}
    for key, default in _POLICY_NUMBERS.items():
        number = value.get(key)
        if number is not None and (isinstance(number, bool) or not isinstance(number, int)):
            raise InvalidRequest(
                f"{RETRY_POLICY}.{key} must be an integer or null. Got {_json(number)}.", title
            )
        if number is not None and number < 0:
            raise OverLimit(f"{RETRY_POLICY}.{key} must be at least 0. Got {number}.", title)
        numbers[key] = default if number is None else number
    backoff = value.get("retry_backoff_function")
    if backoff is not None and backoff not in _BACKOFFS:
        raise InvalidRequest(
            f"{RETRY_POLICY}.retry_backoff_function must be one of {', '.join(_BACKOFFS)}."
            f" Got {_json(backoff)}.",
            title,
        )
    override = value.get("ignore_subscription_override")
    if override is not None and not isinstance(override, bool):
        raise InvalidRequest(
            f"{RETRY_POLICY}.ignore_subscription_override must be a boolean or null."
            f" Got {_json(override)}.",
            title,
        )
    if numbers["maximum_delay"] - numbers["minimum_delay"] < _LEAST_SPREAD:
        raise InvalidRequest(
            f"{RETRY_POLICY}.maximum_delay must be at least {_LEAST_SPREAD} above minimum_delay."
            f" Got {numbers['maximum_delay']} and {numbers['minimum_delay']}.",
            title,
        )


def _within(value: object, least: int, most: int) -> int | None:
    """The number, moved into its bounds; None for 0, null and whatever is no integer."""
    if isinstance(value, bool) or not isinstance(value, int) or value == 0:
        return None
    return min(max(value, least), most)


def _json(value: object) -> str:
    """A value as it may stand in a refusal; what holds others by its kind, as it may be large."""
    if isinstance(value, list | dict):
        return "an array" if isinstance(value, list) else "an object"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:80]}..."

"""What may be asked for: bounds, defaults, names and queue settings, as pure functions.

A refusal names the field, what was expected and what came. Values are Python values as JSON gives
them; `None` is "not said". Lengths are characters, sizes bytes, durations whole seconds.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Final

from queueing.core.errors import CLIENT_ID, QUEUE_NAME, InvalidRequest, OverLimit
from queueing.core.limits import Limits

DEFAULT_PAGE: Final = 10
LEAST_TTL: Final = 60
LONGEST_PROJECT: Final = 256
RESOURCE_TYPES: Final = frozenset({"messages", "subscriptions"})

_QUEUE_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_HEX_32 = re.compile(r"[0-9a-f]{32}")
_SHOWN = 80  # characters of a refused text that come back in the refusal


def is_queue_name(text: str) -> bool:
    return _QUEUE_NAME.fullmatch(text) is not None and text not in (".", "..")


def queue_name(text: str) -> str:
    """The name, if a queue may have it.

    :raises InvalidRequest: titled QUEUE_NAME
    """
    if is_queue_name(text):
        return text
    raise InvalidRequest(
        "A queue's name must be 1 to 64 letters, digits, '_', '-' or '.', and neither '.' nor '..'."
        f" Got {quoted(text)}.",
        QUEUE_NAME,
    )


def project(text: str) -> str:
    """The project, if it is not too long.

    :raises InvalidRequest: titled QUEUE_NAME, as a queue is named by project and name
    """
    if len(text) <= LONGEST_PROJECT:
        return text
    raise InvalidRequest(
        f"X-Project-ID may not exceed {LONGEST_PROJECT} characters. Got {len(text)} characters.",
        QUEUE_NAME,
    )


def client_id(text: str, limits: Limits) -> str:
    """The id by which a client is compared: the canonical form of its UUID, or the text itself.

    Braces, a `urn:uuid:` prefix, hyphens and case make no difference to a UUID.

    :raises InvalidRequest: titled CLIENT_ID
    """
    if limits.client_id_uuid_safe == "off":
        least, most = limits.min_length_client_id, limits.max_length_client_id
        if least <= len(text) <= most:
            return text
        raise InvalidRequest(
            f"Client-ID must have {least} to {most} characters. Got {len(text)} characters.",
            CLIENT_ID,
        )
    digits = text.lower().removeprefix("urn:uuid:")
    if digits.startswith("{") and digits.endswith("}"):
        digits = digits[1:-1]
    digits = digits.replace("-", "")
    if _HEX_32.fullmatch(digits):
        return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
    raise InvalidRequest(f"Client-ID must be a UUID. Got {quoted(text)}.", CLIENT_ID)


def is_id(text: str) -> bool:
    """Whether the text could be the id of a message or a claim at all."""
    return _ID.fullmatch(text) is not None


def ids(values: Sequence[str], limits: Limits) -> None:
    """Refuse none, or more than a page of them; repetitions count.

    :raises OverLimit: titled API
    """
    most = limits.max_messages_per_page
    if not 1 <= len(values) <= most:
        raise OverLimit(
            f"The number of ids must be at least 1 and may not exceed {most}. Got {len(values)}."
        )


def page_limit(limit: int | None, most: int) -> int:
    """The size of a page or a claim: 10 if nothing was said.

    :raises OverLimit: titled API
    """
    if limit is None:
        return min(DEFAULT_PAGE, most)
    return bounded("Limit", limit, 1, most)


def pop_limit(limit: int, limits: Limits) -> int:
    """:raises OverLimit: titled API"""
    return bounded("pop", limit, 1, limits.max_messages_per_claim_or_pop)


def wait(seconds: float | None, limits: Limits) -> float:
    """How long a request may wait for messages; 0 if nothing was said.

    :raises OverLimit: titled API
    """
    most = limits.max_wait_seconds
    if seconds is None or 0 <= seconds <= most:
        return seconds or 0.0
    raise OverLimit(f"wait must be at least 0 and may not exceed {most} seconds. Got {seconds:g}.")


def message_ttl(ttl: int, limits: Limits, index: int) -> int:
    """The lifetime of a post's `index`th message.

    :raises OverLimit: titled API
    """
    if LEAST_TTL <= ttl <= limits.max_message_ttl:
        return ttl
    return bounded(f"messages[{index}].ttl", ttl, LEAST_TTL, limits.max_message_ttl)


def message_delay(delay: int, limits: Limits, index: int) -> int:
    """The delay of a post's `index`th message.

    :raises OverLimit: titled API
    """
    if 0 <= delay <= limits.max_message_delay:
        return delay
    return bounded(f"messages[{index}].delay", delay, 0, limits.max_message_delay)


def claim_ttl(ttl: int | None, limits: Limits) -> int:
    """The lifetime of a claim, made or renewed.

    :raises OverLimit: titled API
    """
    if ttl is None:
        return limits.default_claim_ttl
    return bounded("ttl", ttl, LEAST_TTL, limits.max_claim_ttl)


def claim_grace(grace: int | None, limits: Limits) -> int:
    """The grace of a new claim.

    :raises OverLimit: titled API
    """
    if grace is None:
        return limits.default_claim_grace
    return bounded("grace", grace, LEAST_TTL, limits.max_claim_grace)


def renewal_grace(grace: int | None, limits: Limits) -> int:
    """The grace of a renewed claim: below the bounds of a new one only 0 ends it, above them is cut.

    :raises OverLimit: titled API; it is negative
    """
    if grace is None:
        return limits.default_claim_grace
    if grace < 0:
        raise OverLimit(f"grace must be at least 0. Got {grace}.")
    return min(grace, limits.max_claim_grace)


def post_size(size: int, most: int) -> None:
    """:raises OverLimit: titled API"""
    if size > most:
        raise OverLimit(
            f"The body of a post to this queue may not exceed {most} bytes. Got {size} bytes."
        )


def metadata_size(size: int, limits: Limits, title: str) -> None:
    """:raises OverLimit: with this title"""
    if size > limits.max_queue_metadata:
        raise OverLimit(
            f"The metadata of a queue may not exceed {limits.max_queue_metadata} bytes."
            f" Got {size} bytes.",
            title,
        )


def resource_types(types: Collection[object] | None) -> frozenset[str]:
    """What a purge empties: everything if nothing was said.

    :raises InvalidRequest: titled API
    """
    if types is None:
        return RESOURCE_TYPES
    for item in types:
        if not isinstance(item, str) or item not in RESOURCE_TYPES:
            shown = quoted(item) if isinstance(item, str) else type(item).__name__
            raise InvalidRequest(
                f"resource_types may only hold 'messages' and 'subscriptions'. Got {shown}."
            )
    return frozenset(item for item in types if isinstance(item, str))


def bounded(field: str, value: int, least: int, most: int) -> int:
    """:raises OverLimit: titled API"""
    if least <= value <= most:
        return value
    raise OverLimit(f"{field} must be at least {least} and may not exceed {most}. Got {value}.")


def quoted(text: str) -> str:
    """A text of the client's as it may stand in a refusal: on one line, and not too long."""
    return repr(text) if len(text) <= _SHOWN else f"{text[:_SHOWN]!r} and more"

"""The bounds and defaults that requests are held to; names and defaults are Zaqar's where it has them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

MIB = 1024 * 1024
SECONDS_OF_TEN_YEARS = 315_360_000


def option(
    default: Any,
    meaning: str,
    *,
    least: float | None = None,
    most: float | None = None,
    secret: bool = False,
) -> Any:
    """A setting: its default, the sentence that documents it everywhere, the numbers it may be."""
    metadata = {"meaning": meaning, "least": least, "most": most, "secret": secret}
    if isinstance(default, dict):
        return field(default_factory=default.copy, metadata=metadata)
    return field(default=default, metadata=metadata, repr=not secret)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What `core.rules` needs of the configuration; `config.Settings` is these and the rest."""

    max_queues_per_page: int = option(
        20, "Largest `limit` of a listing of queues.", least=1, most=1000
    )
    max_messages_per_page: int = option(
        20,
        "Largest `limit` of a listing of messages, and most `ids` in one get or delete.",
        least=1,
        most=1000,
    )
    max_messages_per_claim_or_pop: int = option(
        20, "Largest `limit` of a claim, largest `pop`.", least=1, most=1000
    )
    max_queue_metadata: int = option(
        65536, "Bytes of a queue's metadata, as sent and as stored.", least=2, most=MIB
    )
    max_messages_post_size: int = option(
        262144, "Bytes of the body of a post, white space included.", least=1, most=15 * MIB
    )
    default_message_ttl: int = option(
        3600,
        "Lifetime in seconds of a message that gives none.",
        least=60,
        most=SECONDS_OF_TEN_YEARS,
    )
    max_message_ttl: int = option(
        1209600, "Longest lifetime of a message, in seconds.", least=60, most=SECONDS_OF_TEN_YEARS
    )
    default_message_delay: int = option(
        0, "Delay in seconds of a message that gives none.", least=0, most=SECONDS_OF_TEN_YEARS
    )
    max_message_delay: int = option(
        900, "Longest delay of a message, in seconds.", least=0, most=SECONDS_OF_TEN_YEARS
    )
    default_claim_ttl: int = option(
        300, "Lifetime in seconds of a claim that gives none.", least=60, most=SECONDS_OF_TEN_YEARS
    )
    max_claim_ttl: int = option(
        43200, "Longest lifetime of a claim, in seconds.", least=60, most=SECONDS_OF_TEN_YEARS
    )
    default_claim_grace: int = option(
        60, "Grace in seconds of a claim that gives none.", least=60, most=SECONDS_OF_TEN_YEARS
    )
    max_claim_grace: int = option(
        43200, "Longest grace of a claim, in seconds.", least=60, most=SECONDS_OF_TEN_YEARS
    )
    max_wait_seconds: int = option(
        30,
        "Longest `wait` of a claim, a pop or a listing; 0: nobody may wait.",
        least=0,
        most=600,
    )
    client_id_uuid_safe: Literal["strict", "off"] = option(
        "strict", "`strict`: a Client-ID must be a UUID; `off`: any string within the two lengths."
    )
    min_length_client_id: int = option(
        10, "Shortest Client-ID when UUIDs are not required.", least=1, most=256
    )
    max_length_client_id: int = option(
        36, "Longest Client-ID when UUIDs are not required.", least=1, most=256
    )
    message_delete_with_claim_id: bool = option(
        False, "Deleting several messages needs the ids of the claims that hold them."
    )
    enable_checksum: bool = option(False, "Messages carry an MD5 checksum of their body.")
    message_encryption_algorithms: Literal["AES256"] = option(
        "AES256", "How the bodies of encrypted queues are encrypted."
    )
    message_encryption_key: str | None = option(
        None,
        "The secret that encrypted queues need; without it no queue can ask for encryption.",
        secret=True,
    )
    message_encryption_former_keys: tuple[str, ...] = option(
        (), "Older secrets: what was encrypted with them can still be read.", secret=True
    )
    idempotency_window_seconds: int = option(
        86400, "How long an Idempotency-Key is remembered.", least=60, most=2_592_000
    )

"""The bounds and defaults that requests are held to; names and defaults are Zaqar's where it has them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal


def option(default: Any, meaning: str) -> Any:
    """A setting: its default and the sentence that documents it everywhere."""
    return field(default=default, metadata={"meaning": meaning})


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What `core.rules` needs of the configuration; `config.Settings` is these and the rest."""

    max_queues_per_page: int = option(20, "Largest `limit` of a listing of queues.")
    max_messages_per_page: int = option(
        20, "Largest `limit` of a listing of messages, and most `ids` in one get or delete."
    )
    max_messages_per_claim_or_pop: int = option(20, "Largest `limit` of a claim, largest `pop`.")
    max_queue_metadata: int = option(65536, "Bytes of a queue's metadata, as sent and as stored.")
    max_messages_post_size: int = option(
        262144, "Bytes of the body of a post, white space included."
    )
    default_message_ttl: int = option(3600, "Lifetime in seconds of a message that gives none.")
    max_message_ttl: int = option(1209600, "Longest lifetime of a message, in seconds.")
    default_message_delay: int = option(0, "Delay in seconds of a message that gives none.")
    max_message_delay: int = option(900, "Longest delay of a message, in seconds.")
    default_claim_ttl: int = option(300, "Lifetime in seconds of a claim that gives none.")
    max_claim_ttl: int = option(43200, "Longest lifetime of a claim, in seconds.")
    default_claim_grace: int = option(60, "Grace in seconds of a claim that gives none.")
    max_claim_grace: int = option(43200, "Longest grace of a claim, in seconds.")
    client_id_uuid_safe: Literal["strict", "off"] = option(
        "strict", "`strict`: a Client-ID must be a UUID; `off`: any string within the two lengths."
    )
    min_length_client_id: int = option(10, "Shortest Client-ID when UUIDs are not required.")
    max_length_client_id: int = option(36, "Longest Client-ID when UUIDs are not required.")
    message_delete_with_claim_id: bool = option(
        False, "Deleting several messages needs the ids of the claims that hold them."
    )
    enable_checksum: bool = option(False, "Messages carry an MD5 checksum of their body.")
    message_encryption_algorithms: Literal["AES256"] = option(
        "AES256", "How the bodies of encrypted queues are encrypted."
    )
    message_encryption_key: str | None = option(
        None, "The secret that encrypted queues need; without it no queue can ask for encryption."
    )
    idempotency_window_seconds: int = option(
        86400, "How long an Idempotency-Key is remembered."
    )

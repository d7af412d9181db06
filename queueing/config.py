"""Settings: what an operator can choose, where it was read from, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from queueing.core.limits import Limits, option


@dataclass(frozen=True, kw_only=True)
class Settings(Limits):
    """Every setting there is: a field, a unit in its name where it has one, a sentence."""

    storage: str = option("sqlite:///queueing.db", "Where messages are kept, as a URI.")
    storage_timeout_seconds: float = option(
        5.0, "How long a request waits for the store before it is answered 503."
    )
    bind: str = option("127.0.0.1:8888", "Where to listen: `host:port`.")
    workers: int = option(0, "Worker processes; 0 chooses by the machine's cores.")
    threads: int = option(8, "Threads in each worker process.")
    graceful_timeout_seconds: int = option(
        30, "How long requests in flight may take to finish when the server is told to stop."
    )
    strict_headers: bool = option(
        False, "Ask for the headers that Zaqar asks for, instead of filling in defaults."
    )
    admin_mode: bool = option(False, "Serve the privileged endpoints: health.")
    access_log: bool = option(True, "Write a line for every request.")
    log_format: Literal["text", "json"] = option("text", "How log lines are written.")
    log_level: Literal["debug", "info", "warning", "error"] = option(
        "info", "The least important log line to write."
    )
    collect_seconds: float = option(
        1.0, "Each worker process sweeps what is over this often; 0 leaves it to `queueing collect`."
    )
    cors_allowed_origins: tuple[str, ...] = option(
        (), "Origins whose pages may call this service; `*` for all. Empty: no CORS headers."
    )
    policy: Mapping[str, str] = field(
        default_factory=dict,
        metadata={"meaning": "Rules per action that replace the built-in ones, as `queues:create`."},
    )

"""Every metric there is: its name, its labels, what it counts. `docs/monitoring.md` says the same."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

Kind = Literal["counter", "gauge", "histogram"]

OTHER: Final = "(other)"
"""The label `queue` of all queues past `metrics_queues`; no queue can be called so."""

REQUEST_BUCKETS: Final = (
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1,
    2.5,
    5,
    10,
    30,
)
STORE_BUCKETS: Final = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5)
"""Upper bounds, in seconds."""


class Family(NamedTuple):
    name: str
    kind: Kind
    labels: tuple[str, ...]
    help: str
    buckets: tuple[float, ...] = ()


REQUESTS: Final = Family(
    "queueing_http_requests_total",
    "counter",
    ("method", "route", "status"),
    "Requests answered by the app.",
)
REQUEST_SECONDS: Final = Family(
    "queueing_http_request_duration_seconds",
    "histogram",
    ("method", "route", "waits"),
    "Time from a request's arrival in the app to its answer; waits: it asked to wait for messages.",
    REQUEST_BUCKETS,
)
POSTED: Final = Family(
    "queueing_messages_posted_total",
    "counter",
    ("project", "queue"),
    "Messages that the store acknowledged.",
)
CLAIMED: Final = Family(
    "queueing_messages_claimed_total",
    "counter",
    ("project", "queue"),
    "Messages handed out under a claim, each time.",
)
DELETED: Final = Family(
    "queueing_messages_deleted_total",
    "counter",
    ("project", "queue"),
    "Messages popped, or named in a deletion that was done.",
)
DEAD_LETTERED: Final = Family(
    "queueing_messages_dead_lettered_total",
    "counter",
    ("project", "queue"),
    "Messages forwarded from this queue to its dead-letter queue.",
)
SWEPT: Final = Family(
    "queueing_swept_total",
    "counter",
    (),
    "Things that were over and were swept by this node: messages, claims, remembered keys.",
)
STORE_SECONDS: Final = Family(
    "queueing_store_call_duration_seconds",
    "histogram",
    ("operation",),
    "Time of one call of the store, whatever came of it.",
    STORE_BUCKETS,
)
STORE_ERRORS: Final = Family(
    "queueing_store_errors_total",
    "counter",
    ("operation", "kind"),
    "Calls of the store that were not answered, by the error of its client library.",
)
CONNECTIONS: Final = Family(
    "queueing_store_connections",
    "gauge",
    ("state",),
    "Connections to the store that are in_use or idle, of those drivers that tell.",
)
WAITERS: Final = Family(
    "queueing_waiters", "gauge", (), "Requests that wait for messages just now."
)
WAITERS_REFUSED: Final = Family(
    "queueing_waiters_refused_total",
    "counter",
    (),
    "Requests that wanted to wait and were answered at once, as max_waiters waited already.",
)
DEPTH: Final = Family(
    "queueing_queue_messages",
    "gauge",
    ("project", "queue", "state"),
    "Messages in the queues of metrics_depth_queues that are free or claimed.",
)
AGE: Final = Family(
    "queueing_queue_oldest_message_age_seconds",
    "gauge",
    ("project", "queue"),
    "Age of the oldest message in the queues of metrics_depth_queues; 0 when there is none.",
)
DEPTH_ERRORS: Final = Family(
    "queueing_queue_depth_errors_total",
    "counter",
    (),
    "Queues whose depth the store did not tell in time for a scrape.",
)
WORKERS: Final = Family("queueing_workers", "gauge", (), "Worker processes of this node.")
BUILD: Final = Family("queueing_build_info", "gauge", ("version",), "Always 1.")

FAMILIES: Final = (
    REQUESTS,
    REQUEST_SECONDS,
    POSTED,
    CLAIMED,
    DELETED,
    DEAD_LETTERED,
    SWEPT,
    STORE_SECONDS,
    STORE_ERRORS,
    CONNECTIONS,
    WAITERS,
    WAITERS_REFUSED,
    DEPTH,
    AGE,
    DEPTH_ERRORS,
    WORKERS,
    BUILD,
)

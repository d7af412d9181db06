"""`wait` in a query: how long the client wants to wait for messages, and what it hears of that."""

from __future__ import annotations

import falcon

from queueing.api.connections import connection_of
from queueing.api.query import Query
from queueing.api.request import Request
from queueing.config import Settings
from queueing.core import rules
from queueing.service.waiting import Patience

RETRY_AFTER = "1"  # seconds


def patience_of(req: Request, query: Query, settings: Settings) -> Patience | None:
    """None if the client does not want to wait.

    :raises InvalidRequest: titled PARAMETER; `wait` is no number
    :raises OverLimit: titled API; it is not within 0..max_wait_seconds
    """
    seconds = rules.wait(query.seconds("wait"), settings)
    return Patience(seconds, connection_of(req.env)) if seconds else None


def tell_refusal(patience: Patience | None, resp: falcon.Response) -> None:
    """Say when to come again, if there was nothing to answer and no place to wait."""
    if patience is not None and patience.refused:
        resp.set_header("Retry-After", RETRY_AFTER)

"""What our middleware knows about a request, on top of what Falcon does."""

from __future__ import annotations

import falcon

from queueing.api.query import Query


class Request(falcon.Request):
    """A Falcon request; the members below are set by `middleware/`."""

    request_id: str = ""
    """`req-` and a fresh UUID."""
    reference: str = ""
    """What the client calls the request (`X-Request-ID`), else the same as `request_id`."""
    project: str = ""
    client_id: str = ""
    """In canonical form; empty for an anonymous client."""
    started: float = 0.0
    """`time.perf_counter()`; only where something measures."""

    @property
    def query(self) -> Query:
        return Query(self.env.get("QUERY_STRING", ""))

"""Who asks, in which project, for which queue: the checks that come before any responder.

Nobody else makes a `QueueRef` out of a request. The order of the checks is part of the API; the
first that fails decides the answer.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import falcon

from queueing.api.request import Request
from queueing.config import Settings
from queueing.core import rules
from queueing.core.errors import InvalidRequest
from queueing.core.models import QueueRef
from queueing.service.readiness import LIVE, READY

DEFAULT_PROJECT = "default"
FOR_ANYBODY = {"/", LIVE, READY}  # probes send no headers of ours
FORM = "application/x-www-form-urlencoded"
JSON = "application/json"

_REMEMBERED = 16_384  # entries per cache; a few MiB when full


class Scope:
    """Sets `project` and `client_id` of the request, turns `queue` into a `QueueRef`."""

    def __init__(self, settings: Settings) -> None:
        self._strict = settings.strict_headers

        @lru_cache(_REMEMBERED)
        def client_id(text: str) -> str:
            return rules.client_id(text, settings)

        self._client_id = client_id

    def process_resource(
        self, req: Request, _resp: falcon.Response, _resource: object, params: dict[str, Any]
    ) -> None:
        if req.path.startswith("//"):
            raise falcon.HTTPRouteNotFound  # Falcon's router takes several slashes for one
        env = req.env
        if self._strict:
            _check_form(env)
        accept = env.get("HTTP_ACCEPT")
        if accept and not accepts_json(accept):
            raise falcon.HTTPNotAcceptable(description=f"Accept must admit {JSON}.")
        if req.path in FOR_ANYBODY:
            return
        client_id = env.get("HTTP_CLIENT_ID")
        if client_id is not None:
            req.client_id = self._client_id(client_id)
        elif self._strict:
            raise InvalidRequest("The header Client-ID is required.", "Missing header value")
        project = env.get("HTTP_X_PROJECT_ID")
        if project is None:
            project = env.get("HTTP_X_TENANT_ID")
        if project is not None:
            project = project.strip(" \t")  # not strip(): 0x85 and 0xA0 are part of a project
            if not project:
                raise InvalidRequest(
                    "The header X-Project-ID may not be blank.",
                    "Empty project header not allowed",
                )
        elif self._strict:
            raise InvalidRequest("The header X-Project-ID is required.", "Project-Id Missing")
        else:
            project = DEFAULT_PROJECT
        req.project = project
        if "queue" in params:
            params["queue"] = queue_ref(project, params["queue"])
        else:
            rules.project(project)


@lru_cache(_REMEMBERED)
def queue_ref(project: str, name: str) -> QueueRef:
    """:raises InvalidRequest: titled QUEUE_NAME"""
    return QueueRef(rules.project(project), rules.queue_name(name))


@lru_cache(256)
def accepts_json(accept: str) -> bool:
    """Whether an `Accept` header admits JSON; one that cannot be parsed does not."""
    best = (0, 0.0)  # the most exact range counts, whatever the others say
    for media_range in accept.lower().split(","):
        try:
            quality = falcon.mediatypes.quality(JSON, media_range)
        except falcon.InvalidMediaRange:
            continue
        best = max(best, (_precision(media_range), quality))
    return best[0] > 0 and best[1] > 0


def _precision(media_range: str) -> int:
    """How exactly a media range means JSON; 0 if not at all."""
    kind = media_range.partition(";")[0].strip()
    return {JSON: 3, "application/*": 2, "*/*": 1}.get(kind, 0)


def _check_form(env: dict[str, Any]) -> None:
    kind = env.get("CONTENT_TYPE")
    # A body of no bytes counts as one; with parameters it passes: both as Zaqar has it.
    if kind and kind.strip().lower() == FORM and env.get("CONTENT_LENGTH"):
        raise InvalidRequest(f"The body must be {JSON}. Got {FORM}.", "Invalid Content-Type")

"""The URL table: what there is, and which action of the policy each method is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import falcon
from falcon.routing import CompiledRouter

from queueing.api.policy import Check, Policy, roles
from queueing.api.request import Request
from queueing.api.resources import claims, messages, queues, service
from queueing.config import Settings
from queueing.service.readiness import LIVE, READY

if TYPE_CHECKING:
    from queueing.api.app import Services

Responder = Callable[..., None]


class Route(NamedTuple):
    path: str
    resource: object
    actions: Mapping[str, str]  # by method; what is for everybody has none


def routes(on: Services, settings: Settings) -> list[Route]:
    queue = queues.Queue(on.queues, settings)
    listing = queues.QueueListing(on.queues)
    stats = queues.QueueStats(on.queues, on.clock)
    purge = queues.QueuePurge(on.queues)
    collection = messages.MessageCollection(on.messages, on.clock, settings)
    message = messages.MessageItem(on.messages, on.clock)
    claiming = claims.ClaimCollection(on.claims, on.clock, settings)
    claim = claims.ClaimItem(on.claims, on.clock)
    live, ready = service.Live(), service.Ready(on.readiness)
    home, ping = service.Home(settings.admin_mode), service.Ping(on.storage)
    table = [
        Route("/", service.Versions(), {}),
        Route("/v2/", home, {}),
        Route("/v2/ping", ping, {"GET": "ping:get", "HEAD": "ping:get"}),
        Route(LIVE, live, {}),
        Route(READY, ready, {}),
        Route("/v2/queues", listing, {"GET": "queues:get_all"}),
        Route("/v2/queues/{queue}", queue, {
            "GET": "queues:get", "HEAD": "queues:get", "PUT": "queues:create",
            "PATCH": "queues:update", "DELETE": "queues:delete"}),
        Route("/v2/queues/{queue}/stats", stats, {"GET": "queues:stats"}),
        Route("/v2/queues/{queue}/purge", purge, {"POST": "queues:purge"}),
        Route("/v2/queues/{queue}/messages", collection, {
            "GET": "messages:get_all", "POST": "messages:create",
            "DELETE": "messages:delete_all"}),
        Route("/v2/queues/{queue}/messages/{message_id}", message, {
            "GET": "messages:get", "DELETE": "messages:delete"}),
        Route("/v2/queues/{queue}/claims", claiming, {"POST": "claims:create"}),
        Route("/v2/queues/{queue}/claims/{claim_id}", claim, {
            "GET": "claims:get", "PATCH": "claims:update", "DELETE": "claims:delete"}),
    ]  # fmt: skip
    if settings.admin_mode:
        table.append(Route("/v2/health", service.Health(on.health), {"GET": "health:get"}))
    return table


class GuardedRouter(CompiledRouter):
    """Falcon's router; a responder whose action is not for everybody asks for the roles first."""

    def __init__(self, policy: Policy) -> None:
        super().__init__()
        self._policy = policy

    def map_http_methods(self, resource: object, **kwargs: Any) -> dict[str, Any]:
        actions: Mapping[str, str] = kwargs.pop("actions")
        responders: dict[str, Any] = dict(super().map_http_methods(resource, **kwargs))
        for method, action in actions.items():
            check = self._policy.check(action)
            if check is not None:
                refuse = partial(self._policy.refusal, action)
                responders[method] = _guard(responders[method], check, refuse)
        return responders


def _guard(responder: Responder, check: Check, refuse: Callable[[], Exception]) -> Responder:
    def guarded(req: Request, resp: falcon.Response, **params: Any) -> None:
        if not check(roles(req.env.get("HTTP_X_ROLES"))):
            raise refuse()
        responder(req, resp, **params)

    return guarded

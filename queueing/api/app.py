"""The WSGI app: services in, HTTP out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import falcon

from queueing.api.errors import add_error_handlers
from queueing.api.middleware.access_log import AccessLog
from queueing.api.middleware.cors import Cors
from queueing.api.middleware.request_id import RequestId
from queueing.api.middleware.scope import Scope
from queueing.api.policy import Policy
from queueing.api.request import Request
from queueing.api.routes import GuardedRouter, routes
from queueing.config import Settings
from queueing.core.clock import Clock
from queueing.service.claims import Claims
from queueing.service.health import SelfTest
from queueing.service.messages import Messages
from queueing.service.queues import Queues
from queueing.service.readiness import Readiness
from queueing.storage.contract import Storage


class Services(NamedTuple):
    """What the app calls. `storage` is for its `ping` only."""

    queues: Queues
    messages: Messages
    claims: Claims
    health: SelfTest
    readiness: Readiness
    storage: Storage
    clock: Clock


def create_app(
    services: Services, settings: Settings, observers: Sequence[Any] = ()
) -> falcon.App[Request, falcon.Response]:
    """Make the app; nothing in it depends on the server that runs it.

    `observers` are middleware that sees each request first and its answer last.

    :raises SetupError: a rule of the policy is none
    """
    router = GuardedRouter(Policy(settings.policy))
    middleware: list[Any] = [*observers, RequestId(), Scope(settings)]
    if settings.cors_allowed_origins:
        middleware.append(Cors(settings.cors_allowed_origins))
    if settings.access_log:
        middleware.insert(0, AccessLog(settings.log_format))  # first in, last out: times the others
    app = falcon.App(request_type=Request, middleware=middleware, router=router)
    add_error_handlers(app)
    for route in routes(services, settings):
        app.add_route(route.path, route.resource, actions=route.actions)
    return app

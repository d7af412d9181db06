"""The URL table: every method of every route is an action of the policy."""

from __future__ import annotations

import pytest

from queueing.api.app import Services
from queueing.api.policy import DEFAULTS
from queueing.api.resources.service import HOME, HOME_FOR_ADMINISTRATORS
from queueing.api.routes import routes
from queueing.config import Settings
from queueing.core.clock import ManualClock
from queueing.service.claims import Claims
from queueing.service.health import SelfTest
from queueing.service.messages import Messages
from queueing.service.queues import Queues
from queueing.service.readiness import Readiness
from tests.model import ModelStorage

UNPROTECTED = {"/", "/v2/", "/v2/health/live", "/v2/health/ready"}


def table(admin_mode: bool = True) -> dict[str, tuple[set[str], dict[str, str]]]:
    """Methods and their actions, by path."""
    settings, storage, clock = Settings(admin_mode=admin_mode), ModelStorage(), ManualClock()
    services = Services(
        queues=Queues(storage, clock, settings),
        messages=Messages(storage, clock, settings),
        claims=Claims(storage, clock, settings),
        health=SelfTest(storage, clock),
        readiness=Readiness(storage.ping, bool),
        storage=storage,
        clock=clock,
    )
    return {
        route.path: (
            {name[3:].upper() for name in dir(route.resource) if name.startswith("on_")},
            dict(route.actions),
        )
        for route in routes(services, settings)
    }


def test_every_method_has_an_action_and_every_action_a_method() -> None:
    actions = set()
    for path, (methods, chosen) in table().items():
        assert set(chosen) == (set() if path in UNPROTECTED else methods), path
        actions |= set(chosen.values())
    assert actions == set(DEFAULTS)


@pytest.mark.parametrize("admin_mode", [True, False])
def test_the_home_document_lists_what_exists(admin_mode: bool) -> None:
    listed = HOME | HOME_FOR_ADMINISTRATORS if admin_mode else HOME
    paths = table(admin_mode)
    found: dict[str, set[str]] = {}
    for template, methods in listed.values():
        path = template.partition("{?")[0].replace("queue_name", "queue")
        assert set(methods) <= paths[path][0], template
        found.setdefault(path, set()).update(methods)
    assert set(found) == set(paths) - UNPROTECTED
    for path, advertised in found.items():
        assert advertised >= paths[path][0] - {"HEAD"}, path

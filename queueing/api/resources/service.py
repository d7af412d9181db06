"""Service documents: versions, home, ping, health, and what probes ask."""

from __future__ import annotations

from typing import Any

import falcon

from queueing.api.documents import encode
from queueing.api.request import Request
from queueing.service.health import SelfTest
from queueing.service.readiness import Readiness
from queueing.storage.contract import Storage

VERSIONS = {
    "versions": [
        {
            "id": "2",
            "status": "CURRENT",
            "updated": "2014-9-24T04:06:47Z",
            "media-types": [
                {
                    "base": "application/json",
                    "type": "application/vnd.openstack.messaging-v2+json",
                }
            ],
            "links": [{"href": "/v2/", "rel": "self"}],
        }
    ]
}

_QUEUE = "/v2/queues/{queue_name}"
HOME = {  # relation: template, methods
    "rel/queues": ("/v2/queues{?marker,limit,detailed}", ["GET"]),
    "rel/queue": (_QUEUE, ["GET", "PUT", "DELETE", "PATCH"]),
    "rel/queue_stats": (f"{_QUEUE}/stats", ["GET"]),
    "rel/queue_purge": (f"{_QUEUE}/purge", ["POST"]),
    "rel/messages": (f"{_QUEUE}/messages{{?marker,limit,echo,include_claimed}}", ["GET"]),
    "rel/post_messages": (f"{_QUEUE}/messages", ["POST"]),
    "rel/messages_delete": (f"{_QUEUE}/messages{{?ids,pop}}", ["DELETE"]),
    "rel/message_delete": (f"{_QUEUE}/messages/{{message_id}}{{?claim_id}}", ["DELETE"]),
    "rel/message_get": (f"{_QUEUE}/messages/{{message_id}}", ["GET"]),
    "rel/claim": (f"{_QUEUE}/claims/{{claim_id}}", ["GET"]),
    "rel/patch_claim": (f"{_QUEUE}/claims/{{claim_id}}", ["PATCH"]),
    "rel/delete_claim": (f"{_QUEUE}/claims/{{claim_id}}", ["DELETE"]),
    "rel/post_claim": (f"{_QUEUE}/claims{{?limit}}", ["POST"]),
    "rel/ping": ("/v2/ping", ["GET"]),
}
HOME_FOR_ADMINISTRATORS = {"rel/health": ("/v2/health", ["GET"])}

_TAKES_JSON = {"rel/queue_purge", "rel/post_messages", "rel/post_claim", "rel/patch_claim"}
_LIMITS = {
    "rel/queues": "param/queue_limit",
    "rel/messages": "param/messages_limit",
    "rel/post_claim": "param/claim_limit",
}


class Versions:
    DOCUMENT = encode(VERSIONS)

    def on_get(self, _req: Request, resp: falcon.Response) -> None:
        """Which versions of the API there are; asks for no header."""
        resp.status = falcon.HTTP_300
        resp.data = self.DOCUMENT


class Home:
    def __init__(self, admin_mode: bool) -> None:
        relations = HOME | HOME_FOR_ADMINISTRATORS if admin_mode else HOME
        self._document = encode(
            {"resources": {name: _relation(name, *value) for name, value in relations.items()}}
        )

    def on_get(self, _req: Request, resp: falcon.Response) -> None:
        """What this service has."""
        resp.data = self._document
        resp.content_type = "application/json-home"
        resp.set_header("Cache-Control", "max-age=86400")


class Ping:
    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def on_get(self, _req: Request, resp: falcon.Response) -> None:
        """204 if the store answers."""
        self._storage.ping()
        resp.status = falcon.HTTP_204

    def on_head(self, _req: Request, resp: falcon.Response) -> None:
        """204 if this process answers."""
        resp.status = falcon.HTTP_204


class Live:
    def on_get(self, _req: Request, resp: falcon.Response) -> None:
        """204: this process answers. Asks for no header, and asks nobody."""
        resp.status = falcon.HTTP_204

    on_head = on_get


class Ready:
    def __init__(self, readiness: Readiness) -> None:
        self._readiness = readiness

    def on_get(self, _req: Request, resp: falcon.Response) -> None:
        """204 if this node wants requests, else 503 and why not. Asks for no header."""
        resp.set_header("Cache-Control", "no-store")
        obstacle = self._readiness.obstacle()
        if obstacle is None:
            resp.status = falcon.HTTP_204
        else:
            resp.status = falcon.HTTP_503
            resp.data = encode({"title": "Not ready", "description": obstacle})

    on_head = on_get


class Health:
    def __init__(self, health: SelfTest) -> None:
        self._health = health

    def on_get(self, _req: Request, resp: falcon.Response) -> None:
        """Try every step in a scratch project, and say how each went."""
        resp.data = encode(self._health.run())


def _relation(name: str, template: str, methods: list[str]) -> dict[str, Any]:
    """One entry of a json-home document; a template without variables is an address."""
    hints: dict[str, Any] = {"allow": methods, "formats": {"application/json": {}}}
    if name in _TAKES_JSON:
        hints["accept-post"] = ["application/json"]
    if "{" not in template:
        return {"href": template, "hints": hints}
    names = template.replace("{?", "{").replace("}", "{").split("{")[1::2]
    variables = [variable for group in names for variable in group.split(",")]
    targets = {variable: f"param/{variable}" for variable in variables}
    if "limit" in targets:
        targets["limit"] = _LIMITS[name]
    return {"href-template": template, "href-vars": targets, "hints": hints}

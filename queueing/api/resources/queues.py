"""Queues: `/v2/queues`, `/v2/queues/{queue}`, and what lies below except messages and claims."""

from __future__ import annotations

import re
from collections.abc import Sequence

import falcon
import msgspec
from msgspec import UNSET, Raw, UnsetType

from queueing.api import body, documents, strict_json
from queueing.api.query import link
from queueing.api.request import Request
from queueing.config import Settings
from queueing.core import rules
from queueing.core.clock import Clock
from queueing.core.errors import BODY, InvalidRequest
from queueing.core.models import QueueRef
from queueing.service.queues import Change, Queues

PATCH_TYPE = "application/openstack-messaging-v2.0-json-patch"


class QueueListing:
    PARAMETERS = ("limit", "marker", "detailed", "name", "with_count")

    def __init__(self, queues: Queues) -> None:
        self._queues = queues

    def on_get(self, req: Request, resp: falcon.Response) -> None:
        """A page of the project's queues, in order of their names."""
        query = req.query
        limit, detailed = query.integer("limit"), query.boolean("detailed")
        with_count, name = query.boolean("with_count"), query.text("name")
        filters = query.others(self.PARAMETERS)
        found = self._queues.list(
            req.project, marker=query.text("marker") or "", limit=limit, name=name, filters=filters
        )
        following = None
        if found:
            kept = [(key, value) for key, values in filters.items() for value in values]
            given = [("limit", limit), ("detailed", detailed), ("name", name)]
            given += [("with_count", with_count), *kept, ("marker", found[-1].name)]
            following = link("/v2/queues", given)
        items = [documents.listed_queue(q.name, q.metadata if detailed else None) for q in found]
        count = self._queues.count(req.project) if with_count else None
        resp.data = documents.page("queues", items, following, count)


class Queue:
    METADATA = msgspec.json.Decoder(dict[str, Raw])

    def __init__(self, queues: Queues, settings: Settings) -> None:
        self._queues = queues
        self._largest = settings.max_queue_metadata

    def on_get(self, _req: Request, resp: falcon.Response, queue: QueueRef) -> None:
        """The metadata, reserved keys with their defaults: also of a queue that does not exist."""
        resp.data = documents.metadata(self._queues.show(queue))

    def on_head(self, _req: Request, resp: falcon.Response, queue: QueueRef) -> None:
        """204 if the queue exists, else 404: a plain GET does not tell."""
        resp.status = falcon.HTTP_204 if self._queues.exists(queue) else falcon.HTTP_404

    def on_put(self, req: Request, resp: falcon.Response, queue: QueueRef) -> None:
        """Make the queue; one that exists stays as it is, metadata too."""
        text = body.read(req, self._largest)
        metadata = strict_json.decode(self.METADATA, text) if text else {}
        made = self._queues.create(queue, {key: bytes(value) for key, value in metadata.items()})
        resp.status = falcon.HTTP_201 if made else falcon.HTTP_204
        resp.set_header("Location", documents.queue_path(queue))

    def on_patch(self, req: Request, resp: falcon.Response, queue: QueueRef) -> None:
        """Change metadata by a JSON patch, all of it or nothing."""
        kind = (req.env.get("CONTENT_TYPE") or "").partition(";")[0].strip().lower()
        if kind != PATCH_TYPE:
            raise falcon.HTTPUnsupportedMediaType(description=f"The body must be {PATCH_TYPE}.")
        operations = strict_json.decode(PATCH, body.read(req, self._largest), levels=2)
        resp.data = documents.metadata(self._queues.update(queue, changes(operations)))

    def on_delete(self, _req: Request, resp: falcon.Response, queue: QueueRef) -> None:
        """Remove the queue with all it holds; no matter if it is missing."""
        self._queues.delete(queue)
        resp.status = falcon.HTTP_204


class QueueStats:
    def __init__(self, queues: Queues, clock: Clock) -> None:
        self._queues = queues
        self._clock = clock

    def on_get(self, _req: Request, resp: falcon.Response, queue: QueueRef) -> None:
        """Counts of messages; the oldest and the newest."""
        now = self._clock.now()
        resp.data = documents.stats(queue, self._queues.stats(queue), now)


class Purge(msgspec.Struct, frozen=True, gc=False):
    resource_types: list[str]


class QueuePurge:
    PURGE = msgspec.json.Decoder(Purge)

    def __init__(self, queues: Queues) -> None:
        self._queues = queues

    def on_post(self, req: Request, resp: falcon.Response, queue: QueueRef) -> None:
        """Empty the queue; it stays, and so does its metadata."""
        text = body.read(req, body.SMALL)
        types = None
        if text:
            asked = strict_json.decode(self.PURGE, text, is_rule=_any_object)
            types = asked.resource_types
        self._queues.purge(queue, types)
        resp.status = falcon.HTTP_204


def _any_object(error: strict_json.ShapeError) -> bool:
    return error.top == b"{"


class Operation(msgspec.Struct, frozen=True, gc=False):
    """One operation of a patch. A value of `null` is a value."""

    op: str
    path: str
    value: Raw | UnsetType = UNSET


PATCH = msgspec.json.Decoder(list[Operation])

_METADATA_KEY = re.compile(r"/metadata/((?:[^/~]|~[01])+)", re.IGNORECASE)


def changes(operations: Sequence[Operation]) -> list[Change]:
    """The operations as the service takes them.

    :raises InvalidRequest: titled BODY; an unknown operation, a missing value, another path
    """
    return [_change(f"[{index}]", operation) for index, operation in enumerate(operations)]


def _change(place: str, operation: Operation) -> Change:
    if operation.op not in ("add", "remove", "replace"):
        raise InvalidRequest(
            f"{place}.op must be 'add', 'remove' or 'replace'. Got {rules.quoted(operation.op)}.",
            BODY,
        )
    match = _METADATA_KEY.fullmatch(operation.path)
    if match is None:
        raise InvalidRequest(
            f"{place}.path must be '/metadata/<key>', with ~1 for / and ~0 for ~ in the key."
            f" Got {rules.quoted(operation.path)}.",
            BODY,
        )
    if operation.op != "remove" and operation.value is UNSET:
        raise InvalidRequest(f"{place}.value is required. Got an object without it.", BODY)
    key = match[1].replace("~1", "/").replace("~0", "~")
    value = None if operation.value is UNSET else bytes(operation.value)
    return Change(operation.op, key, value)

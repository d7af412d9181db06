"""Messages: `/v2/queues/{queue}/messages`, `/v2/queues/{queue}/messages/{message_id}`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import falcon
import msgspec
from msgspec import Raw

from queueing.api import body, documents, strict_json
from queueing.api.query import link
from queueing.api.request import Request
from queueing.api.waits import patience_of, tell_refusal
from queueing.config import Settings
from queueing.core import rules
from queueing.core.clock import Clock
from queueing.core.errors import InvalidRequest
from queueing.core.models import QueueRef
from queueing.service.messages import Messages

# A default is not validated: so `null` is refused and "not said" is None all the same.
NOT_SAID = cast(int, None)
LONGEST_KEY = 255


class Posting(msgspec.Struct, frozen=True, gc=False):
    """A message as posted; its body stays the text it is."""

    body: Raw
    ttl: int = NOT_SAID
    delay: int = NOT_SAID


class Post(msgspec.Struct, gc=False):
    messages: list[Posting]


class MessageCollection:
    POST = msgspec.json.Decoder(Post)

    def __init__(self, messages: Messages, clock: Clock, settings: Settings) -> None:
        self._messages = messages
        self._clock = clock
        self._settings = settings
        self._largest = settings.max_messages_post_size
        self._claims_needed = settings.message_delete_with_claim_id

    def on_post(self, req: Request, resp: falcon.Response, queue: QueueRef) -> None:
        """Post messages, all or none."""
        key = idempotency_key(req)
        text = body.read(req, self._largest)
        posted = self._messages.post(
            queue,
            self._postings(queue, text),
            body=text,
            client_id=req.client_id,
            idempotency_key=key,
        )
        resp.status = falcon.HTTP_201
        resp.set_header("Location", documents.posted_location(queue, posted.ids))
        if posted.replayed:
            resp.set_header("Idempotency-Replayed", "true")
        resp.data = documents.posted(queue, posted.ids)

    def on_get(self, req: Request, resp: falcon.Response, queue: QueueRef) -> None:
        """A page of messages, waiting for the first of them perhaps, or those with the ids asked for."""
        query, now = req.query, self._clock.now()
        ids = query.items("ids")
        if ids is not None:
            found = self._messages.get_many(queue, ids)
            resp.data = documents.messages(documents.message(queue, item, now) for item in found)
            return
        limit, echo = query.integer("limit"), query.boolean("echo")
        claimed, delayed = query.boolean("include_claimed"), query.boolean("include_delayed")
        patience = patience_of(req, query, self._settings)
        found, marker = self._messages.list(
            queue,
            marker=query.text("marker"),
            limit=limit,
            client_id=req.client_id,
            echo=echo or False,
            include_claimed=claimed or False,
            include_delayed=delayed or False,
            patience=patience,
        )
        following = None
        if marker is None:
            tell_refusal(patience, resp)
        else:
            if patience is not None:
                now = self._clock.now()
            given: list[tuple[str, str | int | None]]
            given = [("limit", limit), ("echo", echo), ("include_claimed", claimed)]
            given += [("include_delayed", delayed), ("wait", query.text("wait"))]
            following = link(documents.messages_path(queue), [*given, ("marker", marker)])
        items = [documents.message(queue, item, now) for item in found]
        resp.data = documents.page("messages", items, following)

    def on_delete(self, req: Request, resp: falcon.Response, queue: QueueRef) -> None:
        """Delete messages by their ids, or take the oldest free ones out (`pop`)."""
        query = req.query
        ids, pop = query.items("ids"), query.integer("pop")
        claim_ids = query.items("claim_ids") if self._claims_needed else None
        _check_combination(ids, pop, claim_ids, self._claims_needed)
        if pop is not None:
            patience = patience_of(req, query, self._settings)
            taken = self._messages.pop(queue, pop, patience=patience)
            if not taken:
                tell_refusal(patience, resp)
            now = self._clock.now()
            resp.data = documents.messages(documents.popped(item, now) for item in taken)
            return
        self._messages.delete_many(queue, ids or [], claim_ids)
        resp.status = falcon.HTTP_204

    def _postings(self, queue: QueueRef, text: bytes) -> list[Posting]:
        """The messages of a post.

        :raises InvalidRequest: titled BODY, or API for an array or an object without `messages`
        :raises OverLimit: titled API; too long for the queue, which comes before what is wrong in it
        """
        try:
            return strict_json.decode(
                self.POST, text, levels=3, parts=_bodies, is_rule=_no_messages
            ).messages
        except InvalidRequest:
            self._messages.check_size(queue, len(text))
            raise


class MessageItem:
    def __init__(self, messages: Messages, clock: Clock) -> None:
        self._messages = messages
        self._clock = clock

    def on_get(
        self, _req: Request, resp: falcon.Response, queue: QueueRef, message_id: str
    ) -> None:
        """One message, whoever posted it, claimed and delayed ones too."""
        now = self._clock.now()
        resp.data = documents.message(queue, self._messages.get(queue, message_id), now)

    def on_delete(
        self, req: Request, resp: falcon.Response, queue: QueueRef, message_id: str
    ) -> None:
        """Delete one message; a claimed one only with its claim."""
        self._messages.delete(queue, message_id, req.query.text("claim_id"))
        resp.status = falcon.HTTP_204


def idempotency_key(req: Request) -> str | None:
    """:raises InvalidRequest: titled API; the header is no key"""
    key: str | None = req.env.get("HTTP_IDEMPOTENCY_KEY")
    if key is None:
        return None
    if 1 <= len(key) <= LONGEST_KEY and key.isascii() and key.isprintable() and " " not in key:
        return key
    raise InvalidRequest(
        f"Idempotency-Key must be 1 to {LONGEST_KEY} visible ASCII characters."
        f" Got {rules.quoted(key)}."
    )


def _bodies(post: Post) -> Iterator[bytes]:
    return (bytes(message.body) for message in post.messages)


def _no_messages(error: strict_json.ShapeError) -> bool:
    """Whether it is an array, or an object without `messages`."""
    return not error.path and error.top in (b"[", b"{")


def _check_combination(
    ids: list[str] | None, pop: int | None, claim_ids: list[str] | None, claims_needed: bool
) -> None:
    """:raises InvalidRequest: titled API"""
    if pop is not None:
        if ids is not None or claim_ids is not None:
            raise InvalidRequest("pop excludes ids and claim_ids. Got both.")
    elif ids is None:
        raise InvalidRequest("Either ids or pop is required. Got neither: not all can be deleted.")
    elif claims_needed and claim_ids is None:
        raise InvalidRequest("claim_ids is required together with ids. Got only ids.")

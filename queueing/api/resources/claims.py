"""Claims: `/v2/queues/{queue}/claims`, `/v2/queues/{queue}/claims/{claim_id}`."""

from __future__ import annotations

import falcon
import msgspec

from queueing.api import body, documents, strict_json
from queueing.api.request import Request
from queueing.api.waits import patience_of, tell_refusal
from queueing.config import Settings
from queueing.core import rules
from queueing.core.clock import Clock
from queueing.core.models import QueueRef
from queueing.service.claims import Claims


class Terms(msgspec.Struct, frozen=True, gc=False):
    """What a claim is asked for; `null` is the same as nothing."""

    ttl: int | None = None
    grace: int | None = None


TERMS = msgspec.json.Decoder(Terms)
DEFAULT_TERMS = Terms()


class ClaimCollection:
    def __init__(self, claims: Claims, clock: Clock, settings: Settings) -> None:
        self._claims = claims
        self._clock = clock
        self._settings = settings
        self._most = settings.max_messages_per_claim_or_pop

    def on_post(self, req: Request, resp: falcon.Response, queue: QueueRef) -> None:
        """Claim the oldest free messages: 201 with the claim, 204 if there are none in time."""
        query = req.query
        limit = rules.page_limit(query.integer("limit"), self._most)
        patience = patience_of(req, query, self._settings)
        text = body.read(req, body.SMALL)
        terms = strict_json.decode(TERMS, text) if text else DEFAULT_TERMS
        now = self._clock.now()
        claim = self._claims.create(
            queue, ttl=terms.ttl, grace=terms.grace, limit=limit, patience=patience
        )
        if claim is None:
            resp.status = falcon.HTTP_204
            tell_refusal(patience, resp)
            return
        if patience is not None:
            now = self._clock.now()
        resp.status = falcon.HTTP_201
        resp.set_header("Location", documents.claim_path(queue, claim.id))
        resp.set_header("Claim-Fence", str(claim.fence))
        items = (documents.message(queue, item, now) for item in claim.messages)
        resp.data = documents.messages(items)


class ClaimItem:
    def __init__(self, claims: Claims, clock: Clock) -> None:
        self._claims = claims
        self._clock = clock

    def on_get(self, _req: Request, resp: falcon.Response, queue: QueueRef, claim_id: str) -> None:
        """The claim, with the messages that are still under it."""
        now = self._clock.now()
        claim = self._claims.get(queue, claim_id)
        resp.set_header("Claim-Fence", str(claim.fence))
        resp.data = documents.claim(queue, claim, now)

    def on_patch(self, req: Request, resp: falcon.Response, queue: QueueRef, claim_id: str) -> None:
        """Start the claim's time again. What is not said takes its default, not its old value."""
        terms = strict_json.decode(TERMS, body.read(req, body.SMALL))
        self._claims.renew(queue, claim_id, ttl=terms.ttl, grace=terms.grace)
        resp.status = falcon.HTTP_204

    def on_delete(
        self, _req: Request, resp: falcon.Response, queue: QueueRef, claim_id: str
    ) -> None:
        """End the claim: its messages are free again; no matter if it is over."""
        self._claims.release(queue, claim_id)
        resp.status = falcon.HTTP_204

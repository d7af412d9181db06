"""Claims: take, look, renew, release."""

from __future__ import annotations

from queueing.core.clock import Clock
from queueing.core.limits import Limits
from queueing.core.models import Claim, QueueRef
from queueing.storage.contract import Storage


class Claims:
    def __init__(self, storage: Storage, clock: Clock, limits: Limits) -> None: ...

    def create(
        self, queue: QueueRef, *, ttl: int | None, grace: int | None, limit: int | None
    ) -> Claim | None:
        """Claim the oldest free messages; None when there are none. Dead letters go on their way.

        :raises OverLimit: titled API
        """

    def get(self, queue: QueueRef, claim_id: str) -> Claim:
        """:raises ClaimNotFound:"""

    def renew(self, queue: QueueRef, claim_id: str, *, ttl: int | None, grace: int | None) -> None: ...

    def release(self, queue: QueueRef, claim_id: str) -> None: ...

"""Stores that are broken on purpose: the model with one defect each.

Each is the kind of mistake that a driver could make. `DEFECTS` has the mistake as a sentence, a
function that builds it into a model, and a test of this suite that fails on it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from queueing.core.errors import ClaimExpired, MessageIsClaimed, StaleSettings, WrongClaim
from queueing.core.models import (
    Claimed,
    ClaimTerms,
    DeadLetterRule,
    Draft,
    Message,
    Posted,
    QueueRef,
    Stats,
)
from tests.contract import (
    test_claims,
    test_collect,
    test_dead_letters,
    test_deleting,
    test_idempotency,
    test_isolation,
    test_messages,
    test_queues,
    test_resends,
    test_stats,
)
from tests.contract.subject import Subject
from tests.model import Kept, ModelClaims, ModelMessages, ModelQueues, ModelStorage, Queue


class Defect(NamedTuple):
    what: str
    build_in: Callable[[ModelStorage], None]
    caught_by: Callable[[Subject], None]


def queues_are(queue: type[Queue]) -> Callable[[ModelStorage], None]:
    def build_in(storage: ModelStorage) -> None:
        storage.shared.queues = defaultdict(queue)

    return build_in


def messages_are(messages: type[ModelMessages]) -> Callable[[ModelStorage], None]:
    def build_in(storage: ModelStorage) -> None:
        storage.messages = messages(storage.shared)

    return build_in


def claims_are(claims: type[ModelClaims]) -> Callable[[ModelStorage], None]:
    def build_in(storage: ModelStorage) -> None:
        storage.claims = claims(storage.shared)

    return build_in


def queue_store_is(queues: type[ModelQueues]) -> Callable[[ModelStorage], None]:
    def build_in(storage: ModelStorage) -> None:
        storage.queues = queues(storage.shared)

    return build_in


# Posting


class LosesTheLastOfABatch(ModelMessages):
    def post(self, queue: QueueRef, drafts: Sequence[Draft], **more: Any) -> Posted:
        posted = super().post(queue, drafts, **more)
        if len(drafts) > 2 and not posted.replayed:
            self.at(queue).messages.pop(posted.ids[-1], None)
        return posted


class SplitsARefusedBatch(ModelMessages):
    def post(self, queue: QueueRef, drafts: Sequence[Draft], **more: Any) -> Posted:
        try:
            return super().post(queue, drafts, **more)
        except StaleSettings as stale:
            if len(drafts) > 1:
                super().post(queue, drafts[:1], **more | {"version": stale.current.version})
            raise


class RepeatsARetriedPost(ModelMessages):
    def post(self, queue: QueueRef, drafts: Sequence[Draft], **more: Any) -> Posted:
        """Knows a repeat by the messages only, so not when they are gone."""
        first = f"{more['token']}{0:04x}"
        if not self.at(queue).find(first, more["now"]):
            for request in [r for r in self.shared.answers if r[2] == more["token"]]:
                del self.shared.answers[request]
        return super().post(queue, drafts, **more)


class NumbersFromWhatIsThere(Queue):
    def append(self, message: Message, free_at: float, now: float) -> None:
        self.last_sequence = max((k.message.sequence for k in self.messages.values()), default=0)
        super().append(message, free_at, now)


class NumbersByTheClock(Queue):
    def append(self, message: Message, free_at: float, now: float) -> None:
        self.last_sequence = 0
        super().append(message, free_at, now)


class ForgetsKeysWithThePurge(ModelMessages):
    def purge(self, queue: QueueRef, *, now: float) -> None:
        super().purge(queue, now=now)
        self.at(queue).keys.clear()


class ChecksSettingsBeforeTheKey(ModelMessages):
    def post(self, queue: QueueRef, drafts: Sequence[Draft], **more: Any) -> Posted:
        current = self.at(queue).metadata
        if current and current.version != more["version"]:
            raise StaleSettings(current)
        return super().post(queue, drafts, **more)


# Reading


class ListsTheMarkerAgain(ModelMessages):
    def page(self, queue: QueueRef, *, after: int, **more: Any) -> list[Message]:
        return super().page(queue, after=after - 1, **more)


class FiltersAfterTheLimit(ModelMessages):
    def page(self, queue: QueueRef, *, hide_client: str | None, **more: Any) -> list[Message]:
        page = super().page(queue, hide_client=None, **more)
        return [message for message in page if message.client_id != hide_client]


class GetsFromAnyQueue(ModelMessages):
    def get(self, queue: QueueRef, ids: Sequence[str], *, now: float) -> list[Message]:
        everywhere = [
            super(GetsFromAnyQueue, self).get(q, ids, now=now) for q in self.shared.queues
        ]
        return [message for found in everywhere for message in found]


class CountsWhatIsExpired(ModelMessages):
    def stats(self, queue: QueueRef, *, now: float) -> Stats:
        stats = super().stats(queue, now=now)
        return stats._replace(free=len(self.at(queue).messages) - stats.claimed)


class CountsExpiredClaims(ModelMessages):
    def stats(self, queue: QueueRef, *, now: float) -> Stats:
        stats = super().stats(queue, now=now)
        claimed = sum(k.claim_id in self.at(queue).claims for k in self.at(queue).existing(now))
        return stats._replace(free=stats.free + stats.claimed - claimed, claimed=claimed)


# Claims


class ClaimsWhatWasRenewed(ModelClaims):
    """Puts the messages of a renewed claim back among the free ones when its first time is over."""

    def renew(self, queue: QueueRef, claim_id: str, terms: ClaimTerms, *, now: float) -> None:
        state = self.at(queue)
        hold = state.claims.get(claim_id)
        first_end = hold.ends_at if hold else 0.0
        super().renew(queue, claim_id, terms, now=now)
        for kept in state.under(claim_id, now):
            kept.free_at = -first_end  # remembered for `free` below


class FreesRenewedOnes(Queue):
    def free(self, now: float) -> list[Kept]:
        return [
            kept
            for kept in self.existing(now)
            if kept.free_at <= now
            and (not self.holder(kept, now) or (kept.free_at < 0 and now >= -kept.free_at))
        ]


def forgets_renewals(storage: ModelStorage) -> None:
    queues_are(FreesRenewedOnes)(storage)
    claims_are(ClaimsWhatWasRenewed)(storage)


class EndsClaimsEarly(Queue):
    def claim(self, id: str | None, now: float) -> Any:
        return super().claim(id, now + 1)


class EndsClaimsLate(Queue):
    def claim(self, id: str | None, now: float) -> Any:
        return super().claim(id, now - 1 / 64)


class PutsReleasedOnesLast(ModelClaims):
    def release(self, queue: QueueRef, claim_id: str, *, now: float) -> None:
        state = self.at(queue)
        for kept in state.under(claim_id, now):
            state.messages[kept.message.id] = state.messages.pop(kept.message.id)
        super().release(queue, claim_id, now=now)


class RestoresDeletedOnes(ModelMessages):
    """Deletes by mark, and its releases (below) do not look at the mark."""

    def delete(self, queue: QueueRef, id: str, *, claim_id: str | None, now: float) -> None:
        kept = self.at(queue).find(id, now)
        super().delete(queue, id, claim_id=claim_id, now=now)
        if kept and claim_id:
            marked = self.at(queue).__dict__.setdefault("marked", {})
            marked.setdefault(claim_id, []).append(kept)


class ReleasesDeletedOnes(ModelClaims):
    def release(self, queue: QueueRef, claim_id: str, *, now: float) -> None:
        super().release(queue, claim_id, now=now)
        for kept in self.at(queue).__dict__.get("marked", {}).pop(claim_id, []):
            self.at(queue).messages.setdefault(kept.message.id, kept)


def resurrects(storage: ModelStorage) -> None:
    messages_are(RestoresDeletedOnes)(storage)
    claims_are(ReleasesDeletedOnes)(storage)


class OnlyShowsTheExtension(Queue):
    def outlive(self, kept: Kept, terms: ClaimTerms, now: float) -> None:
        ends_at = kept.ends_at
        super().outlive(kept, terms, now)
        if kept.ends_at != ends_at:
            kept.live_until(ends_at, kept.message.ttl)


class ForgetsTheGrace(Queue):
    def outlive(self, kept: Kept, terms: ClaimTerms, now: float) -> None:
        super().outlive(kept, terms._replace(grace=0), now)


class ClaimsUnderOldSettings(ModelClaims):
    def claim(self, queue: QueueRef, terms: ClaimTerms, **more: Any) -> Claimed:
        current = self.at(queue).metadata
        return super().claim(queue, terms, **more | {"version": current.version if current else ""})


class CountsEveryClaim(ModelClaims):
    def claim(self, queue: QueueRef, terms: ClaimTerms, **more: Any) -> Claimed:
        if not terms.dead_letter:
            terms = terms._replace(dead_letter=DeadLetterRule("nowhere", max_claims=1_000_000))
        return super().claim(queue, terms, **more)


class NumbersFromLiveClaims(ModelClaims):
    def claim(self, queue: QueueRef, terms: ClaimTerms, **more: Any) -> Claimed:
        state = self.at(queue)
        state.last_fence = max((hold.fence for hold in state.claims.values()), default=0)
        return super().claim(queue, terms, **more)


# Deleting


class DeletesUntilItRefuses(ModelMessages):
    def delete_many(
        self, queue: QueueRef, ids: Sequence[str], *, claim_ids: Sequence[str] | None, now: float
    ) -> None:
        for id in ids:
            super().delete_many(queue, [id], claim_ids=claim_ids, now=now)


class DeletesWithAnyLiveClaim(ModelMessages):
    def delete(self, queue: QueueRef, id: str, *, claim_id: str | None, now: float) -> None:
        try:
            super().delete(queue, id, claim_id=claim_id, now=now)
        except WrongClaim:
            del self.at(queue).messages[id]


class TakesNoClaimForAnExpiredOne(ModelMessages):
    def delete(self, queue: QueueRef, id: str, *, claim_id: str | None, now: float) -> None:
        try:
            super().delete(queue, id, claim_id=claim_id, now=now)
        except MessageIsClaimed:
            raise ClaimExpired(id) from None


class PurgesClaims(ModelMessages):
    def purge(self, queue: QueueRef, *, now: float) -> None:
        super().purge(queue, now=now)
        self.at(queue).claims.clear()


class PopsDelayedOnes(ModelMessages):
    def pop(self, queue: QueueRef, limit: int, *, token: str, now: float) -> list[Message]:
        for kept in self.at(queue).existing(now):
            kept.free_at = 0.0
        return super().pop(queue, limit, token=token, now=now)


# Dead letters


class LosesThePileWithTheQueue(ModelQueues):
    def delete(self, queue: QueueRef, *, now: float) -> None:
        super().delete(queue, now=now)
        self.at(queue).pile.clear()


class AcceptsAgain(ModelMessages):
    """Knows a burial by the message only, so not when it is gone."""

    def accept_dead_letters(self, queue: QueueRef, letters: Any, *, now: float) -> None:
        self.at(queue).burials.clear()
        super().accept_dead_letters(queue, letters, now=now)


class BuriesForTheOldLifetime(Queue):
    def bury(self, kept: Kept, rule: DeadLetterRule, burial: str, now: float) -> None:
        super().bury(kept, rule._replace(ttl=None), burial, now)


class BuriesOneClaimLate(ModelClaims):
    def claim(self, queue: QueueRef, terms: ClaimTerms, **more: Any) -> Claimed:
        rule = terms.dead_letter
        if rule:
            terms = terms._replace(dead_letter=rule._replace(max_claims=rule.max_claims + 1))
        return super().claim(queue, terms, **more)


# Sweeping


def sweeps_keys_with_messages(storage: ModelStorage) -> None:
    collect = storage.collect

    def too_much(*, now: float, limit: int) -> int:
        for queue in storage.shared.queues.values():
            if not queue.existing(now):
                queue.keys.clear()
        return collect(now=now, limit=limit)

    storage.collect = too_much  # type: ignore[method-assign]  # broken on purpose


def sweeps_numbers(storage: ModelStorage) -> None:
    collect = storage.collect

    def too_much(*, now: float, limit: int) -> int:
        for queue in storage.shared.queues.values():
            if not queue.existing(now):
                queue.last_sequence = queue.last_fence = 0
        return collect(now=now, limit=limit)

    storage.collect = too_much  # type: ignore[method-assign]  # broken on purpose


def _purge_keys(q: Subject) -> None:
    from queueing.core.models import IdempotencyKey

    key = IdempotencyKey("key", test_idempotency.DIGEST, q.now + test_idempotency.DAY)
    test_idempotency.test_a_repeat_posts_nothing_when_the_messages_are_gone(q, key, "purge")


def _settings_and_key(q: Subject) -> None:
    from queueing.core.models import IdempotencyKey

    key = IdempotencyKey("key", test_idempotency.DIGEST, q.now + test_idempotency.DAY)
    test_idempotency.test_a_replay_does_not_ask_for_settings(q, key)


def of_other_queue(test: Callable[[Subject, Subject], None]) -> Callable[[Subject], None]:
    return lambda q: test(q, q.sibling("other"))


def of_dead(test: Callable[[Subject, Subject], None]) -> Callable[[Subject], None]:
    return lambda q: test(q, q.sibling("dead"))


DEFECTS = {
    defect.what: defect
    for defect in [
        Defect(
            "loses the last of a batch",
            messages_are(LosesTheLastOfABatch),
            test_messages.test_a_batch_of_thousands_is_whole_and_in_order,
        ),
        Defect(
            "splits a batch that is refused",
            messages_are(SplitsARefusedBatch),
            test_queues.test_a_post_made_for_other_settings_is_refused_with_the_present_ones,
        ),
        Defect(
            "repeats a retried post whose messages are gone",
            messages_are(RepeatsARetriedPost),
            lambda q: test_resends.test_a_post_is_done_once(q, "pop", 0),
        ),
        Defect(
            "numbers from what is there",
            queues_are(NumbersFromWhatIsThere),
            test_messages.test_sequences_grow_on_after_the_last_message_is_gone,
        ),
        Defect(
            "numbers by the clock",
            queues_are(NumbersByTheClock),
            test_messages.test_sequences_grow_while_the_clock_goes_back,
        ),
        Defect("forgets keys with the purge", messages_are(ForgetsKeysWithThePurge), _purge_keys),
        Defect(
            "checks settings before the key",
            messages_are(ChecksSettingsBeforeTheKey),
            _settings_and_key,
        ),
        Defect(
            "lists the marker again",
            messages_are(ListsTheMarkerAgain),
            test_messages.test_a_reader_who_follows_markers_sees_each_message_once,
        ),
        Defect(
            "filters after the limit",
            messages_are(FiltersAfterTheLimit),
            test_messages.test_what_a_page_leaves_out_does_not_count_for_its_limit,
        ),
        Defect(
            "gets from any queue",
            messages_are(GetsFromAnyQueue),
            of_other_queue(test_isolation.test_a_message_of_another_queue_does_not_exist),
        ),
        Defect(
            "counts what is expired",
            messages_are(CountsWhatIsExpired),
            test_stats.test_every_mixture_is_counted_exactly,
        ),
        Defect(
            "counts expired claims",
            messages_are(CountsExpiredClaims),
            test_stats.test_an_expired_claims_messages_count_as_free_from_that_moment,
        ),
        Defect(
            "forgets renewals",
            forgets_renewals,
            test_claims.test_renewing_starts_the_claims_time_again,
        ),
        Defect(
            "ends claims early",
            queues_are(EndsClaimsEarly),
            test_claims.test_a_message_under_a_live_claim_is_not_served_again,
        ),
        Defect(
            "ends claims late",
            queues_are(EndsClaimsLate),
            test_claims.test_a_claim_exists_until_the_moment_it_expires,
        ),
        Defect(
            "puts released messages last",
            claims_are(PutsReleasedOnesLast),
            test_claims.test_messages_of_a_released_claim_are_free_at_once_at_their_old_places,
        ),
        Defect(
            "resurrects deleted messages",
            resurrects,
            test_deleting.test_a_deleted_message_stays_deleted,
        ),
        Defect(
            "only shows the extension of a lifetime",
            queues_are(OnlyShowsTheExtension),
            test_claims.test_an_extended_message_is_not_free_before_its_claim_ends,
        ),
        Defect(
            "forgets the grace",
            queues_are(ForgetsTheGrace),
            test_claims.test_a_message_that_would_expire_first_lives_until_the_claims_end_and_grace,
        ),
        Defect(
            "claims under old settings",
            claims_are(ClaimsUnderOldSettings),
            test_queues.test_a_claim_made_for_other_settings_is_refused_with_the_present_ones,
        ),
        Defect(
            "counts every claim",
            claims_are(CountsEveryClaim),
            test_claims.test_a_claim_without_a_rule_leaves_the_count,
        ),
        Defect(
            "repeats fences",
            claims_are(NumbersFromLiveClaims),
            test_claims.test_a_later_claim_on_the_same_message_has_a_greater_fence,
        ),
        Defect(
            "deletes several until it refuses",
            messages_are(DeletesUntilItRefuses),
            lambda q: test_deleting.test_none_is_deleted_when_one_is_under_none_of_the_claims_named(
                q, 1
            ),
        ),
        Defect(
            "deletes with any live claim",
            messages_are(DeletesWithAnyLiveClaim),
            test_deleting.test_a_claimed_message_is_kept_when_another_live_claim_is_named,
        ),
        Defect(
            "takes no claim for an expired one",
            messages_are(TakesNoClaimForAnExpiredOne),
            test_deleting.test_a_claimed_message_is_kept_when_no_claim_is_named,
        ),
        Defect(
            "purges claims",
            messages_are(PurgesClaims),
            test_deleting.test_purge_keeps_claims_empty,
        ),
        Defect(
            "pops delayed messages",
            messages_are(PopsDelayedOnes),
            test_deleting.test_pop_takes_the_oldest_free_messages_for_good,
        ),
        Defect(
            "loses the pile with the queue",
            queue_store_is(LosesThePileWithTheQueue),
            lambda q: (
                test_dead_letters.test_a_pile_survives_the_purge_and_the_deletion_of_its_queue(
                    q, "drop"
                )
            ),
        ),
        Defect(
            "accepts a letter again",
            messages_are(AcceptsAgain),
            lambda q: (
                test_dead_letters.test_a_letter_is_accepted_once_also_when_it_is_gone_there_since(
                    q, q.sibling("dead"), "delete"
                )
            ),
        ),
        Defect(
            "buries for the old lifetime",
            queues_are(BuriesForTheOldLifetime),
            test_dead_letters.test_a_letters_lifetime_becomes_the_rules_from_its_burial,
        ),
        Defect(
            "buries one claim late",
            claims_are(BuriesOneClaimLate),
            test_dead_letters.test_a_message_is_delivered_as_often_as_the_rule_says_and_then_buried,
        ),
        Defect(
            "sweeps keys with messages",
            sweeps_keys_with_messages,
            test_collect.test_a_key_that_is_not_over_is_never_swept,
        ),
        Defect(
            "sweeps numbers",
            sweeps_numbers,
            test_collect.test_sequences_and_fences_grow_on_over_sweeping,
        ),
    ]
}

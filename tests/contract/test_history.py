"""The checker of histories can fail: it is fed a history that is broken in each way it knows."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.history import KINDS, Event, Seen, check

NOW = 1_900_000_000.0


def seen(*numbers: int) -> tuple[Seen, ...]:
    """Messages as they should be: number n has id `in`, sequence n and body `bn`."""
    return tuple(Seen(f"i{n}", n, b"b%d" % n) for n in numbers)


class History:
    """Events one after the other, unless `at` says when; each lasts half a second."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._ticks = itertools.count(1)

    def add(self, verb: str, *, at: tuple[float, float | None] | None = None, **what: Any) -> None:
        tick = float(next(self._ticks))
        start, end = at or (tick, tick + 0.5)
        what.setdefault("worker", "w")
        what.setdefault("now", NOW + start)
        self.events.append(Event(verb=verb, start=start, end=end, **what))

    def post(self, *numbers: int, **more: Any) -> None:
        bodies = tuple(b"b%d" % n for n in numbers)
        answered = not more.get("at") or more["at"][1] is not None
        self.add("post", bodies=bodies, ids=tuple(f"i{n}" for n in numbers) * answered, **more)

    def claim(self, claim: str, *numbers: int, limit: int = 1, **more: Any) -> None:
        more.setdefault("fence", len(self.events))
        more.setdefault("messages", seen(*numbers))
        self.add("claim", claim=claim, limit=limit, **({"ttl": 1000} | more))

    def pop(self, *numbers: int, limit: int = 1, **more: Any) -> None:
        self.add("pop", messages=seen(*numbers), limit=limit, **more)

    def delete(self, number: int, claim: str | None = None, **more: Any) -> None:
        self.add("delete", ids=(f"i{number}",), claim=claim, **more)

    def release(self, claim: str, **more: Any) -> None:
        self.add("release", claim=claim, **more)

    def page(self, after: int, *numbers: int, limit: int = 10, **more: Any) -> None:
        self.add("page", after=after, messages=seen(*numbers), limit=limit, **more)

    def rest(self, *numbers: int, **more: Any) -> None:
        more.setdefault("messages", seen(*numbers))
        self.add("rest", **more)

    def kinds(self) -> set[str]:
        return {finding.kind for finding in check(self.events)}


# Histories without a fault, among them those that look like one


def good_life(h: History) -> None:
    h.post(1, 2, 3)
    h.claim("A", 1, 2, limit=2)
    h.delete(1, "A")
    h.release("A")
    h.page(0, 2, 3)
    h.pop(2)
    h.page(2, 3)
    h.rest(3)


def good_redelivery_after_expiry(h: History) -> None:
    h.post(1)
    h.claim("A", 1, ttl=60, now=NOW)
    h.claim("B", 1, now=NOW + 60)
    h.delete(1, "A", refused=True, now=NOW + 61)
    h.delete(1, "B")
    h.rest()


def good_claim_while_a_release_is_on_its_way(h: History) -> None:
    h.post(1, at=(0, 1))
    h.claim("A", 1, at=(2, 3))
    h.release("A", at=(4, 9))
    h.claim("B", 1, at=(5, 6))
    h.rest(1, at=(10, 11))


def good_renewed_claim(h: History) -> None:
    h.post(1)
    h.claim("A", 1, ttl=60, now=NOW)
    h.add("renew", claim="A", ttl=60, now=NOW + 59)
    h.claim("B", 1, now=NOW + 119)
    h.rest(1)


def good_posts_at_once_in_any_order(h: History) -> None:
    h.post(2, at=(0, 5), worker="x")
    h.post(1, at=(0, 5), worker="y")
    h.page(0, 1, 2, at=(6, 7))
    h.rest(1, 2, at=(8, 9))


def good_killed_post_that_was_done(h: History) -> None:
    h.post(1, 2, at=(0, None))
    h.rest(1, 2, at=(3, 4))


def good_killed_post_that_was_not_done(h: History) -> None:
    h.post(1, 2, at=(0, None))
    h.rest(at=(3, 4))


def good_killed_delete(h: History) -> None:
    h.post(1, 2, at=(0, 1))
    h.claim("A", 1, 2, limit=2, at=(2, 3))
    h.delete(1, "A", at=(4, None))
    h.delete(2, "A", at=(4, None))
    h.rest(2, at=(8, 9))


def good_killed_pop_took_its_messages_along(h: History) -> None:
    h.post(1, 2, 3, at=(0, 1))
    h.add("pop", at=(2, None), limit=2)
    h.page(0, 3, at=(4, 5))
    h.rest(3, at=(6, 7))


def good_killed_claim_holds_its_messages(h: History) -> None:
    h.post(1, 2, at=(0, 1))
    h.add("claim", at=(2, None), limit=1, claim="A")
    h.claim("B", 2, at=(3, 4))
    h.rest(1, 2, at=(6, 7))


def good_page_while_a_delete_is_on_its_way(h: History) -> None:
    h.post(1, 2, at=(0, 1))
    h.delete(1, at=(2, 9))
    h.page(0, 2, at=(3, 4))
    h.rest(2, at=(10, 11))


def good_page_that_is_cut_within_a_batch(h: History) -> None:
    h.post(1, 2, 3)
    h.page(0, 1, 2, limit=2)
    h.page(2, 3, limit=2)
    h.rest(1, 2, 3)


def good_short_claim_beside_a_post(h: History) -> None:
    h.post(1, at=(0, 1))
    h.post(2, at=(2, 9))
    h.claim("A", 1, limit=5, at=(3, 4))
    h.rest(1, 2, at=(10, 11))


GOOD = [value for name, value in dict(globals()).items() if name.startswith("good_")]


@pytest.mark.parametrize("story", GOOD, ids=lambda story: story.__name__[5:])
def test_a_history_that_some_order_explains_is_not_blamed(story: Callable[[History], None]) -> None:
    history = History()
    story(history)
    assert check(history.events) == []


# A history for each fault; it returns the kind that it is of


def bad_acknowledged_and_gone(h: History) -> str:
    h.post(1)
    h.rest()
    return "lost"


def bad_delivered_claimed_and_gone(h: History) -> str:
    h.post(1, 2)
    h.claim("A", 1)
    h.rest(2)
    return "lost"


def bad_more_gone_than_a_killed_pop_can_have_taken(h: History) -> str:
    h.post(1, at=(0, 1))
    h.post(2, at=(1, 2))
    h.add("pop", at=(3, None), limit=1)
    h.rest(at=(6, 7))
    return "lost"


def bad_posted_twice(h: History) -> str:
    h.post(1)
    h.rest(messages=(Seen("i1", 1, b"b1"), Seen("i1bis", 2, b"b1")))
    return "doubled"


def bad_popped_twice(h: History) -> str:
    h.post(1)
    h.pop(1, worker="x", at=(3, 9))
    h.pop(1, worker="y", at=(3, 9))
    h.rest(at=(10, 11))
    return "doubled"


def bad_twice_in_one_answer(h: History) -> str:
    h.post(1)
    h.claim("A", 1, 1, limit=2)
    h.rest(1)
    return "doubled"


def bad_never_posted(h: History) -> str:
    h.post(1)
    h.rest(1, 2)
    return "invented"


def bad_stored_under_another_id(h: History) -> str:
    h.post(1)
    h.rest(messages=(Seen("other", 1, b"b1"),))
    return "invented"


def bad_two_live_claims(h: History) -> str:
    h.post(1)
    h.claim("A", 1)
    h.claim("B", 1)
    h.rest(1)
    return "held twice"


def bad_two_live_claims_at_once(h: History) -> str:
    h.post(1, at=(0, 1))
    h.claim("A", 1, at=(2, 5))
    h.claim("B", 1, at=(2, 5))
    h.rest(1, at=(8, 9))
    return "held twice"


def bad_claimed_before_the_first_claim_expired(h: History) -> str:
    h.post(1)
    h.claim("A", 1, ttl=60, now=NOW)
    h.claim("B", 1, now=NOW + 59.9)
    h.rest(1)
    return "held twice"


def bad_claimed_though_renewed(h: History) -> str:
    h.post(1)
    h.claim("A", 1, ttl=60, now=NOW)
    h.add("renew", claim="A", ttl=60, now=NOW + 30)
    h.claim("B", 1, now=NOW + 61)
    h.rest(1)
    return "held twice"


def bad_popped_under_a_claim(h: History) -> str:
    h.post(1)
    h.claim("A", 1)
    h.pop(1)
    h.rest()
    return "held twice"


def bad_claimed_before_the_release_was_asked_for(h: History) -> str:
    h.post(1)
    h.claim("A", 1)
    h.claim("B", 1)
    h.release("A")
    h.rest(1)
    return "held twice"


def bad_live_claim_refused(h: History) -> str:
    h.post(1)
    h.claim("A", 1)
    h.delete(1, "A", refused=True)
    h.rest(1)
    return "claim broken"


def bad_fence_not_greater(h: History) -> str:
    h.post(1, 2)
    h.claim("A", 1, fence=7)
    h.claim("B", 2, fence=6)
    h.rest(1, 2)
    return "fence"


def bad_fence_given_twice(h: History) -> str:
    h.post(1, 2, at=(0, 1))
    h.claim("A", 1, fence=7, at=(2, 5))
    h.claim("B", 2, fence=7, at=(2, 5))
    h.rest(1, 2, at=(8, 9))
    return "fence"


def bad_answer_out_of_order(h: History) -> str:
    h.post(1, 2)
    h.claim("A", 2, 1, limit=2)
    h.rest(1, 2)
    return "out of order"


def bad_listing_out_of_order(h: History) -> str:
    h.post(1, 2)
    h.rest(2, 1)
    return "out of order"


def bad_later_post_lies_before(h: History) -> str:
    h.post(2)
    h.post(1)
    h.rest(1, 2)
    return "out of order"


def bad_batch_stored_in_another_order(h: History) -> str:
    h.post(2, 1)
    h.rest(1, 2)
    return "out of order"


def bad_sequence_changed(h: History) -> str:
    h.post(1)
    h.page(0, 1)
    h.rest(messages=(Seen("i1", 9, b"b1"),))
    return "out of order"


def bad_later_one_claimed_first(h: History) -> str:
    h.post(1)
    h.post(2)
    h.claim("A", 2)
    h.rest(1, 2)
    return "passed over"


def bad_released_one_lost_its_place(h: History) -> str:
    h.post(1, 2, 3)
    h.claim("A", 1)
    h.release("A")
    h.pop(2)
    h.rest(1, 3)
    return "passed over"


def bad_nothing_claimed_though_something_was_free(h: History) -> str:
    h.post(1)
    h.claim("A")
    h.rest(1)
    return "passed over"


def bad_served_after_its_deletion(h: History) -> str:
    h.post(1)
    h.claim("A", 1)
    h.delete(1, "A")
    h.claim("B", 1, now=NOW + 5000)
    h.rest()
    return "resurrected"


def bad_listed_after_its_pop(h: History) -> str:
    h.post(1)
    h.pop(1)
    h.page(0, 1)
    h.rest()
    return "resurrected"


def bad_there_in_the_end_though_deleted(h: History) -> str:
    h.post(1)
    h.delete(1)
    h.rest(1)
    return "resurrected"


def bad_page_left_one_out(h: History) -> str:
    h.post(1, 2, 3)
    h.page(0, 1, 3)
    h.rest(1, 2, 3)
    return "marker gap"


def bad_later_message_appeared_before_the_marker(h: History) -> str:
    h.post(2, at=(0, 9), worker="x")
    h.post(1, at=(0, 9), worker="y")
    h.page(0, 2, at=(3, 4))
    h.page(2, at=(5, 6))
    h.rest(1, 2, at=(10, 11))
    return "marker gap"


def bad_short_page_though_more_was_there(h: History) -> str:
    h.post(1)
    h.post(2)
    h.page(0, 1)
    h.rest(1, 2)
    return "marker gap"


def bad_page_repeated_the_marker(h: History) -> str:
    h.post(1, 2)
    h.page(0, 1, 2)
    h.page(1, 1, 2)
    h.rest(1, 2)
    return "marker repeat"


def bad_half_a_killed_batch_there(h: History) -> str:
    h.post(1, 2, 3, at=(0, None))
    h.rest(1, 2, at=(3, 4))
    return "batch split"


def bad_half_a_batch_there(h: History) -> str:
    h.post(1, 2)
    h.rest(2)
    return "batch split"


def bad_half_a_batch_shown(h: History) -> str:
    h.post(1, 2, 3, at=(0, 9))
    h.page(0, 1, 2, at=(3, 4))
    h.rest(1, 2, 3, at=(10, 11))
    return "batch split"


BAD = [value for name, value in dict(globals()).items() if name.startswith("bad_")]


@pytest.mark.parametrize("story", BAD, ids=lambda story: story.__name__[4:])
def test_a_broken_history_is_found_out(story: Callable[[History], str]) -> None:
    history = History()
    kind = story(history)
    assert kind in history.kinds()


def test_every_kind_of_fault_has_a_history_that_shows_it() -> None:
    assert {story(History()) for story in BAD} == set(KINDS)


def test_a_fault_is_found_in_the_midst_of_a_long_history() -> None:
    history = History()
    for number in range(1, 2001):
        history.post(number)
        if number == 1000:
            history.claim("none")
        history.claim(f"c{number}", number)
        history.delete(number, f"c{number}")
    history.rest()
    assert [finding.kind for finding in check(history.events)] == ["passed over"]

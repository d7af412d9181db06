"""Numbers that are found from ids: neighbours are told apart, and posts are known again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queueing.core.models import message_id, request_token
from queueing.storage.sqlite.numbering import PROBES, first_number, first_numbers
from tests.contract.subject import Subject, bodies

TOKENS = st.one_of(st.uuids().map(lambda uuid: uuid.hex), st.text(min_size=1, max_size=40))


@given(st.text(max_size=64))
def test_any_text_leads_to_a_number_that_sqlite_can_hold(id: str) -> None:
    assert 0 <= first_number(id) <= 2**63 - 1 - PROBES


@given(TOKENS, st.integers(1, 300))
def test_the_numbers_of_a_post_are_those_of_its_ids(token: str, count: int) -> None:
    ids = [message_id(token, index) for index in range(count)]
    assert list(first_numbers(token, count)) == [first_number(id) for id in ids]


def test_the_numbers_of_a_huge_post_are_those_of_its_ids() -> None:
    token = request_token()
    numbers = first_numbers(token, 65_540)
    for index in (0, 1, 65_535, 65_536, 65_539):
        assert numbers[index] == first_number(message_id(token, index))


def colliding(count: int) -> list[str]:
    """Tokens whose messages all begin to look at the same number."""
    token = request_token()
    wanted = first_number(message_id(token, 0))
    found = [token]
    number = 0
    while len(found) < count:
        # The check sum of a token is linear in its bits: try endings that the token never had.
        candidate = f"{token[:12]}{number:020x}"
        if first_number(message_id(candidate, 0)) == wanted and candidate not in found:
            found.append(candidate)
        number += 1
    return found


def test_messages_that_begin_at_the_same_number_are_told_apart(q: Subject) -> None:
    first, second = colliding(2)
    (a,) = q.post(b"a", token=first)
    (b,) = q.post(b"b", token=second)
    assert bodies(q.get(b, a)) == [b"b", b"a"]
    q.delete(a)
    assert bodies(q.get(a, b)) == [b"b"]
    q.delete(b)
    assert q.everything() == []


def test_overlapping_posts_are_told_apart(q: Subject) -> None:
    first, second = colliding(2)
    ids = q.post(*(b"%d" % n for n in range(100)), token=first)
    more = q.post(*(b"%d" % n for n in range(100, 150)), token=second)
    assert bodies(q.get(*ids, *more)) == [b"%d" % n for n in range(150)]
    q.delete_many(*ids)
    assert bodies(q.everything()) == [b"%d" % n for n in range(100, 150)]


def test_a_post_that_comes_again_changes_nothing(q: Subject) -> None:
    token = request_token()
    ids = q.post(b"a", b"b", token=token)
    assert q.post(b"a", b"b", token=token) == ids
    assert q.counts() == (2, 0)


@pytest.mark.parametrize("count", [1, 20, 500])
def test_posts_of_many_queues_that_all_begin_at_the_same_numbers_are_told_apart(
    q: Subject, count: int
) -> None:
    token = request_token()  # a request is one queue's; but if not, this is the worst case
    queues = [q.sibling(f"q{number}") for number in range(4)]
    posted = [
        queue.post(*(b"%d %d" % (number, n) for n in range(count)), token=token)
        for number, queue in enumerate(queues)
    ]
    for number, (queue, ids) in enumerate(zip(queues, posted, strict=True)):
        assert bodies(queue.get(*ids)) == [b"%d %d" % (number, n) for n in range(count)]
        queue.delete_many(*ids)
        assert queue.everything() == []

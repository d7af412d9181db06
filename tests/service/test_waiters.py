"""Who is called when: the line of those who wait at one queue."""

from __future__ import annotations

import pytest

from queueing.core.models import QueueRef
from queueing.service.waiters import Line, Phase, Waiter


@pytest.fixture
def line() -> Line:
    line = Line(QueueRef("project", "q"))
    line.followed = True
    return line


def resting(line: Line, *wants: int) -> list[Waiter]:
    """Waiters that have asked in vain, in this order."""
    waiters = []
    for number in wants:
        waiter = Waiter(number)
        line.join(waiter)
        if waiter.phase is Phase.TRYING:
            line.rest(waiter, last=True)
        waiters.append(waiter)
    return waiters


def called(waiters: list[Waiter]) -> list[int]:
    return [index for index, waiter in enumerate(waiters) if waiter.phase is Phase.CALLED]


def test_the_first_of_a_line_asks_for_himself_and_those_behind_do_not(line: Line) -> None:
    first, second = Waiter(1), Waiter(1)
    line.join(first)
    assert first.phase is Phase.TRYING
    line.rest(first, last=True)
    line.join(second)
    assert second.phase is Phase.RESTING


def test_where_nothing_is_announced_everybody_asks_for_himself(line: Line) -> None:
    line.followed = False
    assert [waiter.phase for waiter in resting(line, 1)] == [Phase.RESTING]
    second = Waiter(1)
    line.join(second)
    assert second.phase is Phase.TRYING


@pytest.mark.parametrize(
    ("wants", "count", "expected"),
    [
        ([1, 1, 1, 1], 2, [0, 1]),
        ([10, 10, 10], 3, [0]),
        ([10, 10, 10], 11, [0, 1]),
        ([1, 10, 1], 5, [0, 1]),
        ([1, 1], 5, [0, 1]),
        ([1, 1], 0, []),
    ],
)
def test_so_many_are_called_that_they_can_take_what_was_announced(
    line: Line, wants: list[int], count: int, expected: list[int]
) -> None:
    waiters = resting(line, *wants)
    line.announce(count)
    assert called(waiters) == expected


def test_who_is_called_and_has_not_asked_yet_is_promised_more(line: Line) -> None:
    waiters = resting(line, 3, 3)
    for _ in range(3):
        line.announce(1)
    assert called(waiters) == [0]
    line.announce(1)
    assert called(waiters) == [0, 1]


def test_who_asks_already_is_promised_no_more(line: Line) -> None:
    waiters = resting(line, 3, 3)
    line.announce(1)
    line.begin(waiters[0])
    line.announce(1)
    assert called(waiters) == [1]


def test_what_is_announced_while_all_are_asking_is_for_who_comes_back(line: Line) -> None:
    [waiter] = resting(line, 1)
    line.announce(1)
    line.begin(waiter)
    line.announce(1)
    line.rest(waiter, last=False)
    assert waiter.phase is Phase.CALLED
    line.begin(waiter)
    line.rest(waiter, last=False)
    assert waiter.phase is Phase.RESTING


def test_who_comes_back_stands_at_the_head_again(line: Line) -> None:
    waiters = resting(line, 1, 1)
    line.announce(1)
    line.begin(waiters[0])
    line.rest(waiters[0], last=False)
    line.announce(1)
    assert called(waiters) == [0]


def test_who_leaves_without_asking_passes_on_what_he_was_promised(line: Line) -> None:
    waiters = resting(line, 2, 1, 1, 1)
    line.announce(2)
    line.leave(waiters[0])
    assert called(waiters[1:]) == [0, 1]


def test_who_leaves_before_being_called_is_not_called(line: Line) -> None:
    waiters = resting(line, 1, 1)
    line.leave(waiters[0])
    line.announce(1)
    assert called(waiters) == [1]


def test_what_was_promised_is_not_called_for_again_when_somebody_looks(line: Line) -> None:
    waiters = resting(line, 1, 1, 1)
    line.announce(1)
    line.observe(1)
    assert called(waiters) == [0]
    line.observe(2)
    assert called(waiters) == [0, 1]


def test_nothing_is_kept_for_those_who_come_later(line: Line) -> None:
    line.announce(5)
    waiters = resting(line, 1, 1)
    assert called(waiters) == []


def test_all_readers_are_called_and_take_nothing(line: Line) -> None:
    readers, takers = resting(line, 0, 0), resting(line, 1, 1)
    line.announce(1)
    assert called(readers) == [0, 1]
    assert called(takers) == [0]


def test_a_reader_called_while_it_reads_reads_again(line: Line) -> None:
    [reader] = resting(line, 0)
    line.announce(1)
    reader.hush()
    line.begin(reader)
    line.announce(1)
    line.rest(reader, last=False)
    assert reader.phase is Phase.CALLED


def test_a_bell_rung_before_sleep_ends_it_and_one_rung_twice_is_heard_once() -> None:
    waiter = Waiter(1)
    waiter.ring()
    waiter.ring()
    waiter.sleep(60)
    assert waiter.hush()
    waiter.sleep(0.001)
    assert not waiter.hush()

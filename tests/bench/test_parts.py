"""The parts of the load generator: percentiles, replies, shares of a plan, the ledger."""

from __future__ import annotations

import random
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queueing.bench.histogram import Histogram
from queueing.bench.ledger import Ledger
from queueing.bench.plan import BadPlan, Plan, Target
from queueing.bench.wire import NotHttp, Reply, Requests, cut

TARGET = Target(host="h", port=1)
CREATED, GONE = Reply(201), Reply(0)


@given(st.lists(st.integers(0, 10**12), min_size=1), st.floats(0.01, 1))
def test_a_percentile_is_within_two_percent(values: list[int], share: float) -> None:
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    exact = sorted(values)[max(1, -int(-share * len(values) // 1)) - 1]
    assert histogram.percentile(share) == pytest.approx(exact, rel=0.02, abs=1)
    assert (histogram.count, histogram.total, histogram.largest) == (
        len(values),
        sum(values),
        max(values),
    )


def test_merged_histograms_are_as_one() -> None:
    both, first, second = Histogram(), Histogram(), Histogram()
    for value in range(1000):
        both.add(value * value)
        (first, second)[value % 2].add(value * value)
    first.merge(second)
    assert first.buckets == both.buckets
    assert (first.count, first.total, first.largest) == (both.count, both.total, both.largest)


REPLIES = [
    (b"HTTP/1.1 204 No Content\r\nX: y\r\n\r\n", 204, b""),
    (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", 204, b""),
    (b"HTTP/1.1 201 Created\r\ncontent-length: 5\r\nLocation: /v2/x\r\n\r\nhello", 201, b"hello"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n", 200, b"hello"),
]  # fmt: skip


@pytest.mark.parametrize(("sent", "status", "body"), REPLIES)
def test_a_reply_is_cut_out_once_it_is_complete(sent: bytes, status: int, body: bytes) -> None:
    for length in range(len(sent)):
        assert cut(sent[:length]) is None, length
    found = cut(sent + b"HTTP/1.1 500")
    assert found is not None
    reply, length = found
    assert (reply.status, reply.body, length) == (status, body, len(sent))
    assert reply.location == ("/v2/x" if status == 201 else "")


@pytest.mark.parametrize(
    "sent", [b"SSH-2.0", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\nno length"]
)
def test_what_is_no_reply_is_told(sent: bytes) -> None:
    with pytest.raises(NotHttp):
        cut(sent)


def test_a_request_has_the_headers_of_all_and_its_own() -> None:
    target = Target(host="::1", port=80, prefix="/mq", project="p", headers=(("A", "b"),))
    request = Requests(target)(b"POST", b"/v2/queues/q/claims", b"{}")
    head, _, body = request.partition(b"\r\n\r\n")
    assert body == b"{}"
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /mq/v2/queues/q/claims HTTP/1.1"
    assert {"Host: [::1]:80", "X-Project-ID: p", "A: b", "Content-Length: 2"} <= set(lines)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://h:1", ("h", 1, "")),
        ("h:1", ("h", 1, "")),
        ("http://h/mq/v2/", ("h", 80, "/mq")),
        ("http://[::1]:8888/", ("::1", 8888, "")),
    ],
)
def test_a_target_is_read_from_a_url(url: str, expected: tuple[str, int, str]) -> None:
    target = Target.parse(url)
    assert (target.host, target.port, target.prefix) == expected


@pytest.mark.parametrize("url", ["https://h", "http://", "http://h:x", "http://h?a=b", ""])
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(BadPlan, match="expected http"):
        Target.parse(url)


@given(
    st.integers(1, 7),
    st.lists(st.integers(0, 20), min_size=5, max_size=5),
    st.none() | st.integers(1, 1000),
)
def test_the_shares_of_all_processes_are_the_plan(
    processes: int, clients: list[int], messages: int | None
) -> None:
    roles = ("producers", "workers", "cyclers", "observers", "waiters")
    plan = Plan(target=TARGET, queues=("q",), messages=messages)
    plan = replace(plan, **dict(zip(roles, clients, strict=True)))
    if not plan.producers + plan.cyclers:
        return
    shares = [plan.share(index, processes) for index in range(processes)]
    for role in roles:
        assert sum(getattr(share, role) for share in shares) == getattr(plan, role)
    if messages is not None:
        assert sum(share.messages or 0 for share in shares) == messages
    for share in shares:
        for field in fields(Plan):
            if field.name not in (*roles, "messages"):
                assert getattr(share, field.name) == getattr(plan, field.name)


def test_the_ledger_tells_what_became_of_each_message() -> None:
    ledger = Ledger()
    assert ledger.begin(3) == 0
    ledger.posted(3, 6, CREATED)
    assert ledger.begin(3) == 6
    ledger.posted(3, 2, GONE)
    ledger.posted(3, 1, Reply(400))
    for number in (0, 1, 1, 6, 8):
        ledger.deleted(3, number, late=False)
    ledger.deleted(3, 2, late=True)
    ledger.maybe_deleted(3, 3)
    verdict = ledger.verdict(complete=True)
    assert not verdict.ok and verdict.complete
    assert (verdict.acknowledged, verdict.delivered) == (6, 2)
    assert (verdict.lost, verdict.doubled, verdict.phantoms) == (2, 1, 1)
    assert (verdict.post_unknown, verdict.post_unknown_delivered) == (2, 1)
    assert (verdict.delete_unknown, verdict.late) == (2, 1)
    assert verdict.examples == (
        "producer 3, message 1: delivered 2 times",
        "producer 3, message 4: lost",
        "producer 3, message 5: lost",
        "producer 3, message 8: delivered though refused",
    )


def test_what_did_not_come_is_not_lost_as_long_as_it_may_come() -> None:
    ledger = Ledger()
    ledger.begin(0)
    ledger.posted(0, 2, CREATED)
    ledger.deleted(0, 0, late=False)
    verdict = ledger.verdict(complete=False)
    assert (verdict.lost, verdict.left) == (0, 1)
    assert verdict.ok and not verdict.complete


def test_ledgers_of_several_processes_are_as_one() -> None:
    posting, *working = (Ledger() for _ in range(4))
    posting.begin(0)
    posting.posted(0, 1000, CREATED)
    numbers = list(range(1000))
    random.Random(1).shuffle(numbers)
    for place, number in enumerate(numbers[1:]):
        working[place % 3].deleted(0, number, late=False)
    working[0].deleted(0, numbers[1], late=False)
    working[1].deleted(0, numbers[1], late=False)
    for ledger in working:
        posting.merge(ledger)
    verdict = posting.verdict(complete=True)
    assert (verdict.delivered, verdict.lost, verdict.doubled) == (999, 1, 1)

"""Nothing of another queue or project is reached, whatever their names are."""

from __future__ import annotations

import itertools

import pytest

from queueing.core.errors import ClaimExpired, ClaimNotFound, WrongClaim
from queueing.core.models import IdempotencyKey, QueueRef
from tests.contract.subject import Subject, bodies


@pytest.fixture(params=["queue", "project"])
def other(q: Subject, request: pytest.FixtureRequest) -> Subject:
    """A queue of another name in the same project, or of the same name in another project."""
    return q.sibling("other") if request.param == "queue" else q.elsewhere(q.ref.project + "-2")


def test_messages_of_another_queue_are_not_listed_counted_claimed_or_popped(
    q: Subject, other: Subject
) -> None:
    other.post(b"a")
    assert q.everything() == []
    assert q.counts() == (0, 0)
    assert q.claim().claim is None
    assert q.pop() == []
    q.create()
    assert q.claim().claim is None
    assert q.pop() == []
    assert bodies(other.page()) == [b"a"]


def test_a_message_of_another_queue_does_not_exist(q: Subject, other: Subject) -> None:
    (id,) = other.post(b"a")
    q.post(b"mine")
    assert q.get(id) == []
    q.delete(id)
    q.delete(id, "absent")
    q.delete_many(id)
    q.delete_many(id, claim_ids=[])
    assert bodies(other.get(id)) == [b"a"]
    assert other.counts() == (1, 0)


def test_a_claim_of_another_queue_does_not_exist(q: Subject, other: Subject) -> None:
    (mine,) = q.post(b"mine")
    (theirs,) = other.post(b"theirs")
    live = q.take()
    foreign = other.take()
    with pytest.raises(ClaimNotFound):
        q.held(foreign.id)
    with pytest.raises(ClaimNotFound):
        q.renew(foreign.id)
    q.release(foreign.id)
    with pytest.raises(ClaimExpired):  # not WrongClaim: it is no claim of this queue
        q.delete(mine, foreign.id)
    with pytest.raises(WrongClaim):
        q.delete_many(mine, claim_ids=[foreign.id])
    q.delete(theirs, foreign.id)
    q.delete_many(theirs, claim_ids=[foreign.id])
    assert q.held(live.id) == live
    assert other.held(foreign.id) == foreign


def test_purging_and_deleting_leave_other_queues_alone(q: Subject, other: Subject) -> None:
    q.post(b"mine")
    other.create(b'{"a":1}')
    theirs = other.knowing(other.metadata.version)
    theirs.post(b"held", b"free")
    claim = theirs.take(1)
    before = (theirs.everything(), theirs.stats(), other.metadata)
    q.purge()
    q.drop()
    assert (theirs.everything(), theirs.stats(), other.metadata) == before
    assert theirs.held(claim.id) == claim


def test_metadata_is_each_queues_own(q: Subject, other: Subject) -> None:
    q.create(b'{"a":1}')
    assert not other.exists()
    other.post(b"x")
    assert other.create(b'{"b":1}') is False
    q.replace(b'{"c":1}', expected=q.metadata.version)
    assert other.metadata.document == b"{}"


def test_an_idempotency_key_is_each_queues_own(q: Subject, other: Subject) -> None:
    key = IdempotencyKey("key", b"1" * 32, q.now + 60)
    q.post(b"a", key=key)
    other.post(b"b", key=key._replace(digest=b"2" * 32))
    assert bodies(q.page()) == [b"a"]
    assert bodies(other.page()) == [b"b"]


def test_sequences_and_fences_are_each_queues_own(q: Subject, other: Subject) -> None:
    start = int(q.now * 1_000_000)
    q.post_number(5)
    q.take(1)
    other.post(b"a")
    assert other.page()[0].sequence == start
    assert other.take().fence == start


def test_queues_of_another_project_are_not_listed_or_counted(q: Subject) -> None:
    q.sibling("mine").create()
    there = q.elsewhere(q.ref.project + "-2")
    there.sibling("theirs").create()
    page = q.storage.queues.page
    assert [entry.name for entry in page(q.ref.project, after="", limit=10)] == ["mine"]
    assert [entry.name for entry in page(there.ref.project, after="", limit=10)] == ["theirs"]
    assert q.storage.queues.count(q.ref.project) == 1
    assert page("", after="", limit=10) == []


# Names that a careless key would mix up. Every pair of them is tried against every other.

COLLIDING = {
    "dots": [("a.b", "c"), ("a", "b.c"), ("a.", "b.c"), ("a", ".b.c"), ("", "a.b.c")],
    "slashes": [("a/b", "c"), ("a", "b/c"), ("a//b", "c"), ("a/", "b/c")],
    "colons": [("a:b", "c"), ("a", "b:c"), ("a:", "b:c"), ("1:a", "b")],
    "braces": [("{a}", "b"), ("a", "{b}"), ("{a", "b}"), ("a}", "{b")],
    "escapes": [("a%2Fb", "c"), ("a/b", "c"), ("a%252Fb", "c"), ("a\\/b", "c")],
    "nul": [("a\x00b", "c"), ("a", "b\x00c"), ("a", "b"), ("a\x00", "b")],
    "lines": [("a\n", "b"), ("a", "b\n"), ("a\r", "b"), ("a", "b")],
    "blanks": [("a ", "b"), ("a", "b"), ("a", " b"), ("a", "b ")],
    "case": [("a", "b"), ("A", "b"), ("a", "B"), ("A", "B")],
    "patterns": [("a*", "b"), ("a", "b"), ("a.*", "b"), ("a[b]", "c"), ("a_", "b"), ("a%", "b")],
    "unicode": [("\u00e9", "q"), ("e\u0301", "q"), ("\u00c3\u00a9", "q"), ("\U0001f600", "q")],
    "long": [("p" * 255 + "a", "q"), ("p" * 255 + "b", "q"), ("p", "q" * 64), ("p", "q" * 63)],
    "quotes": [("'", "q"), ("''", "q"), ('"', "q"), ("`", "q"), ("$a", "q"), ("--", "q")],
}


def fill(subject: Subject, number: int) -> None:
    subject.post(*[b"%d" % number] * number)
    subject.take(1)


@pytest.mark.parametrize("pairs", COLLIDING.values(), ids=COLLIDING)
def test_no_two_names_are_mixed_up(q: Subject, pairs: list[tuple[str, str]]) -> None:
    # Names of this test alone, since engines are shared; still no longer than 256.
    own = q.ref.project[-12:]
    subjects = [
        Subject(q.storage, QueueRef(own + project[-244:], name), q.clock) for project, name in pairs
    ]
    for number, subject in enumerate(subjects, start=2):
        assert subject.everything() == [], subject.ref
        fill(subject, number)
    for number, subject in enumerate(subjects, start=2):
        assert bodies(subject.everything()) == [b"%d" % number] * number, subject.ref
        assert subject.counts() == (number - 1, 1), subject.ref
        listed = q.storage.queues.page(subject.ref.project, after="", limit=100)
        expected = {s.ref.name for s in subjects if s.ref.project == subject.ref.project}
        assert {entry.name for entry in listed} == expected, subject.ref
    for one, another in itertools.permutations(subjects, 2):
        (id,) = (message.id for message in one.everything()[:1])
        assert another.get(id) == [], (one.ref, another.ref)
    for number, subject in enumerate(subjects, start=2):
        subject.drop()
        assert subject.everything() == [], subject.ref
        for later, untouched in enumerate(subjects[number - 1 :], start=number + 1):
            assert untouched.counts() == (later - 1, 1), (subject.ref, untouched.ref)

"""Queues and their metadata."""

from __future__ import annotations

import pytest

from queueing.core.errors import ClaimNotFound, MetadataChanged, QueueNotFound, StaleSettings
from queueing.core.models import NO_METADATA, Metadata, QueueEntry
from tests.contract.subject import Subject, bodies

OLD = b'{"colour":"red"}'
NEW = b'{"colour":"blue"}'


def names(q: Subject, after: str = "", limit: int = 1000) -> list[str]:
    return [entry.name for entry in q.storage.queues.page(q.ref.project, after=after, limit=limit)]


def test_create_makes_a_missing_queue_and_says_so(q: Subject) -> None:
    assert q.create(OLD) is True
    assert q.metadata == Metadata.of(OLD)


def test_create_leaves_an_existing_queue_as_it_is_and_says_so(q: Subject) -> None:
    q.create(OLD)
    assert q.create(NEW) is False
    assert q.metadata == Metadata.of(OLD)


def test_create_leaves_a_queue_that_a_post_made_as_it_is(q: Subject) -> None:
    q.post(b"a")
    assert q.create(NEW) is False
    assert q.metadata == NO_METADATA
    assert bodies(q.page()) == [b"a"]


def test_a_missing_queue_has_no_metadata(q: Subject) -> None:
    assert q.storage.queues.fetch(q.ref) is None
    assert not q.exists()


def test_an_empty_document_is_of_the_version_of_no_settings(q: Subject) -> None:
    q.create(b"{}")
    assert q.metadata == Metadata(b"{}", "")


@pytest.mark.parametrize(
    "document",
    [
        b'{"b":1,"a":1e400,"a":0.10000000000000000001}',
        b' { "spaced" : [ ] } ',
        '{"\u00e9\U0001f600":"\\u0000"}'.encode(),
        b'{"long":"' + b"x" * 65_000 + b'"}',
    ],
    ids=["numbers", "spaces", "unicode", "long"],
)
def test_a_document_is_kept_byte_for_byte(q: Subject, document: bytes) -> None:
    q.create(document)
    assert q.metadata == Metadata.of(document)
    q.replace(b"{}", expected=Metadata.of(document).version)
    q.replace(document, expected="")
    assert q.metadata == Metadata.of(document)


def test_replace_puts_a_document_in_the_place_of_the_one_expected(q: Subject) -> None:
    q.create(OLD)
    q.replace(NEW, expected=Metadata.of(OLD).version)
    assert q.metadata == Metadata.of(NEW)


def test_replace_refuses_when_the_metadata_is_of_another_version(q: Subject) -> None:
    q.create(OLD)
    for expected in ["", Metadata.of(NEW).version]:
        with pytest.raises(MetadataChanged):
            q.replace(NEW, expected=expected)
    assert q.metadata == Metadata.of(OLD)


def test_replace_refuses_a_missing_queue_and_makes_none(q: Subject) -> None:
    with pytest.raises(QueueNotFound):
        q.replace(NEW, expected="")
    assert not q.exists()


def test_replace_leaves_messages_and_claims_alone(q: Subject) -> None:
    q.post(b"a", b"b")
    claim = q.take(1)
    q.replace(NEW, expected="")
    assert q.held(claim.id) == claim
    assert bodies(q.everything()) == [b"a", b"b"]


def test_delete_removes_metadata_messages_and_claims(q: Subject) -> None:
    q.create(OLD)
    mine = q.knowing(Metadata.of(OLD).version)
    ids = mine.post(b"free", b"held") + mine.post(b"late", delay=60)
    claim = mine.take(1)
    q.drop()
    assert not q.exists()
    assert q.everything() == []
    assert q.get(*ids) == []
    assert q.counts() == (0, 0)
    with pytest.raises(ClaimNotFound):
        q.held(claim.id)


def test_delete_does_not_mind_a_missing_queue(q: Subject) -> None:
    q.drop()
    assert not q.exists()


def test_a_queue_made_anew_is_empty_and_has_its_own_metadata(q: Subject) -> None:
    q.create(OLD)
    mine = q.knowing(Metadata.of(OLD).version)
    mine.post(b"old", b"held")
    claim = mine.take(1)
    q.drop()
    assert q.create(NEW) is True
    assert q.metadata == Metadata.of(NEW)
    assert q.everything() == []
    with pytest.raises(ClaimNotFound):
        q.held(claim.id)


def test_a_claim_of_a_deleted_queue_holds_nothing_of_its_successor(q: Subject) -> None:
    q.post(b"old")
    claim = q.take()
    q.drop()
    q.post(b"new")
    q.release(claim.id)
    with pytest.raises(ClaimNotFound):
        q.renew(claim.id)
    assert q.claimable() == [b"new"]


def test_sequences_grow_on_when_a_queue_is_deleted_and_made_anew(q: Subject) -> None:
    q.post_number(10)
    last = q.page()[-1].sequence
    q.drop()
    q.post(b"new")
    assert q.page()[0].sequence > last


def test_fences_grow_on_when_a_queue_is_deleted_and_made_anew(q: Subject) -> None:
    q.post_number(3)
    last = [q.take(1).fence for _ in range(3)][-1]
    q.drop()
    q.post(b"new")
    assert q.take().fence > last


def test_a_post_makes_a_missing_queue_without_metadata(q: Subject) -> None:
    q.post(b"a")
    assert q.metadata == NO_METADATA
    assert names(q) == ["q"]


def test_reading_claiming_and_deleting_find_nothing_in_a_missing_queue_and_make_none(
    q: Subject,
) -> None:
    assert q.page(claimed=True, delayed=True) == []
    assert q.get("absent") == []
    assert q.counts() == (0, 0)
    assert q.claim().claim is None
    assert q.pop(5) == []
    assert q.pile() == []
    with pytest.raises(ClaimNotFound):
        q.held("absent")
    with pytest.raises(ClaimNotFound):
        q.renew("absent")
    q.delete("absent")
    q.delete("absent", "absent")
    q.delete_many("absent")
    q.delete_many("absent", claim_ids=["absent"])
    q.release("absent")
    q.purge()
    q.clear([])
    q.drop()
    assert not q.exists()
    assert names(q) == []
    assert q.storage.queues.count(q.ref.project) == 0


def test_queues_are_listed_in_byte_order(q: Subject) -> None:
    made = ["b", "a", "B", "a.b", "a-b", "a_b", "ab", "A", "10", "9", "-", "_", ".a", "a" * 64, "z"]
    for name in made:
        q.sibling(name).create()
    assert names(q) == sorted(made, key=str.encode)


def test_a_listing_shows_names_with_their_metadata(q: Subject) -> None:
    q.sibling("a").create(OLD)
    q.sibling("b").post(b"x")
    listed = q.storage.queues.page(q.ref.project, after="", limit=10)
    assert listed == [QueueEntry("a", Metadata.of(OLD)), QueueEntry("b", NO_METADATA)]


def test_a_listing_starts_after_a_name_that_need_not_exist(q: Subject) -> None:
    for name in ["a", "b", "d"]:
        q.sibling(name).create()
    assert names(q, after="b") == ["d"]
    assert names(q, after="c") == ["d"]
    assert names(q, after="aa") == ["b", "d"]
    assert names(q, after="d") == []


def test_a_listing_is_as_long_as_its_limit_and_pages_join(q: Subject) -> None:
    made = [f"q{number:02}" for number in range(25)]
    for name in made:
        q.sibling(name).create()
    walked: list[str] = []
    while len(walked) < 25 and (page := names(q, after=walked[-1] if walked else "", limit=10)):
        walked += page
    assert walked == made
    assert len(names(q, limit=10)) == 10


def test_a_listing_leaves_out_deleted_queues(q: Subject) -> None:
    for name in ["a", "b", "c"]:
        q.sibling(name).create()
    q.sibling("b").drop()
    assert names(q) == ["a", "c"]


def test_the_count_follows_creation_posting_and_deletion(q: Subject) -> None:
    count = q.storage.queues.count
    assert count(q.ref.project) == 0
    q.sibling("a").create()
    q.sibling("a").create()
    q.sibling("b").post(b"x")
    q.sibling("b").post(b"y")
    assert count(q.ref.project) == 2
    q.sibling("a").drop()
    q.sibling("a").drop()
    q.sibling("never").drop()
    assert count(q.ref.project) == 1
    q.sibling("a").create()
    assert count(q.ref.project) == 2


# Settings: a step is done with those it was made for, or not at all.


def test_a_post_made_for_other_settings_is_refused_with_the_present_ones(q: Subject) -> None:
    q.create(NEW)
    for version in ["", Metadata.of(OLD).version]:
        with pytest.raises(StaleSettings) as refused:
            q.knowing(version).post(b"a", b"b")
        assert refused.value.current == Metadata.of(NEW)
    assert q.everything() == []
    q.knowing(Metadata.of(NEW).version).post(b"a")
    assert bodies(q.page()) == [b"a"]


def test_a_post_made_for_settings_of_a_queue_that_is_gone_is_refused_and_makes_none(
    q: Subject,
) -> None:
    with pytest.raises(StaleSettings) as refused:
        q.knowing(Metadata.of(OLD).version).post(b"a")
    assert refused.value.current == NO_METADATA
    assert not q.exists()


def test_a_claim_made_for_other_settings_is_refused_with_the_present_ones(q: Subject) -> None:
    q.create(NEW)
    mine = q.knowing(Metadata.of(NEW).version)
    mine.post(b"a")
    for version in ["", Metadata.of(OLD).version]:
        with pytest.raises(StaleSettings) as refused:
            q.knowing(version).claim()
        assert refused.value.current == Metadata.of(NEW)
    assert q.counts() == (1, 0)
    assert bodies(mine.take().messages) == [b"a"]


def test_a_claim_on_a_missing_queue_finds_nothing_whatever_settings_it_was_made_for(
    q: Subject,
) -> None:
    assert q.knowing(Metadata.of(OLD).version).claim().claim is None
    q.create(OLD)
    q.drop()
    assert q.knowing(Metadata.of(OLD).version).claim().claim is None
    assert q.knowing("").claim().claim is None


def test_settings_that_came_back_to_what_they_were_are_the_same_settings(q: Subject) -> None:
    q.create(OLD)
    q.replace(NEW, expected=Metadata.of(OLD).version)
    q.replace(OLD, expected=Metadata.of(NEW).version)
    q.knowing(Metadata.of(OLD).version).post(b"a")
    assert bodies(q.page()) == [b"a"]


def test_no_verb_but_post_and_claim_depends_on_settings(q: Subject) -> None:
    (first, second) = q.post(b"a", b"b")
    claim = q.take(1)
    q.replace(NEW, expected="")
    q.renew(claim.id)
    q.delete(first, claim.id)
    q.release(claim.id)
    assert bodies(q.pop(1)) == [b"b"]
    q.delete_many(second)
    q.purge()
    assert q.counts() == (0, 0)

"""Dead letters: buried in the claim step, accepted once by their target, cleared from the pile."""

from __future__ import annotations

from typing import Any

import pytest

from queueing.core.errors import ClaimExpired
from queueing.core.models import NO_METADATA, Claimed, DeadLetterRule, Metadata
from queueing.storage.contract import BURIAL_SECONDS, DEAD_LETTERS_PER_STEP
from tests.contract.subject import MOMENT, Subject, bodies, ids

ONCE = DeadLetterRule("dead", max_claims=1)
TWICE = DeadLetterRule("dead", max_claims=2)


@pytest.fixture
def dead(q: Subject) -> Subject:
    """The queue that the letters are for."""
    return q.sibling("dead")


def exhaust(q: Subject, *posted: bytes, **more: Any) -> tuple[str, ...]:
    """Post messages that were claimed once, for less than their lifetime, and are free again."""
    ids = q.post(*posted, **more)
    q.release(q.take(100_000, ttl=60, rule=ONCE._replace(max_claims=1_000_000)).id)
    return ids


def forward(q: Subject, rule: DeadLetterRule = ONCE) -> None:
    """What the service does with a pile."""
    letters = q.pile()
    q.sibling(rule.target).accept(letters)
    q.clear(letters)


# Burial


def test_a_message_is_delivered_as_often_as_the_rule_says_and_then_buried(q: Subject) -> None:
    """The example of the specification: two claims deliver, the third moves the message away."""
    (id,) = q.post(b"a")
    for count in [1, 2]:
        claim = q.take(rule=TWICE)
        assert claim.messages[0].claim_count == count
        q.release(claim.id)
    third = q.claim(rule=TWICE)
    assert third.claim is None
    (letter,) = third.dead_letters
    assert letter.target == "dead"
    assert (letter.message.id, letter.message.claim_count) == (id, 2)


def test_a_buried_message_has_left_its_queue(q: Subject) -> None:
    (id,) = exhaust(q, b"a")
    q.claim(rule=ONCE)
    assert q.get(id) == []
    assert q.everything() == []
    assert q.counts() == (0, 0)
    assert q.claim().claim is None
    assert q.pop() == []
    q.delete(id)
    q.delete(id, "absent")
    assert len(q.pile()) == 1


def test_a_letter_tells_all_about_the_message(q: Subject) -> None:
    (id,) = exhaust(q, b"a\x00\xff", client="c1")
    (before,) = q.get(id)
    q.clock.advance(10)
    (letter,) = q.claim(rule=ONCE).dead_letters
    assert letter.message._replace(sequence=0) == before._replace(sequence=0)
    assert letter.message.claim_id is None
    assert letter.burial


def test_a_letters_lifetime_becomes_the_rules_from_its_burial(q: Subject) -> None:
    exhaust(q, b"a", ttl=600)
    posted_at = q.now
    q.clock.advance(100)
    (letter,) = q.claim(rule=ONCE._replace(ttl=7200)).dead_letters
    assert (letter.message.ttl, letter.message.expires_at) == (7200, q.now + 7200)
    assert letter.message.posted_at == posted_at


def test_a_rule_may_shorten_a_letters_lifetime(q: Subject) -> None:
    exhaust(q, b"a", ttl=600)
    q.claim(rule=ONCE._replace(ttl=60))
    q.clock.advance(60 - MOMENT)
    assert len(q.pile()) == 1
    q.clock.advance(MOMENT)
    assert q.pile() == []


def test_a_message_is_buried_once_its_claim_expired(q: Subject) -> None:
    q.post(b"a")
    q.take(rule=ONCE, ttl=60)
    assert q.claim(rule=ONCE) == Claimed(None, ())
    q.clock.advance(60)
    assert len(q.claim(rule=ONCE).dead_letters) == 1


def test_only_free_messages_are_buried(q: Subject) -> None:
    exhaust(q, b"a", b"b")
    q.post(b"late", delay=60)
    q.take(1)
    claimed = q.claim(rule=ONCE)
    assert claimed.claim is None
    assert bodies(letter.message for letter in claimed.dead_letters) == [b"b"]
    assert q.counts() == (1, 1)


def test_a_claim_without_a_rule_buries_nothing(q: Subject) -> None:
    exhaust(q, b"a")
    assert bodies(q.take().messages) == [b"a"]
    assert q.pile() == []


def test_a_rule_with_a_higher_bound_buries_nothing(q: Subject) -> None:
    exhaust(q, b"a")
    claim = q.take(rule=TWICE)
    assert claim.messages[0].claim_count == 2
    assert q.pile() == []


def test_pop_buries_and_counts_nothing(q: Subject) -> None:
    exhaust(q, b"a")
    (popped,) = q.pop()
    assert popped.claim_count == 1
    assert q.pile() == []


def test_a_claim_goes_on_to_the_next_messages_until_its_limit(q: Subject) -> None:
    exhaust(q, b"x", b"y", b"z")
    q.post(b"a", b"b", b"c")
    claimed = q.claim(2, rule=ONCE)
    assert claimed.claim
    assert bodies(claimed.claim.messages) == [b"a", b"b"]
    assert [letter.message.body for letter in claimed.dead_letters] == [b"x", b"y", b"z"]
    assert q.counts() == (1, 2)


def test_a_claim_buries_nothing_behind_what_fills_its_limit(q: Subject) -> None:
    q.post(b"fresh")
    fresh = q.take()
    exhaust(q, b"behind")
    q.release(fresh.id)
    assert q.claim(1, rule=ONCE).dead_letters == ()
    assert q.counts() == (1, 1)


def test_a_claim_buries_what_lies_before_but_nothing_behind_what_fills_its_limit(
    q: Subject,
) -> None:
    exhaust(q, b"before")
    before = q.take()
    q.post(b"fresh")
    fresh = q.take()
    exhaust(q, b"behind", b"far behind")
    q.release(before.id)
    q.release(fresh.id)
    claimed = q.claim(1, rule=ONCE)
    assert claimed.claim and bodies(claimed.claim.messages) == [b"fresh"]
    assert [letter.message.body for letter in claimed.dead_letters] == [b"before"]
    assert bodies(q.page()) == [b"behind", b"far behind"]


def test_a_step_buries_only_so_many_and_the_next_goes_on(q: Subject) -> None:
    number = DEAD_LETTERS_PER_STEP + 50
    exhaust(q, *(b"%d" % index for index in range(number)))
    q.post(b"fresh")
    served: list[bytes] = []
    buried: list[bytes] = []
    for step in range(3):
        claimed = q.claim(5, rule=ONCE)
        served += bodies(claimed.claim.messages) if claimed.claim else []
        assert len(claimed.dead_letters) <= DEAD_LETTERS_PER_STEP
        buried += [letter.message.body for letter in claimed.dead_letters]
        if step == 0:
            assert len(claimed.dead_letters) == DEAD_LETTERS_PER_STEP
            assert q.counts() == (number + 1 - DEAD_LETTERS_PER_STEP - len(served), len(served))
        q.clear(claimed.dead_letters)
    assert served == [b"fresh"]
    assert buried == [b"%d" % index for index in range(number)]


# The pile


def test_a_pile_is_reported_by_every_claim_until_it_is_cleared(q: Subject) -> None:
    exhaust(q, b"x")
    first = q.claim(rule=ONCE).dead_letters
    assert q.claim(rule=ONCE).dead_letters == first
    assert q.claim().dead_letters == first
    q.post(b"a")
    claimed = q.claim()
    assert claimed.dead_letters == first
    assert claimed.claim and bodies(claimed.claim.messages) == [b"a"]
    assert tuple(q.pile()) == first
    q.clear(first)
    assert q.claim(rule=ONCE).dead_letters == ()
    assert q.pile() == []


def test_a_pile_is_in_order_of_burial(q: Subject) -> None:
    exhaust(q, b"x", b"y")
    q.claim(rule=ONCE)
    q.clock.advance(1)
    exhaust(q, b"z")
    q.claim(rule=ONCE)
    assert [letter.message.body for letter in q.pile()] == [b"x", b"y", b"z"]


def test_a_pile_is_reported_so_many_at_a_time(q: Subject) -> None:
    number = DEAD_LETTERS_PER_STEP + 20
    exhaust(q, *(b"%d" % index for index in range(number)))
    q.claim(rule=ONCE)
    q.claim(rule=ONCE)
    first = q.pile()
    assert len(first) == DEAD_LETTERS_PER_STEP
    q.clear(first)
    second = q.pile()
    assert [letter.message.body for letter in first + second] == [
        b"%d" % index for index in range(number)
    ]


def test_clearing_takes_off_only_what_is_named_and_does_not_mind_the_rest(q: Subject) -> None:
    exhaust(q, b"x", b"y", b"z")
    x, y, z = q.claim(rule=ONCE).dead_letters
    q.clear([y])
    q.clear([y, y._replace(burial="absent")])
    assert q.pile() == [x, z]


def test_each_burial_has_its_own_name(q: Subject) -> None:
    exhaust(q, *[b"x"] * 30)
    burials = [letter.burial for letter in q.claim(rule=ONCE).dead_letters]
    other = q.sibling("other")
    exhaust(other, *[b"x"] * 30)
    burials += [letter.burial for letter in other.claim(rule=ONCE).dead_letters]
    assert len(set(burials)) == 60


def test_expired_letters_are_dropped_from_a_pile(q: Subject) -> None:
    exhaust(q, b"short", ttl=60)
    exhaust(q, b"long", ttl=600)
    q.claim(rule=ONCE)
    q.clock.advance(60)
    assert [letter.message.body for letter in q.pile()] == [b"long"]
    assert [x.message.body for x in q.claim(rule=ONCE).dead_letters] == [b"long"]
    q.clock.advance(540)
    assert q.pile() == []
    assert q.claim() == Claimed(None, ())


@pytest.mark.parametrize("end", ["purge", "drop"])
def test_a_pile_survives_the_purge_and_the_deletion_of_its_queue(q: Subject, end: str) -> None:
    exhaust(q, b"x")
    letters = q.claim(rule=ONCE).dead_letters
    if end == "purge":
        q.purge()
    else:
        q.drop()
    assert tuple(q.pile()) == letters
    assert q.claim().dead_letters == letters
    q.post(b"a")
    claimed = q.claim()
    assert claimed.dead_letters == letters
    assert claimed.claim and bodies(claimed.claim.messages) == [b"a"]
    q.clear(letters)
    assert q.pile() == []


def test_queues_with_a_pile_are_found_until_it_is_cleared(q: Subject) -> None:
    there = q.elsewhere(q.ref.project + "-2")
    for subject in [q, q.sibling("other"), there]:
        exhaust(subject, b"x")
        subject.claim(rule=ONCE)
    q.sibling("empty").post(b"a")

    def found() -> set[tuple[str, str]]:
        piles = q.storage.piles(limit=100_000)
        assert len(piles) == len(set(piles))
        return {ref for ref in piles if ref.project.startswith(q.ref.project)}

    assert found() == {q.ref, q.sibling("other").ref, there.ref}
    assert len(q.storage.piles(limit=2)) == 2
    q.clear(q.pile())
    there.clear(there.pile())
    assert found() == {q.sibling("other").ref}
    q.sibling("other").drop()
    assert found() == {q.sibling("other").ref}


# Acceptance


def test_a_letter_is_an_ordinary_free_message_at_its_target(q: Subject, dead: Subject) -> None:
    (id,) = exhaust(q, b"a\x00", client="c1")
    (before,) = q.get(id)
    q.clock.advance(5)
    q.claim(rule=ONCE)
    q.clock.advance(5)
    forward(q)
    (message,) = dead.everything()
    assert message == before._replace(sequence=int(dead.now * 1_000_000))
    assert message.claim_count == 1
    assert dead.get(id) == [message]
    assert dead.counts() == (1, 0)
    claim = dead.take()
    assert ids(claim.messages) == [id]
    dead.delete(id, claim.id)
    assert dead.everything() == []


def test_letters_get_sequences_of_their_target_behind_what_is_there(
    q: Subject, dead: Subject
) -> None:
    dead.post(b"1", b"2")
    exhaust(q, b"3", b"4")
    q.claim(rule=ONCE)
    forward(q)
    dead.post(b"5")
    listed = dead.page()
    assert bodies(listed) == [b"1", b"2", b"3", b"4", b"5"]
    start = int(dead.now * 1_000_000)
    assert [message.sequence for message in listed] == [start + step for step in range(5)]
    assert bodies(dead.pop(5)) == [b"1", b"2", b"3", b"4", b"5"]


def test_a_missing_target_is_made_without_metadata(q: Subject, dead: Subject) -> None:
    exhaust(q, b"a")
    q.claim(rule=ONCE)
    assert not dead.exists()
    forward(q)
    assert dead.metadata == NO_METADATA


def test_an_existing_target_keeps_its_metadata_whatever_it_is(q: Subject, dead: Subject) -> None:
    dead.create(b'{"a":1}')
    exhaust(q, b"a")
    q.claim(rule=ONCE)
    forward(q)
    assert dead.metadata == Metadata.of(b'{"a":1}')
    assert bodies(dead.page()) == [b"a"]


def test_a_letter_has_the_lifetime_at_its_target_that_it_got_at_its_burial(
    q: Subject, dead: Subject
) -> None:
    exhaust(q, b"own", ttl=600)
    q.claim(rule=ONCE._replace(ttl=7200))
    q.clock.advance(600)
    forward(q)
    (message,) = dead.page()
    assert (message.ttl, message.expires_at) == (7200, q.now + 6600)
    q.clock.advance(6600)
    assert dead.everything() == []


def test_a_letter_is_accepted_once_however_often_it_is_sent(q: Subject, dead: Subject) -> None:
    exhaust(q, b"a", b"b")
    letters = q.claim(rule=ONCE).dead_letters
    dead.accept(letters)
    dead.accept(letters)
    dead.accept(letters[:1])
    dead.accept([letters[1], letters[1]])
    assert bodies(dead.everything()) == [b"a", b"b"]


@pytest.mark.parametrize("end", ["delete", "claim and delete", "pop", "purge", "drop"])
def test_a_letter_is_accepted_once_also_when_it_is_gone_there_since(
    q: Subject, dead: Subject, end: str
) -> None:
    (id,) = exhaust(q, b"a", ttl=2 * BURIAL_SECONDS)
    letters = q.claim(rule=ONCE).dead_letters
    dead.accept(letters)
    if end == "delete":
        dead.delete(id)
    elif end == "claim and delete":
        dead.delete(id, dead.take().id)
    elif end == "pop":
        dead.pop()
    elif end == "purge":
        dead.purge()
    else:
        dead.drop()
    dead.accept(letters)
    assert dead.everything() == []
    dead.clock.advance(BURIAL_SECONDS - MOMENT)
    dead.accept(letters)
    assert dead.everything() == []


def test_a_letter_is_dropped_when_a_message_there_has_its_id(q: Subject, dead: Subject) -> None:
    (id,) = exhaust(q, b"a")
    (letter,) = q.claim(rule=ONCE).dead_letters
    dead.accept([letter])
    before = dead.everything()
    dead.accept([letter._replace(burial=letter.burial + "x")])
    assert dead.everything() == before
    assert ids(before) == [id]


def test_an_expired_letter_is_never_seen_at_its_target(q: Subject, dead: Subject) -> None:
    exhaust(q, b"short", ttl=60)
    exhaust(q, b"long", ttl=600)
    letters = q.claim(rule=ONCE).dead_letters
    q.clock.advance(60)
    dead.accept(letters)
    assert bodies(dead.everything()) == [b"long"]
    assert dead.counts() == (1, 0)


def test_a_full_step_of_letters_is_accepted(q: Subject, dead: Subject) -> None:
    exhaust(q, *(b"%d" % index for index in range(DEAD_LETTERS_PER_STEP)))
    q.claim(rule=ONCE)
    forward(q)
    assert bodies(dead.page()) == [b"%d" % index for index in range(DEAD_LETTERS_PER_STEP)]
    assert q.pile() == []


def test_accepting_ends_no_claim_and_no_delay_at_the_target(q: Subject, dead: Subject) -> None:
    dead.post(b"held")
    claim = dead.take()
    dead.post(b"late", delay=60)
    exhaust(q, b"a")
    q.claim(rule=ONCE)
    forward(q)
    assert dead.held(claim.id) == claim
    assert dead.claimable() == [b"a"]
    assert dead.counts() == (2, 1)


def test_a_target_with_a_rule_of_its_own_buries_by_the_count_that_letters_bring(
    q: Subject, dead: Subject
) -> None:
    exhaust(q, b"a")
    q.claim(rule=ONCE)
    forward(q)
    claim = dead.take(rule=TWICE._replace(target="deader"))
    assert claim.messages[0].claim_count == 2
    dead.release(claim.id)
    (letter,) = dead.claim(rule=TWICE._replace(target="deader")).dead_letters
    assert letter.target == "deader"


def test_a_message_may_go_round_between_two_queues_that_bury_at_each_other(
    q: Subject, dead: Subject
) -> None:
    """Each burial is a new one, so the queue that buried a message first accepts it back."""
    (id,) = exhaust(q, b"a", ttl=7200)
    back = ONCE._replace(target="q")
    for _ in range(3):
        assert q.claim(rule=ONCE).claim is None
        forward(q)
        assert ids(dead.everything()) == [id]
        assert q.everything() == []
        assert dead.claim(rule=back).claim is None
        forward(dead, back)
        assert ids(q.everything()) == [id]
        assert dead.everything() == []
    assert q.counts() == (1, 0)
    assert q.get(id)[0].claim_count == 1


def test_an_interrupted_forward_is_finished_by_whoever_claims_next(
    q: Subject, dead: Subject
) -> None:
    exhaust(q, b"a", b"b")
    letters = q.claim(rule=ONCE).dead_letters
    dead.accept(letters)  # and here the node died: nothing was cleared
    dead.delete(letters[0].message.id)
    assert q.claim().dead_letters == letters
    forward(q)
    assert bodies(dead.everything()) == [b"b"]
    assert q.pile() == []


def test_a_claim_on_the_target_is_no_claim_on_the_source(q: Subject, dead: Subject) -> None:
    (id,) = exhaust(q, b"a")
    q.claim(rule=ONCE)
    forward(q)
    q.post(b"b")
    claim = q.take()
    with pytest.raises(ClaimExpired):
        dead.delete(id, claim.id)

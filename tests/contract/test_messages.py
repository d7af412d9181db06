"""Messages: posting, order, reading, the end of a lifetime."""

from __future__ import annotations

import pytest

from queueing.core.models import Draft, Message, message_id, request_token
from tests.contract.subject import MOMENT, TTL, Subject, bodies, ids

# Posting


def test_ids_come_from_the_token_in_posting_order(q: Subject) -> None:
    token = request_token()
    posted = q.post_drafts([Draft(b"a", TTL), Draft(b"b", TTL), Draft(b"c", TTL)], token=token)
    assert posted.ids == tuple(message_id(token, index) for index in range(3))
    assert posted.replayed is False
    assert ids(q.page()) == list(posted.ids)


def test_a_message_is_read_as_it_was_posted(q: Subject) -> None:
    q.clock.advance(MOMENT)
    now = q.now
    (id,) = q.post_drafts([Draft(b'{"n":1}', 90, 0, "MD5:abc")], client="c1").ids
    expected = Message(
        id=id,
        sequence=int(now * 1_000_000),
        body=b'{"n":1}',
        ttl=90,
        posted_at=now,
        expires_at=now + 90,
        client_id="c1",
        claim_id=None,
        claim_count=0,
        checksum="MD5:abc",
    )
    q.clock.advance(10)
    assert q.get(id) == [expected]
    assert q.page() == [expected]
    assert q.pop() == [expected]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x00",
        b"a\x00b",
        bytes(range(256)),
        b"\xff\xfe\x80",
        '"\u00e9\U0001f600\u0000"'.encode(),
        b"'; DROP TABLE messages; --",
        bytes(range(256)) * 4096,
    ],
    ids=["empty", "nul", "inner-nul", "all-bytes", "no-utf8", "unicode", "quotes", "mebibyte"],
)
def test_a_body_is_any_bytes(q: Subject, body: bytes) -> None:
    (id,) = q.post(body)
    assert bodies(q.get(id)) == [body]
    assert bodies(q.page()) == [body]
    claim = q.take()
    assert bodies(claim.messages) == [body]
    assert bodies(q.held(claim.id).messages) == [body]
    q.release(claim.id)
    assert bodies(q.pop()) == [body]


@pytest.mark.parametrize("client", ["", "0123456789abcdef" * 2, "c\u00e9\U0001f600", "a b/c"])
def test_a_client_id_is_any_string(q: Subject, client: str) -> None:
    q.post(b"a", client=client)
    q.post(b"b", client="another")
    assert [message.client_id for message in q.page()] == [client, "another"]
    assert bodies(q.page(hide=client)) == [b"b"]


def test_each_draft_of_a_batch_keeps_its_own_settings(q: Subject) -> None:
    drafts = [Draft(b"a", 60), Draft(b"b", 120, 30, "MD5:1"), Draft(b"c", 1209600, 900)]
    posted = q.post_drafts(drafts)
    read = q.get(*posted.ids)
    assert [(m.body, m.ttl, m.checksum) for m in read] == [
        (b"a", 60, None),
        (b"b", 120, "MD5:1"),
        (b"c", 1209600, None),
    ]
    assert [m.expires_at - q.now for m in read] == [60, 120, 1209600]
    assert bodies(q.page()) == [b"a"]


def test_a_batch_of_thousands_is_whole_and_in_order(q: Subject) -> None:
    posted = q.post_number(2500)
    assert len(posted) == len(set(posted)) == 2500
    listed = q.page()
    assert tuple(ids(listed)) == posted
    assert bodies(listed) == [b"%d" % number for number in range(2500)]
    assert q.counts() == (2500, 0)
    assert bodies(q.take(1500).messages) == [b"%d" % number for number in range(1500)]
    assert bodies(q.pop(1000)) == [b"%d" % number for number in range(1500, 2500)]


# Order


def test_sequences_are_the_time_in_microseconds_or_the_next_number(q: Subject) -> None:
    start = int(q.now * 1_000_000)
    q.post(b"a", b"b", b"c")
    q.post(b"d")
    q.clock.advance(1)
    q.post(b"e", b"f")
    assert [message.sequence for message in q.page()] == [
        start,
        start + 1,
        start + 2,
        start + 3,
        start + 1_000_000,
        start + 1_000_001,
    ]


def test_sequences_grow_while_the_clock_goes_back(q: Subject) -> None:
    q.post(b"a")
    q.clock.advance(-3)
    q.post(b"b")
    q.clock.advance(-MOMENT)
    q.post(b"c", b"d")
    listed = q.page()
    assert bodies(listed) == [b"a", b"b", b"c", b"d"]
    sequences = [message.sequence for message in listed]
    assert sequences == [sequences[0] + step for step in range(4)]
    assert q.claimable() == [b"a", b"b", b"c", b"d"]


def test_sequences_grow_on_after_the_last_message_is_gone(q: Subject) -> None:
    q.post(b"a", b"b")
    last = q.page()[-1].sequence
    q.pop(2)
    q.post(b"c")
    assert q.page()[0].sequence > last
    last = q.page()[0].sequence
    q.purge()
    q.post(b"d")
    assert q.page()[0].sequence > last


def test_posts_follow_one_another_whatever_client_posts(q: Subject) -> None:
    for number in range(20):
        q.post(b"%d" % number, client=f"client-{number % 3}")
    expected = [b"%d" % number for number in range(20)]
    assert bodies(q.page()) == expected
    assert q.claimable() == expected
    assert bodies(q.pop(20)) == expected


# Reading by id


def test_messages_are_got_in_the_order_asked_each_once(q: Subject) -> None:
    a, b, c = q.post(b"a", b"b", b"c")
    assert bodies(q.get(c, a, c, "absent", b, a)) == [b"c", b"a", b"b"]
    assert q.get() == []
    assert q.get("absent", "", "\u00e9", "x" * 1000) == []


def test_messages_are_got_by_id_whether_free_or_not(q: Subject) -> None:
    held, free = q.post(b"held", b"free")
    (late,) = q.post(b"late", delay=60)
    claim = q.take(1)
    got = q.get(held, free, late)
    assert bodies(got) == [b"held", b"free", b"late"]
    assert [message.claim_id for message in got] == [claim.id, None, None]


def test_a_read_message_shows_a_claim_only_while_it_lives(q: Subject) -> None:
    (id,) = q.post(b"a")
    claim = q.take(ttl=60)
    assert q.get(id)[0].claim_id == claim.id
    assert q.page(claimed=True)[0].claim_id == claim.id
    q.clock.advance(60)
    assert q.get(id)[0].claim_id is None
    assert q.page(claimed=True)[0].claim_id is None


# Listing


def test_a_page_starts_after_a_sequence_and_is_as_long_as_its_limit(q: Subject) -> None:
    q.post_number(5)
    first = q.page(limit=2)
    assert bodies(first) == [b"0", b"1"]
    assert bodies(q.page(after=first[-1].sequence, limit=2)) == [b"2", b"3"]
    assert bodies(q.page(after=first[0].sequence)) == [b"1", b"2", b"3", b"4"]
    assert q.page(after=q.page()[-1].sequence) == []
    assert q.page(after=2**53) == []


def test_a_reader_who_follows_markers_sees_each_message_once(q: Subject) -> None:
    seen: list[bytes] = []
    marker = 0
    for number in range(10):
        q.post(b"%d" % (2 * number), b"%d" % (2 * number + 1))
        if number % 3 == 2:
            q.clock.advance(1)
        page = q.page(after=marker, limit=3)
        seen += bodies(page)
        marker = page[-1].sequence
    while len(seen) < 20 and (page := q.page(after=marker, limit=3)):
        seen += bodies(page)
        marker = page[-1].sequence
    assert q.page(after=marker) == []
    assert seen == [b"%d" % number for number in range(20)]


def test_a_marker_stays_good_when_its_message_is_gone(q: Subject) -> None:
    a, b, c, _ = q.post(b"a", b"b", b"c", b"d")
    marker = q.get(b)[0].sequence
    q.delete(b)
    assert bodies(q.page(after=marker)) == [b"c", b"d"]
    q.delete(c)
    q.delete(a)
    assert bodies(q.page(after=marker)) == [b"d"]
    q.purge()
    q.post(b"e")
    assert bodies(q.page(after=marker)) == [b"e"]


def test_a_page_leaves_out_one_clients_messages_on_request(q: Subject) -> None:
    q.post(b"mine", client="me")
    q.post(b"yours", client="you")
    q.post(b"mine too", client="me")
    assert bodies(q.page(hide="me")) == [b"yours"]
    assert bodies(q.page(hide="you")) == [b"mine", b"mine too"]
    assert bodies(q.page(hide="m")) == [b"mine", b"yours", b"mine too"]
    assert bodies(q.page()) == [b"mine", b"yours", b"mine too"]


def test_a_page_leaves_out_claimed_and_delayed_messages_unless_they_are_asked_for(
    q: Subject,
) -> None:
    q.post(b"held")
    q.post(b"late", delay=60)
    q.post(b"free")
    q.take(1)
    assert bodies(q.page()) == [b"free"]
    assert bodies(q.page(claimed=True)) == [b"held", b"free"]
    assert bodies(q.page(delayed=True)) == [b"late", b"free"]
    assert bodies(q.page(claimed=True, delayed=True)) == [b"held", b"late", b"free"]


def test_what_a_page_leaves_out_does_not_count_for_its_limit(q: Subject) -> None:
    for round in range(4):
        q.post(*[b"mine"] * 30, client="me")
        q.post(*[b"late"] * 30, delay=60)
        q.post(b"shown %d" % round)
    q.take(30)
    shown = [b"shown 0", b"shown 1", b"shown 2", b"shown 3"]
    assert bodies(q.page(hide="me", limit=3)) == shown[:3]
    assert bodies(q.page(hide="me", limit=10)) == shown
    marker = q.page(hide="me", limit=2)[-1].sequence
    assert bodies(q.page(hide="me", limit=2, after=marker)) == shown[2:]


def test_a_page_ends_where_nothing_that_follows_is_shown(q: Subject) -> None:
    q.post(b"shown")
    q.post(*[b"mine"] * 50, client="me")
    assert bodies(q.page(hide="me", limit=10)) == [b"shown"]
    assert q.page(hide="me", limit=10, after=q.page(hide="me")[0].sequence) == []


def test_listing_changes_nothing(q: Subject) -> None:
    q.post(b"a", b"b")
    q.post(b"late", delay=60)
    claim = q.take(1)
    before = (q.everything(), q.stats(), q.held(claim.id))
    for flag in [True, False]:
        q.page(claimed=flag, delayed=not flag, hide="client")
    assert (q.everything(), q.stats(), q.held(claim.id)) == before


def test_listing_ahead_of_time_brings_nothing_forward(q: Subject) -> None:
    (late,) = q.post(b"late", delay=60)
    q.post(b"held")
    claim = q.take()
    q.clock.advance(TTL)
    q.page()
    q.stats()
    q.get(late)
    q.clock.advance(-TTL)
    assert q.claimable() == []
    assert bodies(q.held(claim.id).messages) == [b"held"]
    assert bodies(q.everything()) == [b"late", b"held"]


# Delay


def test_a_delayed_message_is_not_free_before_its_delay_ends(q: Subject) -> None:
    q.post(b"late", delay=60)
    q.clock.advance(60 - MOMENT)
    assert q.claim().claim is None
    assert q.pop() == []
    assert q.page() == []
    q.clock.advance(MOMENT)
    assert bodies(q.page()) == [b"late"]
    assert bodies(q.take().messages) == [b"late"]


def test_a_delayed_message_can_be_popped_when_its_delay_ends(q: Subject) -> None:
    q.post(b"late", delay=900)
    q.clock.advance(900)
    assert bodies(q.pop()) == [b"late"]


def test_a_delayed_message_is_readable_deletable_and_counted_as_free(q: Subject) -> None:
    a, b = q.post(b"a", b"b", delay=60)
    assert bodies(q.get(a, b)) == [b"a", b"b"]
    assert q.counts() == (2, 0)
    q.delete(a)
    q.delete_many(b)
    assert q.counts() == (0, 0)
    q.clock.advance(60)
    assert q.claim().claim is None


def test_a_message_takes_its_place_by_sequence_when_its_delay_ends(q: Subject) -> None:
    q.post(b"0")
    q.post(b"1", delay=60)
    q.post(b"2")
    q.post(b"3", delay=30)
    q.post(b"4")
    assert q.claimable() == [b"0", b"2", b"4"]
    q.clock.advance(30)
    assert q.claimable() == [b"0", b"2", b"3", b"4"]
    q.clock.advance(30)
    assert bodies(q.page()) == [b"0", b"1", b"2", b"3", b"4"]
    assert q.claimable() == [b"0", b"1", b"2", b"3", b"4"]


def test_a_lifetime_counts_from_the_post_and_not_from_the_end_of_the_delay(q: Subject) -> None:
    (id,) = q.post(b"late", ttl=90, delay=60)
    q.clock.advance(60)
    assert bodies(q.page()) == [b"late"]
    q.clock.advance(30)
    assert q.get(id) == []
    assert q.claim().claim is None


def test_a_message_that_expires_within_its_delay_is_never_served(q: Subject) -> None:
    (id,) = q.post(b"late", ttl=60, delay=900)
    assert bodies(q.get(id)) == [b"late"]
    q.clock.advance(60)
    assert q.get(id) == []
    assert q.counts() == (0, 0)
    q.clock.advance(840)
    assert q.claim().claim is None
    assert q.everything() == []


# The end of a lifetime


def test_a_message_exists_until_the_moment_it_expires(q: Subject) -> None:
    (id,) = q.post(b"a", ttl=60)
    q.clock.advance(60 - MOMENT)
    assert bodies(q.get(id)) == [b"a"]
    assert bodies(q.page()) == [b"a"]
    assert q.counts() == (1, 0)
    q.clock.advance(MOMENT)
    assert q.get(id) == []
    assert q.everything() == []
    assert q.counts() == (0, 0)
    assert q.claim().claim is None
    assert q.pop() == []
    q.delete(id)
    q.delete(id, "absent")
    q.delete_many(id, claim_ids=[])


def test_a_message_can_be_claimed_and_popped_in_its_last_moment(q: Subject) -> None:
    q.post(b"a", b"b", ttl=60)
    q.clock.advance(60 - MOMENT)
    assert bodies(q.pop(1)) == [b"a"]
    assert bodies(q.take().messages) == [b"b"]


def test_messages_expire_each_in_its_own_time(q: Subject) -> None:
    q.post(b"long", ttl=180)
    q.post(b"short", ttl=60)
    q.post(b"middle", ttl=120)
    q.clock.advance(60)
    assert bodies(q.page()) == [b"long", b"middle"]
    q.clock.advance(60)
    assert bodies(q.page()) == [b"long"]
    q.clock.advance(60)
    assert q.page() == []


def test_expired_messages_hide_nothing_that_lies_behind_them(q: Subject) -> None:
    q.post_number(2500, ttl=60)
    q.post(b"x", b"y", b"z", ttl=600)
    q.clock.advance(60)
    assert bodies(q.page(limit=10)) == [b"x", b"y", b"z"]
    assert q.counts() == (3, 0)
    assert bodies(q.take(1).messages) == [b"x"]
    assert bodies(q.pop(1)) == [b"y"]
    assert q.claimable() == [b"z"]

"""Reading, deleting and popping messages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queueing.core.errors import (
    API,
    ClaimExpired,
    InvalidRequest,
    MessageIsClaimed,
    MessageNotFound,
    OverLimit,
    WrongClaim,
)
from queueing.core.models import QueueRef
from queueing.service import markers
from tests.service.conftest import CLIENT, Posting, bodies

MALFORMED = ["", "x" * 65, "é", "a b", "a,b", "a=b", "\x00", "../../etc", "💥"]


def page(node, queue, **asked):
    asked = {
        "marker": None,
        "limit": None,
        "client_id": "",
        "echo": False,
        "include_claimed": False,
        "include_delayed": False,
        **asked,
    }
    messages, marker = node.messages.list(queue, **asked)
    return bodies(messages), marker


# Listing


def test_pages_follow_each_other_without_gap_or_repetition(node, queue):
    node.post(queue, *(b"%d" % number for number in range(7)))
    seen = []
    found, marker = page(node, queue, limit=3)
    while found:
        seen.append(found)
        found, marker = page(node, queue, limit=3, marker=marker)
    assert seen == [[b"0", b"1", b"2"], [b"3", b"4", b"5"], [b"6"]]
    assert marker is None


def test_page_of_messages_is_ten_and_at_most_what_is_configured(node, queue):
    node.post(queue, *[b"1"] * 25)
    assert len(page(node, queue)[0]) == 10
    assert len(page(node, queue, limit=20)[0]) == 20
    for limit in (0, 21):
        with pytest.raises(OverLimit, match="Limit must be at least 1"):
            page(node, queue, limit=limit)


def test_marker_holds_after_its_message_is_deleted_and_through_other_nodes(node, other, queue):
    ids = node.post(queue, b"1", b"2", b"3")
    _, marker = page(node, queue, limit=1)
    node.messages.delete(queue, ids[0], None)
    node.messages.delete(queue, ids[1], None)
    node.post(queue, b"4")
    assert page(other, queue, marker=marker)[0] == [b"3", b"4"]


def test_marker_of_another_queue_gives_an_empty_page(node, queue, project):
    node.post(queue, b"1", b"2")
    _, marker = page(node, queue, limit=1)
    for foreign in (QueueRef(project, "other"), QueueRef(f"{project}x", queue.name)):
        node.post(foreign, b"1", b"2")
        assert page(node, foreign, marker=marker) == ([], None)


def test_malformed_marker_gives_an_empty_page(node, queue):
    node.post(queue, b"1", b"2")
    _, marker = page(node, queue, limit=1)
    tag = marker.partition("-")[2]
    for malformed in [
        *MALFORMED,
        "1",
        marker.upper() + "X",
        f"0{marker}",
        f" {marker}",
        f"{marker}\n",
        f"-1-{tag}",
        f"{'f' * 16}-{tag}",
        f"{'f' * 40}-{tag}",
    ]:
        assert page(node, queue, marker=malformed) == ([], None), malformed


@given(st.text(), st.text(), st.text(), st.text(), st.integers(0, 2**63 - 1))
def test_marker_means_its_place_in_its_queue_and_nothing_elsewhere(
    project, name, other_project, other_name, sequence
):
    queue, other = QueueRef(project, name), QueueRef(other_project, other_name)
    marker = markers.write(queue, sequence)
    assert markers.read(queue, marker) == sequence
    assert (markers.read(other, marker) == sequence) == (queue == other)


def test_marker_needs_no_escaping_in_a_link(queue):
    assert set(markers.write(queue, 2**53)) <= set("0123456789abcdef-")


def test_client_does_not_see_its_own_messages_unless_it_asks_for_echo(node, queue):
    node.messages.post(queue, [Posting(b'"own"')], body=b"", client_id=CLIENT)
    node.messages.post(queue, [Posting(b'"other"')], body=b"", client_id="other")
    node.messages.post(queue, [Posting(b'"anonymous"')], body=b"", client_id="")
    everything = [b'"own"', b'"other"', b'"anonymous"']
    assert page(node, queue, client_id=CLIENT)[0] == everything[1:]
    assert page(node, queue, client_id=CLIENT, echo=True)[0] == everything
    assert page(node, queue, client_id="")[0] == everything


def test_claimed_and_delayed_messages_are_listed_when_asked_for(node, queue):
    node.post(queue, b'"claimed"')
    node.claim(queue)
    node.post(queue, b'"delayed"', delay=60)
    node.post(queue, b'"free"')
    assert page(node, queue)[0] == [b'"free"']
    assert page(node, queue, include_claimed=True)[0] == [b'"claimed"', b'"free"']
    assert page(node, queue, include_delayed=True)[0] == [b'"delayed"', b'"free"']


def test_missing_queue_is_an_empty_page_and_is_not_made(node, queue):
    assert page(node, queue) == ([], None)
    assert not node.queues.exists(queue)


# By id


def test_messages_are_found_by_id_whatever_their_state(node, queue):
    (claimed,) = node.post(queue, b'"claimed"')
    node.claim(queue)
    (delayed,) = node.post(queue, b'"delayed"', delay=60)
    assert node.messages.get(queue, claimed).body == b'"claimed"'
    assert node.messages.get(queue, delayed).body == b'"delayed"'
    found = node.messages.get_many(queue, [delayed, "missing", *MALFORMED, claimed, delayed])
    assert [message.id for message in found] == [delayed, claimed]


@pytest.mark.parametrize("id", ["missing", *MALFORMED])
def test_message_that_is_not_there_is_not_found(node, queue, id):
    node.post(queue, b"1")
    with pytest.raises(MessageNotFound):
        node.messages.get(queue, id)
    with pytest.raises(MessageNotFound):
        node.messages.get_many(queue, [id, "missing"])


def test_message_is_only_found_in_its_queue_and_project(node, queue, project):
    (id,) = node.post(queue, b"1")
    for foreign in (QueueRef(project, "other"), QueueRef(f"{project}x", queue.name)):
        node.post(foreign, b"2")
        with pytest.raises(MessageNotFound):
            node.messages.get(foreign, id)
        node.messages.delete(foreign, id, None)
        node.messages.delete_many(foreign, [id], None)
    assert node.bodies(queue) == [b"1"]


@pytest.mark.parametrize("number", [0, 21])
def test_number_of_ids_is_bounded(node, queue, number):
    with pytest.raises(OverLimit, match="number of ids"):
        node.messages.get_many(queue, ["a"] * number)
    with pytest.raises(OverLimit, match="number of ids"):
        node.messages.delete_many(queue, ["a"] * number, None)


# Deleting one: the table of the specification, row by row


@pytest.mark.parametrize("id", ["missing", *MALFORMED])
@pytest.mark.parametrize("claim_id", [None, "missing", "é"])
def test_missing_message_counts_as_deleted_whatever_claim_is_named(node, queue, id, claim_id):
    node.messages.delete(queue, id, claim_id)
    node.post(queue, b"1")
    node.messages.delete(queue, id, claim_id)
    assert node.bodies(queue) == [b"1"]


def test_free_message_is_deleted(node, queue):
    ids = node.post(queue, b"1", b"2")
    node.messages.delete(queue, ids[0], None)
    assert node.bodies(queue) == [b"2"]


@pytest.mark.parametrize("claim_id", ["missing", *MALFORMED])
def test_free_message_is_kept_if_a_claim_is_named(node, queue, claim_id):
    (id,) = node.post(queue, b"1")
    with pytest.raises(ClaimExpired):
        node.messages.delete(queue, id, claim_id)
    assert node.bodies(queue) == [b"1"]


def test_claimed_message_is_deleted_with_its_claim_only(node, queue):
    (id,) = node.post(queue, b"1")
    claim = node.claim(queue)
    node.post(queue, b"2")
    other = node.claim(queue)
    for claim_id, refusal in [
        (None, MessageIsClaimed),
        (other.id, WrongClaim),
        ("missing", ClaimExpired),
        *((malformed, ClaimExpired) for malformed in MALFORMED),
    ]:
        with pytest.raises(refusal):
            node.messages.delete(queue, id, claim_id)
    node.messages.delete(queue, id, claim.id)
    assert node.bodies(queue) == [b"2"]
    assert node.claims.get(queue, claim.id).messages == ()


def test_claim_that_is_over_deletes_nothing(node, queue):
    (id,) = node.post(queue, b"1")
    claim = node.claim(queue, ttl=60)
    node.clock.advance(60)
    with pytest.raises(ClaimExpired):
        node.messages.delete(queue, id, claim.id)
    node.claim(queue)
    with pytest.raises(ClaimExpired):
        node.messages.delete(queue, id, claim.id)


# Deleting several


def test_several_are_deleted_claimed_or_not_and_unknown_ids_are_ignored(node, queue):
    ids = node.post(queue, b"1", b"2", b"3")
    node.claim(queue, limit=1)
    node.messages.delete_many(queue, [ids[0], ids[2], ids[0], "missing", *MALFORMED], ["ignored"])
    assert node.bodies(queue) == [b"2"]
    node.messages.delete_many(queue, MALFORMED, None)


def test_claims_must_be_named_where_the_option_asks_for_them(open_node, queue):
    node = open_node(message_delete_with_claim_id=True)
    ids = node.post(queue, b"1", b"2", b"3")
    claims = [node.claim(queue, limit=1), node.claim(queue, limit=1)]
    held = ids[:2]
    for claim_ids in (None, []):
        with pytest.raises(InvalidRequest, match="claim_ids must name") as refusal:
            node.messages.delete_many(queue, held, claim_ids)
        assert refusal.value.title == API
    for claim_ids in ([claims[0].id], ["missing"], MALFORMED):
        with pytest.raises(WrongClaim):
            node.messages.delete_many(queue, held, claim_ids)
    with pytest.raises(WrongClaim):
        node.messages.delete_many(queue, ids, [claim.id for claim in claims])
    assert len(node.all(queue)) == 3
    node.messages.delete_many(queue, [*held, "missing"], [*(claim.id for claim in claims), "é"])
    assert node.bodies(queue) == [b"3"]


# Popping


def test_pop_takes_the_oldest_free_messages(node, queue):
    node.post(queue, b'"claimed"')
    node.claim(queue)
    node.post(queue, b'"delayed"', delay=60)
    node.post(queue, b"1", b"2", b"3")
    assert bodies(node.messages.pop(queue, 2)) == [b"1", b"2"]
    assert bodies(node.messages.pop(queue, 20)) == [b"3"]
    assert node.messages.pop(queue, 20) == []
    assert len(node.all(queue)) == 2


@pytest.mark.parametrize("limit", [0, -1, 21])
def test_pop_out_of_bounds_takes_nothing(node, queue, limit):
    node.post(queue, b"1")
    with pytest.raises(OverLimit, match="pop must be at least 1 and may not exceed 20"):
        node.messages.pop(queue, limit)
    assert node.bodies(queue) == [b"1"]


def test_pop_of_a_missing_queue_is_empty_and_makes_none(node, queue):
    assert node.messages.pop(queue, 1) == []
    assert not node.queues.exists(queue)

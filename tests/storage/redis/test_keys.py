"""Keys: no two queues share one, all of a queue are in one slot, queues spread over a Cluster."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot

from queueing.core.models import QueueRef, message_id, request_token
from queueing.storage.redis.keys import (
    CLUSTER_PARTITIONS,
    Namespace,
    pack_id,
    queue_of,
    ref_of,
    unpack_id,
)

CLUSTER = Namespace("q", CLUSTER_PARTITIONS)

awkward = st.text(st.sampled_from("ab0123:{}.%/ \n\u00e9\ud800"), max_size=8)
queues = st.builds(QueueRef, awkward, awkward)


@given(queues, queues)
def test_no_two_queues_share_a_key(one: QueueRef, other: QueueRef) -> None:
    for names in (CLUSTER, Namespace("q", 1)):
        mine, theirs = names.queue(one), names.queue(other)
        own = {*mine.all[:13], mine.own(b"burials"), mine.own(b"key", b"x"), mine.tokens("0" * 32)}
        others = {*theirs.all[:13], theirs.own(b"burials"), theirs.own(b"key", b"x")}
        assert (one == other) == bool(own & others)


def test_keys_that_a_lax_spelling_would_confuse_differ() -> None:
    for one, other in [
        (QueueRef("a.b", "c"), QueueRef("a", "b.c")),
        (QueueRef("a/b", "c"), QueueRef("a", "b/c")),
        (QueueRef("1:a", "b"), QueueRef("", "a1:b")),
        (QueueRef("a{b}", "c"), QueueRef("a", "{b}c")),
    ]:
        assert not set(CLUSTER.queue(one).all[:13]) & set(CLUSTER.queue(other).all[:13])


@given(queues)
def test_all_keys_of_a_queue_are_in_one_slot(queue: QueueRef) -> None:
    keys = CLUSTER.queue(queue)
    more = [keys.own(b"key", b"{x}"), keys.tokens("ab"), CLUSTER.written(keys.partition)]
    assert len({key_slot(key) for key in (*keys.all, *more)}) == 1


@given(queues)
def test_a_queue_is_read_back_from_its_ref(queue: QueueRef) -> None:
    assert queue_of(ref_of(queue)) == queue


def test_queues_spread_evenly_over_a_cluster() -> None:
    thirds = Counter(
        key_slot(CLUSTER.queue(QueueRef("project", f"queue-{number}")).all[0])
        * 3
        // REDIS_CLUSTER_HASH_SLOTS
        for number in range(3000)
    )
    assert all(800 < number < 1200 for number in thirds.values())


def test_partitions_lie_evenly_over_the_slots() -> None:
    slots = [CLUSTER.slot(partition) for partition in range(CLUSTER_PARTITIONS)]
    width = REDIS_CLUSTER_HASH_SLOTS // CLUSTER_PARTITIONS
    assert [slot // width for slot in slots] == list(range(CLUSTER_PARTITIONS))


def test_partitions_never_change() -> None:
    """Messages are found by them: another release must look in the same places."""
    keys = CLUSTER.queue(QueueRef("default", "jobs"))
    assert keys.all[0] == b"q:state{53.13}7:default4:jobs"
    assert Namespace("q", 1).queue(QueueRef("a", "b")).all[0] == b"q:state{0.0}1:a1:b"


@given(st.text(max_size=70))
def test_an_id_is_read_back_as_it_was(id: str) -> None:
    assert unpack_id(pack_id(id)) == id


@pytest.mark.parametrize("odd", ["A" * 32, "0" * 31 + " ", "0" * 33, "0" * 35 + "g", "", "~" * 19])
def test_what_is_no_token_is_kept_as_it_is(odd: str) -> None:
    assert unpack_id(pack_id(odd)) == odd


def test_tokens_and_ids_take_half_of_their_digits() -> None:
    token = request_token()
    assert len(pack_id(token)) == 16
    assert len(pack_id(message_id(token, 1))) == 18

"""Dead letters: forwarded in the request that buries them, and never stranded nor doubled."""

from __future__ import annotations

import pytest

from queueing.core.errors import MessageNotFound, StorageUnavailable
from queueing.core.models import QueueRef
from queueing.service.sweeping import Sweeper
from queueing.storage.contract import DEAD_LETTERS_PER_STEP
from tests.service.conftest import CLIENT, bodies
from tests.service.interposed import unavailable

ACCEPT, CLEAR = "messages.accept_dead_letters", "messages.clear_dead_letters"


@pytest.fixture
def dying(node, queue, morgue):
    """A message of `queue` that the next claim buries; its id."""
    node.configure(queue, _dead_letter_queue=morgue.name, _max_claim_count=2)
    (id,) = node.post(queue, b'"dying"')
    node.claim_and_release(queue, 2)
    return id


def pile(node, queue):
    return node.storage.messages.dead_letters(queue, now=node.clock.now())


def test_message_claimed_too_often_is_moved_by_the_claim_that_meets_it(node, queue, morgue, dying):
    assert node.claim(queue) is None
    assert node.all(queue) == []
    with pytest.raises(MessageNotFound):
        node.messages.get(queue, dying)
    assert [message.id for message in node.all(morgue)] == [dying]
    assert pile(node, queue) == []


def test_moved_message_keeps_what_it_is_and_is_free(node, queue, morgue, dying):
    before = node.messages.get(queue, dying)
    node.clock.advance(10)
    node.claim(queue)
    after = node.messages.get(morgue, dying)
    assert after._replace(sequence=0) == before._replace(sequence=0)
    assert (after.client_id, after.claim_count, after.claim_id) == (CLIENT, 2, None)
    assert bodies(node.claim(morgue).messages) == [b'"dying"']


def test_moved_message_lives_as_long_as_the_queue_says_from_then_on(node, queue, morgue, dying):
    node.configure(
        queue,
        _dead_letter_queue=morgue.name,
        _max_claim_count=2,
        _dead_letter_queue_messages_ttl=7200,
    )
    node.clock.advance(10)
    node.claim(queue)
    moved = node.messages.get(morgue, dying)
    assert (moved.ttl, moved.expires_at) == (7200, node.clock.now() + 7200)


def test_claim_takes_what_lies_behind_a_dead_letter(node, queue, morgue, dying):
    node.post(queue, b'"alive"')
    assert bodies(node.claim(queue).messages) == [b'"alive"']
    assert node.bodies(morgue) == [b'"dying"']


def test_claim_finds_a_free_message_behind_more_dead_letters_than_one_step_buries(
    node, queue, morgue
):
    node.configure(queue, _dead_letter_queue=morgue.name, _max_claim_count=1)
    dying = [b"%d" % number for number in range(2 * DEAD_LETTERS_PER_STEP + 5)]
    node.post(queue, *dying)
    claims = []
    while claim := node.claim(queue, limit=20):
        claims.append(claim)
    for claim in claims:
        node.claims.release(queue, claim.id)
    node.post(queue, b'"alive"')
    assert bodies(node.claim(queue).messages) == [b'"alive"']
    assert node.bodies(morgue) == dying
    assert pile(node, queue) == []


def test_letters_arrive_in_their_order_and_go_where_their_rule_said(node, queue, morgue, project):
    second = QueueRef(project, "second-morgue")
    node.configure(queue, _dead_letter_queue=morgue.name, _max_claim_count=1)
    node.post(queue, b"1", b"2", b"3", b"4")
    node.claims.release(queue, node.claim(queue, limit=2).id)
    node.store.before(ACCEPT, unavailable)
    node.claim_and_release(queue, 1)  # buries 1 and 2, takes 3 and 4
    node.configure(queue, _dead_letter_queue=second.name, _max_claim_count=1)
    assert node.claim(queue) is None
    assert node.bodies(morgue) == [b"1", b"2"]
    assert node.bodies(second) == [b"3", b"4"]


def test_pile_of_more_than_one_step_is_forwarded_whole(node, queue, morgue):
    node.configure(queue, _dead_letter_queue=morgue.name, _max_claim_count=1)
    dying = [b"%d" % number for number in range(DEAD_LETTERS_PER_STEP + 5)]
    node.post(queue, *dying)
    claims = []
    while claim := node.claim(queue, limit=20):
        claims.append(claim)
    for claim in claims:
        node.claims.release(queue, claim.id)
    node.store.before(ACCEPT, unavailable, unavailable)
    for _ in range(2):
        with pytest.raises(StorageUnavailable):
            node.claim(queue)
    node.queues.delete(queue)
    assert node.bodies(morgue) == dying
    assert pile(node, queue) == []


def test_missing_target_is_made_and_needs_no_settings_of_its_own(node, queue, morgue, dying):
    assert not node.queues.exists(morgue)
    node.claim(queue)
    assert node.queues.exists(morgue)


@pytest.mark.parametrize("step", [ACCEPT, CLEAR])
def test_forward_interrupted_before_a_step_is_finished_by_the_next_claim_of_any_node(
    node, other, queue, morgue, dying, step
):
    node.store.before(step, unavailable)
    with pytest.raises(StorageUnavailable):
        node.claim(queue)
    assert len(pile(node, queue)) == 1
    assert other.claim(queue) is None
    assert [message.id for message in other.all(morgue)] == [dying]
    assert pile(node, queue) == []


@pytest.mark.parametrize("step", [ACCEPT, CLEAR])
def test_forward_interrupted_after_a_step_moves_the_message_once(
    node, other, queue, morgue, dying, step
):
    node.store.after(step, unavailable)
    with pytest.raises(StorageUnavailable):
        node.claim(queue)
    assert other.claim(queue) is None
    assert [message.id for message in other.all(morgue)] == [dying]
    assert pile(node, queue) == []


def test_letter_that_was_accepted_and_deleted_does_not_come_back(node, other, queue, morgue, dying):
    node.store.before(CLEAR, unavailable)
    with pytest.raises(StorageUnavailable):
        node.claim(queue)
    other.messages.delete(morgue, dying, None)
    assert other.claim(queue) is None
    assert other.all(morgue) == []
    assert pile(node, queue) == []


@pytest.mark.parametrize("step", [ACCEPT, CLEAR])
def test_two_nodes_that_forward_the_same_letter_move_it_once(
    node, other, queue, morgue, dying, step
):
    node.store.before(step, lambda: other.claim(queue))
    assert node.claim(queue) is None
    assert [message.id for message in node.all(morgue)] == [dying]
    assert pile(node, queue) == []


def test_letter_that_a_second_node_forwarded_and_a_client_took_is_not_moved_again(
    node, other, queue, morgue, dying
):
    def meanwhile() -> None:
        other.claim(queue)
        assert bodies(other.messages.pop(morgue, 1)) == [b'"dying"']

    node.store.before(ACCEPT, meanwhile)
    assert node.claim(queue) is None
    assert node.all(morgue) == []


def test_claim_with_messages_is_answered_even_if_the_letters_have_to_wait(
    node, other, queue, morgue, dying
):
    node.post(queue, b'"alive"')
    node.store.before(ACCEPT, unavailable)
    assert bodies(node.claim(queue).messages) == [b'"alive"']
    assert len(pile(node, queue)) == 1
    assert other.claim(queue) is None
    assert node.bodies(morgue) == [b'"dying"']


@pytest.mark.parametrize("step", [ACCEPT, CLEAR])
def test_deleting_a_queue_forwards_its_pile(node, other, queue, morgue, dying, step):
    node.store.before(step, unavailable)
    with pytest.raises(StorageUnavailable):
        node.claim(queue)
    other.queues.delete(queue)
    assert [message.id for message in other.all(morgue)] == [dying]
    assert pile(node, queue) == []
    assert not other.queues.exists(queue)


def test_pile_of_a_deleted_queue_whose_forward_failed_is_left_for_the_sweeper(
    node, other, queue, morgue, dying
):
    node.store.before(ACCEPT, unavailable, unavailable)
    with pytest.raises(StorageUnavailable):
        node.claim(queue)
    with pytest.raises(StorageUnavailable):
        node.queues.delete(queue)
    assert not node.queues.exists(queue)
    assert Sweeper(other.storage, other.clock).sweep().forwarded >= 1
    assert [message.id for message in other.all(morgue)] == [dying]


def test_letter_that_expires_on_the_pile_is_gone(node, queue, morgue):
    node.configure(queue, _dead_letter_queue=morgue.name, _max_claim_count=1)
    node.post(queue, b"1", ttl=100)
    claim = node.claim(queue, ttl=60)
    node.claims.release(queue, claim.id)
    node.store.before(ACCEPT, unavailable)
    with pytest.raises(StorageUnavailable):
        node.claim(queue)
    node.clock.advance(100)
    assert node.claim(queue) is None
    assert node.all(morgue) == []


def test_either_setting_alone_does_nothing(node, queue, morgue):
    for metadata in ({"_dead_letter_queue": morgue.name}, {"_max_claim_count": 1}):
        node.configure(queue, **metadata)
        node.post(queue, b"1")
        node.claim_and_release(queue, 4)
    assert not node.queues.exists(morgue)


def test_dead_letters_of_a_project_stay_in_it(node, queue, morgue, dying):
    foreign = QueueRef(f"{queue.project}x", morgue.name)
    node.claim(queue)
    assert not node.queues.exists(foreign)

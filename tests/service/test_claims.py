"""Claims: terms, lifetimes, and settings that change meanwhile."""

from __future__ import annotations

import pytest

from queueing.core.errors import ClaimNotFound, OverLimit, StorageUnavailable
from queueing.core.models import QueueRef
from queueing.service.settings import ATTEMPTS
from tests.service.conftest import bodies

MALFORMED = ["", "x" * 65, "é", "a b", "\x00"]


def test_claim_is_one_step_of_the_store(node, queue):
    node.post(queue, b"1")
    node.steps.clear()
    node.claim(queue)
    assert node.steps == ["claims.claim"]


def test_claim_on_a_queue_with_settings_is_one_step_once_they_are_known(node, queue, morgue):
    node.configure(queue, _dead_letter_queue=morgue.name, _max_claim_count=5)
    node.post(queue, b"1", b"2")
    node.claim(queue, limit=1)
    node.steps.clear()
    node.claim(queue, limit=1)
    assert node.steps == ["claims.claim"]


def test_claim_takes_the_oldest_ten_unless_told_otherwise(node, queue):
    node.post(queue, *(b"%d" % number for number in range(25)))
    assert bodies(node.claim(queue).messages) == [b"%d" % number for number in range(10)]
    assert bodies(node.claim(queue, limit=2).messages) == [b"10", b"11"]
    for limit in (0, 21):
        with pytest.raises(OverLimit, match="Limit must be at least 1 and may not exceed 20"):
            node.claim(queue, limit=limit)


def test_nothing_to_claim_is_no_claim(node, queue):
    assert node.claim(queue) is None
    assert not node.queues.exists(queue)
    node.post(queue, b"1", delay=60)
    assert node.claim(queue) is None


def test_claim_that_says_nothing_has_the_configured_terms(open_node, queue):
    node = open_node(default_claim_ttl=100, default_claim_grace=70)
    node.post(queue, b"1", ttl=60)
    claim = node.claim(queue)
    assert claim.ttl == 100
    assert [message.ttl for message in claim.messages] == [170]


@pytest.mark.parametrize(("ttl", "grace"), [(59, None), (43201, None), (None, 59), (None, 43201)])
def test_terms_out_of_bounds_claim_nothing(node, queue, ttl, grace):
    node.post(queue, b"1")
    with pytest.raises(OverLimit, match="must be at least 60 and may not exceed 43200"):
        node.claims.create(queue, ttl=ttl, grace=grace, limit=None)
    assert node.claim(queue)


def test_lifetime_example_of_the_specification(node, queue):
    (id,) = node.post(queue, b"1", ttl=60)
    posted_at = node.clock.now()
    node.clock.advance(10)
    node.claims.create(queue, ttl=300, grace=100, limit=None)
    message = node.messages.get(queue, id)
    assert (message.ttl, message.expires_at) == (400, posted_at + 410)


def test_claim_shows_what_is_still_under_it(node, queue):
    ids = node.post(queue, b"1", b"2")
    claim = node.claim(queue)
    node.messages.delete(queue, ids[0], claim.id)
    seen = node.claims.get(queue, claim.id)
    assert bodies(seen.messages) == [b"2"]
    assert (seen.id, seen.ttl, seen.fence) == (claim.id, claim.ttl, claim.fence)


def test_renewed_claim_has_the_configured_terms_again_and_starts_anew(node, queue):
    node.post(queue, b"1")
    claim = node.claim(queue, ttl=60)
    node.clock.advance(59)
    node.claims.renew(queue, claim.id, ttl=None, grace=None)
    seen = node.claims.get(queue, claim.id)
    assert (seen.ttl, seen.claimed_at) == (300, node.clock.now())


def test_grace_of_a_renewal_is_lenient_and_its_ttl_is_not(node, queue):
    node.post(queue, b"1", ttl=60)
    claim = node.claim(queue, ttl=60)
    node.claims.renew(queue, claim.id, ttl=200, grace=0)
    assert [message.ttl for message in node.claims.get(queue, claim.id).messages] == [200]
    for ttl, grace in [(59, 60), (43201, 60), (60, -1)]:
        with pytest.raises(OverLimit):
            node.claims.renew(queue, claim.id, ttl=ttl, grace=grace)
    assert node.claims.get(queue, claim.id).ttl == 200


def test_claim_that_is_over_or_released_is_not_found(node, queue):
    node.post(queue, b"1")
    over = node.claim(queue, ttl=60)
    node.clock.advance(60)
    released = node.claim(queue)
    node.claims.release(queue, released.id)
    for id in [over.id, released.id, "missing", *MALFORMED]:
        with pytest.raises(ClaimNotFound):
            node.claims.get(queue, id)
        with pytest.raises(ClaimNotFound):
            node.claims.renew(queue, id, ttl=None, grace=None)
        node.claims.release(queue, id)


def test_bounds_of_a_renewal_are_checked_before_the_claim_is_looked_for(node, queue):
    with pytest.raises(OverLimit):
        node.claims.renew(queue, "missing", ttl=1, grace=None)
    with pytest.raises(OverLimit):
        node.claims.renew(queue, "é", ttl=None, grace=-1)


def test_claim_is_only_found_in_its_queue_and_project(node, queue, project):
    node.post(queue, b"1")
    claim = node.claim(queue)
    for foreign in (QueueRef(project, "other"), QueueRef(f"{project}x", queue.name)):
        node.post(foreign, b"2")
        with pytest.raises(ClaimNotFound):
            node.claims.get(foreign, claim.id)
        node.claims.release(foreign, claim.id)
    assert node.claims.get(queue, claim.id).messages


def test_dead_letter_rule_set_by_another_node_holds_for_the_next_claim(node, other, queue, morgue):
    node.post(queue, b"1")
    node.claim_and_release(queue, 1)
    other.configure(queue, _dead_letter_queue=morgue.name, _max_claim_count=1)
    node.claim_and_release(queue, 1)  # without a rule nothing was counted
    assert node.claim(queue) is None
    assert node.bodies(morgue) == [b"1"]


def test_dead_letter_rule_changed_between_looking_and_claiming_holds_for_the_claim(
    node, other, queue, morgue
):
    node.configure(queue, _dead_letter_queue=morgue.name, _max_claim_count=1)
    node.post(queue, b"1")
    node.claim_and_release(queue, 1)
    node.store.before("claims.claim", lambda: other.configure(queue))
    assert bodies(node.claim(queue).messages) == [b"1"]
    assert node.bodies(morgue) == []


def test_settings_that_change_with_every_attempt_end_the_claim_as_unavailable(node, other, queue):
    node.post(queue, b"1")
    values = iter(range(1000))
    node.store.before("claims.claim", *[lambda: other.configure(queue, n=next(values))] * ATTEMPTS)
    with pytest.raises(StorageUnavailable, match="changed 10 times"):
        node.claim(queue)
    assert bodies(node.claim(queue).messages) == [b"1"]

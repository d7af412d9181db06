"""Delete one message or several, with and without claims."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from queueing.core.clock import ManualClock
from tests.support.http import (
    API,
    DELETE,
    NOT_FOUND,
    Api,
    empty,
    refused,
    success,
)
from tests.support.node import Node

# Delete one


@pytest.mark.parametrize("query", ["", "?claim_id=", "?claim_id", "?claim_id=x", "?claim_id=%00"])
def test_delete_of_a_missing_message(api: Api, query: str) -> None:
    empty(api.delete(f"/v2/queues/q/messages/x{query}"))
    api.create("q")
    empty(api.delete(f"/v2/queues/q/messages/x{query}"))
    api.say("q", 1)
    claim = api.claim("q")
    empty(api.delete(f"/v2/queues/q/messages/x?claim_id={claim.id}"))


@pytest.mark.parametrize("query", ["", "?claim_id=", "?claim_id"])
def test_delete_of_an_unclaimed_message(api: Api, query: str) -> None:
    [id] = api.say("q", 1)
    empty(api.delete(f"/v2/queues/q/messages/{id}{query}"))
    assert api.counts("q") == (0, 0, 0)
    empty(api.delete(f"/v2/queues/q/messages/{id}{query}"))
    refused(api.get(f"/v2/queues/q/messages/{id}"), 404, NOT_FOUND)


@pytest.mark.parametrize("claim_id", ["x", "%20x", "%00", "%FF", "a" * 300, "00000000", "a=b"])
def test_delete_of_an_unclaimed_message_that_names_a_claim(api: Api, claim_id: str) -> None:
    [id] = api.say("q", 1)
    refused(api.delete(f"/v2/queues/q/messages/{id}?claim_id={claim_id}"), 400, DELETE)
    assert api.counts("q") == (1, 0, 1)


def test_delete_of_an_unclaimed_message_that_names_a_live_claim(api: Api) -> None:
    _, two = api.say("q", 1, 2)
    claim = api.claim("q", limit=1)
    refused(api.delete(f"/v2/queues/q/messages/{two}?claim_id={claim.id}"), 400, DELETE)
    assert api.counts("q") == (1, 1, 2)


@pytest.mark.parametrize("query", ["", "?claim_id=", "?claim_id"])
def test_delete_of_a_claimed_message_without_its_claim(api: Api, query: str) -> None:
    [id] = api.say("q", 1)
    api.claim("q")
    refused(api.delete(f"/v2/queues/q/messages/{id}{query}"), 403, DELETE)
    assert api.counts("q") == (0, 1, 1)


def test_delete_of_a_claimed_message_with_its_claim(api: Api) -> None:
    one, two = api.say("q", 1, 2)
    claim = api.claim("q")
    empty(api.delete(f"/v2/queues/q/messages/{one}?claim_id={claim.id}"))
    assert [m["id"] for m in success(api.get(claim.location))["messages"]] == [two]
    empty(api.delete(claim.location))
    assert api.bodies("q") == [2]


def test_delete_by_the_href_that_the_claim_gave(api: Api) -> None:
    api.say("q", 1)
    [message] = api.claim("q").messages
    empty(api.delete(message["href"]))
    assert api.counts("q") == (0, 0, 0)


def test_delete_of_a_claimed_message_with_another_live_claim(api: Api) -> None:
    one, two = api.say("q", 1, 2)
    api.claim("q", limit=1)
    other = api.claim("q", limit=1)
    assert other.message_ids == [two]
    refused(api.delete(f"/v2/queues/q/messages/{one}?claim_id={other.id}"), 403, DELETE)
    assert api.counts("q") == (0, 2, 2)


@pytest.mark.parametrize("claim_id", ["x", "%00", "%FF", "a" * 300])
def test_delete_of_a_claimed_message_with_an_unknown_claim(api: Api, claim_id: str) -> None:
    [id] = api.say("q", 1)
    api.claim("q")
    refused(api.delete(f"/v2/queues/q/messages/{id}?claim_id={claim_id}"), 400, DELETE)
    assert api.counts("q") == (0, 1, 1)


def test_delete_with_a_claim_of_another_queue(api: Api) -> None:
    [id] = api.say("q", 1)
    api.claim("q")
    api.say("p", 1)
    foreign = api.claim("p")
    refused(api.delete(f"/v2/queues/q/messages/{id}?claim_id={foreign.id}"), 400, DELETE)


def test_delete_of_a_claimed_message_with_a_released_claim(api: Api) -> None:
    [id] = api.say("q", 1)
    released = api.claim("q")
    empty(api.delete(released.location))
    refused(api.delete(f"/v2/queues/q/messages/{id}?claim_id={released.id}"), 400, DELETE)
    api.claim("q")
    refused(api.delete(f"/v2/queues/q/messages/{id}?claim_id={released.id}"), 400, DELETE)
    assert api.counts("q") == (0, 1, 1)


def test_delete_with_an_expired_claim(timed: Api, clock: ManualClock) -> None:
    [id] = timed.say("q", 1)
    late = timed.claim("q", ttl=60)
    clock.advance(60)
    refused(timed.delete(f"/v2/queues/q/messages/{id}?claim_id={late.id}"), 400, DELETE)
    claim = timed.claim("q", ttl=60)
    refused(timed.delete(f"/v2/queues/q/messages/{id}?claim_id={late.id}"), 400, DELETE)
    assert timed.counts("q") == (0, 1, 1)
    empty(timed.delete(f"/v2/queues/q/messages/{id}?claim_id={claim.id}"))


def test_delete_after_a_claim_expired_needs_no_claim(timed: Api, clock: ManualClock) -> None:
    [id] = timed.say("q", 1)
    timed.claim("q", ttl=60)
    clock.advance(60)
    empty(timed.delete(f"/v2/queues/q/messages/{id}"))
    assert timed.counts("q") == (0, 0, 0)


# Delete several


def test_q29_delete_several_takes_claimed_ones_too_and_ignores_unknown_ones(api: Api) -> None:
    one, two, _ = api.say("q", 1, 2, 3)
    claim = api.claim("q", limit=1)
    empty(api.delete(f"/v2/queues/q/messages?ids={one},{two},nope,{two}"))
    assert api.bodies("q", "echo=true&include_claimed=true") == [3]
    assert success(api.get(claim.location))["messages"] == []
    empty(api.delete(f"/v2/queues/q/messages?ids={one},nope"))
    assert api.counts("q") == (1, 0, 1)


@pytest.mark.parametrize("query", ["", "?", "?ids=", "?pop=", "?ids=&pop=", "?limit=5", "?pop=%20"])
def test_the_whole_collection_is_not_deleted(api: Api, query: str) -> None:
    api.say("q", 1)
    assert api.delete(f"/v2/queues/q/messages{query}").status_code == 400
    assert api.counts("q") == (1, 0, 1)


@pytest.mark.parametrize("query", ["pop=1&ids={id}", "ids={id}&pop=1", "ids=nope&pop=1"])
def test_delete_or_pop_but_not_both(api: Api, query: str) -> None:
    [id] = api.say("q", 1)
    refused(api.delete(f"/v2/queues/q/messages?{query.format(id=id)}"), 400, API)
    assert api.counts("q") == (1, 0, 1)


def test_claim_ids_are_ignored_unless_the_option_is_on(api: Api) -> None:
    one, two = api.say("q", 1, 2)
    empty(api.delete(f"/v2/queues/q/messages?ids={one}&claim_ids=nope"))
    refused(api.delete("/v2/queues/q/messages?claim_ids=nope"), 400, API)
    popped = success(api.delete("/v2/queues/q/messages?pop=1&claim_ids=nope"))["messages"]
    assert [message["id"] for message in popped] == [two]


@pytest.fixture
def careful(node_with: Callable[..., Node]) -> Api:
    """Deleting several messages needs their claims."""
    return node_with(message_delete_with_claim_id=True).api()


def test_delete_several_with_their_claims(careful: Api) -> None:
    ids = careful.say("q", 1, 2, 3)
    first, second = careful.claim("q", limit=2), careful.claim("q", limit=1)
    both = f"{first.id},{second.id}"
    empty(careful.delete(f"/v2/queues/q/messages?ids={','.join(ids)},nope&claim_ids={both}"))
    assert careful.counts("q") == (0, 0, 0)


def test_q30_delete_several_of_which_one_is_not_under_the_claims(careful: Api) -> None:
    one, two, three = careful.say("q", 1, 2, 3)
    first, second = careful.claim("q", limit=1), careful.claim("q", limit=1)
    for ids, claims in (
        ([one, two], [first.id]),
        ([one, three], [first.id, second.id]),
        ([three], [first.id]),
        ([one], [second.id]),
        ([one], ["nope"]),
        ([two, one], [first.id, "nope"]),
    ):
        path = f"/v2/queues/q/messages?ids={','.join(ids)}&claim_ids={','.join(claims)}"
        refused(careful.delete(path), 403, DELETE)
        assert careful.counts("q") == (1, 2, 3)
    empty(careful.delete(f"/v2/queues/q/messages?ids={one},gone&claim_ids={first.id}"))
    assert careful.counts("q") == (1, 1, 2)


def test_delete_several_with_an_expired_claim(careful: Api, node_with: Callable[..., Node]) -> None:
    clock = node_with(message_delete_with_claim_id=True).clock
    [id] = careful.say("q", 1)
    claim = careful.claim("q", ttl=60)
    clock.advance(60)
    refused(careful.delete(f"/v2/queues/q/messages?ids={id}&claim_ids={claim.id}"), 403, DELETE)
    assert careful.counts("q") == (1, 0, 1)


@pytest.mark.parametrize(
    "query", ["ids={id}", "claim_ids={claim}", "ids={id}&claim_ids=", "pop=1&claim_ids={claim}"]
)
def test_ids_and_claim_ids_come_together(careful: Api, query: str) -> None:
    [id, _] = careful.say("q", 1, 2)
    claim = careful.claim("q", limit=1)
    path = f"/v2/queues/q/messages?{query.format(id=id, claim=claim.id)}"
    refused(careful.delete(path), 400, API)
    assert careful.counts("q") == (1, 1, 2)


def test_single_delete_and_pop_do_not_depend_on_the_option(careful: Api) -> None:
    one, two = careful.say("q", 1, 2)
    empty(careful.delete(f"/v2/queues/q/messages/{one}"))
    assert [message["id"] for message in careful.pop("q", 1)] == [two]

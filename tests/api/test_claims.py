"""Claims: take, look, renew, release; fences."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import Any

import pytest

from queueing.core.clock import ManualClock
from tests.support.http import API, BODY, NOT_FOUND, PARAMETER, Api, empty, refused, success
from tests.support.node import Node


def test_claiming_gives_the_oldest_messages_with_their_claim_in_the_href(
    timed: Api, clock: ManualClock
) -> None:
    ids = timed.say("q", 1, 2, 3)
    clock.advance(45)
    answer = timed.post("/v2/queues/q/claims?limit=2", json={"ttl": 300, "grace": 60})
    claimed = success(answer, 201)
    location = answer.headers["Location"]
    assert re.fullmatch(r"/v2/queues/q/claims/[A-Za-z0-9_-]+", location)
    claim_id = location.rsplit("/", 1)[1]
    messages = [
        {
            "id": id,
            "href": f"/v2/queues/q/messages/{id}?claim_id={claim_id}",
            "ttl": 3600,
            "age": 45,
            "body": body,
        }
        for id, body in zip(ids[:2], (1, 2), strict=True)
    ]
    assert claimed == {"messages": messages}
    clock.advance(12)
    for message in messages:
        message["age"] = 57
    assert success(timed.get(location)) == {
        "age": 12,
        "ttl": 300,
        "href": location,
        "messages": messages,
    }


@pytest.mark.parametrize("body", [None, b"", b"{}", b'{"ttl": null, "grace": null}'])
def test_q28_defaults_of_a_claim(api: Api, body: bytes | None) -> None:
    api.say("q", *range(12))
    answer = api.post("/v2/queues/q/claims", body=body)
    assert len(success(answer, 201)["messages"]) == 10
    assert success(api.get(answer.headers["Location"]))["ttl"] == 300


def test_defaults_and_bounds_are_settings(node_with: Callable[..., Node]) -> None:
    node = node_with(
        default_claim_ttl=70,
        max_claim_ttl=80,
        default_claim_grace=90,
        max_claim_grace=100,
    )
    api = node.api()
    api.say("q", 1, ttl=60)
    claim = api.claim("q")
    assert success(api.get(claim.location))["ttl"] == 70
    assert success(api.get(claim.location))["messages"][0]["ttl"] == 160
    refused(api.post("/v2/queues/q/claims", json={"ttl": 81}), 400, API, "80")
    refused(api.post("/v2/queues/q/claims", json={"grace": 101}), 400, API, "100")


@pytest.mark.parametrize(("ttl", "grace"), [(60, 60), (43200, 43200), (60, 43200)])
def test_bounds_are_included(api: Api, ttl: int, grace: int) -> None:
    api.say("q", 1)
    claim = api.claim("q", ttl=ttl, grace=grace)
    assert success(api.get(claim.location))["ttl"] == ttl


@pytest.mark.parametrize(
    "terms",
    [{"ttl": 59}, {"ttl": 43201}, {"ttl": 0}, {"ttl": -1}, {"grace": 59}, {"grace": 43201},
     {"grace": 0}, {"grace": -1}, {"ttl": 2**63 - 1}, {"ttl": 100, "grace": 1}],
)  # fmt: skip
def test_terms_out_of_bounds(api: Api, terms: dict[str, int]) -> None:
    api.say("q", 1)
    refused(api.post("/v2/queues/q/claims", json=terms), 400, API)
    assert api.counts("q") == (1, 0, 1)


@pytest.mark.parametrize("field", ["ttl", "grace"])
@pytest.mark.parametrize("value", ["60", "", 60.0, 1e2, True, False, [], [60], {}])
def test_terms_of_a_wrong_type(api: Api, field: str, value: Any) -> None:
    api.say("q", 1)
    refused(api.post("/v2/queues/q/claims", json={field: value}), 400, BODY)
    assert api.counts("q") == (1, 0, 1)
    claim = api.claim("q", ttl=77)
    refused(api.patch(claim.location, json={field: value}), 400, BODY)
    assert success(api.get(claim.location))["ttl"] == 77


@pytest.mark.parametrize("body", [b"[]", b"null", b"5", b'"x"', b"{", b" ", b'[{"ttl": 60}]'])
def test_terms_that_are_no_object(api: Api, body: bytes) -> None:
    refused(api.post("/v2/queues/q/claims", body=body), 400, BODY)


@pytest.mark.parametrize(
    ("limit", "title"),
    [
        ("0", API),
        ("21", API),
        ("-1", API),
        ("x", PARAMETER),
        ("1.5", PARAMETER),
        ("1_0", PARAMETER),
    ],
)
def test_limits_of_claims(api: Api, limit: str, title: str) -> None:
    api.say("q", 1)
    refused(api.post(f"/v2/queues/q/claims?limit={limit}"), 400, title)
    assert api.counts("q") == (1, 0, 1)


def test_nothing_to_claim(api: Api) -> None:
    for _ in range(2):
        answer = empty(api.post("/v2/queues/q/claims"))
        assert "Location" not in answer.headers
        assert "Claim-Fence" not in answer.headers
    assert api.queue_names() == []
    api.create("q")
    api.say("q", "later", delay=900)
    empty(api.post("/v2/queues/q/claims"))


def test_a_claimed_message_is_not_claimed_again(api: Api) -> None:
    api.say("q", *range(5))
    first = api.claim("q", limit=2)
    second = api.claim("q", limit=2)
    third = api.claim("q", limit=2)
    assert (first.bodies, second.bodies, third.bodies) == ([0, 1], [2, 3], [4])
    assert len({first.id, second.id, third.id}) == 3
    assert not api.claim("q")


def test_q9_a_claim_takes_neither_claimed_nor_delayed_messages_behind_free_ones(api: Api) -> None:
    api.say("q", 1, 2, 3)
    first = api.claim("q", limit=1)
    middle = api.claim("q", limit=1)
    api.say("q", "later", delay=900)
    empty(api.delete(first.location))
    assert api.claim("q", limit=20).bodies == [1, 3]
    assert success(api.get(middle.location))["messages"][0]["body"] == 2


def test_released_messages_are_free_at_their_old_places(api: Api) -> None:
    api.say("q", *range(4))
    first, second = api.claim("q", limit=2), api.claim("q", limit=1)
    empty(api.delete(first.location))
    assert api.bodies("q") == [0, 1, 3]
    assert api.claim("q", limit=20).bodies == [0, 1, 3]
    empty(api.delete(second.location))
    assert api.claim("q", limit=20).bodies == [2]


def test_expired_claims_free_their_messages_at_their_old_places(
    timed: Api, clock: ManualClock
) -> None:
    timed.say("q", *range(3))
    claim = timed.claim("q", limit=2, ttl=60)
    clock.advance(59)
    assert timed.claim("q", limit=20, ttl=60).bodies == [2]
    assert success(timed.get(claim.location))["age"] == 59
    clock.advance(1)
    refused(timed.get(claim.location), 404, NOT_FOUND)
    assert timed.bodies("q") == [0, 1]
    assert timed.claim("q", limit=20).bodies == [0, 1]


def test_q13_the_href_of_an_expired_claim_is_forgotten(timed: Api, clock: ManualClock) -> None:
    [id] = timed.say("q", 1)
    timed.claim("q", ttl=60)
    clock.advance(60)
    href = f"/v2/queues/q/messages/{id}"
    assert timed.listed("q")[0]["href"] == href
    assert success(timed.get(href))["href"] == href
    assert success(timed.get(f"/v2/queues/q/messages?ids={id}"))["messages"][0]["href"] == href


def test_q64_a_claim_without_messages_stays_until_it_is_over(
    timed: Api, clock: ManualClock
) -> None:
    [id] = timed.say("q", 1)
    claim = timed.claim("q", ttl=60)
    empty(timed.delete(f"/v2/queues/q/messages/{id}?claim_id={claim.id}"))
    assert success(timed.get(claim.location))["messages"] == []
    empty(timed.patch(claim.location, json={"ttl": 100}))
    clock.advance(99)
    success(timed.get(claim.location))
    clock.advance(1)
    refused(timed.get(claim.location), 404, NOT_FOUND)


@pytest.mark.parametrize("claim_id", ["nope", "0" * 32, "%FF", "%00", "x" * 300])
def test_unknown_claims(api: Api, claim_id: str) -> None:
    for queue in ("q", "missing"):
        location = f"/v2/queues/{queue}/claims/{claim_id}"
        refused(api.get(location), 404, NOT_FOUND)
        refused(api.patch(location, json={}), 404, NOT_FOUND)
        empty(api.delete(location))
        if queue == "q":
            api.say("q", 1)
    assert api.counts("q") == (1, 0, 1)


def test_released_claims_are_gone(api: Api) -> None:
    api.say("q", 1)
    claim = api.claim("q")
    for _ in range(2):
        empty(api.delete(claim.location))
    refused(api.get(claim.location), 404, NOT_FOUND)
    refused(api.patch(claim.location, json={"ttl": 60}), 404, NOT_FOUND)


# Renewal


def test_renewal_starts_the_claim_again(timed: Api, clock: ManualClock) -> None:
    timed.say("q", 1)
    claim = timed.claim("q", ttl=60)
    clock.advance(50)
    empty(timed.patch(claim.location, json={"ttl": 100, "grace": 60}))
    shown = success(timed.get(claim.location))
    assert (shown["age"], shown["ttl"]) == (0, 100)
    clock.advance(99)
    assert success(timed.get(claim.location))["age"] == 99
    assert not timed.claim("q")
    clock.advance(1)
    refused(timed.get(claim.location), 404, NOT_FOUND)
    assert timed.claim("q").bodies == [1]


@pytest.mark.parametrize("document", [{}, {"grace": 70}, {"ttl": None}])
def test_q28_a_renewal_without_ttl_takes_the_configured_one(
    api: Api, document: dict[str, Any]
) -> None:
    api.say("q", 1)
    claim = api.claim("q", ttl=77)
    empty(api.patch(claim.location, json=document))
    assert success(api.get(claim.location))["ttl"] == 300


def test_a_renewal_may_shorten_a_claim(timed: Api, clock: ManualClock) -> None:
    timed.say("q", 1)
    claim = timed.claim("q", ttl=10_000)
    empty(timed.patch(claim.location, json={"ttl": 60}))
    clock.advance(60)
    assert timed.claim("q").bodies == [1]


def test_an_expired_claim_is_not_renewed(timed: Api, clock: ManualClock) -> None:
    timed.say("q", 1)
    claim = timed.claim("q", ttl=60)
    clock.advance(60)
    refused(timed.patch(claim.location, json={"ttl": 60}), 404, NOT_FOUND)
    assert timed.claim("q").bodies == [1]


@pytest.mark.parametrize("ttl", [0, 59, -1, 43201, 2**63 - 1])
def test_a_renewal_has_the_bounds_of_a_claim(api: Api, ttl: int) -> None:
    api.say("q", 1)
    claim = api.claim("q", ttl=77)
    refused(api.patch(claim.location, json={"ttl": ttl}), 400, API)
    assert success(api.get(claim.location))["ttl"] == 77


@pytest.mark.parametrize(
    ("grace", "lifetime"), [(0, 100), (1, 101), (59, 159), (43201, 43300), (2**62, 43300)]
)
def test_q28_but_is_lenient_with_grace(timed: Api, grace: int, lifetime: int) -> None:
    timed.say("q", 1, ttl=70)
    claim = timed.claim("q", ttl=60)
    empty(timed.patch(claim.location, json={"ttl": 100, "grace": grace}))
    assert success(timed.get(claim.location))["messages"][0]["ttl"] == lifetime


def test_q28_except_a_negative_one(api: Api) -> None:
    api.say("q", 1)
    claim = api.claim("q", ttl=77)
    refused(api.patch(claim.location, json={"grace": -1}), 400, API)
    assert success(api.get(claim.location))["ttl"] == 77


def test_a_renewal_needs_a_body(api: Api) -> None:
    api.say("q", 1)
    claim = api.claim("q", ttl=77)
    for body in (None, b"", b" ", b"[]", b"null"):
        refused(api.patch(claim.location, body=body), 400, BODY)
    assert success(api.get(claim.location))["ttl"] == 77


# Lifetimes


def test_lifetime_example_extended(timed: Api, clock: ManualClock) -> None:
    """Section 18: posted at 0 with 60, claimed at 10 for 300 + 100: ends at 410 and shows 400."""
    [id] = timed.say("q", 1, ttl=60)
    clock.advance(10)
    claim = timed.claim("q", ttl=300, grace=100)
    assert claim.messages[0]["ttl"] == 400
    assert success(timed.get(claim.location))["messages"][0]["ttl"] == 400
    clock.advance(299)
    assert success(timed.get(claim.location))["messages"][0]["age"] == 309
    clock.advance(1)  # 310: the claim is over
    refused(timed.get(claim.location), 404, NOT_FOUND)
    assert timed.listed("q") == [
        {"id": id, "href": f"/v2/queues/q/messages/{id}", "ttl": 400, "age": 310, "body": 1}
    ]
    clock.advance(99)
    assert success(timed.get(f"/v2/queues/q/messages/{id}"))["age"] == 409
    clock.advance(1)
    refused(timed.get(f"/v2/queues/q/messages/{id}"), 404, NOT_FOUND)


def test_lifetime_example_unchanged(timed: Api, clock: ManualClock) -> None:
    """Section 18: lifetime 100, 35 s old, claimed for 60: ends 65 s later, as it would have."""
    [id] = timed.say("q", 1, ttl=100)
    clock.advance(35)
    claim = timed.claim("q", ttl=60, grace=60)
    assert claim.messages[0]["ttl"] == 100
    clock.advance(64)
    assert success(timed.get(f"/v2/queues/q/messages/{id}"))["ttl"] == 100
    clock.advance(1)
    refused(timed.get(f"/v2/queues/q/messages/{id}"), 404, NOT_FOUND)


def test_a_message_that_ends_with_its_claim_is_not_extended(timed: Api, clock: ManualClock) -> None:
    timed.say("q", 1, ttl=100)
    clock.advance(40)
    assert timed.claim("q", ttl=60, grace=60).messages[0]["ttl"] == 100


def test_q10_an_extension_is_final(timed: Api, clock: ManualClock) -> None:
    [id] = timed.say("q", 1, ttl=60)
    claim = timed.claim("q", ttl=100, grace=60)
    empty(timed.delete(claim.location))
    assert timed.listed("q")[0]["ttl"] == 160
    clock.advance(159)
    assert timed.listed("q")[0]["age"] == 159
    clock.advance(1)
    refused(timed.get(f"/v2/queues/q/messages/{id}"), 404, NOT_FOUND)


def test_a_renewal_extends_lifetimes_too(timed: Api, clock: ManualClock) -> None:
    [id] = timed.say("q", 1, ttl=100)
    claim = timed.claim("q", ttl=60, grace=60)
    clock.advance(50)
    empty(timed.patch(claim.location, json={"ttl": 200, "grace": 70}))
    assert success(timed.get(claim.location))["messages"][0]["ttl"] == 270
    clock.advance(269)
    success(timed.get(f"/v2/queues/q/messages/{id}"))
    clock.advance(1)
    refused(timed.get(f"/v2/queues/q/messages/{id}"), 404, NOT_FOUND)


# Fences (E4)


def test_every_claim_has_a_fence_that_grows(api: Api) -> None:
    api.say("q", *range(5))
    claims = [api.claim("q", limit=1) for _ in range(5)]
    fences = [claim.fence for claim in claims]
    assert fences == sorted(set(fences))
    assert all(0 < fence < 2**53 for fence in fences)
    for claim in claims:
        assert int(api.get(claim.location).headers["Claim-Fence"]) == claim.fence


def test_the_next_holder_has_a_larger_fence(timed: Api, clock: ManualClock) -> None:
    timed.say("q", 1)
    first = timed.claim("q", ttl=60)
    clock.advance(60)
    second = timed.claim("q", ttl=60)
    empty(timed.delete(second.location))
    third = timed.claim("q", ttl=60)
    assert first.bodies == second.bodies == third.bodies
    assert first.fence < second.fence < third.fence


def test_a_renewed_claim_keeps_its_fence(api: Api) -> None:
    api.say("q", 1)
    claim = api.claim("q")
    empty(api.patch(claim.location, json={}))
    assert int(api.get(claim.location).headers["Claim-Fence"]) == claim.fence


def test_fences_grow_also_when_the_queue_is_made_anew(api: Api) -> None:
    api.say("q", 1)
    before = api.claim("q").fence
    empty(api.delete("/v2/queues/q"))
    api.say("q", 1)
    assert api.claim("q").fence > before


def test_fences_grow_over_restarts(tmp_path_factory: pytest.TempPathFactory) -> None:
    from tests.support.http import connect
    from tests.support.server import Server

    with Server(tmp_path_factory.mktemp("restarted")) as server:
        with connect(server.url) as http:
            api = Api(http)
            api.say("q", 1, 2)
            before = api.claim("q", limit=1).fence
        server.kill()
        server.start()
        with connect(server.url) as http:
            assert Api(http, project=api.project).claim("q", limit=1).fence > before


def test_one_holder_however_many_claim_at_once(api: Api) -> None:
    api.say("q", *range(100))
    taken: list[tuple[int, list[Any]]] = []

    def work() -> None:
        while claim := api.claim("q", limit=3):
            taken.append((claim.fence, claim.bodies))

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(body for _, bodies in taken for body in bodies) == list(range(100))
    assert len({fence for fence, _ in taken}) == len(taken)
    in_order = [bodies for _, bodies in sorted(taken)]
    assert [body for bodies in in_order for body in bodies] == list(range(100))

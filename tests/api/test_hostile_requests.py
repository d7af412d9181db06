"""Tens of thousands of hostile requests: each is the client's error, or was valid after all.

Every answer is below 500 and says what was wrong; what the rules for bodies decide is compared with
a second reading of them; the connection goes on, or is closed as the answer says; and what is
stored afterwards is what was accepted, nothing else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from random import Random
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.api import hostility, second_reading
from tests.support.http import PATCH_TYPE, Answer, Api, Wire, request_bytes, success
from tests.support.server import Server

ONE_STORE = True

BATCH = 25  # requests of one example; they share a project
BATCHES = 160  # examples of each test
TOTAL = BATCH * BATCHES

hostile = settings(
    max_examples=BATCHES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
seeds = st.lists(st.integers(0, 2**64 - 1), min_size=BATCH, max_size=BATCH)


class Connection:
    """A connection that is made anew only when the server said that it would close it."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._wire = Wire(url)

    def ask(self, data: bytes, method: str) -> Answer:
        answer = self._wire.ask(data, method)
        if answer is None or answer.closes:
            # What is answered before the method is known has a body, even if that is HEAD.
            over = answer is not None and (method == "HEAD" or self._wire.answer() is None)
            self.close()
            self._wire = Wire(self._url)
            assert over, f"not closed cleanly: {data[:500]!r}"
        assert answer is not None
        return answer

    def close(self) -> None:
        self._wire.close()


@pytest.fixture
def connection(api: Api) -> Iterator[Connection]:
    connection = Connection(api.url)
    yield connection
    connection.close()


def check(answer: Answer, sent: bytes, method: str = "POST") -> None:
    """What holds for every answer."""
    assert answer.status < 500, (sent[:1000], answer)
    if Server.default == "granian" and answer.header("Server") is None:
        # What its parser refuses never comes to us.
        assert answer.status in (400, 414, 431) and answer.closes and not answer.body
        return
    request_id = answer.header("X-OpenStack-Request-ID")
    assert request_id is not None and request_id.startswith("req-")
    if answer.status >= 400 and method != "HEAD" and answer.body:
        error = answer.json()
        assert isinstance(error["title"], str) and error["title"]
        assert error.keys() <= {"title", "description"}
        assert answer.header("Content-Type") == "application/json"


def test_hostile_bodies(api: Api, connection: Connection) -> None:
    sent = Counter[int]()

    @hostile
    @given(seeds)
    def send(seeds: list[int]) -> None:
        client, posted, made = api.other_project(), 0, set()
        for seed in seeds:
            random = Random(seed)
            target = random.choice(hostility.TARGETS)
            body = hostility.body(random, target.templates)
            data = request_bytes(target.method, target.path, client.headers.items(), body)
            answer = connection.ask(data, target.method)
            check(answer, data)
            sent[answer.status] += 1
            titles, messages = target.judge(body)
            asked = (target.path, body[:1000], answer)
            if titles:
                assert answer.status == 400, asked
                assert answer.json()["title"] in titles, asked
            else:
                assert answer.status in target.good, asked
                posted += messages
                if messages or target.method == "PUT":
                    made.add(target.path.split("/")[3])
        assert client.counts("q")[2] == posted
        assert client.queue_names() == sorted(made)

    send()
    assert sum(sent.values()) >= TOTAL
    assert sent[400] > TOTAL / 4 and sent[201] > TOTAL / 50, sent


def test_hostile_changes(api: Api, connection: Connection) -> None:
    sent = Counter[int]()

    @hostile
    @given(seeds)
    def send(seeds: list[int]) -> None:
        client = api.other_project()
        client.create("q", owner="me")
        client.say("q", 1)
        claim = client.claim("q", ttl=77)
        shown, ttl = client.metadata("q"), 77
        typed = [*client.headers.items(), ("Content-Type", PATCH_TYPE)]
        for seed in seeds:
            random = Random(seed)
            renew = random.random() < 0.4
            path = claim.location if renew else "/v2/queues/q"
            body = hostility.body(random, hostility.RENEWALS if renew else hostility.CHANGES)
            data = request_bytes("PATCH", path, typed, body)
            answer = connection.ask(data, "PATCH")
            check(answer, data)
            sent[answer.status] += 1
            if renew:
                assert answer.status in (204, 400), (body, answer)
                if answer.status == 204:
                    ttl = second_reading.read(body).get("ttl") or 300
            else:
                assert answer.status in (200, 400, 409), (body, answer)
                if answer.status == 200:
                    shown = answer.json()
        assert client.metadata("q") == shown
        assert success(client.get(claim.location))["ttl"] == ttl
        assert client.counts("q")[2] == 1

    send()
    assert sum(sent.values()) >= TOTAL
    assert sent[400] > TOTAL / 4 and sent[200] > TOTAL / 50, sent


def test_hostile_targets(api: Api, connection: Connection) -> None:
    sent = Counter[int]()

    @hostile
    @given(seeds)
    def send(seeds: list[int]) -> None:
        client, totals, made = api.other_project(), Counter[str](), set()
        for seed in seeds:
            method, path, query = hostility.target(Random(seed))
            target = f"{path}?{query}" if query else path
            data = request_bytes(method, target, client.headers.items(), hostility.MESSAGES)
            answer = connection.ask(data, method)
            check(answer, data, method)
            sent[answer.status] += 1
            place = unquote_to_bytes(path).split(b"/")
            queue = place[3].decode("latin-1") if len(place) > 3 else ""
            if answer.status == 201 and b"resources" in answer.body:
                totals[queue] += 1
                made.add(queue)
            elif answer.status == 201 and not answer.body:
                made.add(queue)
            elif method == "DELETE" and answer.status == 200:
                totals[queue] -= len(answer.json()["messages"])
            elif method == "DELETE" and answer.status == 204 and len(place) == 4:
                made.discard(queue)
                del totals[queue]
        assert client.queue_names() == sorted(made)
        for queue in made:
            assert client.counts(queue)[2] == totals[queue]

    send()
    assert sum(sent.values()) >= TOTAL
    for status in (400, 404, 405):
        assert sent[status] > TOTAL / 50, sent


@pytest.mark.gunicorn_only
def test_hostile_headers(api: Api, connection: Connection) -> None:
    sent = Counter[int]()

    @hostile
    @given(seeds)
    def send(seeds: list[int]) -> None:
        client, posted = api.other_project(), 0
        for seed in seeds:
            headers = [(b"X-Project-ID", client.project.encode()), *hostility.headers(Random(seed))]
            data = request_bytes("POST", "/v2/queues/q/messages", headers, hostility.MESSAGES)
            answer = connection.ask(data, "POST")
            check(answer, data)
            assert answer.status in (201, 400, 406, 411, 431), (headers, answer)
            sent[answer.status] += 1
            posted += answer.status == 201 and answer.header("Idempotency-Replayed") is None
        assert client.counts("q")[2] == posted

    send()
    assert sum(sent.values()) >= TOTAL
    for status in (201, 400, 406, 431):
        assert sent[status] > TOTAL / 50, sent


@pytest.mark.gunicorn_only
def test_hostile_framing(api: Api) -> None:
    sent = Counter[int]()

    @hostile
    @given(seeds)
    def send(seeds: list[int]) -> None:
        client, posted = api.other_project(), 0
        for seed in seeds:
            data = hostility.frame(Random(seed), client.project)
            with Wire(api.url) as wire:
                wire.send(data)
                wire.end()
                answers = 0
                while (answer := wire.answer("POST")) is not None:
                    check(answer, data)
                    answers += 1
                    sent[answer.status] += 1
                    posted += answer.status == 201
                sent[0] += not answers
        assert client.counts("q")[2] <= posted  # a damaged header may have named another project

    send()
    assert sum(sent.values()) >= TOTAL
    assert sent[400] > TOTAL / 4 and sent[201] > TOTAL / 200, sent

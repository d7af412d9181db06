"""Random logs of requests: every verb, good ones and bad ones, and time that passes between them.

A request names what the service made up by how long ago it was seen (`{message:3}`: the fourth newest
message id; `{claim-path:0}`: the path of the newest claim), so that a log makes sense on every store
and whatever was left out of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple

from tests.support.http import FORM_TYPE, PATCH_TYPE

QUEUES = ["a"] * 6 + ["b", "b", "graves"]
JSON_TYPE = "application/json"


class Step(NamedTuple):
    """One request, after `seconds` in which nothing happened."""

    method: str
    path: str
    headers: dict[str, str]
    body: str | None
    seconds: int = 0

    def __str__(self) -> str:
        waited = f"({self.seconds} s later) " if self.seconds else ""
        headers = " ".join(f"{name}={value}" for name, value in self.headers.items())
        return f"{waited}{self.method} {self.path} {headers} {self.body or ''}".rstrip()


def random_log(seed: int, length: int) -> list[Step]:
    """The same for the same seed."""
    random = Random(seed)
    makers = list(MAKERS)
    weights = list(MAKERS.values())
    return [
        _sent_by_somebody(random, maker(random))
        for maker in random.choices(makers, weights, k=length)
    ]


LONGER = [
    (re.compile(r'(, "ttl": )(?:60|90|300)\b'), "3600"),  # messages, which no claim may outlive:
    (re.compile(r'(^\{"ttl": )(?:60|90|300)\b'), "1000"),  # it would make them live longer
    (re.compile(r'("delay": )(?:1|30|90)\b'), "900"),
    (re.compile(r'("_default_message_delay": )30\b'), "900"),
    (re.compile(r'("_default_message_ttl": )120\b'), "3600"),
    (re.compile(r'(/_default_message_ttl", "value": )60\b'), "3600"),
    (re.compile(r'("_dead_letter_queue_messages_ttl": )90\b'), "3600"),
]


def timeless(log: list[Step]) -> list[Step]:
    """The log for nodes whose clocks go by themselves: no time passes between the requests, what ends
    ends later than the log does, and so what is delayed comes."""
    return [step._replace(seconds=0, body=_later(step.body)) for step in log]


def _later(body: str | None) -> str | None:
    for what, seconds in LONGER:
        body = body and what.sub(rf"\g<1>{seconds}", body)
    return body


def _sent_by_somebody(random: Random, step: Step) -> Step:
    seconds = random.choice([0] * 24 + [1, 5, 5, 31, 61, 400])
    project = random.choice(["{project}"] * 9 + ["{other-project}"])
    client = random.choice(["{client}"] * 16 + ["{other-client}"] * 4 + ["no-uuid"])
    headers = {"X-Project-ID": project, "Client-ID": client, **step.headers}
    return step._replace(seconds=seconds, headers=headers)


def _queue(random: Random) -> str:
    return f"/v2/queues/{random.choice(QUEUES)}"


def _as_json(document: Any) -> tuple[dict[str, str], str]:
    return {"Content-Type": JSON_TYPE}, json.dumps(document)


def _draft(random: Random) -> dict[str, Any]:
    draft: dict[str, Any] = {"body": random.choice([1, "text", {"a": [1.50, None]}, [], "ü", ""])}
    if random.random() < 0.5:
        draft["ttl"] = random.choice([60, 60, 90, 300, 3600])
    if random.random() < 0.15:
        draft["delay"] = random.choice([0, 1, 30, 90])
    return draft


def post(random: Random) -> Step:
    headers, body = _as_json({"messages": [_draft(random) for _ in range(random.randint(1, 5))]})
    if random.random() < 0.2:
        headers["Idempotency-Key"] = random.choice(["k1", "k2", "k3"])
    return Step("POST", f"{_queue(random)}/messages", headers, body)


def bad_post(random: Random) -> Step:
    body = random.choice(
        [
            "",
            "{",
            "[]",
            "null",
            '{"messages": []}',
            '{"messages": {}}',
            '{"messages": [{"ttl": 60}]}',
            '{"messages": [{"body": 1, "ttl": 59}]}',
            '{"messages": [{"body": 1, "ttl": 1209601}]}',
            '{"messages": [{"body": 1, "ttl": "60"}]}',
            '{"messages": [{"body": 1, "ttl": true}]}',
            '{"messages": [{"body": 1, "delay": -1}]}',
            '{"messages": [{"body": 1, "delay": 901}]}',
            '{"messages": [{"body": 1}, {"body": 2, "ttl": 1}]}',
            '{"messages": [{"body": 1, "body": 2}]}',
            '{"messages": [{"body": NaN}]}',
            json.dumps({"messages": [{"body": 1}] * 21}),
            json.dumps({"messages": [{"body": "x" * 300_000}]}),
        ]
    )
    return Step("POST", f"{_queue(random)}/messages", {"Content-Type": JSON_TYPE}, body)


def plain_post(random: Random) -> Step:
    kind = random.choice(["text/plain", FORM_TYPE, "application/xml", JSON_TYPE])
    body = random.choice(["hello", "a=1&b=2", '{"a": 1}', ""])
    return Step("POST", f"{_queue(random)}/messages", {"Content-Type": kind}, body)


def claim(random: Random) -> Step:
    limit = random.choice(["", "", "?limit=1", "?limit=1", "?limit=3", "?limit=20"])
    terms: dict[str, int] = {}
    if random.random() < 0.7:
        terms["ttl"] = random.choice([60, 90, 300])
    if random.random() < 0.3:
        terms["grace"] = random.choice([60, 100])
    headers, body = _as_json(terms)
    return Step("POST", f"{_queue(random)}/claims{limit}", headers, body)


def bad_claim(random: Random) -> Step:
    query = random.choice(["", "?limit=0", "?limit=21", "?limit=x", "?limit=-1", "?limit="])
    body = random.choice(["", "{}", "[]", "{", '{"ttl": 59}', '{"ttl": "x"}', '{"grace": 43201}'])
    return Step("POST", f"{_queue(random)}/claims{query}", {"Content-Type": JSON_TYPE}, body)


def a_claim(random: Random) -> str:
    return f"{{claim:{random.choice([0, 0, 0, 1, 1, 2, 3, 6])}}}"


def a_message(random: Random) -> str:
    return f"{{message:{random.choice([0, 0, 1, 1, 2, 3, 4, 6, 9, 15, 30])}}}"


def claim_path(random: Random) -> str:
    """Mostly the whole path, so that claim and queue fit each other."""
    if random.random() < 0.85:
        return a_claim(random).replace("claim", "claim-path")
    return f"{_queue(random)}/claims/{a_claim(random)}"


def message_path(random: Random) -> str:
    if random.random() < 0.85:
        return a_message(random).replace("message", "message-path")
    return f"{_queue(random)}/messages/{a_message(random)}"


def look_at_claim(random: Random) -> Step:
    return Step("GET", claim_path(random), {}, None)


def renew(random: Random) -> Step:
    terms = random.choice([{}, {"ttl": 60}, {"ttl": 300}, {"ttl": 60, "grace": 100}, {"ttl": 1}])
    headers, body = _as_json(terms)
    return Step("PATCH", claim_path(random), headers, body)


def release(random: Random) -> Step:
    return Step("DELETE", claim_path(random), {}, None)


def get_message(random: Random) -> Step:
    query = random.choice(["", "", "", f"?claim_id={a_claim(random)}"])
    return Step("GET", f"{message_path(random)}{query}", {}, None)


def get_several(random: Random) -> Step:
    ids = ",".join(a_message(random) for _ in range(random.randint(1, 4)))
    return Step("GET", f"{_queue(random)}/messages?ids={ids}", {}, None)


def list_messages(random: Random) -> Step:
    query = "&".join(
        choice
        for choice in [
            random.choice(["", "echo=true", "echo=true", "echo=true", "echo=false", "echo=x"]),
            random.choice(["", "include_claimed=true"]),
            random.choice(["", "", "include_delayed=true"]),
            random.choice(
                [
                    "",
                    "",
                    "limit=1",
                    "limit=2",
                    "limit=2",
                    "limit=5",
                    "limit=20",
                    "limit=0",
                    "limit=21",
                ]
            ),
            random.choice(["", "", "marker={marker:0}", "marker={marker:1}", "marker=zzz"]),
        ]
        if choice
    )
    return Step("GET", f"{_queue(random)}/messages?{query}", {}, None)


def delete_message(random: Random) -> Step:
    query = random.choice(["", "", "?claim_id={claim:0}", f"?claim_id={a_claim(random)}"])
    return Step("DELETE", f"{message_path(random)}{query}", {}, None)


def delete_several(random: Random) -> Step:
    ids = ",".join(a_message(random) for _ in range(random.randint(1, 5)))
    claims = random.choice(["", "", "&claim_ids={claim:0}", "&claim_ids={claim:0},{claim:1}"])
    return Step("DELETE", f"{_queue(random)}/messages?ids={ids}{claims}", {}, None)


def pop(random: Random) -> Step:
    count = random.choice(["1", "1", "2", "5", "0", "21", "x", ""])
    return Step("DELETE", f"{_queue(random)}/messages?pop={count}", {}, None)


def stats(random: Random) -> Step:
    return Step("GET", f"{_queue(random)}/stats", {}, None)


def create(random: Random) -> Step:
    document = random.choice(
        [
            {},
            {"a": 1},
            {"_default_message_ttl": 120},
            {"_default_message_delay": 30},
            {"_max_messages_post_size": 100},
            {"_dead_letter_queue": "graves", "_max_claim_count": 2},
            {"_dead_letter_queue": "graves", "_max_claim_count": 1, "_dead_letter_queue_messages_ttl": 90},
            {"_default_message_ttl": "x"},
            {"_flavor": 1},
            {"_dead_letter_queue": "graves"},
        ]
    )  # fmt: skip
    headers, body = _as_json(document)
    return Step("PUT", _queue(random), headers, body)


def change(random: Random) -> Step:
    operations = random.choice(
        [
            [{"op": "add", "path": "/metadata/b", "value": [1]}],
            [{"op": "replace", "path": "/metadata/a", "value": 2}],
            [{"op": "remove", "path": "/metadata/a"}],
            [{"op": "replace", "path": "/metadata/_max_claim_count", "value": 3}],
            [{"op": "add", "path": "/metadata/_default_message_ttl", "value": 60}],
            [{"op": "add", "path": "/metadata/_default_message_ttl", "value": 3600}],
            [{"op": "add", "path": "/metadata/_default_message_ttl", "value": 1}],
            [{"op": "move", "path": "/metadata/a", "from": "/metadata/b"}],
            [{"op": "add", "path": "/a", "value": 1}],
            [{"op": "add"}],
            {},
        ]
    )
    return Step("PATCH", _queue(random), {"Content-Type": PATCH_TYPE}, json.dumps(operations))


def queue_itself(random: Random) -> Step:
    return Step(random.choice(["GET", "GET", "HEAD"]), _queue(random), {}, None)


def delete_queue(random: Random) -> Step:
    return Step("DELETE", _queue(random), {}, None)


def list_queues(random: Random) -> Step:
    query = random.choice(
        ["", "?limit=1", "?limit=1&marker=a", "?detailed=true", "?with_count=true",
         "?name=a", "?a=1", "?limit=0", "?detailed=x&marker=zz"]
    )  # fmt: skip
    return Step("GET", f"/v2/queues{query}", {}, None)


def purge(random: Random) -> Step:
    types = random.choice(
        [{}, {"resource_types": ["messages"]}, {"resource_types": ["subscriptions"]},
         {"resource_types": ["messages", "subscriptions"]}, {"resource_types": ["x"]}, []]
    )  # fmt: skip
    headers, body = _as_json(types)
    return Step("POST", f"{_queue(random)}/purge", headers, body)


def nonsense(random: Random) -> Step:
    """What no client should send."""
    method, path, headers, body = random.choice(
        [
            ("GET", "/v2/nowhere", {}, None),
            ("GET", "/v1/queues", {}, None),
            ("PUT", "/v2/queues", {}, "{}"),
            ("POST", "/v2/queues/a", {}, "{}"),
            ("PUT", "/v2/queues/" + "x" * 65, {}, "{}"),
            ("PUT", "/v2/queues/a%20b", {}, "{}"),
            ("GET", "/v2/queues/a/messages", {"Accept": "text/html"}, None),
            ("GET", "/v2/queues/a/messages", {"Client-ID": ""}, None),
            ("POST", "/v2/queues/a/messages", {"X-Project-ID": "x" * 300}, "{}"),
            ("DELETE", "/v2/queues/a/messages", {}, None),
            ("DELETE", "/v2/queues/a/messages?ids=x&pop=1", {}, None),
            ("PATCH", "/v2/queues/a", {"Content-Type": JSON_TYPE}, "[]"),
            ("OPTIONS", "/v2/queues/a/stats", {}, None),
            ("GET", "/", {}, None),
            ("GET", "/v2/", {}, None),
            ("GET", "/v2/ping", {}, None),
        ]
    )
    return Step(method, path, dict(headers), body)


MAKERS: dict[Callable[[Random], Step], int] = {
    post: 20,
    bad_post: 4,
    plain_post: 3,
    claim: 14,
    bad_claim: 2,
    look_at_claim: 4,
    renew: 4,
    release: 5,
    get_message: 5,
    get_several: 3,
    list_messages: 12,
    delete_message: 9,
    delete_several: 3,
    pop: 3,
    stats: 5,
    create: 5,
    change: 5,
    queue_itself: 3,
    delete_queue: 2,
    list_queues: 3,
    purge: 1,
    nonsense: 3,
}
"""What a step may be, and how often."""

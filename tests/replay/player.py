"""Plays a log of requests to nodes in turn, and writes down the answers so that they can be compared."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Sequence
from typing import Any, Protocol
from uuid import uuid4

import httpx

from queueing.core.clock import ManualClock
from tests.replay.log import Step

MADE_UP = re.compile(r"[0-9a-f]{32,64}|(?:0|[1-9a-f][0-9a-f]{0,15})-[0-9a-f]{16}")
"""Ids of messages and claims; markers."""

WITHOUT_MEANING = {"date", "server", "connection", "x-openstack-request-id", "x-request-id"}
"""Headers that say nothing about the store, or nothing that could be the same twice."""

CLIENTS = {
    "{client}": "3381af92-2b9e-11e3-b191-71861300734c",
    "{other-client}": "b8d3cc2f-6f6e-4b7a-8d2b-f1f5c3c7a7b1",
}
SEEN = {
    "message": re.compile(r"/messages/([0-9a-f]{32,64})"),
    "message-path": re.compile(r"(/v2/queues/[^/]+/messages/[0-9a-f]{32,64})"),
    "claim": re.compile(r"/claims/([0-9a-f]{32,64})"),
    "claim-path": re.compile(r"(/v2/queues/[^/]+/claims/[0-9a-f]{32,64})"),
    "marker": re.compile(r"marker=([0-9a-f]+-[0-9a-f]{16})"),
}
"""What later requests may ask for, and how an answer shows it."""

PLACE = re.compile(rf"\{{({'|'.join(SEEN)}):(\d+)\}}")


class Served(Protocol):
    """What is asked, and the clock that is moved meanwhile."""

    http: httpx.Client
    clock: ManualClock


class Player:
    """One play of a log, in projects of its own."""

    def __init__(self, nodes: Sequence[Served]) -> None:
        self._nodes = itertools.cycle(nodes)
        self._clocks = [node.clock for node in nodes]
        stem = uuid4().hex[:20]  # shorter than an id
        self._projects = {"{project}": f"p-{stem}-1", "{other-project}": f"p-{stem}-2"}
        self._seen: dict[str, list[str]] = {kind: [] for kind in SEEN}
        self._names: dict[str, str] = {}

    def answers(self, log: Sequence[Step]) -> list[str]:
        return [self._play(step) for step in log]

    def _play(self, step: Step) -> str:
        for clock in self._clocks:
            clock.advance(step.seconds)
        headers = {name: self._filled(value) for name, value in step.headers.items()}
        http = next(self._nodes).http
        body = None if step.body is None else step.body.encode()
        response = http.request(step.method, self._filled(step.path), headers=headers, content=body)
        self._remember(response)
        return self._told(response)

    def _filled(self, text: str) -> str:
        for place, value in {**self._projects, **CLIENTS}.items():
            text = text.replace(place, value)
        return PLACE.sub(lambda match: self._newest(match[1], int(match[2])), text)

    def _newest(self, kind: str, back: int) -> str:
        seen = self._seen[kind]
        return seen[-1 - back] if back < len(seen) else "absent"

    def _remember(self, response: httpx.Response) -> None:
        shown = response.headers.get("Location", "") + "\n" + response.text
        for kind, pattern in SEEN.items():
            known = self._seen[kind]
            known += [
                thing for thing in dict.fromkeys(pattern.findall(shown)) if thing not in known
            ]

    def _told(self, response: httpx.Response) -> str:
        """Status, headers and body; what the service made up is called by when it first came up."""
        headers = sorted(
            f"{name}: {value}"
            for name, value in response.headers.items()
            if name not in WITHOUT_MEANING
        )
        lines = [str(response.status_code), *headers, response.text]
        text = "\n".join(lines)
        for place, project in self._projects.items():
            text = text.replace(project, place)
        text = re.sub(r"claim-fence: (\d+)", lambda m: f"claim-fence: {self._name(m[1])}", text)
        text = re.sub(r"content-length: \d+\n", "", text)  # a marker is longer when its number is
        return MADE_UP.sub(lambda match: self._name(match[0]), text)

    def _name(self, made_up: str) -> str:
        return self._names.setdefault(made_up, f"<{len(self._names) + 1}>")


RUNNING = [
    (re.compile(r'"age": \d+'), '"age": 0'),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"), "then"),
]


def without_time(answers: Sequence[str]) -> list[str]:
    """Answers of nodes whose clocks go by themselves, without what those say."""
    return [_without_time(answer) for answer in answers]


def _without_time(answer: str) -> str:
    for what, instead in RUNNING:
        answer = what.sub(instead, answer)
    return answer


def fewest_steps(log: list[Step], differs: Callable[[list[Step]], bool]) -> list[Step]:
    """Leave out of a log what it differs without."""
    piece = len(log)
    while piece := piece // 2:
        for start in reversed(range(0, len(log), piece)):
            shorter = log[:start] + log[start + piece :]
            if shorter and differs(shorter):
                log = shorter
    return log


def first_difference(one: Sequence[Any], other: Sequence[Any]) -> int | None:
    """The index of the first answer that is not the same."""
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=True)) if a != b), None)


def as_json(text: str) -> str:
    """The same text, its last line spread out if it is JSON: for reading differences."""
    head, _, body = text.rpartition("\n")
    try:
        return f"{head}\n{json.dumps(json.loads(body), indent=1)}"
    except ValueError:
        return text

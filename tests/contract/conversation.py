"""Random conversations: commands with random arguments, and the shortest that still fails.

Arguments name their objects by numbers ("the second newest live claim"), so each command makes sense
whatever was left out before it. Commands have weights, since most of what can go wrong needs messages
and claims to be there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any, NamedTuple, TypeVar

from queueing.core.models import DeadLetterRule, Draft

Where = tuple[int, str]
"""The number of a project, the name of a queue."""

ALL: list[Where] = [(0, "a"), (0, "b"), (1, "a")]
NAMES = ["a", "b"]


class OneOf(NamedTuple):
    """An argument; its first option is the simplest."""

    options: Sequence[Any]

    def choose(self, random: Random) -> Any:
        return random.choice(self.options)

    def simpler(self, value: Any) -> Iterator[Any]:
        if value != self.options[0]:
            yield self.options[0]


class Several(NamedTuple):
    """An argument that is a list of up to `most`."""

    one: OneOf
    most: int

    def choose(self, random: Random) -> list[Any]:
        return [self.one.choose(random) for _ in range(random.randint(1, self.most))]

    def simpler(self, value: list[Any]) -> Iterator[list[Any]]:
        if len(value) > 1:
            yield value[:1]
            yield value[:-1]
        for index, item in enumerate(value):
            for other in self.one.simpler(item):
                yield [*value[:index], other, *value[index + 1 :]]


WHERE = OneOf(ALL[:1] * 8 + ALL[1:2] * 3 + ALL[2:])
PICK = OneOf(range(12))
"""Below 9: one of the things that the step is about, counted back from the newest; else any."""
MOSTLY = OneOf([True] * 7 + [False])
EITHER = OneOf([False, True])
DOCUMENT = OneOf([b"{}", b'{"a":1}', b'{"b":[]}'])
DRAFT = OneOf(
    [
        Draft(body, ttl, delay, checksum)
        for checksum in [None, "MD5:1"]
        for body in [b"x", b"", b"\x00\xff"]
        for delay in [0, 0, 0, 30, 90]
        for ttl in [3600, 3600, 3600, 60, 90, 300]
    ]
)
DEAD_LETTER_RULE = OneOf(
    [None] * 6
    + [
        DeadLetterRule(target, max_claims, ttl)
        for target in ["b", "a"]
        for max_claims in [1, 1, 2]
        for ttl in [None, 60]
    ]
)
CLAIM_TTL = OneOf([60, 90, 300])
GRACE = OneOf([60, 100])
LIMIT = OneOf([1, 1, 2, 3, 6])
WHICH_CLAIM = OneOf(["holder", "none", "any"])


class Command(NamedTuple):
    name: str
    arguments: dict[str, Any]

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in self.arguments.items())
        return f"{self.name}({given})"


VOCABULARY: dict[str, tuple[int, dict[str, OneOf | Several]]] = {}
"""Each command's weight and arguments."""

Method = TypeVar("Method", bound=Callable[..., None])


def command(weight: int = 1, **arguments: OneOf | Several) -> Callable[[Method], Method]:
    def note_down(method: Method) -> Method:
        VOCABULARY[method.__name__] = (weight, arguments)
        return method

    return note_down


def conversation(seed: int, length: int) -> list[Command]:
    """The same for the same seed."""
    random = Random(seed)
    names = random.choices(
        list(VOCABULARY), [weight for weight, _ in VOCABULARY.values()], k=length
    )
    return [
        Command(name, {key: kind.choose(random) for key, kind in VOCABULARY[name][1].items()})
        for name in names
    ]


def shortest(commands: list[Command], fails: Callable[[list[Command]], bool]) -> list[Command]:
    """Leave out and simplify what a conversation fails without."""
    piece = len(commands)
    while piece := piece // 2:
        for start in reversed(range(0, len(commands), piece)):
            shorter = commands[:start] + commands[start + piece :]
            if fails(shorter):
                commands = shorter
    for index, (name, arguments) in enumerate(commands):
        for key, kind in VOCABULARY[name][1].items():
            for value in kind.simpler(arguments[key]):
                simpler = Command(name, arguments | {key: value})
                if fails([*commands[:index], simpler, *commands[index + 1 :]]):
                    commands = [*commands[:index], simpler, *commands[index + 1 :]]
                    arguments = simpler.arguments  # noqa: PLW2901
                    break
    return commands

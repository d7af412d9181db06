"""The rules for JSON bodies, read a second time: with Python's own json and as plainly as can be."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.support.http import API, BODY

MOST_DEEP = 500
SMALL = 65536  # bytes of bodies that no setting bounds


class Unreadable(Exception):
    """Not JSON as the API takes it."""


def _constant(name: str) -> Any:
    raise Unreadable(name)


def _integer(digits: str) -> int:
    if len(digits) > 25 or not -(2**63) <= int(digits) < 2**63:
        raise Unreadable("more than 64 bits")
    return int(digits)


def read(text: bytes) -> Any:
    """:raises Unreadable: by any of the rules"""
    try:
        value = json.loads(text.decode(), parse_int=_integer, parse_constant=_constant)
    except (ValueError, RecursionError) as error:
        raise Unreadable from error
    if not isinstance(value, dict | list):
        raise Unreadable("a scalar")
    # What duplicates overrule is looked at too: it is in the text, though not in the value.
    json.loads(text.decode(), object_pairs_hook=_sound_pairs, parse_int=str)
    depth = 0
    for bracket in re.sub(rb'[^]["{}]+|"(?:[^"\\]|\\.)*"', b"", text, flags=re.DOTALL):
        depth += 1 if bracket in b"[{" else -1
        if depth > MOST_DEEP:
            raise Unreadable("too deep")
    _sound(value)
    return value


def _sound_pairs(pairs: list[tuple[str, Any]]) -> Any:
    for key, value in pairs:
        _sound(key)
        _sound(value)
    return dict(pairs)


def _sound(value: Any) -> None:
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, str) and re.search("[\ud800-\udfff]", item):
            raise Unreadable("a lone surrogate")
        if isinstance(item, list):
            stack.extend(item)
        elif isinstance(item, dict):
            stack.extend([*item, *item.values()])


def is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


Verdict = tuple[set[str], int]
"""Titles of which one is due, none if the body is valid; and how many messages it posts."""


def post(body: bytes) -> Verdict:
    if len(body) > 262144:
        return {API}, 0
    try:
        document = read(body)
    except Unreadable:
        return {BODY}, 0
    if isinstance(document, list) or "messages" not in document:
        return {API}, 0
    messages = document["messages"]
    if not isinstance(messages, list):
        return {BODY}, 0
    if not messages:
        return {API}, 0
    titles = set()
    for message in messages:
        if not isinstance(message, dict) or "body" not in message:
            titles.add(BODY)
            continue
        for name, least, most in (("ttl", 60, 1209600), ("delay", 0, 900)):
            if name in message:
                if not is_integer(message[name]):
                    titles.add(BODY)
                elif not least <= message[name] <= most:
                    titles.add(API)
    return titles, 0 if titles else len(messages)


def claim(body: bytes) -> Verdict:
    if not body:
        return set(), 0
    if len(body) > SMALL:
        return {API}, 0
    try:
        document = read(body)
    except Unreadable:
        return {BODY}, 0
    if isinstance(document, list):
        return {BODY}, 0
    titles = set()
    for name in ("ttl", "grace"):
        value = document.get(name)
        if value is None:
            continue
        if not is_integer(value):
            titles.add(BODY)
        elif not 60 <= value <= 43200:
            titles.add(API)
    return titles, 0


BOUNDS = {
    "_max_messages_post_size": (1, 262144),
    "_default_message_ttl": (60, 1209600),
    "_default_message_delay": (0, 900),
    "_dead_letter_queue_messages_ttl": (60, 1209600),
    "_max_claim_count": (0, 2**63 - 1),
}


def put(body: bytes) -> Verdict:
    if not body:
        return set(), 0
    if len(body) > 65536:
        return {API}, 0
    try:
        document = read(body)
    except Unreadable:
        return {BODY}, 0
    if isinstance(document, list):
        return {BODY}, 0
    for name, (least, most) in BOUNDS.items():
        value = document.get(name)
        if value is not None and not (is_integer(value) and least <= value <= most):
            return {API}, 0
    target = document.get("_dead_letter_queue")
    if target is not None and not (
        isinstance(target, str)
        and re.fullmatch("[A-Za-z0-9_.-]{1,64}", target, re.ASCII)
        and target not in (".", "..", "p")
    ):
        return {API}, 0
    flag, flavor = document.get("_enable_encrypt_messages"), document.get("_flavor")
    if flag is not None and flag is not False:  # `in` would let 0 and -0.0 pass
        return {API}, 0
    return ({API} if flavor is not None and not isinstance(flavor, str) else set()), 0


def purge(body: bytes) -> Verdict:
    if not body:
        return set(), 0
    if len(body) > SMALL:
        return {API}, 0
    try:
        document = read(body)
    except Unreadable:
        return {BODY}, 0
    if isinstance(document, list):
        return {BODY}, 0
    types = document.get("resource_types")
    good = isinstance(types, list) and all(
        isinstance(item, str) and item in ("messages", "subscriptions") for item in types
    )
    return (set() if good else {API}), 0

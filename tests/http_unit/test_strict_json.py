"""JSON at the edge: what is JSON, what stays as it came, and what a refusal says."""

from __future__ import annotations

import json
from typing import Any, NoReturn

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from queueing.api.resources.messages import MessageCollection, Post, _bodies
from queueing.api.strict_json import DEEPEST, ShapeError, decode
from queueing.core.errors import BODY, InvalidRequest

OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])


def post(text: bytes) -> Post:
    return decode(MessageCollection.POST, text, levels=3, parts=_bodies)


def body(text: bytes) -> bytes:
    """What is stored of a message with this body."""
    return bytes(post(b'{"messages": [{"body": ' + text + b"}]}").messages[0].body)


def refusal(text: bytes) -> str:
    with pytest.raises(InvalidRequest) as caught:
        post(text)
    assert caught.value.title == BODY
    return str(caught.value)


FRAGMENTS = [
    *(
        b"1",
        b"-0",
        b"1e400",
        b"0.10000000000000000001",
        b"true",
        b"null",
        b"NaN",
        b"01",
        b" ",
        b"\n",
    ),
    *(b"9223372036854775807", b"9223372036854775808", b"-9223372036854775808"),
    *(b"-9223372036854775809", b"1234567890123456789012.5", b"1234567890123456789012e1"),
    *(b"1e-1234567890123456789012", b'"1234567890123456789012"', b'"\\"9223372036854775808"'),
    *(
        b'"\\ud800"',
        b'"\\ud83d\\ude00"',
        b'"\\\\ud800"',
        b'"\xc3\xa9"',
        b'"\xff"',
        b'"\xed\xa0\x80"',
    ),
    *(b'"\\u0000"', b'"\x00"', b'"\\', b"\xef\xbb\xbf", b'"a":', b'{"a":1,"a":2}'),
    *(b"[", b"]", b"{", b"}", b",", b":", b'"'),
]


def is_json(text: bytes) -> bool:
    """The same rules by Python's own parser. Members are kept apart, as a duplicate counts too."""

    def constant(name: str) -> NoReturn:
        raise ValueError(name)

    def integer(digits: str) -> int:
        if len(digits) > 20 or not -(2**63) <= int(digits) < 2**63:
            raise ValueError(digits)
        return int(digits)

    def pairs(members: list[tuple[str, Any]]) -> list[Any]:
        return [list(member) for member in members]

    try:
        value = json.loads(
            text.decode(), parse_constant=constant, parse_int=integer, object_pairs_hook=pairs
        )
        json.dumps(value, ensure_ascii=False).encode()
    except ValueError:
        return False
    return True


@given(st.lists(st.sampled_from(FRAGMENTS), max_size=12).map(b"".join))
def test_json_is_what_the_standard_library_takes_under_the_same_rules(text: bytes) -> None:
    whole = b'{"x": [' + text + b"]}"
    if is_json(whole):
        assert bytes(decode(OBJECT, whole)["x"]) == b"[" + text + b"]"
    else:
        with pytest.raises(InvalidRequest, match="body could not be parsed"):
            decode(OBJECT, whole)


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON_VALUES, st.booleans(), st.sampled_from([None, 1]))
def test_a_body_stays_the_text_it_came_as(value: Any, escaped: bool, indent: int | None) -> None:
    try:
        text = json.dumps(value, ensure_ascii=escaped, indent=indent).encode()
    except UnicodeEncodeError:
        return  # half a surrogate pair: no text at all
    if is_json(text):
        assert body(text) == text


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'[{"a":'])
def test_a_body_may_be_as_deep_as_documented_and_no_deeper(opening: bytes) -> None:
    levels = 2 if len(opening) == 6 else 1
    closing = {b"[": b"]", b'{"a":': b"}", b'[{"a":': b"}]"}[opening]

    def nested(depth: int) -> bytes:
        return opening * (depth // levels) + b"1" + closing * (depth // levels)

    good, bad = nested(DEEPEST), b"[" + nested(DEEPEST) + b"]"
    assert decode(OBJECT, b'{"x":' + good + b"}")
    assert body(good) == good
    assert post(b'{"messages": [{"body": 1, "unknown": ' + good + b"}]}")
    for text in (
        b'{"messages": [{"body": ' + bad + b"}]}",
        b'{"messages": [{"body": 1, "unknown": ' + bad + b"}]}",
        b'{"messages": [{"body": ' + bad + b', "body": 1}]}',
    ):
        assert f"nested {DEEPEST} deep" in refusal(text)
    with pytest.raises(InvalidRequest, match=f"nested {DEEPEST} deep"):
        decode(OBJECT, b'{"x":' + bad + b"}")


def test_brackets_in_strings_are_not_deep() -> None:
    text = b'"' + b"[{" * 1000 + b'\\"' + b"[" * 1000 + b'"'
    assert body(text) == text


def test_many_shallow_messages_are_not_deep() -> None:
    text = b", ".join([b'{"body": {"a": [1]}}'] * DEEPEST)
    assert len(post(b'{"messages": [' + text + b"]}").messages) == DEEPEST


@pytest.mark.parametrize("depth", [100_000, 1_000_000])
def test_bottomless_nesting_is_refused(depth: int) -> None:
    for opening in (b"[", b'{"a":', b'{"messages":[{"body":'):
        assert "body could not be parsed" in refusal(opening * depth)


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        (b'{"messages": [{"body": 1, "ttl": 60, "ttl": 70}]}', (b"1", 70)),
        (b'{"messages": [{"body": 1, "body": 2, "ttl": "x", "ttl": 70}]}', (b"2", 70)),
        (b'{"messages": 1, "messages": [{"body": 1.50, "ttl": 70}]}', (b"1.50", 70)),
        (b'{"mess\\u0061ges": [{"body": {"a":1,"a" : 2}}]}', (b'{"a":1,"a" : 2}', None)),
    ],
)
def test_of_duplicates_the_last_counts(text: bytes, stored: tuple[bytes, int | None]) -> None:
    message = post(text).messages[0]
    assert (bytes(message.body), message.ttl) == stored


def test_an_overruled_duplicate_must_still_be_json() -> None:
    assert "integers" in refusal(
        b'{"messages": [{"body": 1, "ttl": 9223372036854775808, "ttl": 60}]}'
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (b'{"messages": [{"body": 1}, {"ttl": 60}]}', "messages[1].body is required."),
        (b'{"messages": [{"body": 1, "ttl": 60.0}]}', "messages[0].ttl must be an integer."),
        (b'{"messages": [{"body": 1, "delay": "1"}]}', "messages[0].delay must be an integer."),
        (b'{"messages": [{"body": 1, "ttl": null}]}', "Got null."),
        (b'{"messages": [{"body": 1, "ttl": true}]}', "Got a boolean."),
        (b'{"messages": [7]}', "messages[0] must be an object. Got an integer."),
        (b'{"messages": {}}', "messages must be an array. Got an object."),
        (b'"text"', "The body must be an object. Got a string."),
        (b'{"messages": [{"body": 1}]} x', "body could not be parsed: trailing characters"),
        (b"", "body could not be parsed: expected JSON, got nothing"),
        (b" \n", "body could not be parsed: expected JSON, got nothing"),
        (b'\xef\xbb\xbf{"messages": [{"body": 1}]}', "body could not be parsed"),
        (b'{"messages": [{"body": "\xff"}]}', "invalid start byte at byte 24, expected UTF-8"),
        (b'{"messages": [{"body": "\\ud800"}]}', "surrogate escapes must come in pairs"),
        (b'{"messages": [{"body": 9223372036854775808}]}', "got 9223372036854775808"),
    ],
)
def test_a_refusal_names_the_field_what_was_expected_and_what_came(
    text: bytes, sentence: str
) -> None:
    assert sentence in refusal(text)


def test_what_is_no_json_is_refused_for_that_first() -> None:
    with pytest.raises(InvalidRequest) as caught:
        post(b'{"messages": 1} x')
    assert not isinstance(caught.value, ShapeError)

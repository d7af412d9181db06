"""JSON as the API takes it: typed envelopes, and bodies that stay the text they came as.

msgspec checks the syntax of everything, also of what it leaves raw. Added here is what it lets
pass: text that is no UTF-8, integers beyond 64 bits, and nesting without end.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, NoReturn, TypeVar

import msgspec
from msgspec import Raw

from queueing.core.errors import API, BODY, InvalidRequest

T = TypeVar("T")

DEEPEST = 500
"""How many arrays and objects may lie in each other in a value. Python's own parser ends below 1,000."""

_TO_ZERO = bytes.maketrans(b"123456789", b"0" * 9)
_LONG_RUN = b"0" * 19  # digits; 2**63 has 19
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_LONG_INTEGER = re.compile(rb"(?<![0-9.eE+-])-?[0-9]{19,}(?![0-9.eE])")
_NO_BRACKET = bytes(set(range(256)) - set(b"[]{}"))
_ESCAPED_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_PLACE = re.compile(r"(?P<what>.*?)(?: - at `(?:key in )?\$(?P<path>.*)`)?", re.DOTALL)
_KINDS = {
    "int": "an integer",
    "float": "a number with a fraction or an exponent",
    "str": "a string",
    "bool": "a boolean",
    "null": "null",
    "object": "an object",
    "array": "an array",
}
_OBJECT = msgspec.json.Decoder(dict[str, Raw])
_ARRAY = msgspec.json.Decoder(list[Raw])
_ANY = msgspec.json.Decoder(Raw)


class ShapeError(InvalidRequest):
    """JSON, but not what the endpoint takes.

    `path` says where, empty at the top; `top` is the first byte, which tells what the text is.
    """

    def __init__(self, message: str, path: str, top: bytes) -> None:
        super().__init__(message, BODY)
        self.path = path
        self.top = top


def decode(
    decoder: msgspec.json.Decoder[T],
    text: bytes,
    *,
    levels: int = 1,
    parts: Callable[[T], Iterable[bytes]] | None = None,
    is_rule: Callable[[ShapeError], bool] | None = None,
) -> T:
    """The text as the decoder's type.

    `levels`: how many levels of the type have names, for duplicates of which the last counts.
    `parts`: the values in the result, each in an object of its own; measuring the depth of each
    is less work than that of the whole.

    `is_rule`: which wrong shapes break a rule of the API, rather than being a body misread.

    :raises InvalidRequest: titled BODY; it is no JSON
    :raises ShapeError: titled BODY, or API where `is_rule`; it is of another type
    """
    if not text.isascii():
        try:
            text.decode()
        except UnicodeDecodeError as error:
            raise unparsable(f"{error.reason} at byte {error.start}, expected UTF-8") from error
    try:
        value = decoder.decode(text)
    except msgspec.ValidationError as error:
        _syntax(text)
        _integers(text)
        _depth(text, DEEPEST + levels)
        value = _again(decoder, text, levels, error, is_rule)
    except (msgspec.DecodeError, RecursionError) as error:
        _refuse(text, error)
    if _LONG_RUN in text.translate(_TO_ZERO):
        _integers(text)
    brackets = _brackets(text)
    if brackets > DEEPEST:
        # What is left of them, once the parts are measured and each has an object around it, is
        # ignored by the type or shallow: so the whole is seldom measured.
        for part in () if parts is None else parts(value):
            _depth(part, DEEPEST)
            brackets -= _brackets(part) + 1
        if brackets > DEEPEST:
            _depth(text, DEEPEST + levels)
    return value


def unparsable(why: str) -> InvalidRequest:
    return InvalidRequest(f"The body could not be parsed: {why}.", BODY)


def _syntax(text: bytes) -> None:
    """What is no JSON at all is refused for that, whatever else is wrong with it."""
    try:
        _ANY.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        _refuse(text, error)


def _refuse(text: bytes, error: Exception) -> NoReturn:
    if isinstance(error, RecursionError):
        raise _too_deep() from error
    if not text.strip():
        raise unparsable("expected JSON, got nothing") from error
    why = str(error).removeprefix("JSON is malformed: ")
    if _ESCAPED_SURROGATE.search(text):
        # msgspec calls half a pair at the end of a string truncated input.
        why += " (surrogate escapes must come in pairs)"
    raise unparsable(why) from error


def _again(
    decoder: msgspec.json.Decoder[T],
    text: bytes,
    levels: int,
    error: msgspec.ValidationError,
    is_rule: Callable[[ShapeError], bool] | None,
) -> T:
    """Decode once more, without the duplicates that a later value of the name overrules."""
    what, path = _place(error)
    if path:  # what is wrong at the top is no duplicate
        try:
            return decoder.decode(msgspec.json.encode(_last_of_duplicates(text, levels)))
        except msgspec.ValidationError as final:
            what, path = _place(final)
    refusal = ShapeError(_sentence(what, path.removeprefix(".")), path, text.lstrip()[:1])
    if is_rule is not None and is_rule(refusal):
        refusal.title = API
    raise refusal from error


def _place(error: msgspec.ValidationError) -> tuple[str, str]:
    """What msgspec says, and where: `.messages[3].ttl`."""
    match = _PLACE.fullmatch(str(error))
    return (match["what"], match["path"] or "") if match else (str(error), "")


def _last_of_duplicates(text: bytes, levels: int) -> Any:
    first = text.lstrip()[:1] if levels else b""
    if first == b"{":
        members = _OBJECT.decode(text).items()
        return {key: _last_of_duplicates(bytes(item), levels - 1) for key, item in members}
    if first == b"[":
        return [_last_of_duplicates(bytes(item), levels - 1) for item in _ARRAY.decode(text)]
    return Raw(text)


def _sentence(what: str, path: str) -> str:
    """msgspec's words as ours: `messages[3].ttl must be an integer. Got a string.`"""
    where = path or "The body"
    missing = re.fullmatch(r"Object missing required field `(.*)`", what)
    if missing:
        return f"{f'{path}.' if path else ''}{missing[1]} is required. Got an object without it."
    kinds = re.fullmatch(r"Expected `(.*)`, got `(.*)`", what)
    if kinds:
        expected = " or ".join(_KINDS.get(kind, kind) for kind in kinds[1].split(" | "))
        return f"{where} must be {expected}. Got {_KINDS.get(kinds[2], kinds[2])}."
    if what == "Number out of range":
        return f"{where} must be an integer of 64 bits. Got another number."
    return f"{where}: {what}."


def _integers(text: bytes) -> None:
    """Refuse integers beyond 64 bits with a sign, at any depth. The text is valid JSON."""
    for match in _LONG_INTEGER.finditer(_STRING.sub(b'""', text)):
        number = match[0]
        if len(number) > 20 or not -(2**63) <= int(number) < 2**63:
            shown = number.decode() if len(number) <= 40 else f"one of {len(number)} characters"
            raise unparsable(f"integers must be in -2^63 .. 2^63-1, got {shown}")


def _brackets(text: bytes) -> int:
    """At most that deep is it."""
    return text.count(b"[") + text.count(b"{")


def _depth(text: bytes, deepest: int) -> None:
    if _brackets(text) <= deepest:
        return
    depth = 0
    for bracket in _STRING.sub(b"", text).translate(None, _NO_BRACKET):
        if bracket in b"[{":
            depth += 1
            if depth > deepest:
                raise _too_deep()
        else:
            depth -= 1


def _too_deep() -> InvalidRequest:
    return unparsable(f"arrays and objects may be nested {DEEPEST} deep, got more")

"""Metadata documents: one JSON object per queue, whose values stay the JSON texts they came as.

So a number that no float can hold comes back digit for digit. A stored document is compact and
has its keys in the order in which they were given.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from queueing.core import reserved
from queueing.core.errors import AbsentKey, InvalidRequest
from queueing.core.limits import Limits
from queueing.core.rules import quoted

RawJson = bytes  # or msgspec.Raw, which its stubs call bytes: a JSON text

Document = dict[str, msgspec.Raw]

_decode: Callable[[bytes], Document] = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_value: Callable[[bytes], Any] = msgspec.json.Decoder().decode
_INTEGER = re.compile(r"[+-]?[0-9]{1,30}")


class Change(NamedTuple):
    """One operation of a metadata patch: `op` is add, replace or remove; `value` a JSON text."""

    op: str
    key: str
    value: RawJson | None


def document(metadata: Mapping[str, RawJson]) -> Document:
    return {key: _raw(value) for key, value in metadata.items()}


def parse(stored: bytes) -> Document:
    return _decode(stored)


def text(document: Mapping[str, msgspec.Raw]) -> bytes:
    """The document as it is stored."""
    return msgspec.json.format(msgspec.json.encode(document), indent=-1)


def reserved_values(document: Mapping[str, msgspec.Raw]) -> dict[str, object]:
    """The reserved keys of a document that are there, as Python values."""
    return {key: _python(document[key]) for key in reserved.RESERVED if key in document}


def check(document: Document, queue_name: str, limits: Limits, title: str) -> None:
    """Refuse what `core.reserved` refuses.

    :raises InvalidRequest: with this title; titled API where encryption is asked for without a key
    """
    reserved.check(reserved_values(document), queue_name, limits, title)


def defaults(limits: Limits) -> Document:
    """The seven keys that every queue shows, with what they show when they are not set."""
    return {
        key: msgspec.Raw(msgspec.json.encode(value))
        for key, value in reserved.defaults(limits).items()
    }


def shown(document: Document, defaults: Document) -> Document:
    """The document as clients see it: what is stored, and defaults for what is not set or falsy."""
    unset = {
        key: value
        for key, value in defaults.items()
        if key not in document or not _python(document[key])
    }
    return {**document, **unset}


def changed(document: Document, changes: Sequence[Change]) -> Document:
    """The document after the changes, one after the other.

    :raises AbsentKey: a change replaces or removes a key that is not there, nor shown by default
    :raises InvalidRequest: titled API; a change is none of add, replace and remove, or has no value
    """
    result = dict(document)
    for op, key, value in changes:
        if op == "remove":
            if result.pop(key, None) is None and key not in reserved.SHOWN:
                raise AbsentKey(f"Cannot remove {quoted(key)}: the metadata has no such key.")
        elif op not in ("add", "replace") or value is None:
            raise InvalidRequest(f"op must be add or replace with a value, or remove. Got {op!r}.")
        elif op == "replace" and key not in result and key not in reserved.SHOWN:
            raise AbsentKey(f"Cannot replace {quoted(key)}: the metadata has no such key.")
        else:
            result[key] = _raw(value)
    return result


def matches(document: Document, filters: Mapping[str, Sequence[str]]) -> bool:
    """Whether every filter's key is stored with one of that filter's values.

    A value that is a string must be the same text; one that is an integer, the same number.
    """
    return all(
        key in document and _is_one_of(_python(document[key]), wanted)
        for key, wanted in filters.items()
    )


def _is_one_of(value: object, wanted: Sequence[str]) -> bool:
    if isinstance(value, str):
        return value in wanted
    if isinstance(value, bool) or not isinstance(value, int):
        return False
    return any(_INTEGER.fullmatch(text) and int(text) == value for text in wanted)


def _raw(value: RawJson) -> msgspec.Raw:
    return value if isinstance(value, msgspec.Raw) else msgspec.Raw(value)


def _python(value: msgspec.Raw) -> object:
    """The value; a number too large for Python's decoder is an infinite float."""
    try:
        return _value(value)
    except msgspec.ValidationError:
        return float(bytes(value))

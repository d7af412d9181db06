"""Query strings: read by our own rules, and written into links.

A blank value is no value. The last value of a scalar counts, be it repeated or a list with
commas. Unknown names are nobody's business. Nothing in a query string can fail to be read:
broken percent-encoding stands for itself, broken UTF-8 becomes U+FFFD.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from urllib.parse import quote, unquote_plus

from queueing.core.errors import PARAMETER, InvalidRequest, OverLimit
from queueing.core.rules import quoted

TRUE = frozenset({"true", "True", "t", "yes", "y", "1", "on"})
FALSE = frozenset({"false", "False", "f", "no", "n", "0", "off"})
SECONDS = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,18})?", re.ASCII)
LONGEST_INTEGER = 18  # digits; what is longer is far beyond every bound, and int() refuses 4,301


class Query:
    """The parameters of one request, by name."""

    __slots__ = ("_values",)

    def __init__(self, text: str) -> None:
        self._values: dict[str, list[str]] = {}  # not yet decoded: `%2C` and `,` may differ
        for parameter in text.split("&") if text else ():
            name, _, value = parameter.partition("=")
            if value:
                self._values.setdefault(unquote_plus(name), []).append(value)

    def text(self, name: str) -> str | None:
        """The last value; None if there is none."""
        values = self._values.get(name)
        pieces = [piece for piece in values[-1].split(",") if piece] if values else None
        return unquote_plus(pieces[-1]) if pieces else None

    def integer(self, name: str) -> int | None:
        """:raises InvalidRequest: titled PARAMETER
        :raises OverLimit: titled API; it has more digits than any bound
        """
        value = self.text(name)
        if value is None:
            return None
        trimmed = value.strip(" ")
        digits = trimmed[1:] if trimmed[:1] in ("+", "-") else trimmed
        if not (digits.isascii() and digits.isdigit()):
            raise InvalidRequest(f"{name} must be an integer. Got {quoted(value)}.", PARAMETER)
        if len(digits) > LONGEST_INTEGER:
            raise OverLimit(f"{name} may not exceed {LONGEST_INTEGER} digits. Got {len(digits)}.")
        return int(trimmed)

    def seconds(self, name: str) -> float | None:
        """A time in seconds, as `20` or `0.5`.

        :raises InvalidRequest: titled PARAMETER
        """
        value = self.text(name)
        if value is None:
            return None
        if not SECONDS.fullmatch(value):
            raise InvalidRequest(
                f"{name} must be a number of seconds. Got {quoted(value)}.", PARAMETER
            )
        return float(value)

    def boolean(self, name: str) -> bool | None:
        """:raises InvalidRequest: titled PARAMETER"""
        value = self.text(name)
        if value is None:
            return None
        if value in TRUE:
            return True
        if value in FALSE:
            return False
        raise InvalidRequest(f"{name} must be true or false. Got {quoted(value)}.", PARAMETER)

    def items(self, name: str) -> list[str] | None:
        """All values, split at commas, encoded or not; None if there is none, [] for mere commas."""
        values = self._values.get(name)
        if values is None:
            return None
        return [piece for value in values for piece in unquote_plus(value).split(",") if piece]

    def others(self, known: Collection[str]) -> dict[str, list[str]]:
        """Parameters with other names than these, with all their values."""
        return {
            name: [unquote_plus(piece) for value in values for piece in value.split(",") if piece]
            for name, values in self._values.items()
            if name not in known
        }


def link(path: str, parameters: Collection[tuple[str, str | int | bool | None]]) -> str:
    """The path with a query of those parameters that are not None; booleans are `true`, `false`."""
    pairs = []
    for name, value in parameters:
        if value is None:
            continue
        text = str(value).lower() if isinstance(value, bool) else str(value)
        pairs.append(f"{quote(name, safe='')}={quote(text, safe='')}")
    return f"{path}?{'&'.join(pairs)}" if pairs else path

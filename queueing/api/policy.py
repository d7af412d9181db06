"""Who may do what: an action per route and method, a rule per action.

Rules are texts in the manner of oslo.policy: `role:admin`, `@` or nothing for everybody, `!` for
nobody, `and`, `or`, `not`, parentheses, and `rule:name` for another entry of the table.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import falcon

from queueing.core.errors import SetupError
from queueing.core.rules import quoted

ANYBODY = "@"
ADMIN = "role:admin"

DEFAULTS: Mapping[str, str] = {
    "ping:get": ANYBODY,
    "health:get": ADMIN,
    "queues:get_all": ANYBODY,
    "queues:create": ANYBODY,
    "queues:get": ANYBODY,
    "queues:update": ANYBODY,
    "queues:delete": ANYBODY,
    "queues:stats": ANYBODY,
    "queues:purge": ANYBODY,
    "messages:create": ANYBODY,
    "messages:get_all": ANYBODY,
    "messages:get": ANYBODY,
    "messages:delete": ANYBODY,
    "messages:delete_all": ANYBODY,
    "claims:create": ANYBODY,
    "claims:get": ANYBODY,
    "claims:update": ANYBODY,
    "claims:delete": ANYBODY,
}

Check = Callable[[frozenset[str]], bool]
"""Whether a request with these roles, in lower case, may pass."""

_TOKEN = re.compile(r"\s*(\(|\)|[^\s()]+)")


class Policy:
    """The table in force."""

    def __init__(self, overrides: Mapping[str, str]) -> None:
        """Names without a colon are no actions but rules for others to name.

        :raises SetupError: an action is unknown, or a rule is none
        """
        unknown = sorted(name for name in overrides if ":" in name and name not in DEFAULTS)
        if unknown:
            raise SetupError(
                f"policy: there is no action {unknown[0]!r}; there are: {', '.join(sorted(DEFAULTS))}"
            )
        self._rules = {**DEFAULTS, **overrides}
        self._checks = {name: _Rule(self._rules, name).check() for name in self._rules}

    def check(self, action: str) -> Check | None:
        """The rule for an action; None if everybody may.

        :raises KeyError: there is no such action
        """
        passes = self._checks[action]
        return None if passes is _anybody else passes

    def refusal(self, action: str) -> falcon.HTTPForbidden:
        return falcon.HTTPForbidden(
            title="Not authorized",
            description=f"The policy for {action} asks for {quoted(self._rules[action])}.",
        )


def roles(header: str | None) -> frozenset[str]:
    """The roles in an `X-Roles` header; case does not matter."""
    return frozenset(role.strip().lower() for role in header.split(",")) if header else frozenset()


def _anybody(_roles: frozenset[str]) -> bool:
    return True


def _nobody(_roles: frozenset[str]) -> bool:
    return False


class _Rule:
    """Reads one rule: `or` binds less than `and`, and that less than `not`."""

    def __init__(self, rules: Mapping[str, str], name: str, within: tuple[str, ...] = ()) -> None:
        self._rules = rules
        self._name = name
        self._within = (*within, name)
        self._tokens = _TOKEN.findall(rules[name])

    def check(self) -> Check:
        if not self._tokens:
            return _anybody
        found = self._either()
        if self._tokens:
            raise self._error(f"{self._tokens[0]!r} is one too many")
        return found

    def _either(self) -> Check:
        checks = [self._both()]
        while self._takes("or"):
            checks.append(self._both())
        return checks[0] if len(checks) == 1 else lambda roles: any(one(roles) for one in checks)

    def _both(self) -> Check:
        checks = [self._single()]
        while self._takes("and"):
            checks.append(self._single())
        return checks[0] if len(checks) == 1 else lambda roles: all(one(roles) for one in checks)

    def _single(self) -> Check:
        if not self._tokens:
            raise self._error("it ends too early")
        word = self._tokens.pop(0)
        if word.lower() == "not":
            inner = self._single()
            return lambda roles: not inner(roles)
        if word == "(":
            inner = self._either()
            if not self._takes(")"):
                raise self._error("a ')' is missing")
            return inner
        if word == "@":
            return _anybody
        if word == "!":
            return _nobody
        kind, _, value = word.partition(":")
        if kind == "role" and value:
            role = value.lower()
            return lambda roles: role in roles
        if kind == "rule" and value in self._rules and value not in self._within:
            return _Rule(self._rules, value, self._within).check()
        raise self._error(f"{word!r} is not role:<name>, rule:<name of another>, '@' or '!'")

    def _takes(self, word: str) -> bool:
        if self._tokens and self._tokens[0].lower() == word:
            self._tokens.pop(0)
            return True
        return False

    def _error(self, why: str) -> SetupError:
        return SetupError(f"policy: {self._name} = {self._rules[self._name]!r} is no rule: {why}")

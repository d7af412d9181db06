"""Rules of the policy: who passes, and what is refused at the start."""

from __future__ import annotations

import pytest

from queueing.api.policy import DEFAULTS, Policy, roles
from queueing.core.errors import SetupError


def passes(rule: str, *having: str, **others: str) -> bool:
    check = Policy({"queues:create": rule, **others}).check("queues:create")
    return check is None or check(frozenset(having))


@pytest.mark.parametrize(
    ("rule", "having", "expected"),
    [
        *[("", (), True), ("@", (), True), ("!", ("admin",), False), (" @ ", (), True)],
        *[
            ("role:admin", (), False),
            ("role:admin", ("admin",), True),
            ("role:Admin", ("admin",), True),
        ],
        *[("role:a or role:b", ("b",), True), ("role:a or role:b", ("c",), False)],
        *[("role:a and role:b", ("a",), False), ("role:a and role:b", ("a", "b"), True)],
        *[("not role:a", ("a",), False), ("not role:a", (), True)],
        *[
            ("role:a or role:b and role:c", ("a",), True),
            ("role:a or role:b and role:c", ("b",), False),
        ],
        *[
            ("(role:a or role:b) and role:c", ("a",), False),
            ("(role:a or role:b) and role:c", ("b", "c"), True),
        ],
        *[("rule:operators", ("ops",), True), ("rule:health:get", ("admin",), True)],
    ],
)
def test_a_rule_lets_pass(rule: str, having: tuple[str, ...], expected: bool) -> None:
    assert passes(rule, *having, operators="role:ops") is expected


@pytest.mark.parametrize(
    "rule",
    [
        *[
            "role:",
            "role",
            "admin",
            "role:a role:b",
            "role:a or",
            "and role:a",
            "(role:a",
            "role:a)",
        ],
        *["not", "rule:nope", "rule:queues:create", "project_id:%(project_id)s", "()", "@ !"],
    ],
)
def test_what_is_no_rule_is_refused_in_a_line(rule: str) -> None:
    with pytest.raises(SetupError, match=r"^policy: queues:create = .* is no rule: ") as caught:
        Policy({"queues:create": rule})
    assert "\n" not in str(caught.value)


def test_rules_that_go_in_circles_are_refused() -> None:
    with pytest.raises(SetupError, match="is no rule"):
        Policy({"queues:create": "rule:a", "a": "rule:b", "b": "rule:a"})


def test_an_unknown_action_is_refused_in_a_line_that_lists_them() -> None:
    with pytest.raises(SetupError, match=r"no action 'queues:make'; there are: .*queues:create"):
        Policy({"queues:make": "@"})


def test_everybody_may_do_all_but_what_is_for_administrators() -> None:
    policy = Policy({})
    assert [action for action in DEFAULTS if policy.check(action)] == ["health:get"]


def test_roles_are_separated_by_commas_and_know_no_case() -> None:
    assert roles("member, Admin ,x") == {"member", "admin", "x"}
    assert roles(None) == roles("") == frozenset()

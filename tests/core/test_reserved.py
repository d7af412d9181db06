"""Reserved keys of a queue's metadata: what they may hold and what they mean."""

from __future__ import annotations

from dataclasses import replace

import pytest

from queueing.core import reserved
from queueing.core.errors import API, BODY, InvalidRequest
from queueing.core.limits import Limits
from queueing.core.models import DeadLetterRule

LIMITS = Limits()
WITH_KEY = replace(LIMITS, message_encryption_key="secret")

INTEGERS = {
    "_max_messages_post_size": (1, 262144),
    "_default_message_ttl": (60, 1209600),
    "_default_message_delay": (0, 900),
    "_dead_letter_queue_messages_ttl": (60, 1209600),
    "_max_claim_count": (0, 2**63 - 1),
}


def check(title: str = API, limits: Limits = LIMITS, **values: object) -> None:
    reserved.check(values, "this", limits, title)


def meaning(limits: Limits = LIMITS, **values: object) -> reserved.QueueSettings:
    return reserved.settings("v", values, limits)


@pytest.mark.parametrize("key", reserved.RESERVED)
def test_null_is_not_set_for_every_reserved_key(key):
    check(**{key: None})


@pytest.mark.parametrize(("key", "bounds"), INTEGERS.items())
def test_bounds_of_an_integer_belong_to_it(key, bounds):
    for value in bounds:
        check(**{key: value})


@pytest.mark.parametrize(("key", "bounds"), INTEGERS.items())
def test_integers_out_of_bounds_are_refused_with_bounds_and_value(key, bounds):
    least, most = bounds
    for value in (least - 1, most + 1):
        with pytest.raises(InvalidRequest) as refusal:
            check(**{key: value})
        assert str(refusal.value) == (
            f"{key} must be at least {least} and may not exceed {most}. Got {value}."
        )


@pytest.mark.parametrize("key", INTEGERS)
@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (True, "true"),
        (False, "false"),
        (60.0, "60.0"),
        ("60", '"60"'),
        ("", '""'),
        ([], "an array"),
        ({}, "an object"),
        (float("inf"), "Infinity"),
    ],
)
def test_what_is_no_integer_is_refused_even_if_it_is_falsy(key, value, shown):
    with pytest.raises(InvalidRequest) as refusal:
        check(**{key: value})
    assert str(refusal.value) == f"{key} must be an integer or null. Got {shown}."


def test_refusals_carry_the_title_they_are_given():
    for title in (API, BODY):
        with pytest.raises(InvalidRequest) as refusal:
            check(title, _default_message_ttl=1)
        assert refusal.value.title == title


def test_dead_letter_queue_is_the_name_of_another_queue():
    check(_dead_letter_queue="other")
    with pytest.raises(InvalidRequest, match=r'another queue than this one. Got "this".'):
        check(_dead_letter_queue="this")


@pytest.mark.parametrize("value", ["", "a/b", "..", "x" * 65, "a\n", 1, False, []])
def test_dead_letter_queue_must_be_a_name(value):
    with pytest.raises(InvalidRequest, match="_dead_letter_queue must be the name of a queue"):
        check(_dead_letter_queue=value)


def test_encryption_needs_a_configured_key():
    check(limits=WITH_KEY, _enable_encrypt_messages=True)
    for limits in (LIMITS, replace(LIMITS, message_encryption_key="")):
        with pytest.raises(InvalidRequest, match="key is configured, and none is") as refusal:
            check(BODY, limits, _enable_encrypt_messages=True)
        assert refusal.value.title == API


@pytest.mark.parametrize("value", [0, 1, "true", "", []])
def test_encryption_is_a_boolean(value):
    with pytest.raises(InvalidRequest, match="_enable_encrypt_messages must be a boolean"):
        check(limits=WITH_KEY, _enable_encrypt_messages=value)


def test_encryption_may_be_switched_off_without_a_key():
    check(_enable_encrypt_messages=False)


@pytest.mark.parametrize("value", [1, False, [], {}])
def test_flavor_is_a_string(value):
    check(_flavor="")
    with pytest.raises(InvalidRequest, match="_flavor must be a string"):
        check(_flavor=value)


@pytest.mark.parametrize(
    "policy",
    [
        {},
        {"unknown": [1]},
        {"retries_with_no_delay": 0, "minimum_delay": None, "maximum_delay_retries": None},
        {"minimum_delay": 20},
        {"minimum_delay": 0, "maximum_delay": 10},
        {"retry_backoff_function": "geometric", "ignore_subscription_override": True},
        {"retry_backoff_function": None, "ignore_subscription_override": None},
    ],
)
def test_retry_policies_as_in_the_specification_pass(policy):
    check(_retry_policy=policy)


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ([], "_retry_policy must be an object"),
        ("", "_retry_policy must be an object"),
        (0, "_retry_policy must be an object"),
        ({"retries_with_no_delay": True}, "retries_with_no_delay must be an integer"),
        ({"minimum_delay_retries": "3"}, "minimum_delay_retries must be an integer"),
        ({"maximum_delay": 30.0}, "maximum_delay must be an integer"),
        ({"maximum_delay_retries": -1}, "maximum_delay_retries must be at least 0. Got -1"),
        ({"retry_backoff_function": "cubic"}, 'must be one of linear, .*. Got "cubic"'),
        ({"retry_backoff_function": []}, "must be one of linear"),
        ({"ignore_subscription_override": 1}, "ignore_subscription_override must be a boolean"),
        ({"minimum_delay": 21}, "at least 10 above minimum_delay. Got 30 and 21"),
        ({"maximum_delay": 14}, "at least 10 above minimum_delay. Got 14 and 5"),
        ({"minimum_delay": 40, "maximum_delay": 30}, "Got 30 and 40"),
    ],
)
def test_other_retry_policies_are_refused(policy, said):
    with pytest.raises(InvalidRequest, match=said):
        check(_retry_policy=policy)


def test_other_keys_with_an_underscore_are_the_clients_own():
    check(_ttl="anything", owner=[1])


def test_queue_without_settings_has_the_configured_defaults():
    limits = replace(LIMITS, default_message_ttl=111, default_message_delay=7)
    assert meaning(limits) == reserved.QueueSettings("v", 262144, 111, 7, None, False)


def test_settings_of_the_queue_come_before_the_configured_defaults():
    assert meaning(
        _max_messages_post_size=10,
        _default_message_ttl=61,
        _default_message_delay=1,
        _enable_encrypt_messages=True,
    ) == reserved.QueueSettings("v", 10, 61, 1, None, True)


def test_dead_letter_rule_needs_both_a_target_and_a_count():
    both = meaning(_dead_letter_queue="dlq", _max_claim_count=2)
    assert both.dead_letter == DeadLetterRule("dlq", 2, None)
    for half in (
        {"_dead_letter_queue": "dlq"},
        {"_max_claim_count": 2},
        {"_dead_letter_queue": "dlq", "_max_claim_count": 0},
        {"_dead_letter_queue": "dlq", "_max_claim_count": None},
        {"_dead_letter_queue": None, "_max_claim_count": 2},
    ):
        assert meaning(**half).dead_letter is None


def test_dead_letter_rule_carries_the_lifetime_there():
    rule = meaning(
        _dead_letter_queue="dlq", _max_claim_count=2, _dead_letter_queue_messages_ttl=60
    ).dead_letter
    assert rule == DeadLetterRule("dlq", 2, 60)


def test_stored_settings_beyond_limits_that_were_lowered_since_count_as_the_limits():
    limits = replace(LIMITS, max_messages_post_size=100, max_message_ttl=600, max_message_delay=10)
    assert meaning(
        limits,
        _max_messages_post_size=1000,
        _default_message_ttl=3600,
        _default_message_delay=900,
    ) == reserved.QueueSettings("v", 100, 600, 10, None, False)


@pytest.mark.parametrize("value", ["x", True, 1.5, [], {}])
def test_ill_typed_settings_in_the_store_are_not_set_and_break_nothing(value):
    assert meaning(**dict.fromkeys(INTEGERS, value)) == meaning()


def test_shown_defaults_are_the_seven_keys_and_what_holds_without_them():
    assert reserved.defaults(LIMITS) == {
        "_max_messages_post_size": 262144,
        "_default_message_ttl": 3600,
        "_default_message_delay": 0,
        "_dead_letter_queue": None,
        "_dead_letter_queue_messages_ttl": None,
        "_max_claim_count": None,
        "_enable_encrypt_messages": False,
    }

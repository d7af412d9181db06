"""Bounds, defaults, names: what may be asked for."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queueing.core import rules
from queueing.core.errors import API, CLIENT_ID, QUEUE_NAME, InvalidRequest, OverLimit
from queueing.core.limits import Limits

LIMITS = Limits()
ANY_CLIENT = replace(LIMITS, client_id_uuid_safe="off")
UUID_TEXT = "12345678-9abc-def0-1234-56789abcdef0"


def test_page_holds_ten_unless_something_else_is_asked_for():
    assert rules.page_limit(None, 20) == 10
    assert rules.page_limit(7, 20) == 7


def test_default_page_is_never_longer_than_the_longest():
    assert rules.page_limit(None, 3) == 3


@pytest.mark.parametrize("limit", [1, 20])
def test_bounds_of_a_page_belong_to_it(limit):
    assert rules.page_limit(limit, 20) == limit


@pytest.mark.parametrize("limit", [0, -1, 21, 2**63])
def test_page_out_of_bounds_is_refused_with_bounds_and_value(limit):
    with pytest.raises(OverLimit) as refusal:
        rules.page_limit(limit, 20)
    assert refusal.value.title == API
    assert str(refusal.value) == (f"Limit must be at least 1 and may not exceed 20. Got {limit}.")


@pytest.mark.parametrize("limit", [0, -1, 21])
def test_pop_is_bounded(limit):
    assert rules.pop_limit(20, LIMITS) == 20
    with pytest.raises(OverLimit, match=f"^pop must be .* 20. Got {limit}.$"):
        rules.pop_limit(limit, LIMITS)


@pytest.mark.parametrize("ttl", [59, 0, -60, 1209601])
def test_lifetime_of_a_message_is_bounded_and_the_refusal_says_which_message(ttl):
    assert rules.message_ttl(60, LIMITS, 0) == 60
    assert rules.message_ttl(1209600, LIMITS, 0) == 1209600
    with pytest.raises(OverLimit, match=rf"^messages\[3\].ttl .* 1209600. Got {ttl}.$"):
        rules.message_ttl(ttl, LIMITS, 3)


@pytest.mark.parametrize("delay", [-1, 901])
def test_delay_of_a_message_is_bounded_and_the_refusal_says_which_message(delay):
    assert rules.message_delay(0, LIMITS, 0) == 0
    assert rules.message_delay(900, LIMITS, 0) == 900
    with pytest.raises(OverLimit, match=rf"^messages\[1\].delay .* 900. Got {delay}.$"):
        rules.message_delay(delay, LIMITS, 1)


@pytest.mark.parametrize("rule", [rules.claim_ttl, rules.claim_grace])
@pytest.mark.parametrize("seconds", [59, 0, -1, 43201])
def test_claim_is_bounded(rule, seconds):
    assert rule(60, LIMITS) == 60
    assert rule(43200, LIMITS) == 43200
    with pytest.raises(OverLimit, match=f"must be at least 60 .* 43200. Got {seconds}."):
        rule(seconds, LIMITS)


def test_claim_that_says_nothing_has_the_configured_defaults():
    limits = replace(LIMITS, default_claim_ttl=111, default_claim_grace=99)
    assert rules.claim_ttl(None, limits) == 111
    assert rules.claim_grace(None, limits) == 99
    assert rules.renewal_grace(None, limits) == 99


@pytest.mark.parametrize(
    ("grace", "granted"), [(0, 0), (59, 59), (43200, 43200), (43201, 43200), (2**62, 43200)]
)
def test_grace_of_a_renewal_is_cut_at_its_maximum_and_has_no_minimum_but_zero(grace, granted):
    assert rules.renewal_grace(grace, LIMITS) == granted


def test_grace_of_a_renewal_may_not_be_negative():
    with pytest.raises(OverLimit, match=r"^grace must be at least 0. Got -1.$"):
        rules.renewal_grace(-1, LIMITS)


@pytest.mark.parametrize("number", [1, 20])
def test_as_many_ids_as_a_page_may_be_named(number):
    rules.ids(["a"] * number, LIMITS)


@pytest.mark.parametrize("number", [0, 21])
def test_no_ids_and_more_than_a_page_of_them_are_refused(number):
    with pytest.raises(OverLimit, match=f"may not exceed 20. Got {number}.$"):
        rules.ids(["a"] * number, LIMITS)


def test_post_may_have_exactly_as_many_bytes_as_the_queue_takes():
    rules.post_size(100, 100)
    with pytest.raises(OverLimit, match=r"may not exceed 100 bytes. Got 101 bytes.$"):
        rules.post_size(101, 100)


def test_metadata_may_have_exactly_as_many_bytes_as_configured():
    rules.metadata_size(65536, LIMITS, API)
    with pytest.raises(OverLimit, match=r"may not exceed 65536 bytes. Got 65537 bytes.$"):
        rules.metadata_size(65537, LIMITS, API)


@pytest.mark.parametrize(
    "name", ["a", "a" * 64, "0", "stats", "A-b_c.d", "...", ".a", "a.", "-", "_"]
)
def test_queue_names_are_letters_digits_and_three_marks(name):
    assert rules.queue_name(name) == name


@pytest.mark.parametrize(
    "name",
    ["", "a" * 65, ".", "..", "a\n", "\na", "a b", "a/b", "é", "a\x00", "a%", "٣", "a" * 10_000],
)
def test_other_queue_names_are_refused_and_shown_on_one_short_line(name):
    with pytest.raises(InvalidRequest) as refusal:
        rules.queue_name(name)
    assert refusal.value.title == QUEUE_NAME
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 300


def test_project_has_up_to_256_characters_of_any_kind():
    assert rules.project("é /." * 64) == "é /." * 64
    with pytest.raises(InvalidRequest, match=r"may not exceed 256 characters. Got 257") as refusal:
        rules.project("x" * 257)
    assert refusal.value.title == QUEUE_NAME


@pytest.mark.parametrize(
    "spelling",
    [
        UUID_TEXT,
        UUID_TEXT.upper(),
        UUID_TEXT.replace("-", ""),
        f"{{{UUID_TEXT}}}",
        f"urn:uuid:{UUID_TEXT}",
        f"URN:UUID:{UUID_TEXT.upper()}",
        "1234-56789abc-def0-12345678-9abcdef0",
    ],
)
def test_spellings_of_one_uuid_are_one_client(spelling):
    assert rules.client_id(spelling, LIMITS) == UUID_TEXT


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "not-a-uuid",
        UUID_TEXT[:-1],
        UUID_TEXT + "0",
        UUID_TEXT + "\n",
        " " + UUID_TEXT,
        f"{{{UUID_TEXT}",
        "g" * 32,
        "1_2345678" * 4,
        "٣" * 32,
        "0x" + "1" * 30,
        "+" + "1" * 31,
    ],
)
def test_what_is_no_uuid_is_refused_in_strict_mode(text):
    with pytest.raises(InvalidRequest, match="must be a UUID") as refusal:
        rules.client_id(text, LIMITS)
    assert refusal.value.title == CLIENT_ID


@given(st.uuids())
def test_every_uuid_is_a_client_in_canonical_form(uuid: UUID):
    assert rules.client_id(uuid.hex, LIMITS) == str(uuid)


def test_any_string_within_the_lengths_is_a_client_where_uuids_are_not_required():
    for text in ("x" * 10, "é" * 36, UUID_TEXT.upper(), str(uuid4())):
        assert rules.client_id(text, ANY_CLIENT) == text


@pytest.mark.parametrize("text", ["", "x" * 9, "x" * 37])
def test_other_lengths_are_refused_where_uuids_are_not_required(text):
    with pytest.raises(InvalidRequest, match="10 to 36 characters") as refusal:
        rules.client_id(text, ANY_CLIENT)
    assert refusal.value.title == CLIENT_ID


@pytest.mark.parametrize(
    ("text", "possible"),
    [("a", True), ("A-z_9" * 12, True), ("x" * 65, False), ("", False), ("a\n", False)]
    + [(text, False) for text in ("a,b", "a=b", "é", "a.b", "\x00", "a b")],
)
def test_ids_are_up_to_64_letters_digits_and_two_marks(text, possible):
    assert rules.is_id(text) is possible


def test_purge_empties_everything_unless_types_are_named():
    assert rules.resource_types(None) == {"messages", "subscriptions"}
    assert rules.resource_types([]) == frozenset()
    assert rules.resource_types(["messages", "messages"]) == {"messages"}


@pytest.mark.parametrize("types", [["queues"], ["messages", ""], ["Messages"], [None], [["x"]]])
def test_purge_of_an_unknown_type_is_refused(types):
    with pytest.raises(InvalidRequest, match="may only hold 'messages' and 'subscriptions'") as no:
        rules.resource_types(types)
    assert no.value.title == API

"""Queues: creating, showing, changing and finding them."""

from __future__ import annotations

import threading

import pytest

from queueing.core.errors import (
    API,
    BODY,
    AbsentKey,
    InvalidRequest,
    OverLimit,
    QueueNotFound,
    StorageUnavailable,
)
from queueing.core.models import QueueRef
from queueing.service.queues import FILTER_PAGE, PATCH_ATTEMPTS, Change
from tests.service.conftest import texts

PATIENCE_SECONDS = 60.0
DEFAULTS = {
    "_max_messages_post_size": b"262144",
    "_default_message_ttl": b"3600",
    "_default_message_delay": b"0",
    "_dead_letter_queue": b"null",
    "_dead_letter_queue_messages_ttl": b"null",
    "_max_claim_count": b"null",
    "_enable_encrypt_messages": b"false",
}


def names(node, project, **asked):
    asked = {"marker": "", "limit": None, "name": None, "filters": {}, **asked}
    return [entry.name for entry in node.queues.list(project, **asked)]


def add(key: str, value: bytes) -> Change:
    return Change("add", key, value)


def replace(key: str, value: bytes) -> Change:
    return Change("replace", key, value)


def remove(key: str) -> Change:
    return Change("remove", key, None)


# Create and show


def test_queue_is_made_once_and_keeps_its_first_metadata(node, other, queue):
    assert node.queues.create(queue, {"owner": b'"a"'})
    assert not other.queues.create(queue, {"owner": b'"b"'})
    assert texts(node.queues.show(queue)) == {"owner": b'"a"', **DEFAULTS}


def test_metadata_of_an_existing_queue_is_checked_all_the_same(node, queue):
    node.queues.create(queue, {})
    with pytest.raises(InvalidRequest):
        node.queues.create(queue, {"_default_message_ttl": b"1"})


def test_refused_queue_is_not_made(node, queue):
    with pytest.raises(InvalidRequest, match="_default_message_ttl must be at least 60") as refusal:
        node.queues.create(queue, {"_default_message_ttl": b"59"})
    assert refusal.value.title == API
    assert not node.queues.exists(queue)


def test_missing_queue_shows_the_defaults_and_is_not_made(node, queue):
    assert texts(node.queues.show(queue)) == DEFAULTS
    assert not node.queues.exists(queue)


def test_shown_defaults_are_the_configured_ones(open_node, queue):
    node = open_node(default_message_ttl=600, max_messages_post_size=1000, default_message_delay=5)
    shown = texts(node.queues.show(queue))
    assert shown["_default_message_ttl"] == b"600"
    assert shown["_max_messages_post_size"] == b"1000"
    assert shown["_default_message_delay"] == b"5"


def test_metadata_comes_back_digit_for_digit_and_in_order(node, queue):
    given = {
        "z": b"1e400",
        "a": b"0.10000000000000000001",
        "é": '"é"'.encode(),
        "m": b'{"b":1,"a":[1.0,null]}',
        "_ttl": b'"free"',
    }
    node.queues.create(queue, given)
    shown = texts(node.queues.show(queue))
    assert shown == {**given, **DEFAULTS}
    assert list(shown)[: len(given)] == list(given)


def test_metadata_is_stored_without_blanks_between(node, queue):
    node.queues.create(queue, {"a": b'{ "b" : [ 1 , "x y" ] }'})
    stored = node.storage.queues.fetch(queue)
    assert stored.document == b'{"a":{"b":[1,"x y"]}}'


@pytest.mark.parametrize("value", [b"null", b"0", b"false"])
def test_falsy_values_show_the_default(node, queue, value):
    key = {b"null": "_dead_letter_queue", b"0": "_max_claim_count"}.get(
        value, "_enable_encrypt_messages"
    )
    node.queues.create(queue, {key: value})
    assert texts(node.queues.show(queue))[key] == DEFAULTS[key]


def test_stored_settings_are_shown(node, queue):
    node.configure(queue, _max_claim_count=3, _default_message_delay=7, _retry_policy={})
    shown = texts(node.queues.show(queue))
    assert shown["_max_claim_count"] == b"3"
    assert shown["_default_message_delay"] == b"7"
    assert shown["_retry_policy"] == b"{}"


def test_metadata_longer_than_configured_is_refused(open_node, queue):
    node = open_node(max_queue_metadata=20)
    with pytest.raises(OverLimit, match=r"may not exceed 20 bytes. Got 21 bytes\.") as refusal:
        node.queues.create(queue, {"a": b'"' + b"x" * 13 + b'"'})
    assert refusal.value.title == API
    assert node.queues.create(queue, {"a": b'"' + b"x" * 12 + b'"'})


@pytest.mark.parametrize("value", [b"1e400", b"9" * 5000, b'"x"', b"true"])
def test_reserved_numbers_that_are_none_are_refused(node, queue, value):
    with pytest.raises(InvalidRequest, match="_max_claim_count must be an integer"):
        node.queues.create(queue, {"_max_claim_count": value})


def test_encryption_cannot_be_asked_for_without_a_key(node, open_node, queue):
    for act in (
        lambda: node.queues.create(queue, {"_enable_encrypt_messages": b"true"}),
        lambda: node.queues.update(queue, [add("_enable_encrypt_messages", b"true")]),
    ):
        with pytest.raises(InvalidRequest, match="no") as refusal:
            act()
        assert refusal.value.title == API
        node.queues.create(queue, {})


# Change


def test_changes_are_applied_in_order(node, queue):
    node.queues.create(queue, {"a": b"1", "b": b"2"})
    shown = node.queues.update(
        queue, [replace("a", b"3"), add("c", b"4"), remove("b"), add("b", b"5"), replace("c", b"6")]
    )
    assert texts(shown) == {"a": b"3", "c": b"6", "b": b"5", **DEFAULTS}
    assert texts(node.queues.show(queue)) == texts(shown)


def test_no_changes_show_the_metadata_and_write_nothing(node, queue):
    node.queues.create(queue, {"a": b"1"})
    node.steps.clear()
    assert texts(node.queues.update(queue, [])) == {"a": b"1", **DEFAULTS}
    assert node.steps == ["queues.fetch"]


def test_missing_queue_cannot_be_changed(node, queue):
    with pytest.raises(QueueNotFound):
        node.queues.update(queue, [])
    assert not node.queues.exists(queue)


@pytest.mark.parametrize("change", [replace("gone", b"1"), remove("gone"), remove("_flavor")])
def test_change_of_an_absent_key_changes_nothing_at_all(node, queue, change):
    node.queues.create(queue, {"a": b"1"})
    with pytest.raises(AbsentKey, match=change.key):
        node.queues.update(queue, [add("a", b"2"), change])
    assert texts(node.queues.show(queue))["a"] == b"1"


def test_key_removed_by_an_earlier_change_is_absent(node, queue):
    node.queues.create(queue, {"a": b"1"})
    with pytest.raises(AbsentKey):
        node.queues.update(queue, [remove("a"), replace("a", b"2")])


@pytest.mark.parametrize("key", DEFAULTS)
def test_keys_that_are_always_shown_can_be_replaced_and_removed_though_not_stored(node, queue, key):
    node.queues.create(queue, {})
    assert texts(node.queues.update(queue, [remove(key)])) == DEFAULTS
    assert texts(node.queues.update(queue, [replace(key, b"null")])) == DEFAULTS
    assert texts(node.queues.update(queue, [remove(key)])) == DEFAULTS
    assert node.storage.queues.fetch(queue).document == b"{}"


def test_added_null_that_is_removed_again_leaves_the_key_unset(node, queue):
    node.queues.create(queue, {})
    node.queues.update(queue, [add("_dead_letter_queue", b"null"), remove("_dead_letter_queue")])
    assert node.storage.queues.fetch(queue).document == b"{}"


def test_result_that_breaks_a_rule_changes_nothing_and_is_titled_as_a_body(node, queue):
    node.queues.create(queue, {})
    with pytest.raises(InvalidRequest, match="_default_message_ttl must be an integer") as refusal:
        node.queues.update(queue, [add("a", b"1"), add("_default_message_ttl", b'"600"')])
    assert refusal.value.title == BODY
    assert texts(node.queues.show(queue)) == DEFAULTS


def test_rules_are_for_the_result_and_not_for_steps_towards_it(node, queue):
    node.queues.create(queue, {})
    node.queues.update(
        queue, [add("_default_message_ttl", b"1"), replace("_default_message_ttl", b"600")]
    )
    assert texts(node.queues.show(queue))["_default_message_ttl"] == b"600"


def test_result_longer_than_configured_is_refused(open_node, queue):
    node = open_node(max_queue_metadata=30)
    node.queues.create(queue, {"a": b'"1234567890"'})
    with pytest.raises(OverLimit, match="may not exceed 30 bytes") as refusal:
        node.queues.update(queue, [add("b", b'"1234567890"')])
    assert refusal.value.title == BODY
    node.queues.update(queue, [remove("a"), add("b", b'"1234567890"')])


def test_change_made_meanwhile_by_another_node_is_kept(node, other, queue):
    node.queues.create(queue, {"a": b"1"})
    node.store.before(
        "queues.replace", lambda: other.queues.update(queue, [add("b", b"2"), remove("a")])
    )
    shown = node.queues.update(queue, [add("c", b"3")])
    assert texts(shown) == {"b": b"2", "c": b"3", **DEFAULTS}


def test_changes_are_judged_by_the_metadata_they_are_applied_to(node, other, queue):
    node.queues.create(queue, {"a": b"1"})
    node.store.before("queues.replace", lambda: other.queues.update(queue, [remove("a")]))
    with pytest.raises(AbsentKey):
        node.queues.update(queue, [replace("a", b"2")])


def test_queue_deleted_meanwhile_cannot_be_changed(node, other, queue):
    node.queues.create(queue, {"a": b"1"})
    node.store.before("queues.replace", lambda: other.queues.delete(queue))
    with pytest.raises(QueueNotFound):
        node.queues.update(queue, [add("b", b"2")])
    assert not node.queues.exists(queue)


def test_metadata_that_changes_with_every_attempt_ends_as_unavailable(node, other, queue):
    node.queues.create(queue, {})
    values = iter(range(1000))

    def change() -> None:
        other.queues.update(queue, [add("n", b"%d" % next(values))])

    node.store.before("queues.replace", *[change] * PATCH_ATTEMPTS)
    with pytest.raises(StorageUnavailable):
        node.queues.update(queue, [add("mine", b"1")])
    assert "mine" not in node.queues.show(queue)


def test_changes_at_the_same_time_are_all_made(open_node, queue):
    nodes = [open_node() for _ in range(4)]
    nodes[0].queues.create(queue, {})

    def change(index: int) -> None:
        for number in range(4):
            nodes[index].queues.update(queue, [add(f"{index}-{number}", b"1")])

    threads = [threading.Thread(target=change, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive()
    made = {f"{index}-{number}" for index in range(4) for number in range(4)}
    assert set(nodes[0].queues.show(queue)) == made | set(DEFAULTS)


# List, count, purge


def test_queues_are_listed_by_name_in_byte_order(node, project):
    for name in ("b", "a", "B", "a.b", "10", "2", "_"):
        node.queues.create(QueueRef(project, name), {})
    assert names(node, project) == ["10", "2", "B", "_", "a", "a.b", "b"]
    assert names(node, project, marker="B") == ["_", "a", "a.b", "b"]
    assert names(node, project, marker="A") == ["B", "_", "a", "a.b", "b"]
    assert names(node, project, limit=2, marker="2") == ["B", "_"]
    assert names(node, project, marker="b") == []


def test_page_of_queues_is_ten_and_at_most_what_is_configured(node, project):
    for index in range(12):
        node.queues.create(QueueRef(project, f"q{index:02}"), {})
    assert len(names(node, project)) == 10
    assert len(names(node, project, limit=20)) == 12
    with pytest.raises(OverLimit, match="Limit must be at least 1 and may not exceed 20"):
        names(node, project, limit=21)


def test_queues_of_other_projects_are_not_listed_counted_or_shown(node, project):
    node.queues.create(QueueRef(project, "mine"), {"a": b"1"})
    assert names(node, f"{project}x") == []
    assert names(node, f"{project}x", filters={"a": ["1"]}) == []
    assert node.queues.count(f"{project}x") == 0
    assert "a" not in node.queues.show(QueueRef(f"{project}x", "mine"))


def test_listed_queues_carry_their_metadata_as_shown(node, project):
    node.queues.create(QueueRef(project, "a"), {"x": b"1e400"})
    node.queues.create(QueueRef(project, "b"), {})
    for asked in ({}, {"name": ""}):
        listed = node.queues.list(
            project, marker="", limit=None, **{"name": None, "filters": {}, **asked}
        )
        assert [texts(entry.metadata) for entry in listed] == [
            {"x": b"1e400", **DEFAULTS},
            DEFAULTS,
        ]


def test_name_filter_is_a_substring_in_its_own_case(node, project):
    for name in ("orders", "ORDERS", "new.orders.1", "order", "x"):
        node.queues.create(QueueRef(project, name), {})
    assert names(node, project, name="orders") == ["new.orders.1", "orders"]
    assert names(node, project, name=".orders.") == ["new.orders.1"]
    assert names(node, project, name=".*") == []


FILTERED = {
    "text": b'"5"',
    "number": b"5",
    "float": b"5.0",
    "true": b"true",
    "null": b"null",
    "list": b"[5]",
    "none": None,
}


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (["5"], ["number", "text"]),
        (["+5"], ["number"]),
        (["05"], ["number"]),
        (["6", "5"], ["number", "text"]),
        (["5.0"], []),
        (["true"], []),
        (["True"], []),
        (["null"], []),
        (["5 "], []),
        (["٥"], []),
        ([""], []),
        (["9" * 5000], []),
    ],
)
def test_metadata_filter_compares_as_text_and_as_integer(node, project, wanted, found):
    for name, value in FILTERED.items():
        node.queues.create(QueueRef(project, name), {} if value is None else {"key": value})
    assert names(node, project, filters={"key": wanted}) == found


def test_several_filters_must_all_match(node, project):
    node.queues.create(QueueRef(project, "both"), {"a": b'"1"', "b": b"2"})
    node.queues.create(QueueRef(project, "one"), {"a": b'"1"'})
    assert names(node, project, filters={"a": ["1"], "b": ["2"]}) == ["both"]
    assert names(node, project, filters={"a": ["1"]}, name="o") == ["both", "one"]
    assert names(node, project, filters={"a": ["1"]}, name="one") == ["one"]


def test_defaults_match_no_filter(node, project):
    node.queues.create(QueueRef(project, "default"), {})
    node.queues.create(QueueRef(project, "stored"), {"_default_message_ttl": b"3600"})
    assert names(node, project, filters={"_default_message_ttl": ["3600"]}) == ["stored"]


def test_filters_apply_before_the_limit_over_any_number_of_queues(node, project):
    total = 2 * FILTER_PAGE + 30
    for index in range(total):
        wanted = index % 40 == 39
        node.queues.create(QueueRef(project, f"q{index:04}"), {"want": b"1"} if wanted else {})
    expected = [f"q{index:04}" for index in range(39, total, 40)]
    assert names(node, project, filters={"want": ["1"]}, limit=20) == expected
    assert names(node, project, filters={"want": ["1"]}, limit=2) == expected[:2]
    assert (
        names(node, project, filters={"want": ["1"]}, limit=20, marker=expected[1]) == expected[2:]
    )
    assert node.queues.count(project) == total


def test_purge_empties_the_queue_of_what_is_named(node, queue):
    node.configure(queue, a=1)
    node.post(queue, b"1", b"2", b"3")
    node.post(queue, b"4", delay=60)
    node.claim(queue, limit=1)
    node.queues.purge(queue, [])
    node.queues.purge(queue, ["subscriptions"])
    assert len(node.all(queue)) == 4
    node.queues.purge(queue, ["messages"])
    assert node.all(queue) == []
    assert "a" in node.queues.show(queue)
    node.post(queue, b"1")
    node.queues.purge(queue, None)
    assert node.all(queue) == []


def test_purge_of_a_missing_queue_makes_none(node, queue):
    node.queues.purge(queue, None)
    assert not node.queues.exists(queue)


def test_purge_of_an_unknown_type_empties_nothing(node, queue):
    node.post(queue, b"1")
    with pytest.raises(InvalidRequest):
        node.queues.purge(queue, ["messages", "claims"])
    assert node.bodies(queue) == [b"1"]


def test_deleted_queue_is_gone_with_all_that_was_in_it(node, queue):
    node.configure(queue, a=1)
    node.post(queue, b"1", b"2")
    claim = node.claim(queue, limit=1)
    node.queues.delete(queue)
    assert not node.queues.exists(queue)
    node.queues.create(queue, {})
    assert node.all(queue) == []
    assert texts(node.queues.show(queue)) == DEFAULTS
    assert node.queues.stats(queue)[:2] == (0, 0)
    node.claims.release(queue, claim.id)
    node.queues.delete(queue)
    node.queues.delete(queue)


def test_stats_count_what_is_free_and_claimed_now(node, queue):
    assert node.queues.stats(queue) == (0, 0, None, None)
    ids = node.post(queue, b"1", b"2", b"3", ttl=60)
    node.claim(queue, limit=1, ttl=300)
    stats = node.queues.stats(queue)
    assert (stats.free, stats.claimed) == (2, 1)
    assert (stats.oldest.id, stats.newest.id) == (ids[0], ids[2])
    node.clock.advance(60)
    stats = node.queues.stats(queue)
    assert (stats.free, stats.claimed) == (0, 1)
    assert stats.oldest == stats.newest

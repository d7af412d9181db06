"""How query strings are read."""

from __future__ import annotations

import pytest

from tests.support.http import API, PARAMETER, Api, next_link, refused, success


@pytest.fixture
def five(api: Api) -> Api:
    """Queues a to e; in `a` five messages of somebody else's and one that is claimed."""
    for name in "abcde":
        api.create(name)
    api.other_client().say("a", 0, 1, 2, 3, 4, 5)
    assert api.claim("a", limit=1).bodies == [0]
    return api


def queues(api: Api, query: str) -> list[str]:
    return [entry["name"] for entry in success(api.get(f"/v2/queues?{query}"))["queues"]]


def messages(api: Api, query: str) -> list[int]:
    listing = success(api.get(f"/v2/queues/a/messages?{query}"))
    return [message["body"] for message in listing["messages"]]


@pytest.mark.parametrize(
    "query",
    [
        "limit=2&limit=3",
        "limit=2,3",
        "limit=1,2&limit=9,3",
        "limit=%2B3",
        "limit=003",
    ],
)
def test_the_last_value_of_a_number_counts(five: Api, query: str) -> None:
    assert queues(five, query) == ["a", "b", "c"]
    assert messages(five, query) == [1, 2, 3]
    assert len(five.post(f"/v2/queues/a/claims?{query}").json()["messages"]) == 3


@pytest.mark.parametrize("query", ["", "limit=", "limit", "limit=&marker=&detailed=", "&&&", "="])
def test_a_blank_value_is_an_absent_one(five: Api, query: str) -> None:
    assert queues(five, query) == ["a", "b", "c", "d", "e"]


@pytest.mark.parametrize(
    "query", ["", "limit=", "echo=", "marker=", "ids=", "ids", "include_claimed=&include_delayed="]
)
def test_a_blank_value_is_an_absent_one_for_messages(five: Api, query: str) -> None:
    assert messages(five, query) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("path", ["/v2/queues", "/v2/queues/a/messages"])
@pytest.mark.parametrize(
    "value",
    ["x", "1_0", "1.0", "1e1", "0x1", "--1", "+", "-", "%D9%A3", "%EF%BC%93", "1;echo=true", "true",
     "None", "null", "1%001", "%FF", "1%0A1", "9x", "%E2%82"],
)  # fmt: skip
def test_q21_numbers_are_a_sign_and_ascii_digits(five: Api, path: str, value: str) -> None:
    refused(five.get(f"{path}?limit={value}"), 400, PARAMETER)


@pytest.mark.parametrize("path", ["/v2/queues", "/v2/queues/a/messages"])
@pytest.mark.parametrize(
    "value", ["0", "-1", "21", "99999999999999999999", "-0", "9" * 400, "9" * 5000]
)
def test_numbers_have_bounds(five: Api, path: str, value: str) -> None:
    refused(five.get(f"{path}?limit={value}"), 400, API)


@pytest.mark.parametrize("value", ["1", "20", "+20", "%2b1"])
def test_bounds_are_included(five: Api, value: str) -> None:
    encoded = value.replace("+", "%2B")
    assert queues(five, f"limit={encoded}")
    assert messages(five, f"limit={encoded}")


@pytest.mark.parametrize("value", ["true", "True", "t", "yes", "y", "1", "on"])
def test_true(five: Api, value: str) -> None:
    assert messages(five, f"include_claimed={value}") == [0, 1, 2, 3, 4, 5]
    assert "metadata" in success(five.get(f"/v2/queues?detailed={value}"))["queues"][0]


@pytest.mark.parametrize("value", ["false", "False", "f", "no", "n", "0", "off"])
def test_false(five: Api, value: str) -> None:
    assert messages(five, f"include_claimed={value}") == [1, 2, 3, 4, 5]
    assert "metadata" not in success(five.get(f"/v2/queues?detailed={value}"))["queues"][0]


@pytest.mark.parametrize(
    "value", ["TRUE", "FALSE", "None", "2", "T", "Y", "yes!", "truefalse", "ON", "-1", "01", "%FF"]
)
@pytest.mark.parametrize(
    "parameter",
    [
        "messages?echo",
        "messages?include_claimed",
        "messages?include_delayed",
        "detailed",
        "with_count",
    ],
)
def test_neither_true_nor_false(five: Api, parameter: str, value: str) -> None:
    path = f"/v2/queues/a/{parameter}" if "?" in parameter else f"/v2/queues?{parameter}"
    refused(five.get(f"{path}={value}"), 400, PARAMETER)


def test_the_last_value_of_a_switch_counts(five: Api) -> None:
    assert messages(five, "include_claimed=false&include_claimed=true") == [0, 1, 2, 3, 4, 5]
    assert messages(five, "include_claimed=true,false") == [1, 2, 3, 4, 5]


def test_names_are_case_sensitive_and_unknown_ones_ignored(five: Api) -> None:
    assert messages(five, "Limit=1&LIMIT=x&unknown=y&include_claimed=f") == [1, 2, 3, 4, 5]
    success(five.get("/v2/queues/a/stats?limit=x"))
    success(five.get("/v2/queues/a?detailed=x"))
    link = next_link(success(five.get("/v2/queues/a/messages?limit=1&unknown=y&Limit=2")))
    assert "unknown" not in link
    assert "Limit" not in link


def test_semicolons_do_not_separate(five: Api) -> None:
    assert messages(five, "unknown=1;limit=1") == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("separator", [",", "%2C", "%2c", "&ids="])
def test_lists_are_split_and_repeated(api: Api, separator: str) -> None:
    ids = api.say("q", 1, 2, 3)
    query = "ids=" + separator.join(ids)
    listing = success(api.get(f"/v2/queues/q/messages?{query}"))
    assert [message["id"] for message in listing["messages"]] == ids
    assert api.delete(f"/v2/queues/q/messages?{query}").status_code == 204
    assert api.counts("q") == (0, 0, 0)


def test_lists_may_mix_commas_and_repetition(api: Api) -> None:
    one, two, three, four = api.say("q", 1, 2, 3, 4)
    query = f"ids={one},{two}&ids=&ids={three}%2C,{four},"
    listing = success(api.get(f"/v2/queues/q/messages?{query}"))
    assert [message["id"] for message in listing["messages"]] == [one, two, three, four]


@pytest.mark.parametrize("space", ["+", "%20"])
def test_plus_and_percent_20_are_spaces(api: Api, space: str) -> None:
    api.create("q", owner="the boss")
    api.create("r", owner="the+boss")
    assert queues(api, f"owner=the{space}boss") == ["q"]
    assert queues(api, "owner=the%2Bboss") == ["r"]


def test_links_encode_values_and_write_switches_as_true_and_false(api: Api) -> None:
    for name in ("q1", "q2"):
        api.create(name, **{"a&b": "x=y, z/ü%"})
    listing = success(api.get("/v2/queues?a%26b=x%3Dy%2C%20z%2F%C3%BC%25&limit=1&detailed=1"))
    link = next_link(listing)
    assert "detailed=true" in link
    following = success(api.get(link))
    assert [entry["name"] for entry in following["queues"]] == ["q2"]
    assert following["queues"][0]["metadata"]["a&b"] == "x=y, z/ü%"

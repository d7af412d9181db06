"""Query strings: what counts, what is refused, what goes into a link."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queueing.api.query import Query, link
from queueing.core.errors import API, PARAMETER, InvalidRequest


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *[("", None), ("n", None), ("n=", None), ("n=,", None), ("m=1", None), ("N=1", None)],
        *[("n=1&n=2", "2"), ("n=1,2", "2"), ("n=1,", "1"), ("n=2&n=", "2"), ("n=a%2Cb", "a,b")],
        *[("n=a+b", "a b"), ("n=a%20b", "a b"), ("n=a;m=b", "a;m=b"), ("%6E=1", "1")],
        *[("n=%zz", "%zz"), ("n=%", "%"), ("n=%ff", "\ufffd"), ("n=%ed%a0%80", "\ufffd" * 3)],
        *[("n=a=b", "a=b"), ("&&n=1&", "1"), ("=", None), ("n=%C3%A9", "é"), ("n=%00", "\0")],
    ],
)
def test_the_last_value_of_a_scalar_counts(text: str, value: str | None) -> None:
    assert Query(text).text("n") == value


@pytest.mark.parametrize(
    ("text", "values"),
    [
        *[("", None), ("ids", None), ("ids=", None), ("ids=,", []), ("ids=%2C", [])],
        *[
            ("ids=a,b&ids=c", ["a", "b", "c"]),
            ("ids=a%2Cb", ["a", "b"]),
            ("ids=a&ids=a", ["a", "a"]),
        ],
    ],
)
def test_lists_take_commas_and_repetition(text: str, values: list[str] | None) -> None:
    assert Query(text).items("ids") == values


@pytest.mark.parametrize(
    ("text", "value"),
    [("5", 5), ("-5", -5), ("%2B5", 5), ("+5", 5), ("007", 7), ("%205%20", 5), ("-0", 0)],
)
def test_integers_have_a_sign_and_digits(text: str, value: int) -> None:
    assert Query(f"n={text}").integer("n") == value


@pytest.mark.parametrize(
    "text",
    ["x", "%20", "1_0", "1.0", "0x1", "--1", "%D9%A1", "%C2%B2", "1%00", "1e1", "1+1", "1\xa0"],
)
def test_anything_else_is_no_integer(text: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^n must be an integer") as caught:
        Query(f"n={text}").integer("n")
    assert caught.value.title == PARAMETER


@pytest.mark.parametrize("digits", [19, 5000, 100_000])
def test_an_endless_integer_is_out_of_bounds(digits: int) -> None:
    with pytest.raises(InvalidRequest) as caught:
        Query(f"n={'9' * digits}").integer("n")
    assert caught.value.title == API


def test_booleans_are_the_words_that_zaqar_takes() -> None:
    for word in ("true", "True", "t", "yes", "y", "1", "on"):
        assert Query(f"n={word}").boolean("n") is True
    for word in ("false", "False", "f", "no", "n", "0", "off"):
        assert Query(f"n={word}").boolean("n") is False
    for word in ("TRUE", "None", "2", "%20true", "tru"):
        with pytest.raises(InvalidRequest) as caught:
            Query(f"n={word}").boolean("n")
        assert caught.value.title == PARAMETER


def test_other_parameters_keep_all_their_values() -> None:
    query = Query("limit=1&a=1&b=x,y&a=2&c=&d=p%2Cq")
    assert query.others(["limit"]) == {"a": ["1", "2"], "b": ["x", "y"], "d": ["p,q"]}


@given(st.text(st.characters(max_codepoint=255)))
def test_no_query_string_breaks_the_reader(text: str) -> None:
    query = Query(text)
    for name in ("limit", *query.others(())):
        query.text(name)
        query.items(name)


@given(st.lists(st.tuples(st.text(min_size=1), st.text(min_size=1)), max_size=5))
def test_a_link_gives_back_what_was_put_into_it(pairs: list[tuple[str, str]]) -> None:
    try:
        "".join(name + value for name, value in pairs).encode()
    except UnicodeEncodeError:
        return
    href = link("/v2/queues", pairs)
    assert href.isascii() and '"' not in href and "\\" not in href
    assert parse_qsl(urlsplit(href).query, keep_blank_values=True) == pairs
    query = Query(urlsplit(href).query)
    assert all(query.text(name) == dict(pairs)[name] for name, _ in pairs)


def test_a_link_leaves_out_what_was_not_given() -> None:
    given_parameters = [("limit", None), ("echo", True), ("detailed", False), ("marker", "a b")]
    assert link("/x", given_parameters) == "/x?echo=true&detailed=false&marker=a%20b"
    assert link("/x", []) == "/x"

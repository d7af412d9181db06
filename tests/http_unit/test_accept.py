"""The Accept header."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queueing.api.middleware.scope import accepts_json


@pytest.mark.parametrize(
    "accept",
    [
        *["*/*", "application/*", "application/json", "Application/JSON", "*/*;q=0.1", " */* "],
        *["text/html, application/json;q=0.5", "application/json; charset=utf-8", "text/html,*/*"],
        *["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"],
        *["garbage, application/json", "*/*;q=0, application/json"],
    ],
)
def test_json_is_admitted(accept: str) -> None:
    assert accepts_json(accept)


@pytest.mark.parametrize(
    "accept",
    [
        *["text/html", "application/xml", "application/json;q=0", "application/json;q=0, */*"],
        *["*/*;q=0", "garbage", "application/json;q=x", ",", ";", "/", "application/json-home"],
        *["application/*;q=0, */*", "text/*"],
    ],
)
def test_json_is_not_admitted(accept: str) -> None:
    assert not accepts_json(accept)


@given(st.text(st.characters(max_codepoint=255)))
def test_no_header_breaks_the_reader(accept: str) -> None:
    accepts_json(accept)

"""What counts as JSON in requests, and that bodies come back as they were posted."""

from __future__ import annotations

import json

import pytest

from tests.support.http import API, BODY, PATCH_TYPE, Api, empty, refused, success

ONE_STORE = True

NOT_JSON = {
    "broken": b'{"a": ',
    "bare_word": b"hello",
    "single_quotes": b"{'a': 1}",
    "trailing_comma": b'{"a": 1,}',
    "trailing_garbage": b"{} x",
    "two_documents": b"{}{}",
    "comment": b"{} // x",
    "byte_order_mark": b"\xef\xbb\xbf{}",
    "utf_16": '{"a": 1}'.encode("utf-16"),
    "utf_16_without_mark": '{"a": 1}'.encode("utf-16-le"),
    "latin_1": '{"a": "é"}'.encode("latin-1"),
    "overlong_utf_8": b'{"a": "\xc0\xaf"}',
    "surrogate_in_utf_8": b'{"a": "\xed\xa0\x80"}',
    "above_unicode": b'{"a": "\xf4\x90\x80\x80"}',
    "cut_utf_8": b'{"a": "\xe2\x82"}',
    "nan": b'{"a": NaN}',
    "infinity": b'{"a": Infinity}',
    "minus_infinity": b'{"a": -Infinity}',
    "nan_deep": b'{"a": [{"b": [NaN]}]}',
    "lone_surrogate": b'{"a": "\\ud800"}',
    "lone_low_surrogate": b'{"a": "\\udc00"}',
    "swapped_surrogates": b'{"a": "\\udc00\\ud800"}',
    "surrogate_and_letter": b'{"a": "\\ud800x"}',
    "two_high_surrogates": b'{"a": "\\ud83d\\ud83d\\ude00"}',
    "surrogate_in_a_key": b'{"\\ud800": 1}',
    "surrogate_deep": b'{"a": [[{"b": "\\udfff"}]]}',
    "leading_zero": b'{"a": 01}',
    "plus": b'{"a": +1}',
    "bare_point": b'{"a": 1.}',
    "hexadecimal": b'{"a": 0x10}',
    "raw_control": b'{"a": "\x01"}',
    "raw_newline": b'{"a": "\n"}',
    "raw_nul": b'{"a": "\x00"}',
    "nul_after": b"{}\x00",
    "unknown_escape": b'{"a": "\\x41"}',
    "short_escape": b'{"a": "\\u12"}',
    "too_big": b'{"a": 9223372036854775808}',
    "too_small": b'{"a": -9223372036854775809}',
    "too_big_deep": b'{"a": [[[{"b": 18446744073709551616}]]]}',
    "far_too_big": b'{"a": 1180591620717411303424}',
    "hundreds_of_digits": b'{"a": ' + b"9" * 400 + b"}",
    "thousands_of_digits": b'{"a": ' + b"9" * 5000 + b"}",
    "too_deep": b'{"a": ' + b"[" * 600 + b"]" * 600 + b"}",
    "too_deep_objects": b'{"a": ' + b'{"a":' * 600 + b"1" + b"}" * 601,
    "string": b'"a"',
    "number": b"1",
    "true": b"true",
    "null": b"null",
    "blank": b"  \n ",
    "other_blank": b"\xc2\xa0{}",
    "vertical_tab": b"\x0b{}",
}


@pytest.mark.parametrize("case", NOT_JSON)
def test_unreadable_metadata(api: Api, case: str) -> None:
    refused(api.put("/v2/queues/q", body=NOT_JSON[case]), 400, BODY)
    assert api.queue_names() == []


@pytest.mark.parametrize("case", NOT_JSON)
def test_unreadable_claim(api: Api, case: str) -> None:
    api.say("q", 1)
    refused(api.post("/v2/queues/q/claims", body=NOT_JSON[case]), 400, BODY)
    assert api.counts("q") == (1, 0, 1)


@pytest.mark.parametrize("case", NOT_JSON)
def test_unreadable_post(api: Api, case: str) -> None:
    refused(api.post("/v2/queues/q/messages", body=NOT_JSON[case]), 400, BODY)
    assert api.queue_names() == []


@pytest.mark.parametrize("case", NOT_JSON)
def test_unreadable_purge(api: Api, case: str) -> None:
    api.say("q", 1)
    refused(api.post("/v2/queues/q/purge", body=NOT_JSON[case]), 400, BODY)
    assert api.counts("q") == (1, 0, 1)


@pytest.mark.parametrize("case", [*NOT_JSON, "empty"])
def test_unreadable_renewal(api: Api, case: str) -> None:
    api.say("q", 1)
    claim = api.claim("q", ttl=77)
    refused(api.patch(claim.location, body=NOT_JSON.get(case, b"")), 400, BODY)
    assert success(api.get(claim.location))["ttl"] == 77


@pytest.mark.parametrize("case", [*NOT_JSON, "empty"])
def test_unreadable_patch(api: Api, case: str) -> None:
    api.create("q", owner="me")
    headers = {"Content-Type": PATCH_TYPE}
    refused(api.patch("/v2/queues/q", body=NOT_JSON.get(case, b""), headers=headers), 400, BODY)
    assert api.metadata("q")["owner"] == "me"


UNREADABLE_VALUES = {
    case: text.removeprefix(b'{"a": ').removesuffix(b"}")
    for case, text in NOT_JSON.items()
    if text.startswith(b'{"a": ') and text.endswith(b"}")
}


@pytest.mark.parametrize("case", UNREADABLE_VALUES)
def test_unreadable_message_body(api: Api, case: str) -> None:
    value = UNREADABLE_VALUES[case]
    post = b'{"messages": [{"body": 1}, {"body": {"x": [' + value + b"]}}]}"
    refused(api.post("/v2/queues/q/messages", body=post), 400, BODY)
    assert api.queue_names() == []


@pytest.mark.parametrize("case", UNREADABLE_VALUES)
def test_unreadable_values_of_unknown_members(api: Api, case: str) -> None:
    value = UNREADABLE_VALUES[case]
    api.say("q", 1)
    claim = b'{"ttl": 60, "unknown": ' + value + b"}"
    refused(api.post("/v2/queues/q/claims", body=claim), 400, BODY)
    post = b'{"messages": [{"body": 1, "unknown": ' + value + b"}]}"
    refused(api.post("/v2/queues/q/messages", body=post), 400, BODY)
    post = b'{"messages": [{"body": 1}], "unknown": ' + value + b"}"
    refused(api.post("/v2/queues/q/messages", body=post), 400, BODY)
    assert api.counts("q") == (1, 0, 1)


def test_syntax_errors_say_that_the_body_could_not_be_parsed(api: Api) -> None:
    fragment = "body could not be parsed"
    for path in ("/v2/queues/q/messages", "/v2/queues/q/claims", "/v2/queues/q/purge"):
        refused(api.post(path, body="{"), 400, BODY, fragment)
    refused(api.put("/v2/queues/q", body="{"), 400, BODY, fragment)


def test_of_duplicate_keys_the_last_counts(api: Api) -> None:
    post = b'{"messages": 1, "messages": [{"body": 1}]}'
    success(api.post("/v2/queues/q/messages", body=post), 201)
    post = b'{"messages": [{"body": 1, "ttl": 60, "body": 2, "ttl": 70}]}'
    success(api.post("/v2/queues/q/messages", body=post), 201)
    first, second = api.listed("q")
    assert (first["body"], second["body"], second["ttl"]) == (1, 2, 70)
    claim = api.post("/v2/queues/q/claims", body=b'{"ttl": 1, "ttl": 99}')
    assert success(api.get(claim.headers["Location"]))["ttl"] == 99
    document = b'{"a": 1, "a": 2, "_default_message_ttl": 1, "_default_message_ttl": 60}'
    empty(api.put("/v2/queues/p", body=document), 201)
    assert api.metadata("p")["a"] == 2
    assert api.metadata("p")["_default_message_ttl"] == 60


def test_a_bad_value_under_a_key_that_comes_again_is_still_unreadable(api: Api) -> None:
    post = b'{"messages": [{"body": NaN, "body": 2}]}'
    refused(api.post("/v2/queues/q/messages", body=post), 400, BODY)


def test_of_duplicate_keys_in_a_body_the_last_counts_for_its_reader(api: Api) -> None:
    post = b'{"messages": [{"body": {"a": 1, "a": 2}}]}'
    success(api.post("/v2/queues/q/messages", body=post), 201)
    assert api.bodies("q") == [{"a": 2}]


@pytest.mark.parametrize("blank", [b" ", b"\n", b"\t", b"\r\n"])
def test_white_space_around_is_fine(api: Api, blank: bytes) -> None:
    post = blank + b'{"messages": [{"body": 1}]}' + blank
    success(api.post("/v2/queues/q/messages", body=post), 201)
    empty(api.put("/v2/queues/p", body=blank + b"{}" + blank), 201)


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("body", [b"{", b"\xff\xfe", b'{"messages": []}'])
def test_a_body_that_is_not_wanted_is_ignored(api: Api, method: str, body: bytes) -> None:
    api.say("p", 1)
    for path in ("/v2/queues/q", "/v2/queues/p/messages?ids=x,y"):
        answer = api.request(method, path, body=body)
        assert answer.status_code in (200, 204) or (method, answer.status_code) == ("GET", 404)
    assert api.bodies("p") == [1]


@pytest.mark.parametrize("path", ["messages", "claims", "purge"])
def test_an_array_in_the_place_of_an_object(api: Api, path: str) -> None:
    title = API if path == "messages" else BODY  # posts of a bare array have a title of their own
    refused(api.post(f"/v2/queues/q/{path}", json=[]), 400, title)
    refused(api.post(f"/v2/queues/q/{path}", json=[{"body": 1}]), 400, title)
    assert api.queue_names() == []


def test_an_array_in_the_place_of_metadata(api: Api) -> None:
    refused(api.put("/v2/queues/q", json=[]), 400, BODY)
    assert api.queue_names() == []


def test_unknown_members_are_ignored(api: Api) -> None:
    post = {"messages": [{"body": 1, "id": "x", "age": -1, "unknown": {}}], "unknown": [1]}
    success(api.post("/v2/queues/q/messages", json=post), 201)
    [message] = api.listed("q")
    assert message.keys() == {"id", "href", "ttl", "age", "body"}
    assert message["id"] != "x"
    claim = api.post("/v2/queues/q/claims", json={"ttl": 77, "limit": 99, "unknown": None})
    success(claim, 201)
    empty(api.patch(claim.headers["Location"], json={"ttl": 78, "unknown": 1}))


@pytest.mark.parametrize(
    ("path", "document"),
    [
        ("messages", b'{"messages": @}'),
        ("messages", b'{"messages": [{"body": 1, "ttl": @}]}'),
        ("claims", b'{"ttl": @}'),
        ("purge", b'{"resource_types": @}'),
        ("purge", b'{"resource_types": ["messages", @]}'),
    ],
)
def test_what_is_nested_too_deep_is_not_looked_into(api: Api, path: str, document: bytes) -> None:
    body = document.replace(b"@", b"[" * 600 + b"]" * 600)
    refused(api.post(f"/v2/queues/q/{path}", body=body), 400, BODY, "nested")


@pytest.mark.parametrize("depth", [10, 100, 400])
def test_nested_bodies(api: Api, depth: int) -> None:
    text = "[" * depth + "]" * depth
    success(api.post("/v2/queues/q/messages", body=f'{{"messages":[{{"body":{text}}}]}}'), 201)
    assert text in api.get("/v2/queues/q/messages?echo=true").text.replace(" ", "")


@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"a":['])
def test_bottomless_nesting_is_refused(api: Api, opening: str) -> None:
    deep = opening * (250_000 // len(opening))
    refused(api.post("/v2/queues/q/messages", body=f'{{"messages":[{{"body":{deep}'), 400, BODY)
    inner, closing = {"[": ("", "]"), '{"a":': ("1", "}"), '[{"a":[': ("", "]}]")}[opening]
    count = 120_000 // len(opening + closing)
    value = opening * count + inner + closing * count
    json_post = f'{{"messages":[{{"body":{value}}}]}}'
    answer = api.post("/v2/queues/q/messages", body=json_post)
    refused(answer, 400, BODY)
    refused(api.put("/v2/queues/q", body=f'{{"k":{value[:60_000]}'), 400, BODY)
    assert api.queue_names() == []


def test_a_post_may_have_many_small_messages(api: Api) -> None:
    post = json.dumps({"messages": [{"body": 0}] * 5000}, separators=(",", ":"))
    posted = success(api.post("/v2/queues/q/messages", body=post), 201)
    assert len(set(posted["resources"])) == 5000
    assert api.counts("q") == (5000, 0, 5000)

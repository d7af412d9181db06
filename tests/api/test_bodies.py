"""Bodies come back byte for byte, from every store."""

from __future__ import annotations

import pytest

from tests.support.http import BODY, Api, empty, refused, success

PATH = "/v2/queues/q/messages"

EXACT = {
    "null": "null",
    "true": "true",
    "false": "false",
    "zero": "0",
    "minus_zero": "-0",
    "string": '"text"',
    "empty_string": '""',
    "object": '{"a":1}',
    "empty_object": "{}",
    "empty_array": "[]",
    "largest_integer": "9223372036854775807",
    "smallest_integer": "-9223372036854775808",
    "float": "1.5",
    "float_zero": "0.0",
    "float_minus_zero": "-0.0",
    "float_digits": "0.10000000000000000001",
    "float_trailing_zeros": "1.50",
    "float_exponent": "1E+2",
    "float_tiny": "1e-400",
    "float_large_integral": "1e30",
    "many_digits": "3." + "1415926535" * 20,
    "escaped_letters": '"\\u0041\\u00e9"',
    "escaped_slash": '"\\/"',
    "raw_letters": '"Aé日😀"',
    "escaped_pair": '"\\ud83d\\ude00"',
    "upper_case_pair": '"\\uD83D\\uDE00"',
    "nul": '"\\u0000"',
    "delete": '"\x7f"',
    "line_separator": '"\u2028"',
    "not_a_character": '"\uffff"',
    "byte_order_mark_inside": '"\ufeff"',
    "keys_out_of_order": '{"b":1,"a":2}',
    "odd_keys": '{"":1," ":2,"\\u0000":3}',
    "looks_like_ours": '{"id":"x","href":"/v2/queues/q","claim_id":"y","messages":[]}',
}


@pytest.mark.parametrize("case", EXACT)
def test_bodies_come_back_as_they_were_posted(api: Api, case: str) -> None:
    text = EXACT[case]
    post = '{"messages":[{"body":' + text + "}]}"
    success(api.post("/v2/queues/q/messages", body=post.encode()), 201)
    [message] = api.listed("q")
    member = ('"body":' + text).encode()

    def holds(answer_content: bytes) -> bool:
        return member in answer_content.replace(b'"body": ', b'"body":')

    assert holds(api.get("/v2/queues/q/messages?echo=true").content)
    assert holds(api.get(f"/v2/queues/q/messages/{message['id']}").content)
    assert holds(api.get(f"/v2/queues/q/messages?ids={message['id']}").content)
    claim = api.claim("q")
    assert holds(claim.response.content)
    assert holds(api.get(claim.location).content)
    empty(api.delete(claim.location))
    assert holds(api.delete("/v2/queues/q/messages?pop=1").content)


TAKEN = {
    "infinite_for_most": b"1e400",
    "minus_infinite_for_most": b"-1E+999",
    "integral_but_no_integer": b"1180591620717411303424.0",
    "duplicates": b'{"a":1,"a":2}',
    "deep_array": b"[" * 500 + b"]" * 500,
    "deep_object": b'{"a":' * 500 + b"1" + b"}" * 500,
}
REFUSED = {
    "beyond_64_bits": b"9223372036854775808",
    "two_to_the_70th": b"1180591620717411303424",
    "raw_nul": b'"\x00"',
    "half_a_pair": b'"\\ud83d"',
    "too_deep_array": b"[" * 501 + b"]" * 501,
    "too_deep_object": b'{"a":' * 501 + b"1" + b"}" * 501,
    "bottomless": b"[" * 120_000 + b"]" * 120_000,
}


@pytest.mark.parametrize("case", TAKEN)
def test_what_other_readers_would_change_is_kept(api: Api, case: str) -> None:
    value = TAKEN[case]
    success(api.post(PATH, body=b'{"messages": [{"body": ' + value + b"}]}"), 201)
    member = b'"body": ' + value + b"}"
    assert member in api.get(f"{PATH}?echo=true").content
    assert member in api.post("/v2/queues/q/claims").content


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_is_not_stored(api: Api, case: str) -> None:
    post = b'{"messages": [{"body": 1}, {"body": ' + REFUSED[case] + b"}]}"
    refused(api.post(PATH, body=post), 400, BODY)
    assert api.queue_names() == []

"""Names of requests: unlike any other, in forked processes too."""

from __future__ import annotations

import os
import re
import time

from queueing.core.models import request_token


def test_a_token_is_the_time_and_eighty_random_bits() -> None:
    before = time.time_ns() // 1_000_000
    tokens = [request_token() for _ in range(1000)]
    after = time.time_ns() // 1_000_000
    assert all(re.fullmatch("[0-9a-f]{32}", token) for token in tokens)
    assert all(before <= int(token[:12], 16) <= after for token in tokens)
    assert len({token[12:] for token in tokens}) == len(tokens)


def test_a_forked_process_has_tokens_of_its_own() -> None:
    request_token()  # so that there are random digits to share
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, request_token().encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as answer:
        theirs = answer.read().decode()
    assert os.waitpid(child, 0)[1] == 0
    assert len(theirs) == 32
    assert theirs[12:] not in {request_token()[12:] for _ in range(1000)}

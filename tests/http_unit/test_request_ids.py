"""Names of requests."""

from __future__ import annotations

import os
import threading
from uuid import UUID

from queueing.api.middleware import request_id


def test_ids_are_random_uuids_and_never_the_same() -> None:
    ids: list[str] = []
    threads = [
        threading.Thread(target=lambda: ids.extend(request_id._next() for _ in range(2000)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(ids)) == 8000
    for name in ids:
        uuid = UUID(name.removeprefix("req-"))
        assert name == f"req-{uuid}"
        assert uuid.version == 4 and uuid.variant == "specified in RFC 4122"


def test_a_forked_process_has_ids_of_its_own() -> None:
    request_id._next()  # so that there are some to share
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, request_id._next().encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as answer:
        theirs = answer.read().decode()
    assert os.waitpid(child, 0)[1] == 0
    assert theirs.startswith("req-")
    assert theirs not in {request_id._next() for _ in range(1000)}

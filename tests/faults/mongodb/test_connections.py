"""What a URI may say, what is warned of, and what a fork inherits."""

from __future__ import annotations

import logging
import multiprocessing
import os
import warnings

import pytest

from queueing.core.clock import ManualClock
from queueing.core.errors import SetupError
from queueing.core.models import QueueRef
from queueing.storage.contract import Storage
from queueing.storage.mongodb import uri as uris
from queueing.storage.registry import open_storage
from tests.contract.subject import Subject, bodies


def option(uri: str, text: str) -> str:
    return f"{uri}?{text}"


def test_a_plain_uri_asks_for_a_majority_and_its_journals(storage: Storage) -> None:
    facts = storage.durability()
    assert (facts["w"], facts["journal"]) == ("majority", True)
    assert (facts["readConcern"], facts["readPreference"]) == ("majority", "primary")
    assert not [name for name in facts if name.startswith("warning")]


@pytest.mark.parametrize(
    ("weaker", "warning"),
    [
        ("w=1", "w=1 is weaker"),
        ("journal=false", "journal=false"),
        ("readConcernLevel=local", "readConcernLevel=local is weaker"),
        ("readPreference=nearest", "readPreference=nearest"),
    ],
)
def test_a_uri_may_ask_for_less_and_is_warned_of(
    uri: str, caplog: pytest.LogCaptureFixture, weaker: str, warning: str
) -> None:
    caplog.set_level(logging.WARNING)
    storage = open_storage(option(uri, weaker), timeout_seconds=30.0)
    try:
        assert [r.getMessage() for r in caplog.records if warning in r.getMessage()]
        facts = storage.durability()
        assert warning in str(facts["warning1"])
    finally:
        storage.close()


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ("mongodb://", "hostname"),
        ("mongodb://host:port", "port"),
        ("mongodb://127.0.0.1/?w=0", "'w' expects"),
        ("mongodb://127.0.0.1/?colour=red", "colour"),
        ("mongodb://127.0.0.1/?timeoutMS=7", "storage_timeout_seconds"),
        ("mongodb://127.0.0.1/?maxPoolSize=many", "maxPoolSize"),
        ("mongodb://127.0.0.1/?readConcernLevel=much", "readConcernLevel"),
    ],
)
def test_a_uri_that_makes_no_sense_is_refused_in_one_line(wrong: str, named: str) -> None:
    with pytest.raises(SetupError) as refused:
        open_storage(wrong, timeout_seconds=0.5)
    assert "\n" not in str(refused.value)
    assert str(refused.value).startswith("storage: ")
    assert named.lower() in str(refused.value).lower()


def test_a_password_is_not_in_what_is_refused() -> None:
    with pytest.raises(SetupError) as refused:
        open_storage("mongodb://user:secret@127.0.0.1/?colour=red", timeout_seconds=0.5)
    assert "secret" not in str(refused.value)


def test_the_database_is_that_of_the_uri() -> None:
    assert uris.read("mongodb://a,b/work?w=1").database == "work"
    assert uris.read("mongodb://u:p%2F@a,b/?w=1").database == "queueing"
    assert uris.read("mongodb+srv://a").database == "queueing"


def test_a_forked_process_opens_its_own_connections(storage: Storage) -> None:
    q = Subject(storage, QueueRef("project", "q"), ManualClock())
    q.post(b"parent")
    answer, question = multiprocessing.Pipe(duplex=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # this process has threads: the point
        child = os.fork()
    if child == 0:  # pragma: no cover - in the child
        try:
            q.post(b"child")
            question.send(bodies(q.page()))
        finally:
            os._exit(0)
    question.close()
    assert answer.recv() == [b"parent", b"child"]
    os.waitpid(child, 0)
    q.post(b"parent again")
    assert bodies(q.page()) == [b"parent", b"child", b"parent again"]

"""What a process remembers of queues' settings: bounded, shared by threads, only ever a hint."""

from __future__ import annotations

import threading

import pytest

from queueing.core.errors import OverLimit
from queueing.core.limits import Limits
from queueing.core.models import NO_METADATA, Metadata, QueueRef
from queueing.service.settings import KnownSettings

PATIENCE_SECONDS = 60.0


def metadata(ttl: int) -> Metadata:
    return Metadata.of(b'{"_default_message_ttl":%d}' % ttl)


def refs(number: int, first: int = 0) -> list[QueueRef]:
    return [QueueRef("p", f"q{index}") for index in range(first, first + number)]


@pytest.fixture
def known(storage) -> KnownSettings:
    return KnownSettings(storage, Limits(), capacity=100)


def test_unknown_queue_is_taken_to_have_no_settings(known):
    settings = known.of(QueueRef("p", "q"))
    assert settings.version == ""
    assert settings.message_ttl == 3600


def test_what_the_store_said_is_remembered_for_that_queue_of_that_project(known):
    current = metadata(600)
    known.learn(QueueRef("p", "q"), current)
    assert known.of(QueueRef("p", "q")).message_ttl == 600
    assert known.of(QueueRef("p", "q")).version == current.version
    assert known.of(QueueRef("p", "other")).message_ttl == 3600
    assert known.of(QueueRef("other", "q")).message_ttl == 3600


def test_queue_whose_settings_are_gone_takes_no_room(known):
    queue = QueueRef("p", "q")
    known.learn(queue, metadata(600))
    known.learn(queue, NO_METADATA)
    assert known.of(queue) is known.defaults
    for other in refs(1000):
        known.learn(other, NO_METADATA)
    assert remembered(known) == 0


def test_queue_whose_settings_are_gone_is_not_remembered_by_either_generation(known):
    queue, *others = refs(51)
    known.learn(queue, metadata(600))
    for other in others:
        known.learn(other, metadata(600))
    known.learn(queue, NO_METADATA)
    assert known.of(queue) is known.defaults


def test_no_more_queues_are_remembered_than_there_is_room_for(known):
    for queue in refs(1000):
        known.learn(queue, metadata(600))
    assert remembered(known) <= 100
    assert known.of(refs(1, 999)[0]).message_ttl == 600


def test_queues_in_use_are_remembered_longer_than_others(known):
    used = refs(1)[0]
    known.learn(used, metadata(600))
    for queue in refs(1000, first=1):
        known.learn(queue, metadata(700))
        assert known.of(used).message_ttl == 600


def test_settings_read_afresh_are_those_of_the_store(known, node, queue):
    node.configure(queue, _default_message_ttl=600, _max_messages_post_size=10)
    assert known.fresh(queue).message_ttl == 600
    assert known.refuse_size(queue, 10).message_ttl == 600
    with pytest.raises(OverLimit):
        known.refuse_size(queue, 11)
    node.queues.delete(queue)
    assert known.fresh(queue) is known.defaults


def test_stored_metadata_that_no_rule_admits_breaks_nothing(known):
    document = (
        b'{"_default_message_ttl":1e400,"_max_claim_count":' + b"9" * 5000 + b',"_flavor":[],'
        b'"_enable_encrypt_messages":"yes","_retry_policy":3,"free":1e999}'
    )
    settings = known.learn(QueueRef("p", "q"), Metadata.of(document))
    assert settings._replace(version="") == known.defaults


def test_threads_share_what_is_known(known):
    queues = refs(150)
    wrong: list[int] = []

    def use() -> None:
        for _ in range(20):
            for index, queue in enumerate(queues):
                known.learn(queue, metadata(60 + index))
                ttl = known.of(queue).message_ttl
                if ttl not in (60 + index, 3600):
                    wrong.append(ttl)

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive()
    assert not wrong
    assert remembered(known) <= 100


def remembered(known: KnownSettings) -> int:
    return len(known._young) + len(known._old)

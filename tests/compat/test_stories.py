"""What one does with python-zaqarclient, from start to end."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from zaqarclient.queues import client
from zaqarclient.transport import errors

from tests.support.server import Server

Zaqar = Any  # the client has no type hints

DEFAULTS = {
    "_max_messages_post_size": 262144,
    "_default_message_ttl": 3600,
    "_default_message_delay": 0,
    "_dead_letter_queue": None,
    "_dead_letter_queue_messages_ttl": None,
    "_max_claim_count": None,
    "_enable_encrypt_messages": False,
}


def connect(server: Server, project: str) -> Zaqar:
    options = {"os_project_id": project}
    return client.Client(
        server.url, version=2, conf={"auth_opts": {"backend": "noauth", "options": options}}
    )


@pytest.fixture
def zaqar(server: Server) -> Zaqar:
    """A client of a project of its own."""
    return connect(server, f"story-{uuid.uuid4()}")


def same_project(server: Server, zaqar: Zaqar) -> Zaqar:
    """Another client of the same project."""
    return connect(server, zaqar.auth_opts["options"]["os_project_id"])


def bodies(messages: Any) -> list[Any]:
    return [message.body for message in messages]


def test_queues_come_and_go(zaqar: Zaqar) -> None:
    assert not zaqar.queue("b").exists()
    for name in ("b", "a", "c"):
        zaqar.queue(name, force_create=True)
    assert zaqar.queue("b").exists()
    found, count = zaqar.queues(limit=2, with_count=True)
    assert [queue.name for queue in found.stream()] == ["a", "b", "c"]
    assert count == 3
    [first] = zaqar.queues(limit=1, detailed=True)[0]
    assert (first.href, first.metadata()) == ("/v2/queues/a", DEFAULTS)
    zaqar.queue("b").delete()
    assert not zaqar.queue("b").exists()
    assert [queue.name for queue in zaqar.queues()[0]] == ["a", "c"]
    zaqar.queue("b").delete()


def test_many_queues_are_walked_by_their_links(zaqar: Zaqar) -> None:
    names = [f"q{number:02}" for number in range(25)]
    for name in names:
        zaqar.queue(name, force_create=True)
    found, count = zaqar.queues(limit=4, with_count=True)
    assert [queue.name for queue in found.stream()] == names
    assert count == 25


def test_metadata_is_what_was_set_last(zaqar: Zaqar) -> None:
    queue = zaqar.queue("q", force_create=True)
    assert queue.metadata() == DEFAULTS
    assert queue.metadata(new_meta={"owner": "me", "colour": "red"}) == {
        **DEFAULTS,
        "owner": "me",
        "colour": "red",
    }
    changed = queue.metadata(new_meta={"owner": "you", "_default_message_ttl": 77})
    assert changed == {**DEFAULTS, "owner": "you", "_default_message_ttl": 77}
    assert queue.metadata(force_reload=True) == changed
    assert queue.metadata(new_meta={}) == DEFAULTS


def test_q73_a_reserved_key_is_set_by_setting_it_again(zaqar: Zaqar) -> None:
    """For a key that shows null the client sends an add and then a remove: it ends up unset."""
    queue = zaqar.queue("q", force_create=True)
    assert queue.metadata(new_meta={"_max_claim_count": 3}) == DEFAULTS
    assert queue.metadata(new_meta={"_default_message_ttl": 60})["_default_message_ttl"] == 60


def test_metadata_of_a_missing_queue_cannot_be_set(zaqar: Zaqar) -> None:
    with pytest.raises(errors.ResourceNotFound, match="Title: Not found"):
        zaqar.queue("q").metadata(new_meta={"owner": "me"})


def test_bad_metadata_is_refused_with_a_reason(zaqar: Zaqar) -> None:
    queue = zaqar.queue("q", force_create=True)
    with pytest.raises(errors.MalformedRequest, match="_default_message_ttl"):
        queue.metadata(new_meta={"_default_message_ttl": 1})


def test_messages_are_posted_read_and_deleted(server: Server, zaqar: Zaqar) -> None:
    queue = zaqar.queue("q")
    posted = queue.post([{"body": {"n": 1}, "ttl": 300}, {"body": "two"}])
    ids = [href.rsplit("/", 1)[1] for href in posted["resources"]]
    assert bodies(queue.messages()) == []
    assert bodies(queue.messages(echo=True)) == [{"n": 1}, "two"]
    assert bodies(same_project(server, zaqar).queue("q").messages()) == [{"n": 1}, "two"]
    message = queue.message(ids[0])
    assert (message.id, message.body, message.ttl) == (ids[0], {"n": 1}, 300)
    assert message.claim_id is None
    assert bodies(queue.messages(*reversed(ids))) == ["two", {"n": 1}]
    message.delete()
    with pytest.raises(errors.ResourceNotFound):
        queue.message(ids[0])
    queue.delete_messages(*ids)
    assert bodies(queue.messages(echo=True)) == []


def test_many_messages_are_walked_by_their_links(zaqar: Zaqar) -> None:
    queue = zaqar.queue("q")
    queue.post([{"body": number} for number in range(25)])
    assert bodies(queue.messages(echo=True, limit=4).stream()) == list(range(25))
    assert bodies(queue.messages(echo=True).stream()) == list(range(25))


def test_bad_messages_are_refused_with_a_reason(zaqar: Zaqar) -> None:
    queue = zaqar.queue("q")
    with pytest.raises(errors.MalformedRequest, match=r"Title: Invalid API request.*ttl"):
        queue.post({"body": 1, "ttl": 1})
    with pytest.raises(errors.MalformedRequest, match=r"Title: Invalid request body.*body"):
        queue.post({"ttl": 60})
    assert not queue.exists()


def test_work_is_claimed_done_and_deleted(server: Server, zaqar: Zaqar) -> None:
    zaqar.queue("jobs").post([{"body": number} for number in range(5)])
    worker = same_project(server, zaqar).queue("jobs")
    claim = worker.claim(ttl=100, grace=60, limit=2)
    messages = list(claim)
    assert bodies(messages) == [0, 1]
    assert {message.claim_id for message in messages} == {claim.id}
    assert worker.stats["messages"]["claimed"] == 2
    messages[0].delete()
    assert bodies(worker.claim(id=claim.id)) == [1]
    assert claim.age >= 0
    claim.update(ttl=200, grace=60)
    assert worker.claim(id=claim.id).ttl in (100, 200)
    found = worker.claim(id=claim.id)
    list(found)
    assert found.ttl == 200
    claim.delete()
    with pytest.raises(errors.ResourceNotFound):
        list(worker.claim(id=claim.id))
    assert bodies(worker.claim(ttl=100, grace=60)) == [1, 2, 3, 4]


def test_q28_a_claim_without_terms_has_the_defaults(zaqar: Zaqar) -> None:
    queue = zaqar.queue("q")
    queue.post({"body": 1})
    claim = queue.claim()
    assert bodies(claim) == [1]
    found = queue.claim(id=claim.id)
    assert bodies(found) == [1]
    assert found.ttl == 300


def test_nothing_to_claim_is_an_empty_claim(zaqar: Zaqar) -> None:
    claim = zaqar.queue("q").claim(ttl=60, grace=60)
    assert claim.id is None
    assert list(claim) == []


def test_a_claimed_message_is_only_deleted_by_its_holder(zaqar: Zaqar) -> None:
    queue = zaqar.queue("q")
    posted = queue.post({"body": 1})
    [claimed] = list(queue.claim(ttl=60, grace=60))
    stranger = queue.message(posted["resources"][0].rsplit("/", 1)[1])
    assert stranger.claim_id == claimed.claim_id
    stranger.href = posted["resources"][0]
    with pytest.raises(errors.ForbiddenError, match="Title: Unable to delete"):
        stranger.delete()
    stranger.href += "?claim_id=nope"
    with pytest.raises(errors.MalformedRequest, match="Title: Unable to delete"):
        stranger.delete()
    claimed.delete()
    assert queue.stats["messages"]["total"] == 0


def test_messages_are_popped(zaqar: Zaqar) -> None:
    queue = zaqar.queue("q")
    queue.post([{"body": number} for number in range(3)])
    popped = list(queue.pop(count=2))
    assert bodies(popped) == [0, 1]
    assert popped[0].claim_count == 0
    assert bodies(queue.pop()) == [2]
    assert bodies(queue.pop(count=5)) == []
    with pytest.raises(errors.MalformedRequest):
        queue.pop(count=21)


def test_stats_and_purge(zaqar: Zaqar) -> None:
    queue = zaqar.queue("q")
    assert queue.stats == {"messages": {"claimed": 0, "free": 0, "total": 0}}
    queue.post([{"body": number} for number in range(3)])
    queue.claim(ttl=60, grace=60, limit=1)
    stats = queue.stats["messages"]
    assert (stats["claimed"], stats["free"], stats["total"]) == (1, 2, 3)
    assert stats["oldest"]["href"].startswith("/v2/queues/q/messages/")
    queue.purge(resource_types=["subscriptions"])
    assert queue.stats["messages"]["total"] == 3
    queue.purge()
    assert queue.stats["messages"]["total"] == 0
    assert queue.exists()


def test_delayed_messages_show_up_later(zaqar: Zaqar) -> None:
    queue = zaqar.queue("q")
    queue.post([{"body": "later", "delay": 900}, {"body": "now"}])
    assert bodies(queue.messages(echo=True)) == ["now"]
    assert bodies(queue.messages(echo=True, include_delayed=True)) == ["later", "now"]


def test_projects_do_not_see_each_other(server: Server, zaqar: Zaqar) -> None:
    zaqar.queue("q").post({"body": 1})
    other = connect(server, f"story-{uuid.uuid4()}")
    assert list(other.queues()[0]) == []
    assert bodies(other.queue("q").messages(echo=True)) == []
    assert not other.queue("q").exists()


def test_the_service_is_there(zaqar: Zaqar) -> None:
    assert zaqar.ping()
    assert "rel/queues" in zaqar.homedoc()["resources"]


def test_names_that_the_client_refuses_never_arrive(zaqar: Zaqar) -> None:
    for name in ("", "a#b", "a%b", "a.b"):
        with pytest.raises(ValueError, match=r"[Qq]ueue name"):
            zaqar.queue(name)

"""The JSON that goes out, put together as bytes: stored JSON texts are set in as they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from queueing.core.models import Claim, Message, Milestone, QueueRef, Stats

MOST_IDS_IN_LOCATION = 100
"""Messages that a `Location` lists, in about 4 KiB. A longer header breaks clients and proxies
after the messages were stored, so the location of a larger post is the collection."""


def encode(value: object) -> bytes:
    """JSON on one line, in the style of what is put together here."""
    return msgspec.json.format(msgspec.json.encode(value), indent=0)


def queue_path(queue: QueueRef) -> str:
    return f"/v2/queues/{queue.name}"


def messages_path(queue: QueueRef) -> str:
    return f"/v2/queues/{queue.name}/messages"


def claim_path(queue: QueueRef, claim_id: str) -> str:
    return f"/v2/queues/{queue.name}/claims/{claim_id}"


def posted_location(queue: QueueRef, ids: Sequence[str]) -> str:
    path = messages_path(queue)
    return path if len(ids) > MOST_IDS_IN_LOCATION else f"{path}?ids={','.join(ids)}"


def posted(queue: QueueRef, ids: Iterable[str]) -> bytes:
    prefix = messages_path(queue)
    hrefs = [f'"{prefix}/{id}"' for id in ids]
    return f'{{"resources": [{", ".join(hrefs)}]}}'.encode("ascii")


def message(queue: QueueRef, message: Message, now: float) -> bytes:
    """One message, with its `href`."""
    claimed = "" if message.claim_id is None else f"?claim_id={message.claim_id}"
    head = (
        f'{{"id": "{message.id}", "href": "/v2/queues/{queue.name}/messages/{message.id}{claimed}",'
        f' "ttl": {message.ttl}, "age": {_age(message.posted_at, now)}, "body": '
    )
    return b"%b%b%b" % (head.encode("ascii"), message.body, _checksum(message))


def popped(message: Message, now: float) -> bytes:
    head = (
        f'{{"id": "{message.id}", "age": {_age(message.posted_at, now)}, "ttl": {message.ttl},'
        f' "claim_id": null, "claim_count": {message.claim_count}, "body": '
    )
    return b"%b%b%b" % (head.encode("ascii"), message.body, _checksum(message))


def page(
    name: str, items: Iterable[bytes], next_href: str | None, count: int | None = None
) -> bytes:
    """A page of a listing; the link to the next page if there is one."""
    links = "[]" if next_href is None else f'[{{"rel": "next", "href": "{next_href}"}}]'
    end = "" if count is None else f', "count": {count}'
    return b'{"%b": [%b], "links": %b%b}' % (
        name.encode("ascii"),
        b", ".join(items),
        links.encode("ascii"),
        end.encode("ascii"),
    )


def messages(items: Iterable[bytes]) -> bytes:
    return b'{"messages": [%b]}' % b", ".join(items)


def claim(queue: QueueRef, claim: Claim, now: float) -> bytes:
    head = (
        f'{{"age": {_age(claim.claimed_at, now)}, "ttl": {claim.ttl},'
        f' "href": "{claim_path(queue, claim.id)}", "messages": ['
    )
    items = b", ".join(message(queue, item, now) for item in claim.messages)
    return b"%b%b]}" % (head.encode("ascii"), items)


def metadata(shown: Mapping[str, bytes]) -> bytes:
    """An object out of names and JSON texts."""
    members = (b"%b: %b" % (msgspec.json.encode(key), value) for key, value in shown.items())
    return b"{%b}" % b", ".join(members)


def listed_queue(name: str, shown: Mapping[str, bytes] | None) -> bytes:
    """A line of a listing of queues; `shown` only in a detailed one."""
    head = f'{{"name": "{name}", "href": "/v2/queues/{name}"'.encode("ascii")
    return head + (b"}" if shown is None else b', "metadata": %b}' % metadata(shown))


def stats(queue: QueueRef, stats: Stats, now: float) -> bytes:
    counts: dict[str, object] = {
        "claimed": stats.claimed,
        "free": stats.free,
        "total": stats.claimed + stats.free,
    }
    if stats.oldest is not None and stats.newest is not None:
        counts["oldest"] = _milestone(queue, stats.oldest, now)
        counts["newest"] = _milestone(queue, stats.newest, now)
    return encode({"messages": counts})


def _milestone(queue: QueueRef, milestone: Milestone, now: float) -> dict[str, object]:
    created = datetime.fromtimestamp(int(milestone.posted_at), UTC)
    return {
        "href": f"{messages_path(queue)}/{milestone.id}",
        "age": _age(milestone.posted_at, now),
        "created": created.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def _age(since: float, now: float) -> int:
    """Whole seconds; 0 if it was after `now`, which is read before the store is asked."""
    return max(0, int(now - since))


def _checksum(message: Message) -> bytes:
    """What follows a message's body."""
    if message.checksum is None:
        return b"}"
    return f', "checksum": "{message.checksum}"}}'.encode("ascii")

"""Amazon's SQS, as far as a load generator needs it: its JSON protocol, by the loop of `queueing bench`.

A claim is a ReceiveMessage, with the claim's lifetime as visibility timeout; posts and deletes of several
are batches. Messages carry the same bodies, as strings. Requests are not signed: servers that stand in
for SQS do not check that. What a request costs the generator is about the same as with the v2 API.
"""

from __future__ import annotations

import json
import time
from http.client import HTTPException
from typing import Any, ClassVar

import msgspec

from queueing.bench.clients import IDLE_SECONDS, NOTHING, RETRY_SECONDS, Clients, Stamp
from queueing.bench.control import Control, Unusable
from queueing.bench.loop import Call
from queueing.bench.plan import Target
from queueing.bench.run import Dialect
from queueing.bench.wire import Reply

ACCOUNT = "000000000000"
JSON = "application/x-amz-json-1.0"
EMPTY = b'{"Messages":[]}'  # what ElasticMQ answers when there are none


class Received(msgspec.Struct):
    receipt: str = msgspec.field(name="ReceiptHandle")
    body: str = msgspec.field(name="Body")


class Messages(msgspec.Struct):
    messages: list[Received] = msgspec.field(name="Messages", default_factory=list)


class Batch(msgspec.Struct):
    failed: list[msgspec.Raw] = msgspec.field(name="Failed", default_factory=list)


_messages = msgspec.json.Decoder(Messages).decode
_batch = msgspec.json.Decoder(Batch).decode
_stamp = msgspec.json.Decoder(Stamp).decode


def url(queue: str, target: Target) -> str:
    return f"http://{target.host}:{target.port}/{ACCOUNT}/{queue}"


class SQSControl(Control):
    """Makes queues and deletes them."""

    def create(self, queue: str) -> None:
        self._call("CreateQueue", {"QueueName": queue})

    def delete(self, queue: str) -> None:
        self._call("DeleteQueue", {"QueueUrl": url(queue, self._target)})

    def _call(self, action: str, document: dict[str, Any]) -> None:
        """:raises Unusable: no answer, or not 200"""
        headers = {"X-Amz-Target": f"AmazonSQS.{action}", "Content-Type": JSON}
        try:
            self._connection.request("POST", "/", json.dumps(document), headers)
            response = self._connection.getresponse()
            said = response.read()
        except (OSError, HTTPException) as error:
            self._connection.close()
            raise Unusable(f"{action}: no answer: {error or type(error).__name__}") from None
        if response.status != 200:
            raise Unusable(f"{action}: expected 200, got {response.status} {said[:200]!r}")


class SQSClients(Clients):
    """Producers, workers and cyclers. A queue's `base` is its URL."""

    largest_post: ClassVar[int] = 10

    def __init__(self, plan: Any, run: str, first_producer: int, loop: Any) -> None:
        super().__init__(plan, run, first_producer, loop)
        target = plan.target
        self._bases = [url(name, target).encode() for name in plan.queues]
        self._heads = {
            action: (
                f"POST / HTTP/1.1\r\nHost: {target.host}:{target.port}\r\n"
                f"X-Amz-Target: AmazonSQS.{action}\r\nContent-Type: {JSON}\r\nContent-Length: "
            ).encode()
            for action in (
                *("SendMessage", "SendMessageBatch", "ReceiveMessage"),
                *("DeleteMessage", "DeleteMessageBatch"),
            )
        }

    def _call(
        self, operation: str, action: str, base: bytes, rest: bytes, nothing: str = ""
    ) -> Call:
        body = b'{"QueueUrl":"%b",%b}' % (base, rest)
        data = b"%b%d\r\n\r\n%b" % (self._heads[action], len(body), body)
        return Call(operation, data, nothing, empty=EMPTY)

    def _post(self, producer: int, size: int, base: bytes, *, held: bool = False) -> Any:
        first = self.ledger.begin(producer)
        bodies = []
        for number in range(first, first + size):
            stamp = b'{\\"r\\":\\"%b\\",\\"p\\":%d,\\"n\\":%d,\\"x\\":\\"' % (
                *(self._run.encode(), producer, number),
            )
            padding = b"x" * (self._plan.size - len(stamp) + stamp.count(b"\\") - 2)
            bodies.append(b'"MessageBody":"%b%b\\"}"' % (stamp, padding))
        if size == 1:
            call = self._call("post", "SendMessage", base, bodies[0])
        else:
            entries = [b'{"Id":"%d",%b}' % entry for entry in enumerate(bodies)]
            rest = b'"Entries":[%b]' % b",".join(entries)
            call = self._call("post", "SendMessageBatch", base, rest)
        reply = yield from self._insist(call)
        if reply.status == 200 and not (size > 1 and _batch(reply.body).failed):
            self._loop.record.posted += size
        elif not self.stopping:
            yield RETRY_SECONDS

    def _claim(self, base: bytes, limit: int) -> Any:
        began = time.perf_counter()
        rest = b'"MaxNumberOfMessages":%d,"VisibilityTimeout":%d' % (
            *(min(limit, self.largest_post), self._plan.claim_ttl),
        )
        reply = yield from self._insist(self._call("claim", "ReceiveMessage", base, rest, NOTHING))
        if reply.status == 200 and reply.body != EMPTY:
            return base, began, reply
        if not self.stopping:
            yield IDLE_SECONDS if reply.status == 200 else RETRY_SECONDS
        return None

    def _finish(self, base: bytes, began: float, claim: Reply) -> Any:
        messages = _messages(claim.body).messages
        for message in messages:
            _stamp(message.body)  # as workers of the v2 API do
        match self._plan.finish:
            case "keep":
                self._loop.record.delivered += len(messages)
            case "bulk":
                entries = [
                    b'{"Id":"%d","ReceiptHandle":"%b"}' % (place, message.receipt.encode())
                    for place, message in enumerate(messages)
                ]
                rest = b'"Entries":[%b]' % b",".join(entries)
                reply = yield from self._insist(
                    self._call("delete", "DeleteMessageBatch", base, rest)
                )
                if reply.status != 200 or _batch(reply.body).failed:
                    return False
                self._loop.record.delivered += len(messages)
            case _:
                for message in messages:
                    rest = b'"ReceiptHandle":"%b"' % message.receipt.encode()
                    reply = yield from self._insist(
                        self._call("delete", "DeleteMessage", base, rest)
                    )
                    if reply.status != 200:
                        return False
                    self._loop.record.delivered += 1
        return True


SQS = Dialect(SQSControl, SQSClients)

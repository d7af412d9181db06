"""The floor: the least that a queue over HTTP has to do on Falcon, one store call for a request.

It serves as much of the v2 API as `queueing bench` uses and keeps none of its promises but one: what is
posted is stored, what is claimed is no longer free, what is deleted is gone, each in one atomic step.
No rules, no limits, no projects, no lifetimes, no checks; ids are counted. `FLOOR_STORE` names the store.
It talks to Redis by redis-py's client as that comes. A command costs that some 65 µs more than on a bare
connection of redis-py, which our driver uses: so this is what an ordinary app does, not the least possible.

    FLOOR_STORE=redis://127.0.0.1:6379/0 gunicorn floor:app
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

import falcon
import msgspec

CLAIM_SECONDS = 300


class Store(Protocol):
    def post(self, queue: str, bodies: list[bytes]) -> list[int]: ...
    def claim(self, queue: str, limit: int) -> list[tuple[int, bytes]]: ...
    def delete(self, queue: str, ids: list[str]) -> None: ...


class RedisStore:
    POST = """
        local last, id = redis.call('INCRBY', KEYS[1] .. ':last', #ARGV), nil
        local free, bodies = {}, {}
        for i = 1, #ARGV do
            id = last - #ARGV + i
            free[2 * i - 1], free[2 * i] = id, id
            bodies[2 * i - 1], bodies[2 * i] = id, ARGV[i]
        end
        redis.call('ZADD', KEYS[1] .. ':free', unpack(free))
        redis.call('HSET', KEYS[1] .. ':bodies', unpack(bodies))
        return last
    """
    CLAIM = """
        local ids = redis.call('ZRANGE', KEYS[1] .. ':free', 0, ARGV[1] - 1)
        if #ids == 0 then return {ids, ids} end
        local claimed = {}
        for i, id in ipairs(ids) do claimed[2 * i - 1], claimed[2 * i] = ARGV[2], id end
        redis.call('ZREM', KEYS[1] .. ':free', unpack(ids))
        redis.call('ZADD', KEYS[1] .. ':claimed', unpack(claimed))
        return {ids, redis.call('HMGET', KEYS[1] .. ':bodies', unpack(ids))}
    """
    DELETE = """
        redis.call('ZREM', KEYS[1] .. ':claimed', unpack(ARGV))
        return redis.call('HDEL', KEYS[1] .. ':bodies', unpack(ARGV))
    """

    def __init__(self, uri: str) -> None:
        import redis

        client = redis.Redis.from_url(uri)
        self._post, self._claim, self._delete = (
            client.register_script(script) for script in (self.POST, self.CLAIM, self.DELETE)
        )

    def post(self, queue: str, bodies: list[bytes]) -> list[int]:
        last: Any = self._post([queue], bodies)
        return list(range(last - len(bodies) + 1, last + 1))

    def claim(self, queue: str, limit: int) -> list[tuple[int, bytes]]:
        ids, bodies = self._claim([queue], [limit, int(time.time()) + CLAIM_SECONDS])  # type: ignore[misc]  # a list of two
        return list(zip(map(int, ids), bodies, strict=True))

    def delete(self, queue: str, ids: list[str]) -> None:
        self._delete([queue], ids)


class SQLiteStore:
    def __init__(self, uri: str) -> None:
        parts = urlsplit(uri)
        synchronous = parse_qs(parts.query).get("synchronous", ["full"])[0]
        self._lock = threading.Lock()
        self._db = sqlite3.connect(
            parts.path.removeprefix("/"), isolation_level=None, check_same_thread=False, timeout=60
        )
        for statement in (
            "PRAGMA journal_mode = wal",
            f"PRAGMA synchronous = {synchronous}",
            "CREATE TABLE IF NOT EXISTS free (id INTEGER PRIMARY KEY AUTOINCREMENT, queue, body)",
            "CREATE TABLE IF NOT EXISTS claimed (id INTEGER PRIMARY KEY, queue, body, until)",
            "CREATE INDEX IF NOT EXISTS free_by_queue ON free (queue, id)",
        ):
            self._db.execute(statement)

    def post(self, queue: str, bodies: list[bytes]) -> list[int]:
        with self._lock, self._db:
            self._db.execute("BEGIN IMMEDIATE")
            return [
                self._db.execute(
                    "INSERT INTO free (queue, body) VALUES (?, ?)", (queue, body)
                ).lastrowid
                or 0
                for body in bodies
            ]

    def claim(self, queue: str, limit: int) -> list[tuple[int, bytes]]:
        with self._lock, self._db:
            self._db.execute("BEGIN IMMEDIATE")
            rows = self._db.execute(
                "DELETE FROM free WHERE id IN (SELECT id FROM free WHERE queue = ? ORDER BY id LIMIT ?)"
                " RETURNING id, body",
                (queue, limit),
            ).fetchall()
            until = time.time() + CLAIM_SECONDS
            self._db.executemany(
                "INSERT INTO claimed VALUES (?, ?, ?, ?)",
                [(identity, queue, body, until) for identity, body in rows],
            )
        return sorted(rows)

    def delete(self, queue: str, ids: list[str]) -> None:
        marks = ",".join("?" * len(ids))
        with self._lock, self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute(f"DELETE FROM claimed WHERE id IN ({marks})", list(map(int, ids)))


class Draft(msgspec.Struct):
    body: msgspec.Raw


class Post(msgspec.Struct):
    messages: list[Draft]


_post = msgspec.json.Decoder(Post).decode


class Messages:
    def __init__(self, store: Store) -> None:
        self._store = store

    def on_post(self, req: falcon.Request, resp: falcon.Response, queue: str) -> None:
        drafts = _post(req.bounded_stream.read()).messages
        ids = self._store.post(queue, [bytes(draft.body) for draft in drafts])
        links = ",".join(f'"/v2/queues/{queue}/messages/{identity}"' for identity in ids)
        resp.status, resp.text = falcon.HTTP_201, f'{{"resources":[{links}]}}'

    def on_delete(self, req: falcon.Request, resp: falcon.Response, queue: str) -> None:
        self._store.delete(queue, req.get_param("ids", required=True).split(","))
        resp.status = falcon.HTTP_204


class Message:
    def __init__(self, store: Store) -> None:
        self._store = store

    def on_delete(
        self, req: falcon.Request, resp: falcon.Response, queue: str, identity: str
    ) -> None:
        self._store.delete(queue, [identity])
        resp.status = falcon.HTTP_204


class Claims:
    def __init__(self, store: Store) -> None:
        self._store = store

    def on_post(self, req: falcon.Request, resp: falcon.Response, queue: str) -> None:
        req.bounded_stream.read()
        rows = self._store.claim(queue, int(req.get_param("limit") or 10))
        if not rows:
            resp.status = falcon.HTTP_204
            return
        parts = [
            b'{"href":"/v2/queues/%b/messages/%d?claim_id=1","body":%b}'
            % (queue.encode(), identity, body)
            for identity, body in rows
        ]
        resp.status, resp.data = falcon.HTTP_201, b'{"messages":[%b]}' % b",".join(parts)


class Queue:
    def on_put(self, req: falcon.Request, resp: falcon.Response, queue: str) -> None:
        resp.status = falcon.HTTP_204

    def on_delete(self, req: falcon.Request, resp: falcon.Response, queue: str) -> None:
        resp.status = falcon.HTTP_204


def create_app(uri: str) -> falcon.App[Any, Any]:
    store: Store = SQLiteStore(uri) if uri.startswith("sqlite:") else RedisStore(uri)
    app = falcon.App()
    app.add_route("/v2/queues/{queue}", Queue())
    app.add_route("/v2/queues/{queue}/messages", Messages(store))
    app.add_route("/v2/queues/{queue}/messages/{identity}", Message(store))
    app.add_route("/v2/queues/{queue}/claims", Claims(store))
    return app


def __getattr__(name: str) -> Any:
    """`app`, made when a worker process asks for it."""
    if name == "app":
        return create_app(os.environ["FLOOR_STORE"])
    raise AttributeError(name)

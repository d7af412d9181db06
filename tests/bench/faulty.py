"""A small server of the v2 API, in this process, on a real socket, that breaks promises when it is told to.

with Faulty(loses=10) as server: ...     # every tenth message that it acknowledges is gone
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit


class Faulty:
    """Every how manieth message or request suffers; 0: none."""

    def __init__(
        self,
        *,
        loses: int = 0,  # messages
        doubles: int = 0,  # messages, which two claims get
        swaps: int = 0,  # messages, whose successor is listed before them
        refuses: int = 0,  # posts, which are kept nevertheless
        fails: int = 0,  # posts, with 503: kept or not, in turn
        hangs_up: int = 0,  # posts, kept or not, in turn, and never answered
        hangs_up_on_deletes: int = 0,
    ) -> None:
        self.loses, self.doubles, self.swaps = loses, doubles, swaps
        self.refuses, self.fails, self.hangs_up = refuses, fails, hangs_up
        self.hangs_up_on_deletes = hangs_up_on_deletes
        self.lock = threading.Lock()
        self.free: list[tuple[int, Any]] = []
        self.claimed: dict[int, Any] = {}
        self.log: list[tuple[int, Any]] = []
        self.messages = self.posts = self.deletes = self.claims = 0
        self.created: list[str] = []
        self.deleted: list[str] = []
        self.headers: set[tuple[str | None, str | None, str | None]] = set()
        server = self

        class Handler(_Handler):
            faulty = server

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,))
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def keep(self, bodies: list[Any]) -> None:
        for body in bodies:
            self.messages += 1
            if self.loses and self.messages % self.loses == 0:
                continue
            entry = (self.messages, body)
            self.free.append(entry)
            self.log.append(entry)
            if self.doubles and self.messages % self.doubles == 0:
                self.free.append((-self.messages, body))
            if self.swaps and self.messages % self.swaps == 0 and len(self.log) > 1:
                self.log[-2:] = reversed(self.log[-2:])


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    faulty: Faulty

    def log_message(self, *_: Any) -> None:
        pass

    def handle_any(self) -> None:
        server, url = self.faulty, urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        query = parse_qs(url.query)
        _, _, _, queue, *rest = url.path.split("/")
        with server.lock:
            server.headers.add(
                (
                    self.headers["X-Project-ID"],
                    self.headers["Client-ID"],
                    self.headers["X-Auth-Token"],
                )
            )
            match self.command, rest:
                case "PUT", []:
                    server.created.append(queue)
                    self.answer(201)
                case "DELETE", []:
                    server.deleted.append(queue)
                    self.answer(204)
                case "GET", ["stats"]:
                    free, claimed = len(server.free), len(server.claimed)
                    self.answer(200, {"messages": {"free": free, "claimed": claimed}})
                case "POST", ["messages"]:
                    self.post([message["body"] for message in json.loads(body)["messages"]])
                case "POST", ["claims"]:
                    self.claim(queue, int(query["limit"][0]))
                case "DELETE", ["messages", *one]:
                    ids = one or query["ids"][0].split(",")
                    self.delete([int(identity) for identity in ids])
                case "GET", ["messages"]:
                    self.page(queue, int(query.get("marker", ["0"])[0]))
                case _:
                    self.answer(404, {"title": "404 Not Found"})

    do_GET = do_PUT = do_POST = do_DELETE = handle_any

    def post(self, bodies: list[Any]) -> None:
        server = self.faulty
        server.posts += 1

        def turn(every: int) -> bool:
            return every > 0 and server.posts % every == 0

        kept = server.posts // max(server.fails, server.hangs_up, 1) % 2 == 0
        if turn(server.refuses):
            server.keep(bodies)
            self.answer(400, {"title": "no"})
        elif turn(server.fails) or turn(server.hangs_up):
            if kept:
                server.keep(bodies)
            if server.fails:
                self.answer(503, {"title": "away"})
            else:
                self.close_connection = True
        else:
            server.keep(bodies)
            self.answer(201, {"resources": []})

    def claim(self, queue: str, limit: int) -> None:
        server = self.faulty
        taken, server.free = server.free[:limit], server.free[limit:]
        if not taken:
            self.answer(204)
            return
        server.claims += 1
        server.claimed |= dict(taken)
        messages = [
            {"href": f"/v2/queues/{queue}/messages/{number}?claim_id={server.claims}", "body": body}
            for number, body in taken
        ]
        self.answer(201, {"messages": messages})

    def delete(self, ids: list[int]) -> None:
        server = self.faulty
        server.deletes += 1
        for number in ids:
            server.claimed.pop(number, None)
        if server.hangs_up_on_deletes and server.deletes % server.hangs_up_on_deletes == 0:
            self.close_connection = True
        else:
            self.answer(204)

    def page(self, queue: str, after: int) -> None:
        shown = self.faulty.log[after : after + 20]
        path = f"/v2/queues/{queue}/messages"
        links = [{"rel": "next", "href": f"{path}?marker={after + len(shown)}"}] if shown else []
        messages = [{"href": f"{path}/{number}", "body": body} for number, body in shown]
        self.answer(200, {"messages": messages, "links": links})

    def answer(self, status: int, document: Any = None) -> None:
        body = b"" if document is None else json.dumps(document).encode()
        self.send_response(status)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

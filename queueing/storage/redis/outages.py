"""Outages: who still asks a server that does not answer, and what is logged of it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from queueing.core.errors import StorageUnavailable

logger = logging.getLogger(__name__)

LOOK_AGAIN_SECONDS: Final = 0.25
"""How often, at most, a request asks a server that has been away for long whether it is back."""

REPEAT_LOG_SECONDS: Final = 60.0


class Outage:
    """Whether one server answers. Threads share it.

    In the first `patience_seconds` of an outage every request tries on until its own time is up:
    most are a fail-over or a restart, and no client hears of it. After that, requests are refused
    at once, but for one at a time that looks whether the server is back.
    """

    def __init__(
        self,
        place: str,
        patience_seconds: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._place = place
        self._patience_seconds = patience_seconds
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._since: float | None = None
        self._reason = ""
        self._look_at = 0.0
        self._looking_until = 0.0  # by then at the latest who looks has said what it saw

    def enter(self) -> bool:
        """Before a request: True if it looks whether the server is back, and must say what it saw.

        :raises StorageUnavailable: the server has been away for long, and another looks already
        """
        if self._since is None:
            return False
        with self._lock:
            now = self._monotonic()
            if self._since is None or now - self._since < self._patience_seconds:
                return False
            if now < max(self._looking_until, self._look_at):
                raise StorageUnavailable(f"The store is away: {self._reason}")
            self._looking_until = now + self._patience_seconds
            return True

    def failed(self, reason: str, *, looked: bool) -> bool:
        """The server did not answer; True if that has been so for long."""
        with self._lock:
            now = self._monotonic()
            if looked:
                self._looking_until = 0.0
                self._look_at = now + LOOK_AGAIN_SECONDS
            self._reason = reason
            if self._since is None:
                self._since = now
                logger.warning("%s is away: %s", self._place, reason)
            return now - self._since >= self._patience_seconds

    def leave(self, *, looked: bool) -> None:
        """The request was not made."""
        if looked:
            with self._lock:
                self._looking_until = 0.0

    def over(self, *, looked: bool) -> None:
        """The server answered."""
        if self._since is None and not looked:
            return
        with self._lock:
            if looked:
                self._looking_until = 0.0
            if self._since is not None:
                seconds = self._monotonic() - self._since
                self._since = None
                logger.info("%s is back after %.1f s", self._place, seconds)


class Refusals:
    """What a server that answers refuses, logged once in a while and not each time."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._logged: dict[tuple[str, str], float] = {}

    def log(self, place: str, code: str, text: str) -> None:
        now = self._monotonic()
        last = self._logged.get((place, code))
        if last is None or now - last >= REPEAT_LOG_SECONDS:
            self._logged[place, code] = now
            logger.error("%s refuses: %s", place, text if code in text else f"{code} {text}")

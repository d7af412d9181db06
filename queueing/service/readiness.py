"""Whether this node wants requests: it does not while it is leaving, nor while its store is away."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from queueing.core.errors import StorageUnavailable

LIVE: Final = "/v2/health/live"
READY: Final = "/v2/health/ready"
"""Where probes ask."""

PATIENCE_SECONDS: Final = 1.0
"""How long the store may take to answer; who asks for readiness waits no longer."""

FRESH_SECONDS: Final = 1.0
"""For how long an answer of the store counts: it is asked no more often, whoever asks us."""

LEAVING: Final = "This node is about to stop."
AWAY: Final = "The store does not answer."
SLOW: Final = f"The store has not answered for {PATIENCE_SECONDS:g} s."


class Probe:
    """One ping of the store, in a thread of its own."""

    def __init__(self, ping: Callable[[], object]) -> None:
        self._ping = ping
        self.began = time.monotonic()
        self.obstacle: str | None = SLOW
        self.is_over = threading.Event()
        threading.Thread(target=self._run, name="readiness", daemon=True).start()

    def _run(self) -> None:
        try:
            self._ping()
            self.obstacle = None
        except StorageUnavailable:
            self.obstacle = AWAY
        finally:
            self.is_over.set()


class Readiness:
    """Threads share it. `ping` raises StorageUnavailable while the store is away."""

    def __init__(self, ping: Callable[[], object], is_leaving: Callable[[], bool]) -> None:
        self._ping = ping
        self._is_leaving = is_leaving
        self._lock = threading.Lock()
        self._probe: Probe | None = None

    def obstacle(self) -> str | None:
        """Why this node wants no requests; None if it does. Takes PATIENCE_SECONDS at most."""
        if self._is_leaving():
            return LEAVING
        with self._lock:
            probe = self._probe
            if probe is None or (
                probe.is_over.is_set() and time.monotonic() - probe.began >= FRESH_SECONDS
            ):
                probe = self._probe = Probe(self._ping)
        probe.is_over.wait(max(0.0, probe.began + PATIENCE_SECONDS - time.monotonic()))
        return probe.obstacle

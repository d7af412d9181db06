"""One node of ours as `queueing serve` starts it, watched for what it needs."""

from __future__ import annotations

import os
import re
import sys
import time
from pathlib import Path
from typing import Final

from services import DEADLINE, Failed, Process

LISTENING: Final = re.compile(r"listens on http://127\.0\.0\.1:(\d+)\s")


class Node(Process):
    """`queueing serve` with one worker process; `settings` as in its configuration."""

    def __init__(self, storage: str, log: Path, **settings: str) -> None:
        """:raises Failed: it does not listen"""
        kept = {key: value for key, value in os.environ.items() if not key.startswith("QUEUEING_")}
        chosen = {"storage": storage, "bind": "127.0.0.1:0", "workers": "1", "access_log": "false"}
        chosen |= settings
        env = kept | {f"QUEUEING_{name.upper()}": value for name, value in chosen.items()}
        command = [sys.executable, "-m", "queueing", "serve"]
        super().__init__(command, log, env | {"PYTHONUNBUFFERED": "1"})
        end = time.monotonic() + DEADLINE
        while not (found := LISTENING.search(log.read_text(errors="replace"))):
            if not self.running or time.monotonic() > end:
                self.stop()
                raise Failed(log.read_text(errors="replace")[-2000:])
            time.sleep(0.05)
        self.port = int(found[1])

    def worker_mebibytes(self) -> float:
        """Resident memory of the process that serves: the largest of all."""
        pages = [0]
        for pid in self.pids():
            try:
                pages.append(int(Path(f"/proc/{pid}/statm").read_text().split()[1]))
            except OSError:
                continue  # it has just ended
        return max(pages) * os.sysconf("SC_PAGE_SIZE") / 2**20

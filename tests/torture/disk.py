"""A small disk in memory, that can be filled to its last byte."""

from __future__ import annotations

import contextlib
import os
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Final, Self

MEGABYTES: Final = 64


class SmallDisk:
    """Mounted on `path` while it is entered; root only."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ballast = path / "ballast"

    def __enter__(self) -> Self:
        self.path.mkdir(parents=True)
        options = f"size={MEGABYTES}m,mode=0700"
        command = ["mount", "-t", "tmpfs", "-o", options, "queueing-torture", str(self.path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"a small disk needs root and mount: {done.stderr.strip()}")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        subprocess.run(["umount", "--lazy", str(self.path)], check=True)

    def fill(self) -> None:
        """Take all the space that is left."""
        chunk = bytes(1 << 16)
        with self._ballast.open("ab", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(chunk):
                pass

    def free(self) -> None:
        """Give it back."""
        self._ballast.unlink()

    @property
    def left(self) -> int:
        """Bytes."""
        facts = os.statvfs(self.path)
        return facts.f_bavail * facts.f_frsize

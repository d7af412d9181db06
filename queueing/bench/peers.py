"""Which processes of this machine hold the server's ends of our connections (Linux, where we may look)."""

from __future__ import annotations

import os
import socket
from collections import Counter
from pathlib import Path

ESTABLISHED = "01"


def split(host: str, port: int) -> dict[int, int]:
    """Number of established connections to the server by process id; empty where nobody can tell.

    Not told: by other systems than Linux, of servers elsewhere, of other users' processes.
    """
    try:
        address = socket.gethostbyname(host)
    except OSError:
        return {}
    if not address.startswith("127."):
        return {}
    inodes = _inodes(port)
    owners: Counter[int] = Counter()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            for file in os.scandir(process / "fd"):
                owners[int(process.name)] += os.readlink(file.path) in inodes
        except OSError:
            continue  # it has ended, or is not ours to look at
    return {process: number for process, number in sorted(owners.items()) if number}


def _inodes(port: int) -> set[str]:
    found = set()
    for table in ("tcp", "tcp6"):
        try:
            lines = Path("/proc/net", table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == ESTABLISHED and int(fields[1].rpartition(":")[2], 16) == port:
                found.add(f"socket:[{fields[9]}]")
    return found

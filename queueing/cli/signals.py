"""Signals to stop: what the processes make of them, and how they wait until somebody can handle them."""

from __future__ import annotations

import signal
from typing import Any

FINISH = signal.SIGUSR2
"""What our master tells a worker, so that a SIGTERM to all processes does not come before it."""

STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, FINISH)


def hold_signals() -> None:
    """Let signals to stop wait until the master can handle them: it has been announced by then."""
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)


def obey_master(worker: Any) -> None:
    """In a worker of gunicorn's: leave to the master what a signal to all processes means.

    A terminal sends them to all, systemd too. A worker that stopped accepting before the master
    keeps newcomers out would leave those who connect in between to nobody.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    if getattr(worker, "finishes", False):
        signal.signal(FINISH, worker.handle_exit)
        signal.siginterrupt(FINISH, False)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)

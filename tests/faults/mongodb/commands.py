"""The commands that the driver sends, as pymongo tells of them: to count, to hold up, to die at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pymongo import monitoring
from pymongo.monitoring import (
    CommandFailedEvent,
    CommandListener,
    CommandStartedEvent,
    CommandSucceededEvent,
)


class Commands(CommandListener):
    """Of every client that is made after it was registered."""

    def __init__(self) -> None:
        self.before: Callable[[CommandStartedEvent], None] | None = None
        self.after: Callable[[CommandSucceededEvent], None] | None = None
        self._names: list[str] | None = None

    @contextmanager
    def counted(self) -> Iterator[list[str]]:
        """The names of the commands, in order."""
        self._names = names = []
        try:
            yield names
        finally:
            self._names = None

    def started(self, event: CommandStartedEvent) -> None:
        if self._names is not None:
            self._names.append(event.command_name)
        if self.before:
            self.before(event)

    def succeeded(self, event: CommandSucceededEvent) -> None:
        if self.after:
            self.after(event)

    def failed(self, event: CommandFailedEvent) -> None:
        pass


COMMANDS = Commands()
monitoring.register(COMMANDS)

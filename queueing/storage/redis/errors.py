"""What Redis may answer instead of an answer, and what is done about it, by kind.

| Redis says | it means | so |
|---|---|---|
| MOVED, ASK | another node holds the slot; nothing was done | ask there |
| NOSCRIPT | the server does not know the script; nothing was done | send the source |
| TRYAGAIN | the slot is on the move, some of the keys are there and some here | wait, ask again |
| (no answer, connection refused, cut, timed out) | it may have been done | ask again: the token tells |
| LOADING, MASTERDOWN, CLUSTERDOWN, BUSY, UNBLOCKED | it serves nobody just now | wait, ask again |
| READONLY | it is a replica now; nothing was done | find the master, ask there |
| OOM, MISCONF, NOREPLICAS, NOPERM, NOAUTH, WRONGPASS, anything else | it does not want to | 503 at once |

All of it ends as `StorageUnavailable` when the request's time is up.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import Final

from redis import exceptions
from redis.exceptions import RedisClusterException, RedisError, ResponseError

FAILURES: Final = (RedisError, RedisClusterException, OSError)
"""All that redis-py raises: its own errors, those of a Cluster, and now and then the socket's."""


class Verdict(Enum):
    """What to do about a failure."""

    MOVED = auto()
    ASK = auto()
    SEND_SOURCE = auto()
    WAIT = auto()
    AWAY = auto()
    FIND_MASTER = auto()
    REFUSED = auto()


def verdict(error: Exception) -> Verdict:
    for kind, found in _BY_CLASS:
        if isinstance(error, kind):
            return found
    return _BY_CODE.get(code(error), Verdict.REFUSED)


def code(error: Exception) -> str:
    """The word that Redis begins an error with; from within a script, 6.2 hides it in a sentence."""
    text = str(error)
    status = getattr(error, "status_code", None)
    if isinstance(status, str) and status != "ERR":
        return status
    match = _HIDDEN.search(text) or _LEADING.match(text)
    return match[1] if match else type(error).__name__


def refusal(error: BaseException) -> str:
    """What the server said, if it is there and does not want us; else ''."""
    cause = error.__cause__
    return str(cause) if isinstance(cause, Exception) and verdict(cause) is Verdict.REFUSED else ""


_HIDDEN: Final = re.compile(r"-(OOM|READONLY|MISCONF|NOREPLICAS|NOPERM|MASTERDOWN|CLUSTERDOWN) ")
_LEADING: Final = re.compile(r"-?([A-Z]{3,}) ")

_BY_CLASS: Final[tuple[tuple[type[Exception], Verdict], ...]] = (
    # The order counts: a MOVED is an ASK to redis-py, and wrong passwords are broken connections.
    (exceptions.MovedError, Verdict.MOVED),
    (exceptions.AskError, Verdict.ASK),
    (exceptions.NoScriptError, Verdict.SEND_SOURCE),
    (exceptions.TryAgainError, Verdict.WAIT),
    (exceptions.BusyLoadingError, Verdict.AWAY),
    (exceptions.ClusterDownError, Verdict.AWAY),
    (exceptions.ReadOnlyError, Verdict.FIND_MASTER),
    (exceptions.AuthenticationError, Verdict.REFUSED),
    (exceptions.AuthorizationError, Verdict.REFUSED),
    (exceptions.ConnectionError, Verdict.AWAY),
    (exceptions.TimeoutError, Verdict.AWAY),
    (RedisClusterException, Verdict.AWAY),
    (OSError, Verdict.AWAY),
)

_BY_CODE: Final = {
    "BUSY": Verdict.AWAY,
    "LOADING": Verdict.AWAY,
    "MASTERDOWN": Verdict.AWAY,
    "CLUSTERDOWN": Verdict.AWAY,
    "UNBLOCKED": Verdict.AWAY,
    "READONLY": Verdict.FIND_MASTER,
    "TRYAGAIN": Verdict.WAIT,
}

__all__ = ["FAILURES", "ResponseError", "Verdict", "code", "refusal", "verdict"]

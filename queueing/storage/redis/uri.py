"""Storage URIs of Redis: what they can say, and what is refused in one line.

redis://[user[:password]@]host[:6379][/db][?option=value&...]      rediss:// with TLS
unix://[user[:password]@]/path/of/the/socket[?db=0&...]
redis+sentinel://host[:26379],host,.../master[/db]                 rediss+sentinel:// with TLS
redis+cluster://host[:6379],host,...                               rediss+cluster:// with TLS
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, Literal
from urllib.parse import parse_qsl, unquote

from queueing.core.errors import SetupError

Kind = Literal["server", "unix", "sentinel", "cluster"]

KINDS: Final[dict[str, tuple[Kind, bool]]] = {
    "redis": ("server", False),
    "rediss": ("server", True),
    "unix": ("unix", False),
    "redis+sentinel": ("sentinel", False),
    "rediss+sentinel": ("sentinel", True),
    "redis+cluster": ("cluster", False),
    "rediss+cluster": ("cluster", True),
}


def option(default: Any, meaning: str, *, tls: bool = False, only: str = "") -> Any:
    """A query option: its default, its sentence, and the kinds of URI that may have it."""
    return field(default=default, metadata={"meaning": meaning, "tls": tls, "only": only})


@dataclass(frozen=True, kw_only=True)
class Options:
    """What may follow the `?`."""

    pool_size: int = option(
        64, "Most connections to one server; more than a process has threads is never needed."
    )
    connect_timeout_seconds: float | None = option(
        None, "How long one attempt to connect may take; a tenth of the storage time-out."
    )
    answer_timeout_seconds: float | None = option(
        None, "How long to wait for an answer before asking again; half of the storage time-out."
    )
    min_replicas: int = option(
        0, "A write counts when so many replicas have it too; 0 does not wait for any."
    )
    namespace: str = option("q", "What all keys begin with: two installations may share a server.")
    db: int = option(0, "Number of the database, for those URIs that do not say it.", only="unix")
    sentinel_username: str | None = option(None, "User for the Sentinels.", only="sentinel")
    sentinel_password: str | None = option(None, "Password for the Sentinels.", only="sentinel")
    ssl_ca_certs: str | None = option(
        None, "File with the certificates of authorities to trust.", tls=True
    )
    ssl_certfile: str | None = option(None, "File with the client's certificate.", tls=True)
    ssl_keyfile: str | None = option(None, "File with the client's private key.", tls=True)
    ssl_check_hostname: bool = option(
        True, "`no`: the certificate need not name the host that was asked for.", tls=True
    )


@dataclass(frozen=True, kw_only=True)
class Address:
    """A URI, read."""

    kind: Kind
    tls: bool
    hosts: tuple[tuple[str, int], ...] = ()
    path: str = ""
    master: str = ""
    db: int = 0
    username: str | None = None
    password: str | None = None
    options: Options = Options()

    def __str__(self) -> str:
        """For logs: no secrets."""
        if self.kind == "unix":
            return self.path
        hosts = ",".join(f"{host}:{port}" for host, port in self.hosts)
        return f"{self.master} of {hosts}" if self.master else hosts


def read(uri: str) -> Address:
    """:raises SetupError: the URI makes no sense; one line that names what, and what is allowed"""
    scheme, separator, rest = uri.partition("://")
    scheme = scheme.lower()
    if not separator or scheme not in KINDS:
        raise SetupError(f"storage: expected one of {', '.join(KINDS)}://, got {scheme!r}")
    kind, tls = KINDS[scheme]
    rest, _, query = rest.partition("?")
    authority, slash, path = rest.partition("/")
    credentials, _, authority = authority.rpartition("@")
    username, password = _credentials(credentials)
    options = _options(query, kind, tls)
    common: dict[str, Any] = {"kind": kind, "tls": tls, "username": username, "password": password}
    if kind == "unix":
        if authority or not path:
            raise SetupError("storage: expected unix:///path/of/the/socket, got no absolute path")
        return Address(**common, path=unquote(slash + path), db=options.db, options=options)
    hosts = _hosts(authority, 26379 if kind == "sentinel" else 6379)
    if kind == "server":
        if len(hosts) > 1:
            raise SetupError(
                "storage: several hosts need redis+sentinel:// or redis+cluster://, got redis://"
            )
        return Address(**common, hosts=hosts, db=_db(path), options=options)
    if kind == "cluster":
        if path.strip("/"):
            raise SetupError(f"storage: a Cluster has no databases, got /{path}")
        return Address(**common, hosts=hosts, options=options)
    master, _, db = path.partition("/")
    if not master:
        raise SetupError(
            "storage: expected redis+sentinel://host,host/master, got no name of the master"
        )
    return Address(**common, hosts=hosts, master=unquote(master), db=_db(db), options=options)


def _credentials(text: str) -> tuple[str | None, str | None]:
    username, colon, password = text.partition(":")
    return unquote(username) or None, unquote(password) if colon else None


def _hosts(authority: str, port: int) -> tuple[tuple[str, int], ...]:
    found = []
    for host in authority.split(","):
        match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([^:\[\]]+))(?::(\d{1,5}))?", host.strip())
        if match is None:
            raise SetupError(f"storage: expected host or host:port, got {host!r}")
        found.append((match[1] or match[2], int(match[3] or port)))
    return tuple(found)


def _db(path: str) -> int:
    text = path.strip("/")
    if text and not text.isdecimal():
        raise SetupError(f"storage: expected the number of a database after the host, got {path!r}")
    return int(text or 0)


def _options(query: str, kind: Kind, tls: bool) -> Options:
    known = {option.name: option for option in fields(Options)}
    possible = [
        name
        for name, option in known.items()
        if (tls or not option.metadata["tls"]) and option.metadata["only"] in ("", kind)
    ]
    given: dict[str, Any] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in possible:
            raise SetupError(
                f"storage: option {name!r} is not known for this kind of URI; "
                f"known are {', '.join(possible)}"
            )
        cast = CASTS.get(name, str)
        try:
            given[name] = cast(value)
        except ValueError:
            expected = EXPECTED.get(cast, "some text")
            raise SetupError(
                f"storage: option {name!r} expects {expected}, got {value!r}"
            ) from None
    options = Options(**given)
    if options.ssl_keyfile and not options.ssl_certfile:
        raise SetupError("storage: option 'ssl_keyfile' needs 'ssl_certfile' too")
    return options


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise ValueError(text)
    return int(text)


def _number(text: str) -> int:
    if not text.isdecimal():
        raise ValueError(text)
    return int(text)


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < 3600:
        raise ValueError(text)
    return seconds


def _switch(text: str) -> bool:
    if text not in ("yes", "no"):
        raise ValueError(text)
    return text == "yes"


def _name(text: str) -> str:
    # Braces would be a hash tag of their own.
    if not re.fullmatch(r"[A-Za-z0-9_.:-]{1,64}", text):
        raise ValueError(text)
    return text


CASTS: Final[Mapping[str, Callable[[str], Any]]] = {
    "pool_size": _positive,
    "connect_timeout_seconds": _seconds,
    "answer_timeout_seconds": _seconds,
    "min_replicas": _number,
    "namespace": _name,
    "db": _number,
    "ssl_check_hostname": _switch,
}

EXPECTED: Final[Mapping[Callable[[str], Any], str]] = {
    _positive: "a whole number from 1",
    _number: "a whole number from 0",
    _seconds: "seconds above 0, below 3600",
    _switch: "yes or no",
    _name: "1 to 64 of A-Z a-z 0-9 _ . : -",
}

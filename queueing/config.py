"""Settings: what an operator can choose, where it was read from, and what is refused.

A setting is read from its flag, else from `QUEUEING_<ITS NAME>`, else from the TOML file, else it
has its default. The file is `--config`, else `QUEUEING_CONFIG`, else `/etc/queueing/queueing.toml`
if that is there. Whatever is unknown, of a wrong type or impossible is refused in one line.
"""

from __future__ import annotations

import difflib
import json
import math
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from types import UnionType
from typing import Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

from queueing.core.errors import SetupError
from queueing.core.limits import Limits, option
from queueing.core.rules import is_queue_name

SYSTEM_FILE = Path("/etc/queueing/queueing.toml")
PREFIX = "QUEUEING_"
MASK = "***"


@dataclass(frozen=True, kw_only=True)
class Settings(Limits):
    """Every setting there is: a field, a unit in its name where it has one, a sentence."""

    storage: str = option(
        "sqlite:///queueing.db", "Where messages are kept, as a URI.", secret=True
    )
    storage_timeout_seconds: float = option(
        5.0,
        "How long a request waits for the store before it is answered 503.",
        least=0.1,
        most=300,
    )
    server: Literal["gunicorn", "granian"] = option(
        "gunicorn", "What speaks HTTP; granian is faster and comes with `queueing[granian]`."
    )
    bind: str = option("127.0.0.1:8888", "Where to listen: `host:port`; port 0 takes a free one.")
    workers: int = option(
        0, "Worker processes; 0 chooses by the machine's cores and the store.", least=0, most=1024
    )
    threads: int = option(
        8, "Threads in each worker process, besides those whose requests wait.", least=1, most=512
    )
    max_waiters: int = option(
        400,
        "How many requests may `wait` in each worker process; one more is answered at once.",
        least=0,
        most=10_000,
    )
    keep_alive_seconds: int = option(
        75,
        "How long an idle connection stays open; longer than a proxy before this server keeps its own.",
        least=0,
        most=3600,
    )
    client_timeout_seconds: float = option(
        30.0,
        "How long a client may pause in the middle of a request, or leave its answer unread.",
        least=0.1,
        most=3600,
    )
    drain_seconds: float = option(
        0.0,
        "How long to go on serving after SIGTERM, not ready any more, until balancers have noticed.",
        least=0,
        most=600,
    )
    graceful_timeout_seconds: int = option(
        30,
        "How long requests in flight may take to finish when the server is told to stop.",
        least=1,
        most=3600,
    )
    strict_headers: bool = option(
        False, "Ask for the headers that Zaqar asks for, instead of filling in defaults."
    )
    admin_mode: bool = option(False, "Serve the privileged endpoints: health.")
    access_log: bool = option(True, "Write a line for every request.")
    log_format: Literal["text", "json"] = option("text", "How log lines are written.")
    log_level: Literal["debug", "info", "warning", "error"] = option(
        "info", "The least important log line to write."
    )
    collect_seconds: float = option(
        1.0,
        "Each worker process sweeps what is over this often; 0 leaves it to `queueing collect`.",
        least=0,
        most=86400,
    )
    metrics_bind: str = option(
        "",
        "Where to serve metrics for Prometheus, as `host:port`; empty: nowhere. Needs `queueing[metrics]`.",
    )
    metrics_queues: int = option(
        100, "How many queues have numbers of their own in the metrics.", least=0, most=10_000
    )
    metrics_depth_queues: tuple[str, ...] = option(
        (), "Queues whose depth and age are in the metrics, as `queue` or `project/queue`."
    )
    tracing: bool = option(
        False,
        "Send OpenTelemetry traces, where `OTEL_*` variables say. Needs `queueing[otel]`.",
    )
    cors_allowed_origins: tuple[str, ...] = option(
        (), "Origins whose pages may call this service; `*` for all. Empty: no CORS headers."
    )
    policy: Mapping[str, str] = option(
        {}, "Rules per action that replace the built-in ones, as `queues:create`."
    )

    @property
    def all_threads(self) -> int:
        """What a server has to start at most in each process, so that no waiting request holds a
        thread that another one needs."""
        return self.threads + (self.max_waiters if self.max_wait_seconds else 0)


class ConfigError(SetupError):
    """The configuration is refused; the message is one line that says why, `source` where it stands."""

    def __init__(self, message: str, source: str) -> None:
        super().__init__(message)
        self.source = source


class Configuration(NamedTuple):
    """The settings in force, and where each was read from: `default`, a flag, a variable or a file."""

    settings: Settings
    sources: Mapping[str, str]


def load(
    config_file: str | None = None,
    *,
    flags: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Configuration:
    """Read the settings. `flags` are those of the command line by name of setting, None where not given.

    :raises ConfigError: something is unknown, ill-typed, out of range or contradicts something else
    """
    environ = os.environ if environ is None else environ
    values: dict[str, Any] = {item.name: getattr(DEFAULTS, item.name) for item in fields(Settings)}
    sources = dict.fromkeys(values, "default")
    path = _file(config_file, environ)
    if path is not None:
        for name, value in _read(path).items():
            if name not in KINDS:
                raise _unknown(name, value, str(path), near_to=name)
            values[name], sources[name] = _typed(name, value, str(path)), str(path)
    for variable, text in sorted(environ.items()):
        if not variable.startswith(PREFIX) or _of_others(variable, text):
            continue
        name = variable.removeprefix(PREFIX).lower()
        if variable != PREFIX + name.upper() or name not in KINDS:
            raise _unknown(variable, text, "environment", near_to=name, prefix=PREFIX)
        values[name], sources[name] = _parsed(name, text, variable), variable
    for name, value in (flags or {}).items():
        if value is not None:
            flag = f"--{name.replace('_', '-')}"
            values[name], sources[name] = _typed(name, value, flag), flag
    _check(values, sources)
    return Configuration(Settings(**values), sources)


def shown(name: str, value: Any) -> str:
    """A value as it would stand in the TOML file, with what is secret masked."""
    if name == "storage":
        value = masked(value)
    elif META[name]["secret"] and value is not None:
        value = (MASK,) * len(value) if isinstance(value, tuple) else MASK
    if value is None:
        return '""'
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{json.dumps(k)} = {json.dumps(v)}' for k, v in value.items())}}}"
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)


def effective(configuration: Configuration) -> list[tuple[str, str, str]]:
    """A row per setting: name, value as in the file but with secrets masked, where it comes from."""
    settings, sources = configuration
    return [(name, shown(name, getattr(settings, name)), sources[name]) for name in KINDS]


def masked(uri: str) -> str:
    """The URI without its passwords, in the authority or in the query."""
    uri = re.sub(r"^([^:]*:/*[^:@/]*):.*@", rf"\1:{MASK}@", uri)
    uri = re.sub(r":[^:@/\s]+@", f":{MASK}@", uri)
    return re.sub(
        r"([?&][^=&]*(?:pass|secret|token|key)[^=&]*=)[^&]*", rf"\1{MASK}", uri, flags=re.IGNORECASE
    )


def address(bind: str) -> tuple[str, int]:
    """Host and port of a `bind`; an IPv6 host stands in brackets there, and without them here.

    :raises ValueError: it is not of the form `host:port`
    """
    found = re.fullmatch(r"(?:\[([0-9A-Fa-f:.%\w]+)\]|([^\s:\[\]/]+)):([0-9]{1,5})", bind)
    if not found or int(found[3]) > 65535:
        raise ValueError(bind)
    return found[1] or found[2], int(found[3])


def _file(config_file: str | None, environ: Mapping[str, str]) -> Path | None:
    named = config_file or environ.get("QUEUEING_CONFIG")
    if named:
        return Path(named)
    return SYSTEM_FILE if SYSTEM_FILE.exists() else None


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}", str(path)) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path}: is not TOML: {' '.join(str(error).split())}", str(path)
        ) from None


def _of_others(variable: str, text: str) -> bool:
    """Whether a variable with our prefix is none of our settings, rightly.

    Kubernetes puts such variables into every container beside a Service called `queueing`.
    """
    if variable == "QUEUEING_CONFIG" or variable.startswith("QUEUEING_TEST_"):
        return True
    if re.fullmatch(r"QUEUEING_SERVICE_(HOST|PORT(_\w+)?)", variable):
        return True
    return bool(re.fullmatch(r"QUEUEING_PORT(_\w+)?", variable)) and (
        "://" in text or re.fullmatch(r"QUEUEING_PORT_\d+_\w+", variable) is not None
    )


def _unknown(name: str, value: Any, source: str, *, near_to: str, prefix: str = "") -> ConfigError:
    near = difflib.get_close_matches(near_to, KINDS, n=1)
    guess = f"{prefix}{near[0].upper() if prefix else near[0]}" if near else ""
    hint = f"did you mean {guess}?" if guess else "`queueing config` lists those there are"
    line = f"{name} = {_quoted(name, value)} ({source}): there is no such setting; {hint}"
    return ConfigError(line, source)


def _parsed(name: str, text: str, variable: str) -> Any:
    """A setting from the text of its variable."""
    kind = KINDS[name]
    value: Any = text
    if kind is bool:
        words = {"true": True, "1": True, "yes": True, "on": True}
        words |= {"false": False, "0": False, "no": False, "off": False}
        value = words.get(text.strip().lower(), text)
    elif kind is int and re.fullmatch(r"\s*[+-]?[0-9]{1,18}\s*", text):
        value = int(text)
    elif kind is float and re.fullmatch(r"\s*[+-]?[0-9]{1,18}(\.[0-9]*)?\s*", text):
        value = float(text)
    elif get_origin(kind) is tuple:
        value = [part.strip() for part in text.split(",") if part.strip()]
    elif kind == Mapping[str, str]:
        try:
            value = json.loads(text) if text.strip() else {}
        except ValueError:
            value = text
    return _typed(name, value, variable)


def _typed(name: str, value: Any, source: str) -> Any:
    """The value, if the setting may have it."""
    kind, least, most = KINDS[name], META[name]["least"], META[name]["most"]
    if get_origin(kind) is Literal:
        fits = isinstance(value, str) and value in get_args(kind)
    elif get_origin(kind) is tuple:
        fits = isinstance(value, list | tuple) and all(isinstance(part, str) for part in value)
        value = tuple(value) if fits else value
    elif kind == Mapping[str, str]:
        fits = isinstance(value, dict) and all(isinstance(rule, str) for rule in value.values())
    elif kind is bool or kind is str:
        fits = isinstance(value, kind)
    elif isinstance(kind, UnionType):
        fits = isinstance(value, str)
        value = value or None
    else:
        fits = isinstance(value, int | float if kind is float else int)
        fits = fits and not isinstance(value, bool) and math.isfinite(value)
        fits = fits and (least is None or value >= least) and (most is None or value <= most)
        value = kind(value) if fits else value
    if not fits:
        line = f"{name} = {_quoted(name, value)} ({source}): expected {expected(name)}"
        raise ConfigError(line, source)
    return value


def expected(name: str) -> str:
    """What a setting may be, in words."""
    kind, least, most = KINDS[name], META[name]["least"], META[name]["most"]
    if get_origin(kind) is Literal:
        choices = [f'"{choice}"' for choice in get_args(kind)]
        return f"one of {', '.join(choices)}" if len(choices) > 2 else " or ".join(choices)
    if kind is int or kind is float:
        return f"{'a whole number' if kind is int else 'a number'} from {least} to {most}"
    if get_origin(kind) is tuple:
        return "a list of strings (in the environment: separated by commas)"
    if kind == Mapping[str, str]:
        return "a table of strings (in the environment: a JSON object)"
    if isinstance(kind, UnionType):
        return "a string; an empty one is as none"
    return "true or false" if kind is bool else "a string"


def _check(values: Mapping[str, Any], sources: Mapping[str, str]) -> None:
    """What no value can tell by itself."""

    def refuse(name: str, wanted: str) -> None:
        value = _quoted(name, values[name])
        line = f"{name} = {value} ({sources[name]}): expected {wanted}"
        raise ConfigError(line, sources[name])

    for smaller, larger in NOT_MORE_THAN:
        if values[smaller] > values[larger]:
            refuse(smaller, f"at most {larger} = {values[larger]} ({sources[larger]})")
    for name in ("bind", "metrics_bind"):
        if name == "metrics_bind" and not values[name]:
            continue
        try:
            address(values[name])
        except ValueError:
            refuse(name, "host:port, as 127.0.0.1:8888 or [::1]:8888, the port from 0 to 65535")
    if not re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", values["storage"]):
        refuse("storage", "a URI, as sqlite:///queueing.db")
    for queue in values["metrics_depth_queues"]:
        if not is_queue_name(queue.rpartition("/")[2]) or queue.startswith("/"):
            refuse("metrics_depth_queues", "queues as orders, or project/orders")
    for origin in values["cors_allowed_origins"]:
        if origin != "*" and not re.fullmatch(r"[a-z][a-z0-9+.-]*://[^/\s]+", origin):
            refuse("cors_allowed_origins", "origins as https://example.org, or *")


def _quoted(name: str, value: Any) -> str:
    """A value that is refused, on one line and without secrets, also under a misspelt name."""
    if re.search("key|pass|secret|token", name, re.IGNORECASE):
        return MASK
    text = masked(value) if isinstance(value, str) else value
    return repr(text) if len(repr(text)) <= 200 else f"{repr(text)[:200]}…"


NOT_MORE_THAN = (
    ("default_message_ttl", "max_message_ttl"),
    ("default_message_delay", "max_message_delay"),
    ("default_claim_ttl", "max_claim_ttl"),
    ("default_claim_grace", "max_claim_grace"),
    ("min_length_client_id", "max_length_client_id"),
)
DEFAULTS = Settings()
META = {item.name: item.metadata for item in fields(Settings)}
_HINTS = get_type_hints(Settings)
KINDS = {name: _HINTS[name] for name in META}

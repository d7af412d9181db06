"""Ours against Zaqar 23.0.1, on the same Redis server, under the same gunicorn with the same settings.

Zaqar gets a virtual environment of its own, made once (some minutes, from PyPI) in --environment. Each
side is two nodes of one worker process with 8 threads, so that both are busy on both sides. --server is
what ours runs under; Zaqar runs under gunicorn, unless --zaqar-server says granian.

    python benchmarks/against_zaqar.py
    python benchmarks/against_zaqar.py --server granian --only claim
    python benchmarks/against_zaqar.py --quick
"""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from contextlib import ExitStack
from pathlib import Path

import harness
import services
from harness import Comparison, Workload, claim, cycle, post
from rich.progress import Progress
from services import Failed, Process, Service

VERSION = "23.0.1"
REQUIREMENTS = (f"zaqar=={VERSION}", "gunicorn>=27,<28", "granian>=2,<3", "redis", "setuptools<81")
CLAIMED = 20_000
LARGEST_CLAIM = 500  # so that Zaqar, whose claims get slow, is there in minutes
TARGETS = {
    "gunicorn": {"post of 1": 3.8, "cycle of 10": 4.8, "claim of 10, 20,000 claimed": 60.0},
    "granian": {"post of 1": 6.0, "cycle of 10": 8.5, "claim of 10, 20,000 claimed": 120.0},
}
SETTINGS = """\
[DEFAULT]
auth_strategy =
[transport]
max_messages_per_claim_or_pop = {largest_claim}
[drivers]
transport = wsgi
message_store = redis
management_store = redis
[drivers:message_store:redis]
uri = {uri}
[drivers:management_store:redis]
uri = {uri}
"""


def main() -> int:
    parser = harness.parser(__doc__)
    default = Path.home() / ".cache" / "queueing-benchmarks" / f"zaqar-{VERSION}"
    parser.add_argument("--environment", type=Path, default=default, metavar="DIRECTORY")
    parser.add_argument("--server", choices=tuple(TARGETS), default="gunicorn", help="of ours")
    parser.add_argument("--zaqar-server", choices=tuple(TARGETS), default="gunicorn")
    parser.add_argument("--clients", type=int, default=16, help="connections (%(default)s)")
    options = parser.parse_args()
    number, claimed = options.clients, 200 if options.quick else CLAIMED
    workloads = harness.chosen(
        parser, options, post(number), cycle(number, 10), claim(number, claimed)
    )

    def target(workload: Workload, service: Service) -> tuple[float | None, bool]:
        measured_for = options.zaqar_server == "gunicorn"
        return TARGETS[options.server].get(workload.name) if measured_for else None, False

    def carry_out(directory: Path, progress: Progress) -> list[Comparison]:
        task = progress.add_task("Zaqar's environment", total=None)
        install(options.environment)
        progress.remove_task(task)
        with ExitStack() as stack:
            redis, uri = services.redis(directory)
            stack.callback(redis.stop)
            uri_of_zaqar = uri.replace("/0", "/1")
            zaqar = start(options.environment, uri_of_zaqar, directory, redis, options.zaqar_server)
            stack.callback(zaqar.stop)
            name = f"ours {options.server}"
            ours = services.ours(name, uri, directory, server=options.server, also=[redis])
            stack.callback(ours.stop)
            return harness.compare(workloads, [zaqar, ours], options, target, progress)

    return harness.main("against_zaqar", f"Rates over those of Zaqar {VERSION}", options, carry_out)


def install(environment: Path) -> None:
    """Make the environment, unless that was done before.

    :raises Failed: pip did not manage
    """
    done = environment / ".installed"
    if done.exists() and done.read_text() == repr(REQUIREMENTS):
        return
    venv.create(environment, clear=True, with_pip=True)
    pip = [str(environment / "bin" / "python"), "-m", "pip", "install", "--quiet", *REQUIREMENTS]
    installed = subprocess.run(pip, capture_output=True, text=True, check=False)
    if installed.returncode:
        raise Failed(f"Zaqar cannot be installed:\n{installed.stderr[-2000:]}")
    done.write_text(repr(REQUIREMENTS))


def start(environment: Path, uri: str, directory: Path, redis: Process, server: str) -> Service:
    """Zaqar as it is installed: it looks for its settings in the home directory."""
    settings = directory / ".zaqar" / "zaqar.conf"
    settings.parent.mkdir()
    settings.write_text(SETTINGS.format(uri=uri, largest_claim=LARGEST_CLAIM))
    service = Service(f"Zaqar {server}", also=[redis])
    service.largest_claim = LARGEST_CLAIM
    env = os.environ | {"HOME": str(directory)}
    services.serve(
        service, "zaqar.transport.wsgi.app:app", env, directory, server, 2, environment / "bin"
    )
    return service


if __name__ == "__main__":
    sys.exit(main())

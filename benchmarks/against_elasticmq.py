"""Ours on SQLite (`synchronous=normal`, granian) against ElasticMQ 1.7.1, in memory and with its H2 store.

ElasticMQ speaks the JSON protocol of Amazon's SQS; the load generator speaks both. Maven fetches it once
into --directory; it needs a Java runtime. It is put under load for --warm-up seconds before anything is
measured, so that Java has compiled what is hot. Ours is two nodes of one worker process with 8 threads on
one file; ElasticMQ is one process, with as many threads as it likes.

    python benchmarks/against_elasticmq.py
    python benchmarks/against_elasticmq.py --stores h2 --only cycle
    python benchmarks/against_elasticmq.py --quick
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import harness
import services
from harness import Comparison, Workload, claim, cycle, post
from rich.progress import Progress
from services import HERE, Failed, Service
from sqs import SQS

from queueing.bench.plan import Plan
from queueing.bench.run import Run

VERSION = "1.7.1"
LARGEST_CLAIM = 10  # what SQS allows
START_SECONDS = 180.0  # Java on a machine that has other things to do
TARGETS = {
    "memory": {"post of 1": 0.8, "cycle of 10": 1.0},
    "h2": {"post of 1": 1.2, "claim of 10": 2.0, "cycle of 10": 2.5},
}
SETTINGS = """\
node-address {{ protocol = http, host = "127.0.0.1", port = {port}, context-path = "" }}
rest-sqs {{ enabled = true, bind-port = {port}, bind-hostname = "127.0.0.1", sqs-limits = strict }}
rest-stats {{ enabled = false }}
messages-storage {{ enabled = {stored}, uri = "jdbc:h2:{file}" }}
"""


def main() -> int:
    parser = harness.parser(__doc__)
    default = Path.home() / ".cache" / "queueing-benchmarks" / f"elasticmq-{VERSION}"
    parser.add_argument("--directory", type=Path, default=default, metavar="DIRECTORY")
    parser.add_argument("--stores", default="memory,h2", metavar="NAMES", help="of ElasticMQ")
    parser.add_argument("--clients", type=int, default=16, help="connections (%(default)s)")
    parser.add_argument(
        "--warm-up", type=float, default=60.0, metavar="S", help="of ElasticMQ (%(default)s)"
    )
    options = parser.parse_args()
    stores = options.stores.split(",")
    if unknown := set(stores) - set(TARGETS):
        parser.error(f"--stores: expected some of {','.join(TARGETS)}, got {','.join(unknown)}")
    number = options.clients
    workloads = harness.chosen(
        parser, options, post(number), claim(number), cycle(number, 1), cycle(number, 10)
    )

    def carry_out(directory: Path, progress: Progress) -> list[Comparison]:
        rows: list[Comparison] = []
        task = progress.add_task("ElasticMQ's jars", total=None)
        install(options.directory)
        progress.remove_task(task)
        for store in stores:

            def target(
                workload: Workload, service: Service, store: str = store
            ) -> tuple[float | None, bool]:
                return TARGETS[store].get(workload.name), False

            with ExitStack() as stack:
                elasticmq = start(options.directory, store, directory)
                stack.callback(elasticmq.stop)
                seconds = min(options.warm_up, 1.0) if options.quick else options.warm_up
                warm_up(elasticmq, seconds, number, progress)
                uri = f"sqlite:///{directory}/ours-{store}.db?synchronous=normal"
                ours = services.ours("ours SQLite granian", uri, directory, server="granian")
                stack.callback(ours.stop)
                rows += harness.compare(workloads, [elasticmq, ours], options, target, progress)
        return rows

    title = f"Rates on SQLite over those of ElasticMQ {VERSION}"
    return harness.main("against_elasticmq", title, options, carry_out)


def install(directory: Path) -> None:
    """Fetch ElasticMQ and what it needs, unless that was done before.

    :raises Failed: Maven did not manage, or is not there
    """
    if directory.exists():
        return
    program = shutil.which("mvn")
    if not program:
        raise Failed("mvn: not found; ElasticMQ comes by Maven")
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory.parent) as making:
        pom = str(HERE / "elasticmq" / "pom.xml")
        fetch = [program, "--batch-mode", "--quiet", "--file", pom]
        fetch += ["dependency:copy-dependencies", f"-DoutputDirectory={making}/jars"]
        done = subprocess.run(fetch, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Failed(f"ElasticMQ cannot be fetched:\n{(done.stdout + done.stderr)[-2000:]}")
        (Path(making) / "jars").rename(directory)


def start(jars: Path, store: str, directory: Path) -> Service:
    """ElasticMQ in a process of its own."""
    java = shutil.which("java")
    if not java:
        raise Failed("java: not found; ElasticMQ runs on it")
    port = services.free_port()
    settings = directory / f"elasticmq-{store}.conf"
    stored = "true" if store == "h2" else "false"
    settings.write_text(SETTINGS.format(port=port, stored=stored, file=directory / "elasticmq"))
    service = Service(f"ElasticMQ {store}")
    service.largest_claim = LARGEST_CLAIM
    service.dialect = SQS
    command = [java, f"-Dconfig.file={settings}", "-cp", f"{jars}/*", "org.elasticmq.server.Main"]
    service.add(command, port, directory / f"elasticmq-{store}.log", deadline=START_SECONDS)
    return service


def warm_up(service: Service, seconds: float, clients: int, progress: Progress) -> None:
    """All that is measured later, at once."""
    task = progress.add_task(f"{service.name}: warm up", total=seconds)
    plan = Plan(
        target=service.targets[0],
        queues=("warm-up",),
        largest_claim=LARGEST_CLAIM,
        cyclers=clients,
    )
    batches = Plan(
        target=service.targets[0],
        queues=("warm-up-batches",),
        largest_claim=LARGEST_CLAIM,
        cyclers=clients,
        batch=10,
        claim=10,
        finish="bulk",
    )
    for each in (plan, batches):
        with Run(each, processes=2, dialect=service.dialect) as run:
            run.load(seconds=seconds / 2)
        progress.advance(task, seconds / 2)
    progress.remove_task(task)


if __name__ == "__main__":
    sys.exit(main())

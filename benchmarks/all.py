"""Everything, one after the other: the figures, plots and tables of docs/performance.md anew.

    python benchmarks/all.py                 # about 25 minutes; again after Ctrl-C: the rest
    python benchmarks/all.py --only floor    # steps that have this in their name, even if they were done
    python benchmarks/all.py --list
    python benchmarks/all.py --quick --results /tmp/figures --page ''    # does everything run?

Each step is a command that can be run by itself. Its figures go to docs/figures/STEP.json with the command and what
it printed, its plot to docs/figures/STEP.svg; then the marked blocks of docs/performance.md are written anew.
The machine should have nothing else to do. Exit status: 0 all targets met, 1 one missed or a step failed,
130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import document
import services
from rich.console import Console
from rich.markup import escape

HERE = Path(__file__).resolve().parent
RESULTS = HERE.parent / "docs" / "figures"
PAGE = HERE.parent / "docs" / "performance.md"
REDIS = "redis://localhost:6390"  # in commands; the step gets a server of its own
FASTER = "--turns 3 --seconds 1.5"
LIMIT_SECONDS = 480.0  # of a step: a server that is compared may hang


@dataclass(frozen=True)
class Step:
    """`command`: the benchmark and its options, as a reader would type them. `quick`: what makes it short."""

    name: str
    command: str
    quick: str = "--quick"

    @property
    def shown(self) -> str:
        script, _, options = self.command.partition(" ")
        return f"python benchmarks/{script}.py {options}".rstrip()


STEPS = (
    Step("overhead", "overhead --turns 600"),
    Step("flat-sqlite", "flat --turns 600"),
    Step(
        "flat-redis",
        f"flat --storage '{REDIS}?namespace=a' --beside '{REDIS}?namespace=b' --turns 300",
    ),
    Step("driver-redis", f"drivers {REDIS} --turns 60"),
    Step("floor-redis", f"against_floor --stores redis {FASTER}"),
    Step("floor-sqlite", f"against_floor --stores sqlite-normal {FASTER}"),
    Step("floor-sqlite-full", f"against_floor --stores sqlite-full --only post {FASTER}"),
    Step("commits", "commits --turns 4 --seconds 1"),
    Step("zaqar-gunicorn", f"against_zaqar --only post,cycle {FASTER}"),
    Step("zaqar-granian", f"against_zaqar --only post,cycle --server granian {FASTER}"),
    Step("elasticmq", f"against_elasticmq {FASTER}"),
    Step("batches-redis", f"batches {FASTER}"),
    Step("batches-sqlite", f"batches --storage sqlite {FASTER}"),
    Step("scaling", f"scaling {FASTER}"),
    Step("waiters", "waiters --turns 3 --seconds 3"),
    Step("waiters-granian", "waiters --only rates --set server=granian --turns 3 --seconds 3"),
    Step("waiters-redis", f"waiters --only latency --storage {REDIS}"),
    Step("idle", "idle"),
    Step("memory-redis", "memory --storage redis"),
    Step("memory-granian", "memory --storage sqlite --server granian --messages 500000"),
    Step("zaqar-claimed", "against_zaqar --only claim --turns 1 --seconds 2"),
    Step(
        "zaqar-claimed-granian", "against_zaqar --only claim --server granian --turns 1 --seconds 2"
    ),
)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only", metavar="NAMES", help="steps, with commas, by a part of their names"
    )
    parser.add_argument("--list", action="store_true", help="print the steps' names and commands")
    parser.add_argument("--again", action="store_true", help="begin anew, not where it was stopped")
    parser.add_argument("--quick", action="store_true", help="short forms: figures say nothing")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="DIRECTORY")
    parser.add_argument("--page", default=str(PAGE), metavar="FILE", help="to refresh; '' for none")
    options = parser.parse_args()
    if options.quick and options.results == RESULTS:
        parser.error("--quick: needs --results elsewhere; its figures say nothing")
    console = Console(highlight=False)
    if options.list:
        for step in STEPS:
            console.print(f"{step.name:18} {step.shown}", markup=False, soft_wrap=True)
        return 0
    steps = [step for step in STEPS if _wanted(step, options.only)]
    if not steps:
        names = ", ".join(step.name for step in STEPS)
        parser.error(f"--only: expected parts of {names}; got {options.only!r}")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    options.results.mkdir(parents=True, exist_ok=True)
    try:
        failed = carry_out(steps, options, console)
    except KeyboardInterrupt:
        console.print("stopped; the same command goes on from here")
        return 130
    found = document.read(options.results, [step.name for step in steps])
    console.print(document.summary(found), markup=False, soft_wrap=True)
    if options.page:
        document.refresh(Path(options.page), options.results)
    for name in failed:
        console.print(f"{name}: failed")
    missed = sum(figure.met is False for one in found.values() for figure in one.figures)
    return 1 if failed or (missed and not options.quick) else 0


def _wanted(step: Step, only: str | None) -> bool:
    return only is None or any(part in step.name for part in only.split(","))


def carry_out(steps: list[Step], options: argparse.Namespace, console: Console) -> list[str]:
    """Run the steps that are not done; those that failed."""
    done, failed = options.results / ".done", []
    if options.again:
        done.unlink(missing_ok=True)
    finished = set(done.read_text().split()) if done.exists() else set()
    began = time.monotonic()
    for place, step in enumerate(steps, 1):
        if step.name in finished and not options.only:
            console.print(f"{place}/{len(steps)} {step.name}: done before")
            continue
        minutes = (time.monotonic() - began) / 60
        console.print(f"[bold]{place}/{len(steps)} {step.name}[/bold]  {minutes:.1f} min so far")
        console.print(f"  {escape(step.shown)}", soft_wrap=True)
        if not carry_out_one(step, options):
            failed.append(step.name)
            continue
        if not options.only:
            finished.add(step.name)
            done.write_text("\n".join(sorted(finished)) + "\n")
    if not failed and not options.only:
        done.unlink(missing_ok=True)
    return failed


def carry_out_one(step: Step, options: argparse.Namespace) -> bool:
    """Run a step's command; True if it left figures."""
    began = time.monotonic()
    figures, plot = (options.results / f"{step.name}.{ending}" for ending in ("json", "svg"))
    with TemporaryDirectory(prefix="all-") as name, redis(step, Path(name)) as uri:
        fresh = Path(name) / "figures.json"
        script, *arguments = shlex.split(step.command.replace(REDIS, uri))
        command = [sys.executable, str(HERE / f"{script}.py"), *arguments]
        command += ["--json", str(fresh), "--plot", str(plot)]
        command += shlex.split(step.quick) if options.quick else []
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env=os.environ | {"COLUMNS": "150"}
        )
        try:
            output, _ = process.communicate(timeout=LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGTERM)
            output, _ = process.communicate()
            output += f"ended after {LIMIT_SECONDS:.0f} s\n"
        except KeyboardInterrupt:
            process.send_signal(signal.SIGTERM)
            process.communicate()
            raise
        print(output, end="", flush=True)
        if not fresh.exists():
            return False
        found = json.loads(fresh.read_text(encoding="utf-8"))
    found |= {
        "command": step.shown,
        "output": "\n".join(line.rstrip() for line in output.strip("\n").splitlines()),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "took_seconds": round(time.monotonic() - began),
    }
    text = json.dumps(found, indent=1, ensure_ascii=False) + "\n"
    figures.write_text(text, encoding="utf-8")
    return True


@contextmanager
def redis(step: Step, directory: Path) -> Iterator[str]:
    """The URI of a Redis server for the step, if its command names one."""
    if REDIS not in step.command:
        yield ""
        return
    process, uri = services.redis(directory)
    try:
        yield uri.removesuffix("/0")
    finally:
        process.stop()


if __name__ == "__main__":
    sys.exit(main())

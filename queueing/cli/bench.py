"""`queueing bench`: load for a server, and a table of how it bore it."""

from __future__ import annotations

import json
import os
import secrets
import signal
import uuid
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from queueing.bench.control import Unusable
from queueing.bench.plan import BadPlan, Plan, Preparation, Target

if TYPE_CHECKING:
    from collections.abc import Iterator

    from queueing.bench.run import Result, Run

FINISHES = ("each", "bulk", "release", "keep")
COUNT = click.IntRange(min=0)
NUMBER = click.IntRange(min=1)


@click.command(short_help="Measure a server.")
@click.argument("urls", nargs=-1, required=True, metavar="URL...")
@click.option("--producers", type=COUNT, metavar="N", help="Clients that post.  [4]")
@click.option("--workers", type=COUNT, metavar="N", help="Clients that claim and delete.  [4]")
@click.option(
    "--cyclers", type=COUNT, metavar="N", help="Clients that post, claim, delete in turn."
)
@click.option("--observers", type=COUNT, metavar="N", help="Clients that list, following markers.")
@click.option("--waiters", type=COUNT, metavar="N", help="Clients whose claims wait in vain.")
@click.option("--batch", type=NUMBER, default=1, metavar="N", help="Messages in a post.  [1]")
@click.option("--claim", type=NUMBER, default=10, metavar="N", help="Messages in a claim.  [10]")
@click.option("--size", type=NUMBER, default=100, metavar="BYTES", help="Of a body.  [100]")
@click.option(
    "--finish",
    type=click.Choice(FINISHES),
    default="each",
    metavar="HOW",
    help="What workers do with a claim: delete each message, delete them in bulk, release, keep.  [each]",
)
@click.option("--wait", type=COUNT, default=0, metavar="S", help="Workers' claims wait S seconds.")
@click.option("--claim-ttl", type=NUMBER, default=60, metavar="S", help="Life of a claim.  [60]")
@click.option("--depth", type=COUNT, default=0, metavar="N", help="Messages to post before.")
@click.option("--claimed", type=COUNT, default=0, metavar="N", help="Messages to claim before.")
@click.option("--seconds", type=click.FloatRange(min=0.1), metavar="S", help="How long.  [10]")
@click.option("--messages", type=NUMBER, metavar="N", help="Post so many, however long it takes.")
@click.option(
    "--warm-up", type=click.FloatRange(min=0), default=0.0, metavar="S", help="Not measured."
)
@click.option("--queues", type=NUMBER, default=1, metavar="N", help="Queues to spread over.  [1]")
@click.option("--queue", metavar="NAME", help="What queues are called; kept afterwards.")
@click.option("--project", default="bench", metavar="NAME", help="X-Project-ID.  [bench]")
@click.option("--client-id", metavar="UUID", help="Client-ID.  [a new one]")
@click.option("--header", "headers", multiple=True, metavar="'NAME: VALUE'", help="A header more.")
@click.option(
    "--processes", type=NUMBER, metavar="N", help="Of the load generator.  [half the cores]"
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0.1),
    default=30.0,
    metavar="S",
    help="Of a request.  [30]",
)
@click.option("--check", is_flag=True, help="Is each acknowledged message delivered exactly once?")
@click.option(
    "--drain",
    type=click.FloatRange(min=0),
    metavar="S",
    help="Longest wait for the rest, with --check.",
)
@click.option(
    "--json", "json_file", metavar="FILE", help="Write the figures to FILE, - for stdout."
)
def bench(urls: tuple[str, ...], **options: Any) -> int:
    """Put a server of Zaqar's v2 API under load, from several processes, and print a table.

    Several URLs are nodes of one service: the processes take turns at them.

    \b
    Example:
      queueing bench http://127.0.0.1:8888 --seconds 10 --check
      queueing bench http://127.0.0.1:8888 --producers 8 --workers 0
      queueing bench http://127.0.0.1:8888 --cyclers 16 --batch 10 --finish bulk
      queueing bench http://127.0.0.1:8888 --workers 4 --producers 4 --depth 100000 --claimed 20000
      queueing bench http://node-1:8888 http://node-2:8888 --seconds 60 --producers 32 --workers 32
      queueing bench http://127.0.0.1:8888 --messages 1000000 --batch 10 --check --json -
    """  # fmt: skip
    from rich.console import Console

    from queueing.bench.report import document
    from queueing.bench.run import Run
    from queueing.cli.bench_report import progress_bar, show

    try:
        nodes, plan, preparation = _plan(urls, options)
        plan.check()
    except BadPlan as error:
        raise click.UsageError(str(error)) from None
    processes = max(len(nodes), min(options["processes"] or _processes(), plan.connections))
    check = options["check"]
    if check and options["finish"] in ("release", "keep"):
        raise click.UsageError("--check: needs --finish each or bulk")
    console = Console(stderr=options["json_file"] == "-", highlight=False)
    with progress_bar() as advance:
        try:
            with (
                Run(
                    plan,
                    preparation,
                    processes=processes,
                    nodes=nodes,
                    keep_queues=options["queue"] is not None,
                    progress=advance,
                ) as run,
                _interruptible(run),
            ):
                result = _carry_out(run, plan, options)
        except Unusable as error:
            raise click.ClickException(str(error)) from None
    show(console, result, plan)
    if options["json_file"]:
        text = json.dumps(document(urls, plan, preparation, result), indent=2) + "\n"
        if options["json_file"] == "-":
            click.echo(text, nl=False)
        else:
            try:
                Path(options["json_file"]).write_text(text, encoding="utf-8")
            except OSError as error:
                raise click.ClickException(
                    f"--json {options['json_file']}: {error.strerror}"
                ) from None
    if result.interrupted:
        return 130
    failed = result.verdict is not None and not (result.verdict.ok and result.verdict.complete)
    return 1 if failed or not result.record.times else 0


def _plan(urls: tuple[str, ...], options: dict[str, Any]) -> tuple[list[Target], Plan, Preparation]:
    """:raises BadPlan:"""
    headers = []
    for line in options["headers"]:
        name, colon, value = line.partition(":")
        if not colon or not name.strip() or not line.isprintable():
            raise BadPlan(f"--header {line!r}: expected NAME: VALUE")
        headers.append((name.strip(), value.strip()))
    client_id = options["client_id"] or str(uuid.uuid4())
    nodes = [
        replace(
            Target.parse(url),
            project=options["project"],
            client_id=client_id,
            headers=tuple(headers),
            timeout_seconds=options["timeout"],
        )
        for url in urls
    ]
    name = options["queue"] or f"bench-{secrets.token_hex(4)}"
    number = options["queues"]
    roles = ("producers", "workers", "cyclers", "observers", "waiters")
    clients = {role: options[role] or 0 for role in roles}
    if all(options[role] is None for role in ("producers", "workers", "cyclers")):
        clients |= {"producers": 4, "workers": 4}
    plan = Plan(
        target=nodes[0],
        queues=(name,) if number == 1 else tuple(f"{name}-{i}" for i in range(number)),
        batch=options["batch"],
        claim=options["claim"],
        size=options["size"],
        finish=options["finish"],
        claim_ttl=options["claim_ttl"],
        wait=options["wait"],
        messages=options["messages"],
        **clients,
    )
    return nodes, plan, Preparation(depth=options["depth"], claimed=options["claimed"])


def _processes() -> int:
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    return max(2, cores // 2)


def _carry_out(run: Run, plan: Plan, options: dict[str, Any]) -> Result:
    run.prepare()
    seconds = options["seconds"]
    if seconds is None and plan.messages is None:
        seconds = 10.0
    if options["warm_up"]:
        run.load(seconds=options["warm_up"], phase="warm-up", unlimited=True)
    result = run.load(seconds=seconds)
    if options["check"]:
        drain = options["drain"]
        if drain is None:
            drain = plan.claim_ttl + 30.0  # what a lost answer left claimed is free again by then
        complete = not result.interrupted and run.drain(drain)
        result.verdict = run.verdict(complete=complete)
        result.interrupted = run.interrupted
    return result


@contextmanager
def _interruptible(run: Run) -> Iterator[None]:
    """The first Ctrl-C ends the run with what was measured so far, a second one at once."""

    def interrupt(*_: object) -> None:
        if run.interrupted:
            raise KeyboardInterrupt
        run.interrupt()

    before = [
        (number, signal.signal(number, interrupt)) for number in (signal.SIGINT, signal.SIGTERM)
    ]
    try:
        yield
    except KeyboardInterrupt:
        raise click.Abort from None
    finally:
        for number, handler in before:
            signal.signal(number, handler)

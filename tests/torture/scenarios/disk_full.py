from __future__ import annotations

import time

from tests.torture import stores
from tests.torture.scenario import Run, scenario


@scenario("disk-full", stores=("redis", "sqlite"), small_disk=True)
def disk_full(run: Run) -> None:
    """The store's disk is full for a while: 503, nothing acknowledged is lost, all is well with space."""
    disk = run.disk
    assert disk is not None
    run.quiet()
    run.tell("the disk is full")
    filled_at = time.monotonic()
    disk.fill()
    deadline = filled_at + run.form.fault_seconds
    while time.monotonic() < deadline:
        keep_alive(run)
        run.pass_time(0.5)
    refused = [failure for failure in run.failures if failure.start > filled_at]
    run.expect(bool(refused), "the disk was full, and no post was refused")
    run.expect(
        all(failure.what.endswith(("503", "no answer")) for failure in refused),
        f"answers with a full disk: { {failure.what for failure in refused} }, expected 503",
    )
    run.tell("there is space again")
    disk.free()
    while not keep_alive(run):
        time.sleep(0.1)
    run.harmed()
    run.deployment.balancer.wait_for(range(1, 4))
    run.quiet(run.form.quiet_seconds + 3)
    run.expect_recovery()


def keep_alive(run: Run) -> bool:
    """Redis with `appendfsync always` ends when it cannot write; whatever runs it starts it again.

    True if it serves."""
    store = run.deployment.store
    if not isinstance(store, stores.Redis):
        return True
    store.start_again()
    return store.serves

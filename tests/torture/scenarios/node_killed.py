from __future__ import annotations

import time

from tests.torture.scenario import Run, scenario


@scenario("node-killed")
def node_killed(run: Run) -> None:
    """A node is killed (kill -9): only requests that were in flight fail; repeating them is safe."""
    run.quiet()
    node = run.deployment.first
    run.tell("node 1 is killed")
    run.harmed()
    node.kill()
    gone_at = time.monotonic()
    run.quiet(run.form.fault_seconds)
    late = [failure for failure in run.failures if failure.start > gone_at]
    run.expect(not late, f"{len(late)} requests failed that began once the node was gone")
    run.expect_recovery()
    run.tell("node 1 is back")
    node.start()
    run.deployment.balancer.wait_for([node.number])
    before = len(run.failures)
    run.quiet()
    run.expect(len(run.failures) == before, "requests failed when the node was back")

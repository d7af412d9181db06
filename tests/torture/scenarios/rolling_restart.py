from __future__ import annotations

from tests.torture.scenario import Run, scenario

ROUNDS = 3


@scenario("rolling-restart")
def rolling_restart(run: Run) -> None:
    """All nodes are restarted one after the other, three times: no request fails."""
    run.quiet()
    run.harmed()
    for round_ in range(1, ROUNDS + 1):
        for node in run.deployment.nodes:
            run.tell(f"node {node.number} restarts, round {round_} of {ROUNDS}")
            node.stop()
            run.deployment.balancer.wait_for([node.number], up=False)
            node.start()
            run.deployment.balancer.wait_for([node.number])
    run.quiet()
    run.expect_no_failure()

from __future__ import annotations

from tests.torture.scenario import Run, scenario


@scenario("node-cut", node_link=True)
def node_cut(run: Run) -> None:
    """The network between the balancer and a node is cut: the others take over within 5 s."""
    run.quiet()
    run.tell("the balancer does not reach node 1")
    run.harmed()
    run.deployment.node_link.cut()
    run.pass_time(run.form.fault_seconds)
    run.deployment.balancer.wait_for([run.deployment.first.number], up=False)
    run.tell("the balancer reaches node 1 again")
    run.deployment.node_link.mend()
    run.deployment.balancer.wait_for([run.deployment.first.number])
    run.quiet()
    run.expect_recovery()

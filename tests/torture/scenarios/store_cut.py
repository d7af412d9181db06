from __future__ import annotations

from tests.torture.scenario import Run, scenario


@scenario("store-cut", stores=("redis", "mongodb"), store_link=True)
def store_cut(run: Run) -> None:
    """The network between one node and the store is cut: the others take over within 5 s."""
    run.quiet()
    run.tell("node 1 does not reach the store")
    run.harmed()
    run.deployment.store_link.cut()
    run.pass_time(run.form.fault_seconds)
    run.expect_recovery()
    run.tell("node 1 reaches the store again")
    run.deployment.store_link.mend()
    run.harmed()
    run.deployment.balancer.wait_for([run.deployment.first.number])
    # Its processes find the store again one by one, so a request may still meet one that has not.
    run.quiet()
    run.expect_recovery()

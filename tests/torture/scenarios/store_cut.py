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
    before = len(run.failures)
    run.deployment.store_link.mend()
    run.deployment.balancer.wait_for([run.deployment.first.number])
    run.quiet()
    run.expect(len(run.failures) == before, "requests failed when the network was mended")

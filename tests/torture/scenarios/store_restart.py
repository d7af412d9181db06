from __future__ import annotations

import signal

from tests.torture import stores
from tests.torture.scenario import OVER_A_NETWORK, Run, scenario


@scenario("store-restart", stores=OVER_A_NETWORK)
def store_restart(run: Run) -> None:
    """The store is restarted, then killed and started: all serve again within 5 s, nothing is lost."""
    store = run.deployment.store
    assert isinstance(store, stores.Server)
    ways = [signal.SIGTERM, signal.SIGKILL] if store.kills else [signal.SIGTERM, signal.SIGTERM]
    run.quiet()
    for how in ways:
        run.tell(f"the store gets {how.name}, and is started again")
        store.restart(how)
        run.harmed()
        run.deployment.balancer.wait_for(range(1, 4))
        run.pass_time(run.form.quiet_seconds + 3)
        run.quiet()
        run.expect_recovery()

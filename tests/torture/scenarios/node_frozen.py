from __future__ import annotations

import threading
import time

from tests.torture.load import CLAIM_TTL, Lane, Poster, Worker
from tests.torture.scenario import OVER_A_NETWORK, Run, scenario
from tests.torture.talk import Talk

REFUSED = (400, 403)


@scenario("node-frozen", stores=OVER_A_NETWORK)
def node_frozen(run: Run) -> None:
    """A node is frozen (SIGSTOP) and its claims run out: awake, it can do nothing with them."""
    frozen, other = run.deployment.nodes[:2]
    seconds = run.form.frozen_seconds
    lane = Lane("sleeper")
    queue = lane.queue
    sleeper = Worker(run.load, "sleeper", lane, Talk(frozen.url, 4 * CLAIM_TTL))
    heir = Worker(run.load, "heir", lane, Talk(other.url))
    Poster(run.load, "poster", lane, Talk(other.url)).turn()
    stale = sleeper.claim(queue)
    claimed_at = time.monotonic()
    assert stale is not None and stale.claim
    ids = tuple(message.id for message in stale.messages)

    run.tell(f"a worker has claimed for {CLAIM_TTL} s and sleeps")
    run.quiet(CLAIM_TTL - seconds / 2)
    run.tell("node 1 is frozen")
    run.harmed()
    frozen.freeze()
    # Sent while the claim is live, and read by the node when it wakes.
    within: list[int] = []
    asking = threading.Thread(
        target=lambda: within.append(sleeper.delete_all(queue, stale.claim or "", ids[:10])),
        daemon=True,
    )
    asking.start()
    new = None
    while time.monotonic() < claimed_at + CLAIM_TTL + seconds / 2:
        run.pass_time(0.2)
        if new is None or new.claim is None:
            new = heir.claim(queue)
    run.expect_recovery()
    run.tell("node 1 wakes")
    frozen.thaw()
    asking.join()
    late = sleeper.delete_all(queue, stale.claim, ids[10:])
    sleeper.talk.close()
    if new is None or new.claim is None:
        run.expect(False, "nobody got the messages whose claim had run out")
    else:
        run.expect(within[0] in REFUSED, f"a delete within the frozen node: {within[0]}")
        run.expect(late in REFUSED, f"a delete with the stale claim: {late}, expected 400 or 403")
        run.expect(stale.fence < new.fence, f"fences: {stale.fence}, then {new.fence}")
        mine = tuple(message.id for message in new.messages)
        run.expect(mine == ids, "the next claim has other messages")
        done = heir.delete_all(queue, new.claim, mine)
        run.expect(done == 204, f"a delete with the live claim: {done}, expected 204")
    heir.talk.close()
    run.deployment.balancer.wait_for([frozen.number])
    run.quiet()

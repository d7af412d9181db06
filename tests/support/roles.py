"""What the processes of the tests do. A module of its own, which a new process imports at no cost."""

from __future__ import annotations

import random
import time
from multiprocessing.synchronize import Barrier
from multiprocessing.synchronize import Event as Flag

from tests.support.clients import Client

PATIENCE_SECONDS = 120.0
POSTS = 80


def produce(client: Client, rng: random.Random, start: Barrier) -> None:
    """Singles and batches."""
    start.wait(PATIENCE_SECONDS)
    for _ in range(POSTS):
        client.post(rng.choice([1, 1, 1, 2, 5, 12]))


def consume(client: Client, rng: random.Random, start: Barrier, all_posted: Flag) -> None:
    """Claim, then delete one by one or at once, or think better of it."""
    start.wait(PATIENCE_SECONDS)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (all_posted.is_set() and client.is_empty()) and time.monotonic() < deadline:
        claim_id, ids = client.claim(rng.choice([1, 3, 10]))
        if not ids:
            time.sleep(0.002)
        elif rng.random() < 0.15:
            client.release(claim_id)
        elif rng.random() < 0.3:
            client.delete_many(ids, claim_id)
        else:
            for id in ids:
                client.delete(id, claim_id)


def pop(client: Client, rng: random.Random, start: Barrier, all_posted: Flag) -> None:
    start.wait(PATIENCE_SECONDS)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (all_posted.is_set() and client.is_empty()) and time.monotonic() < deadline:
        client.pop(rng.choice([1, 2]))
        time.sleep(0.01)  # leaves something to those who claim


def follow(client: Client, rng: random.Random, start: Barrier, all_posted: Flag) -> None:
    """Read on from the last marker, to the end of what was posted."""
    start.wait(PATIENCE_SECONDS)
    marker = 0
    while True:
        last_round = all_posted.is_set()
        after = client.page(marker, rng.choice([3, 10, 20]))
        if after == marker:
            if last_round:
                return
            time.sleep(0.002)
        marker = after


def restless(client: Client, rng: random.Random) -> None:
    """Post, claim, delete and release for ever."""
    while True:
        client.post(rng.choice([1, 1, 3, 8]))
        claim_id, ids = client.claim(rng.choice([1, 2, 6]))
        for id in ids:
            client.delete(id, claim_id)
        if rng.random() < 0.3:
            client.post(rng.choice([2, 30]))
            claim_id, ids = client.claim(3)
            client.release(claim_id)

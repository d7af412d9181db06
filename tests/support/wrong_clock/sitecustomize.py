"""On the PYTHONPATH of a process whose machine's clock is to be wrong, by so many seconds."""

import os
import time

AHEAD = float(os.environ["WRONG_CLOCK_SECONDS"])

right_time, right_time_ns = time.time, time.time_ns


def wrong_time() -> float:
    return right_time() + AHEAD


def wrong_time_ns() -> int:
    return right_time_ns() + int(AHEAD * 1_000_000_000)


time.time, time.time_ns = wrong_time, wrong_time_ns

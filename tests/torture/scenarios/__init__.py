"""A module for each scenario; importing this registers them, in the order in which they are played."""

from tests.torture.scenarios import (  # noqa: I001  # this order
    rolling_restart,
    node_killed,
    node_frozen,
    store_cut,
    node_cut,
    store_restart,
    disk_full,
    wrong_clocks,
)

__all__ = [
    "disk_full",
    "node_cut",
    "node_frozen",
    "node_killed",
    "rolling_restart",
    "store_cut",
    "store_restart",
    "wrong_clocks",
]

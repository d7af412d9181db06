"""Redis and Valkey: one server, Sentinel, Cluster. Installed by `queueing[redis]`."""

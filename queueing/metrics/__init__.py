"""What an operator can count and time, in Prometheus's terms. A leaf: only wiring and the servers know it.

Nothing here is imported unless `metrics_bind` is set, but `place`, which is asked whether it is.
"""

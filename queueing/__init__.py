"""A REST message queue: queues, messages and claims over HTTP, kept by a store of your choice."""

__version__ = "0.1.0"

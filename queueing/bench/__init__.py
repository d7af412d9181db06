"""A load generator for any server that speaks Zaqar's v2 API. It knows HTTP and no part of the service."""

"""A small real micro-service shop, the load on it, and the faults that are injected into it."""

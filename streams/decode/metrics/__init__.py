"""Wire formats of metrics: one module a format."""

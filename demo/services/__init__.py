"""The six services; each module has `build(service, ...)`, which adds its routes."""

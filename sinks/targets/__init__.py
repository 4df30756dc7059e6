"""Targets that are told of incidents, behind one protocol."""

"""Incidents as they are now, from the topics."""

"""Alerts of other systems: what they say of them becomes an `ExternalAlert` for the correlator."""

"""Detectors, the bank that runs them over many series, and the alert with its gate."""

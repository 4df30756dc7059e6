"""The HTTP API for programs, under /api/v1, a module for each subject."""

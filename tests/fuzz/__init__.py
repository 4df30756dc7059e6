"""Every wire format against millions of damaged records: `python -m tests.fuzz --help`."""

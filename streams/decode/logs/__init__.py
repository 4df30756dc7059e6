"""Wire formats of logs: JSON in the shapes of the common shippers, syslog, plain lines."""

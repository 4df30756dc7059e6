"""Where incidents go: ClickHouse now, ticketing and chat later, behind one protocol."""

"""The console: web pages and an HTTP API. Reads ClickHouse and output topics, acts by the actions topic."""

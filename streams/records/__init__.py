"""Plain types that travel between the stages. Nothing here reads a clock, a socket or Kafka."""

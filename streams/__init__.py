"""From Kafka records to pages: decoding, watermarks, transport and the four stages."""

"""Records of any wire format in, pages out: the ingest stage. Pure; see `streams.decode.ingest`."""

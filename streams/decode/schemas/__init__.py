"""Records whose schema is kept in a registry: a magic byte, the schema's id, and the data."""

"""Settings: types, loading, checking, commented defaults."""

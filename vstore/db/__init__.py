"""The SQLite implementation of `vstore.types.Index`: the only Python that contains SQL."""

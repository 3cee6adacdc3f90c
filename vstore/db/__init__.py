"""The SQLite implementation of `vstore.storage.Index`: the only Python that contains SQL."""

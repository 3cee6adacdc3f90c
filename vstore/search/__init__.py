"""Search: retrieve, fuse, fetch. Knows storage only as `vstore.storage.Index`."""

"""From files to chunks: find (walk), read (one module a family of formats), cut (chunk), store (pipeline)."""

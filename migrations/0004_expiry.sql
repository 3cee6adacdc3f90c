-- Documents that expire are looked for before every search, so that finding none has to be quick.
CREATE INDEX documents_expires ON documents (expires_at) WHERE expires_at IS NOT NULL AND pinned = 0;

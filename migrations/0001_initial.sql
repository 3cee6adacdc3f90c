-- The first schema. Truth is in documents and chunks; the keyword index, the forward index, the vectors and the codes
-- are derived from them and written in the same transaction. Times are UTC milliseconds since 1970.
-- A vectors_g<N> and a codes_g<N> table are made for each row of spaces (see docs/file-format.md).

CREATE TABLE collections (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE documents (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  collection_id INTEGER NOT NULL REFERENCES collections (id),
  uri TEXT NOT NULL,
  title TEXT NOT NULL,
  media_type TEXT NOT NULL,
  content_hash TEXT NOT NULL,
  metadata TEXT NOT NULL CHECK (json_type(metadata) = 'object'),
  tags TEXT NOT NULL CHECK (json_type(tags) = 'array'),
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  expires_at INTEGER,
  pinned INTEGER NOT NULL DEFAULT 0 CHECK (pinned IN (0, 1)),
  text BLOB NOT NULL, -- zlib over UTF-8; the last column, so that listings never read it
  UNIQUE (collection_id, uri)
) STRICT;
CREATE INDEX documents_uri ON documents (uri);

-- AUTOINCREMENT: a chunk id is never used twice, so an id kept elsewhere can go stale but cannot mean another text.
CREATE TABLE chunks (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  document_id INTEGER NOT NULL REFERENCES documents (id) ON DELETE CASCADE,
  ordinal INTEGER NOT NULL,
  start INTEGER NOT NULL,
  "end" INTEGER NOT NULL,
  heading TEXT NOT NULL,
  text TEXT NOT NULL,
  extra TEXT NOT NULL, -- further tokens for the keyword index: CJK bigrams, parts of identifiers, folded forms
  content_hash TEXT NOT NULL,
  UNIQUE (document_id, ordinal)
) STRICT;

CREATE VIEW chunks_indexed (id, title, heading, text, extra) AS
  SELECT c.id, d.title, c.heading, c.text, c.extra
  FROM chunks AS c JOIN documents AS d ON d.id = c.document_id;

CREATE VIRTUAL TABLE chunks_fts USING fts5 (
  title, heading, text, extra,
  content = 'chunks_indexed', content_rowid = 'id',
  tokenize = 'porter unicode61 remove_diacritics 2'
);
INSERT INTO chunks_fts (chunks_fts, rank) VALUES ('secure-delete', 1);

CREATE VIRTUAL TABLE chunks_vocabulary USING fts5vocab ('chunks_fts', 'row');

-- The forward index: how often each stem occurs in a chunk (see vstore/db/terms.py for the blobs), and its length.
CREATE TABLE chunk_terms (
  chunk_id INTEGER PRIMARY KEY REFERENCES chunks (id) ON DELETE CASCADE,
  length INTEGER NOT NULL, -- tokens in all columns
  head BLOB NOT NULL, -- title and heading
  body BLOB NOT NULL -- text and extra
) STRICT;

CREATE TABLE spaces (
  number INTEGER PRIMARY KEY,
  fingerprint TEXT NOT NULL UNIQUE,
  dimension INTEGER NOT NULL CHECK (dimension > 0),
  created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE models (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('base', 'adapter')),
  space INTEGER NOT NULL REFERENCES spaces (number),
  parent INTEGER REFERENCES models (id),
  status TEXT NOT NULL,
  recipe TEXT NOT NULL DEFAULT '{}',
  scores TEXT NOT NULL DEFAULT '{}',
  weights BLOB,
  created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE active (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  model INTEGER NOT NULL REFERENCES models (id)
) STRICT;

CREATE TABLE queries (
  id INTEGER PRIMARY KEY,
  text TEXT NOT NULL,
  collection TEXT NOT NULL,
  first_asked INTEGER NOT NULL,
  last_asked INTEGER NOT NULL,
  times INTEGER NOT NULL,
  UNIQUE (text, collection)
) STRICT;

CREATE TABLE feedback (
  id INTEGER PRIMARY KEY,
  query TEXT NOT NULL,
  document_id INTEGER NOT NULL REFERENCES documents (id) ON DELETE CASCADE,
  chunk_id INTEGER REFERENCES chunks (id) ON DELETE SET NULL,
  grade REAL NOT NULL,
  given_at INTEGER NOT NULL
) STRICT;
CREATE INDEX feedback_document ON feedback (document_id);
CREATE INDEX feedback_chunk ON feedback (chunk_id);

CREATE TABLE refine_runs (
  id INTEGER PRIMARY KEY,
  started_at INTEGER NOT NULL,
  finished_at INTEGER,
  status TEXT NOT NULL,
  configuration TEXT NOT NULL,
  report TEXT NOT NULL DEFAULT '{}',
  decision TEXT
) STRICT;

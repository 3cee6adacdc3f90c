-- What scores mean in a space, what searches leave behind (a bounded log, counters, latencies, slow queries), and
-- ways to find judgements.

-- JSON of vstore.calibration.Calibration; NULL for a model that it was not fitted on.
ALTER TABLE spaces ADD COLUMN calibration TEXT CHECK (calibration IS NULL OR json_type(calibration) = 'object');

-- The log keeps a query's vector, so that later queries can be compared with it, as long as its space exists.
ALTER TABLE queries ADD COLUMN space INTEGER REFERENCES spaces (number);
ALTER TABLE queries ADD COLUMN vector BLOB;
CREATE INDEX queries_last_asked ON queries (last_asked);

-- The chunks a logged query was answered with when it was last asked, best first from rank 1.
CREATE TABLE answers (
  query INTEGER NOT NULL REFERENCES queries (id) ON DELETE CASCADE,
  rank INTEGER NOT NULL,
  chunk_id INTEGER NOT NULL REFERENCES chunks (id) ON DELETE CASCADE,
  PRIMARY KEY (query, rank)
) STRICT, WITHOUT ROWID;
CREATE INDEX answers_chunk ON answers (chunk_id);

-- For the latest judgement of a query and a chunk or document, which replaces the earlier one, and for the oldest.
CREATE INDEX feedback_query ON feedback (query, document_id, chunk_id);
CREATE INDEX feedback_given_at ON feedback (given_at);

CREATE TABLE search_counters (
  name TEXT PRIMARY KEY,
  value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Histograms: searches of which a stage took at most `upper_ms` milliseconds, and more than the next lower bound.
CREATE TABLE search_latencies (
  stage TEXT NOT NULL,
  upper_ms REAL NOT NULL,
  searches INTEGER NOT NULL,
  PRIMARY KEY (stage, upper_ms)
) STRICT, WITHOUT ROWID;

CREATE TABLE slow_queries (
  id INTEGER PRIMARY KEY,
  query TEXT NOT NULL,
  asked_at INTEGER NOT NULL,
  total_ms REAL NOT NULL,
  timings TEXT NOT NULL CHECK (json_type(timings) = 'object') -- milliseconds by stage
) STRICT;

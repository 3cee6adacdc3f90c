-- What refinement needs: calibrations that are switched with a model, trained encoders, and runs that hold a lease.

-- JSON of vstore.calibration.Calibration that is in force while the model serves; NULL: its space's.
ALTER TABLE models ADD COLUMN calibration TEXT CHECK (calibration IS NULL OR json_type(calibration) = 'object');

-- The files of a trained encoder, in parts from 0 on, so that no write takes long. Registered models are not kept here.
CREATE TABLE model_files (
  model INTEGER NOT NULL REFERENCES models (id) ON DELETE CASCADE,
  name TEXT NOT NULL,
  part INTEGER NOT NULL,
  content BLOB NOT NULL,
  PRIMARY KEY (model, name, part)
) STRICT;

-- A run holds the file's one lease while its status is 'running' and `lease_until` (milliseconds) is not past.
ALTER TABLE refine_runs ADD COLUMN owner TEXT; -- host and process id
ALTER TABLE refine_runs ADD COLUMN lease_until INTEGER;
ALTER TABLE refine_runs ADD COLUMN model INTEGER REFERENCES models (id); -- what it promoted, if anything

-- What a run saw of its held-out queries, for its report; `figures` is JSON. Forgetting erases them like logged ones.
CREATE TABLE refine_queries (
  run INTEGER NOT NULL REFERENCES refine_runs (id) ON DELETE CASCADE,
  query TEXT NOT NULL,
  figures TEXT NOT NULL CHECK (json_type(figures) = 'object')
) STRICT;
CREATE INDEX refine_queries_run ON refine_queries (run);

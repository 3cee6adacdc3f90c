-- Measurements database of the tide mill (SQLite).

CREATE TABLE node (
    number      INTEGER PRIMARY KEY,
    place       TEXT NOT NULL,
    installed   TEXT NOT NULL,      -- date
    retired     TEXT                -- date, or NULL while it hangs there
);

CREATE TABLE reading (
    node        INTEGER NOT NULL REFERENCES node(number),
    taken_at    INTEGER NOT NULL,   -- seconds since 1970, UTC
    quantity    TEXT NOT NULL,      -- pond_level_mm, wheel_rpm, salinity_psu, ...
    value       REAL NOT NULL,
    suspect     INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (node, quantity, taken_at)
) WITHOUT ROWID;

CREATE TABLE milling_run (
    id          INTEGER PRIMARY KEY,
    started_at  INTEGER NOT NULL,
    grain       TEXT NOT NULL,
    kilograms   REAL NOT NULL CHECK (kilograms > 0),
    batch       TEXT NOT NULL UNIQUE
);

CREATE VIEW daily_peak AS
    SELECT node, quantity, date(taken_at, 'unixepoch') AS day, max(value) AS peak
    FROM reading WHERE suspect = 0 GROUP BY node, quantity, day;

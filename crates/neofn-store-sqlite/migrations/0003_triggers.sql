-- Triggers: where each stands, deliveries that wait for others, and which event an invocation is of.

-- How far a chain was read.
CREATE TABLE chain_cursor(
  network      INTEGER PRIMARY KEY,
  next         INTEGER NOT NULL,
  previous     BLOB,
  epoch        INTEGER NOT NULL
) STRICT;

-- status: 0 running, 1 paused, 2 off. position: the next block that it needs; null when it goes with the cursor.
CREATE TABLE trigger_state(
  pid          INTEGER NOT NULL,
  fid          INTEGER NOT NULL,
  name         TEXT    NOT NULL,
  kind         TEXT    NOT NULL,
  status       INTEGER NOT NULL,
  reason       TEXT,
  position     INTEGER,
  cron_at      INTEGER NOT NULL,
  matched      INTEGER NOT NULL DEFAULT 0,
  skipped      INTEGER NOT NULL DEFAULT 0,
  matched_at   INTEGER,
  PRIMARY KEY(pid, fid, name)
) STRICT, WITHOUT ROWID;

-- Deliveries that wait: for the one before them, for others to go with, or for silence.
CREATE TABLE delivery(
  pid          INTEGER NOT NULL,
  fid          INTEGER NOT NULL,
  name         TEXT    NOT NULL,
  lane         TEXT    NOT NULL,
  seq          INTEGER NOT NULL,
  id           BLOB    NOT NULL,
  version      INTEGER NOT NULL,
  origin       INTEGER NOT NULL,
  event_id     TEXT    NOT NULL,
  effect       BLOB    NOT NULL,
  height       INTEGER,
  depth        INTEGER NOT NULL,
  trace        BLOB    NOT NULL,
  ready_at     INTEGER NOT NULL,
  event        BLOB    NOT NULL,
  PRIMARY KEY(pid, fid, name, lane, seq)
) STRICT, WITHOUT ROWID;

-- One row a lane in which something waits or runs. size: of a full batch, 0 without batches.
CREATE TABLE lane(
  pid          INTEGER NOT NULL,
  fid          INTEGER NOT NULL,
  name         TEXT    NOT NULL,
  lane         TEXT    NOT NULL,
  ordered      INTEGER NOT NULL,
  size         INTEGER NOT NULL,
  waiting      INTEGER NOT NULL,
  ready_at     INTEGER NOT NULL,
  running      BLOB,
  PRIMARY KEY(pid, fid, name, lane)
) STRICT, WITHOUT ROWID;
CREATE INDEX lane_ready ON lane(ready_at) WHERE waiting > 0 AND running IS NULL;
CREATE UNIQUE INDEX lane_running ON lane(running) WHERE running IS NOT NULL;

-- Which event an invocation is of.
CREATE TABLE fired(
  pid          INTEGER NOT NULL,
  fid          INTEGER NOT NULL,
  id           BLOB    NOT NULL,
  name         TEXT    NOT NULL,
  event_id     TEXT    NOT NULL,
  height       INTEGER,
  depth        INTEGER NOT NULL,
  PRIMARY KEY(pid, fid, id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX fired_id ON fired(pid, id);
CREATE INDEX fired_height ON fired(pid, fid, height) WHERE height IS NOT NULL;

CREATE INDEX invocation_dead ON invocation(pid, id) WHERE status = 4;

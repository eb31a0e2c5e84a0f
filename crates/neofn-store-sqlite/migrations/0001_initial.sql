-- The first layout. project (pid) leads every key, so that tables shard by it; fid alone names a function,
-- and neither number is ever used again (AUTOINCREMENT), so that what a deleted function leaves behind can
-- be removed at leisure.

CREATE TABLE project(
  pid          INTEGER PRIMARY KEY AUTOINCREMENT,
  name         TEXT    NOT NULL UNIQUE,
  kv_revision  INTEGER NOT NULL DEFAULT 0,
  kv_keys      INTEGER NOT NULL DEFAULT 0,
  kv_bytes     INTEGER NOT NULL DEFAULT 0
) STRICT;

-- The counters are kept by the writer in the same transaction as what they count; nothing ever runs COUNT(*).
CREATE TABLE function(
  fid          INTEGER PRIMARY KEY AUTOINCREMENT,
  pid          INTEGER NOT NULL,
  name         TEXT    NOT NULL,
  id           BLOB    NOT NULL,
  live         INTEGER NOT NULL,
  active       INTEGER NOT NULL,
  created_at   INTEGER NOT NULL,
  updated_at   INTEGER NOT NULL,
  invocations  INTEGER NOT NULL DEFAULT 0,
  queued       INTEGER NOT NULL DEFAULT 0,
  running      INTEGER NOT NULL DEFAULT 0,
  history      INTEGER NOT NULL DEFAULT 0,
  UNIQUE(pid, name)
) STRICT;

CREATE TABLE version(
  pid          INTEGER NOT NULL,
  fid          INTEGER NOT NULL,
  version      INTEGER NOT NULL,
  digest       BLOB    NOT NULL,
  created_at   INTEGER NOT NULL,
  spec         TEXT    NOT NULL,
  artifact     TEXT    NOT NULL,
  PRIMARY KEY(pid, fid, version)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX version_digest ON version(pid, fid, digest);

-- One row an invocation. status: 0 not ended (then `queue` has a row with the same run_at), 2 succeeded,
-- 3 failed, 4 dead. The long columns come last, so that listings never read them.
CREATE TABLE invocation(
  pid          INTEGER NOT NULL,
  fid          INTEGER NOT NULL,
  id           BLOB    NOT NULL,
  version      INTEGER NOT NULL,
  origin       INTEGER NOT NULL,
  status       INTEGER NOT NULL,
  attempt      INTEGER NOT NULL,
  fence        INTEGER NOT NULL,
  rearm        INTEGER NOT NULL,
  run_at       INTEGER NOT NULL,
  created_at   INTEGER NOT NULL,
  finished_at  INTEGER,
  idem         BLOB,
  trace        BLOB    NOT NULL,
  detail       BLOB,
  result       BLOB,
  event        BLOB    NOT NULL,
  recording    BLOB,
  PRIMARY KEY(pid, fid, id)
) STRICT, WITHOUT ROWID;
-- The one key that project cannot lead: an invocation is asked for by its id alone.
CREATE UNIQUE INDEX invocation_id ON invocation(id);
CREATE INDEX invocation_failed ON invocation(pid, fid, status, id) WHERE status >= 3;

-- The invocations that have not ended, small and in the order in which they are due: claiming and renewing
-- never rewrite an event. state: 0 queued, 1 running. waits: 1 when a keyed synchronous caller waits.
CREATE TABLE queue(
  pid          INTEGER NOT NULL,
  fid          INTEGER NOT NULL,
  run_at       INTEGER NOT NULL,
  id           BLOB    NOT NULL,
  state        INTEGER NOT NULL,
  attempt      INTEGER NOT NULL,
  fence        INTEGER NOT NULL,
  waits        INTEGER NOT NULL,
  lease_until  INTEGER,
  PRIMARY KEY(pid, fid, run_at, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE idempotency(
  pid          INTEGER NOT NULL,
  fid          INTEGER NOT NULL,
  key          BLOB    NOT NULL,
  request      BLOB    NOT NULL,
  id           BLOB    NOT NULL,
  created_at   INTEGER NOT NULL,
  PRIMARY KEY(pid, fid, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_age ON idempotency(created_at);

CREATE TABLE kv(
  pid          INTEGER NOT NULL,
  key          TEXT    NOT NULL,
  revision     INTEGER NOT NULL,
  expires_at   INTEGER,
  value        BLOB    NOT NULL,
  PRIMARY KEY(pid, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX kv_expiry ON kv(expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE api_key(
  id           BLOB    PRIMARY KEY,
  hash         BLOB    NOT NULL,
  scope        TEXT    NOT NULL,
  created_at   INTEGER NOT NULL,
  expires_at   INTEGER,
  revoked_at   INTEGER
) STRICT, WITHOUT ROWID;

-- Functions that were deleted and whose rows are still to be removed.
CREATE TABLE tomb(pid INTEGER NOT NULL, fid INTEGER PRIMARY KEY) STRICT;

-- Ended invocations ever, by how they ended.
CREATE TABLE totals(
  one          INTEGER PRIMARY KEY CHECK (one = 1),
  succeeded    INTEGER NOT NULL,
  failed       INTEGER NOT NULL
) STRICT;
INSERT INTO totals VALUES (1, 0, 0);

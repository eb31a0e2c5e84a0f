-- Who may do what: accounts, challenges, sessions, members of projects, more about keys, and the log of it all.

ALTER TABLE project ADD COLUMN created_at INTEGER NOT NULL DEFAULT 0;

-- Keys that were made before this did the daily work on functions; an operator's key needs no powers.
ALTER TABLE api_key ADD COLUMN powers TEXT NOT NULL DEFAULT 'read invoke operate deploy';
ALTER TABLE api_key ADD COLUMN name TEXT NOT NULL DEFAULT '';
ALTER TABLE api_key ADD COLUMN created_by BLOB;
CREATE INDEX api_key_scope ON api_key(scope, created_at);

CREATE TABLE account(
  account      BLOB    PRIMARY KEY,
  created_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- A row is a challenge that was not used: using it up is removing it.
CREATE TABLE challenge(
  nonce        INTEGER PRIMARY KEY,
  account      BLOB    NOT NULL,
  domain       TEXT    NOT NULL,
  network      INTEGER NOT NULL,
  issued_at    INTEGER NOT NULL,
  expires_at   INTEGER NOT NULL
) STRICT;
CREATE INDEX challenge_expiry ON challenge(expires_at);
-- How many there are, kept with them: nothing ever runs COUNT(*).
CREATE TABLE challenges(one INTEGER PRIMARY KEY CHECK (one = 1), open INTEGER NOT NULL) STRICT;
INSERT INTO challenges VALUES (1, 0);

CREATE TABLE session(
  id           BLOB    PRIMARY KEY,
  account      BLOB    NOT NULL,
  format       TEXT    NOT NULL,
  created_at   INTEGER NOT NULL,
  expires_at   INTEGER NOT NULL,
  ended_at     INTEGER,
  generation   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX session_expiry ON session(expires_at);

-- Hashes of the refresh tokens of a session. The good one has the session's generation, the others were exchanged.
CREATE TABLE refresh(
  session      BLOB    NOT NULL,
  hash         BLOB    NOT NULL,
  generation   INTEGER NOT NULL,
  PRIMARY KEY(session, hash)
) STRICT, WITHOUT ROWID;

CREATE TABLE signing_key(
  seq          INTEGER PRIMARY KEY,
  kid          TEXT    NOT NULL UNIQUE,
  public       BLOB    NOT NULL,
  sealed       BLOB    NOT NULL,
  active_from  INTEGER NOT NULL
) STRICT;

-- fid 0 is the whole project; functions count from 1.
CREATE TABLE member(
  pid          INTEGER NOT NULL,
  fid          INTEGER NOT NULL,
  account      BLOB    NOT NULL,
  role         TEXT    NOT NULL,
  added_at     INTEGER NOT NULL,
  added_by     TEXT    NOT NULL,
  PRIMARY KEY(pid, fid, account)
) STRICT, WITHOUT ROWID;
CREATE INDEX member_account ON member(account, added_at);

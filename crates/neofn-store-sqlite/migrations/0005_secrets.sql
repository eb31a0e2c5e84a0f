-- Secrets: envelopes, the keys of projects in wrapped form, and what is known of the root. No value and no key is
-- here in the clear. Projects are named: a secret may be set before the project's first deployment.

-- At most one row. generation: which root it is; record: how it comes about (JSON).
CREATE TABLE secret_root(
  id           INTEGER PRIMARY KEY CHECK(id = 1),
  generation   INTEGER NOT NULL,
  record       TEXT    NOT NULL
) STRICT;

CREATE TABLE secret_kek(
  project      TEXT    NOT NULL,
  version      INTEGER NOT NULL,
  id           BLOB    NOT NULL,
  wrapped      BLOB    NOT NULL,
  created_at   INTEGER NOT NULL,
  PRIMARY KEY(project, version)
) STRICT, WITHOUT ROWID;

-- record: the secret and its versions without values (JSON). due_at: when something is to be done, a rotation to be
-- told of or a value to be erased; null when nothing is.
CREATE TABLE secret(
  project      TEXT    NOT NULL,
  name         TEXT    NOT NULL,
  id           BLOB    NOT NULL,
  revision     INTEGER NOT NULL,
  due_at       INTEGER,
  record       TEXT    NOT NULL,
  PRIMARY KEY(project, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX secret_due ON secret(due_at) WHERE due_at IS NOT NULL;

-- kek: the version of the project's key that the envelope is under.
CREATE TABLE secret_value(
  project      TEXT    NOT NULL,
  secret       BLOB    NOT NULL,
  version      INTEGER NOT NULL,
  kek          INTEGER NOT NULL,
  envelope     BLOB    NOT NULL,
  PRIMARY KEY(project, secret, version)
) STRICT, WITHOUT ROWID;
CREATE INDEX secret_value_kek ON secret_value(project, kek);

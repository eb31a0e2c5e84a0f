-- The audit log: entries as they are hashed, and every complete subtree of the tree over them. Neither is ever changed.

CREATE TABLE audit_entry(
  seq          INTEGER PRIMARY KEY,
  project      TEXT,
  entry        BLOB    NOT NULL
) STRICT;
CREATE INDEX audit_project ON audit_entry(project, seq) WHERE project IS NOT NULL;
CREATE TRIGGER audit_entry_stays BEFORE UPDATE ON audit_entry
BEGIN SELECT RAISE(ABORT, 'an audit entry is never changed'); END;
CREATE TRIGGER audit_entry_remains BEFORE DELETE ON audit_entry
BEGIN SELECT RAISE(ABORT, 'an audit entry is never removed'); END;

CREATE TABLE audit_node(
  level        INTEGER NOT NULL,
  idx          INTEGER NOT NULL,
  hash         BLOB    NOT NULL,
  PRIMARY KEY(level, idx)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER audit_node_stays BEFORE UPDATE ON audit_node
BEGIN SELECT RAISE(ABORT, 'a subtree is never changed'); END;
CREATE TRIGGER audit_node_remains BEFORE DELETE ON audit_node
BEGIN SELECT RAISE(ABORT, 'a subtree is never removed'); END;

CREATE TABLE audit_checkpoint(size INTEGER PRIMARY KEY, note TEXT NOT NULL) STRICT;

-- Roots that are to be on chain; tx and height once they are.
CREATE TABLE audit_anchor(
  size         INTEGER PRIMARY KEY,
  note         TEXT    NOT NULL,
  at           INTEGER NOT NULL,
  tx           BLOB,
  height       INTEGER
) STRICT;

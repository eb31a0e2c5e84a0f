-- The audit log: entries as they are hashed, and every complete subtree of the tree over them. Neither is ever changed.

CREATE TABLE audit_entry(
  seq          bigint  PRIMARY KEY,
  project      text COLLATE "C",
  entry        bytea   NOT NULL
);
CREATE INDEX audit_project ON audit_entry(project, seq) WHERE project IS NOT NULL;
CREATE TRIGGER audit_entry_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_entry
  FOR EACH STATEMENT EXECUTE FUNCTION neofn_stays();

CREATE TABLE audit_node(
  level        bigint  NOT NULL,
  idx          bigint  NOT NULL,
  hash         bytea   NOT NULL,
  PRIMARY KEY(level, idx)
);
CREATE TRIGGER audit_node_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_node
  FOR EACH STATEMENT EXECUTE FUNCTION neofn_stays();

CREATE TABLE audit_checkpoint(size bigint PRIMARY KEY, note text NOT NULL);

-- Roots that are to be on chain; tx and height once they are.
CREATE TABLE audit_anchor(
  size         bigint  PRIMARY KEY,
  note         text    NOT NULL,
  at           bigint  NOT NULL,
  tx           bytea,
  height       bigint
);

-- Which key files the nodes of this database work with: a digest of each, so that one that brings another is refused
-- instead of writing what the others cannot read.
CREATE TABLE node_key(
  name         text COLLATE "C" PRIMARY KEY,
  fingerprint  bytea   NOT NULL
);

-- Who does what only one node does at a time. Here there is one node; the fence still tells its runs apart.
CREATE TABLE lease(
  name         TEXT    PRIMARY KEY,
  holder       TEXT    NOT NULL,
  fence        INTEGER NOT NULL,
  until        INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

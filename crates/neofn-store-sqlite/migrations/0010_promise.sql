-- Who is to be told how an invocation ended, until he was.
CREATE TABLE promise(
  pid    INTEGER NOT NULL,
  fid    INTEGER NOT NULL,
  id     BLOB    NOT NULL,
  token  TEXT    NOT NULL,
  ended  INTEGER NOT NULL,
  PRIMARY KEY(pid, fid, id, token)
) STRICT, WITHOUT ROWID;
CREATE INDEX promise_ended ON promise(id) WHERE ended = 1;

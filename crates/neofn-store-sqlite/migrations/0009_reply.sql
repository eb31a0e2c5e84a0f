-- Answers to requests that named themselves. status is null while a request is being done, until `until`.
CREATE TABLE reply(
  name         BLOB    PRIMARY KEY,
  request      BLOB    NOT NULL,
  begun_at     INTEGER NOT NULL,
  until        INTEGER NOT NULL,
  status       INTEGER,
  body         BLOB
) STRICT, WITHOUT ROWID;
CREATE INDEX reply_begun ON reply(begun_at);

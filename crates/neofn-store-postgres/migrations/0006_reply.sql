-- Answers to requests that named themselves. status is null while a request is being done, until `until`.
CREATE TABLE reply(
  name         bytea   PRIMARY KEY,
  request      bytea   NOT NULL,
  begun_at     bigint  NOT NULL,
  until        bigint  NOT NULL,
  status       integer,
  body         bytea
);
CREATE INDEX reply_begun ON reply(begun_at);

-- Who is to be told how an invocation ended, until he was.
CREATE TABLE promise(
  pid    bigint  NOT NULL,
  fid    bigint  NOT NULL,
  id     bytea   NOT NULL,
  token  text    NOT NULL,
  ended  boolean NOT NULL,
  PRIMARY KEY(pid, fid, id, token)
) WITH (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX promise_ended ON promise(id) WHERE ended;

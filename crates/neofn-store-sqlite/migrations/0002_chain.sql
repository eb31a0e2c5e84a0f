-- managed transactions; `record` is the whole of it, the other columns are what is asked for
CREATE TABLE tx (
    id         BLOB    NOT NULL PRIMARY KEY,   -- of project and idempotency key
    project    TEXT    NOT NULL,
    seq        INTEGER NOT NULL,               -- order of admission
    revision   INTEGER NOT NULL,
    open       INTEGER NOT NULL,               -- 1 until it has ended
    sender     BLOB    NOT NULL,
    fees       INTEGER NOT NULL,               -- datoshi
    hash       BLOB    NOT NULL,
    record     BLOB    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX tx_project ON tx (project, seq);
CREATE UNIQUE INDEX tx_seq ON tx (seq);
CREATE INDEX tx_open ON tx (seq) WHERE open = 1;
CREATE INDEX tx_sender ON tx (sender) WHERE open = 1;

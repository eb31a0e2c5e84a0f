-- managed transactions; `record` is the whole of one, the other columns are what is asked for
CREATE TABLE tx (
    seq        INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, -- order of admission
    id         BLOB    NOT NULL UNIQUE,                    -- of project and idempotency key
    project    TEXT    NOT NULL,
    revision   INTEGER NOT NULL,
    open       INTEGER NOT NULL,                           -- 1 until it has ended
    sender     BLOB    NOT NULL,
    fees       INTEGER NOT NULL,                           -- datoshi
    hash       BLOB    NOT NULL,
    record     BLOB    NOT NULL
) STRICT;
CREATE INDEX tx_project ON tx (project, seq);
CREATE INDEX tx_open ON tx (seq) WHERE open = 1;
CREATE INDEX tx_sender ON tx (sender) WHERE open = 1;

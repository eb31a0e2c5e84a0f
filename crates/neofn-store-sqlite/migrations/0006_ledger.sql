-- The ledger. Money moves only by rows of ledger_transfer, which are never changed; accounts and holds are what they add
-- up to. Amounts are datoshi.

-- floor: the lowest that balance less held may be; null: none. The rules are checked before a row is written; the
-- constraints are there for the day when they are not.
CREATE TABLE ledger_account(
  aid          INTEGER PRIMARY KEY,
  name         TEXT    NOT NULL UNIQUE,
  floor        INTEGER,
  balance      INTEGER NOT NULL,
  held         INTEGER NOT NULL CHECK (held >= 0),
  incoming     INTEGER NOT NULL CHECK (incoming >= 0),
  opened_at    INTEGER NOT NULL,
  CHECK (floor IS NULL OR balance - held >= floor)
) STRICT;

CREATE TABLE ledger_transfer(
  seq          INTEGER PRIMARY KEY,
  id           BLOB    NOT NULL UNIQUE,
  purpose      INTEGER NOT NULL,
  debit        INTEGER NOT NULL,
  credit       INTEGER NOT NULL,
  amount       INTEGER NOT NULL CHECK (amount > 0),
  hold         BLOB,
  at           INTEGER NOT NULL,
  function     TEXT,
  invocation   BLOB,
  units        INTEGER,
  price        INTEGER,
  tx           BLOB,
  party        BLOB,
  note         TEXT,
  CHECK (debit <> credit)
) STRICT;
CREATE INDEX ledger_debit ON ledger_transfer(debit, seq);
CREATE INDEX ledger_credit ON ledger_transfer(credit, seq);
-- what the operator gave and took back: few rows among very many
CREATE INDEX ledger_given ON ledger_transfer(debit, credit, amount) WHERE purpose IN (8, 9, 10);
CREATE TRIGGER ledger_transfer_stays BEFORE UPDATE ON ledger_transfer
BEGIN SELECT RAISE(ABORT, 'a transfer is never changed'); END;
CREATE TRIGGER ledger_transfer_remains BEFORE DELETE ON ledger_transfer
BEGIN SELECT RAISE(ABORT, 'a transfer is never removed'); END;

CREATE TABLE ledger_hold(
  id           BLOB    PRIMARY KEY,
  purpose      INTEGER NOT NULL,
  debit        INTEGER NOT NULL,
  credit       INTEGER NOT NULL,
  amount       INTEGER NOT NULL CHECK (amount > 0),
  left         INTEGER NOT NULL CHECK (left >= 0 AND left <= amount),
  at           INTEGER NOT NULL,
  ended_at     INTEGER,
  function     TEXT,
  invocation   BLOB,
  units        INTEGER,
  price        INTEGER,
  tx           BLOB,
  party        BLOB,
  note         TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX ledger_hold_open ON ledger_hold(purpose, at) WHERE left > 0;
CREATE INDEX ledger_hold_of ON ledger_hold(debit, purpose, at) WHERE purpose NOT IN (1, 2);
CREATE INDEX ledger_hold_left ON ledger_hold(debit) WHERE left > 0;
-- those of calls are forgotten after a while
CREATE INDEX ledger_hold_ended ON ledger_hold(ended_at) WHERE ended_at IS NOT NULL AND purpose IN (1, 2);

-- What was given back of a hold, so that it is given back once.
CREATE TABLE ledger_release(
  hold         BLOB    NOT NULL,
  id           BLOB    NOT NULL,
  amount       INTEGER NOT NULL,
  PRIMARY KEY(hold, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE ledger_usage(
  project      TEXT    NOT NULL,
  hour         INTEGER NOT NULL,
  function     TEXT    NOT NULL,
  invocations  INTEGER NOT NULL,
  units        INTEGER NOT NULL,
  amount       INTEGER NOT NULL,
  PRIMARY KEY(project, hour, function)
) STRICT, WITHOUT ROWID;

-- function: empty for a whole project. period: 1 day, 2 month, 3 for ever.
CREATE TABLE ledger_budget(
  project      TEXT    NOT NULL,
  function     TEXT    NOT NULL,
  period       INTEGER NOT NULL,
  most         INTEGER NOT NULL,
  spent        INTEGER NOT NULL,
  held         INTEGER NOT NULL,
  idx          INTEGER NOT NULL,
  alerted      INTEGER NOT NULL,
  PRIMARY KEY(project, function, period)
) STRICT, WITHOUT ROWID;

CREATE TABLE ledger_alert(
  seq          INTEGER PRIMARY KEY,
  project      TEXT    NOT NULL,
  function     TEXT    NOT NULL,
  percent      INTEGER NOT NULL,
  most         INTEGER NOT NULL,
  spent        INTEGER NOT NULL,
  at           INTEGER NOT NULL
) STRICT;
CREATE INDEX ledger_alert_project ON ledger_alert(project, seq);

CREATE TABLE ledger_policy(project TEXT PRIMARY KEY, policy TEXT NOT NULL) STRICT, WITHOUT ROWID;

-- kind: 1 an address of ours for a project, 2 a project's own address.
CREATE TABLE ledger_route(account BLOB PRIMARY KEY, kind INTEGER NOT NULL, project TEXT NOT NULL) STRICT, WITHOUT ROWID;

-- How far the treasury's movements were read.
CREATE TABLE ledger_mark(network INTEGER PRIMARY KEY, next INTEGER NOT NULL) STRICT;

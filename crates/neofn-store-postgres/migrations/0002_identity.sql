-- Who may do what: accounts, challenges, sessions, members of projects, and more about keys; and secrets: envelopes, the keys of projects in wrapped form, and what is known of the root. No value and no key is here in
-- the clear.

ALTER TABLE project ADD COLUMN created_at bigint NOT NULL DEFAULT 0;

-- Keys that were made before this did the daily work on functions; an operator's key needs no powers.
ALTER TABLE api_key ADD COLUMN powers text NOT NULL DEFAULT 'read invoke operate deploy';
ALTER TABLE api_key ADD COLUMN name bytea NOT NULL DEFAULT '';
ALTER TABLE api_key ADD COLUMN created_by bytea;
CREATE INDEX api_key_scope ON api_key(scope, created_at);

CREATE TABLE account(
  account      bytea   PRIMARY KEY,
  created_at   bigint  NOT NULL
);

-- A row is a challenge that was not used: using it up is removing it.
CREATE TABLE challenge(
  nonce        bigint  PRIMARY KEY,
  account      bytea   NOT NULL,
  domain       text    NOT NULL,
  network      bigint  NOT NULL,
  issued_at    bigint  NOT NULL,
  expires_at   bigint  NOT NULL
);
CREATE INDEX challenge_expiry ON challenge(expires_at);

CREATE TABLE session(
  id           bytea   PRIMARY KEY,
  account      bytea   NOT NULL,
  format       text    NOT NULL,
  created_at   bigint  NOT NULL,
  expires_at   bigint  NOT NULL,
  ended_at     bigint,
  generation   bigint  NOT NULL
);
CREATE INDEX session_expiry ON session(expires_at);

-- Hashes of the refresh tokens of a session. The good one has the session's generation, the others were exchanged.
CREATE TABLE refresh(
  session      bytea   NOT NULL,
  hash         bytea   NOT NULL,
  generation   bigint  NOT NULL,
  PRIMARY KEY(session, hash)
);

CREATE TABLE signing_key(
  seq          bigint  PRIMARY KEY,
  kid          text    NOT NULL UNIQUE,
  public       bytea   NOT NULL,
  sealed       bytea   NOT NULL,
  active_from  bigint  NOT NULL
);

-- fid 0 is the whole project; functions count from 1.
CREATE TABLE member(
  pid          bigint  NOT NULL,
  fid          bigint  NOT NULL,
  account      bytea   NOT NULL,
  role         text    NOT NULL,
  added_at     bigint  NOT NULL,
  added_by     text    NOT NULL,
  PRIMARY KEY(pid, fid, account)
);
CREATE INDEX member_account ON member(account, added_at);

-- At most one row. generation: which root it is; record: how it comes about (JSON).
CREATE TABLE secret_root(
  id           bigint  PRIMARY KEY CHECK (id = 1),
  generation   bigint  NOT NULL,
  record       text    NOT NULL
);

CREATE TABLE secret_kek(
  project      text COLLATE "C" NOT NULL,
  version      bigint  NOT NULL,
  id           bytea   NOT NULL,
  wrapped      bytea   NOT NULL,
  created_at   bigint  NOT NULL,
  PRIMARY KEY(project, version)
);

-- record: the secret and its versions without values (JSON). due_at: when something is to be done; null when nothing is.
CREATE TABLE secret(
  project      text COLLATE "C" NOT NULL,
  name         text COLLATE "C" NOT NULL,
  id           bytea   NOT NULL,
  revision     bigint  NOT NULL,
  due_at       bigint,
  record       text    NOT NULL,
  PRIMARY KEY(project, name)
);
CREATE INDEX secret_due ON secret(due_at) WHERE due_at IS NOT NULL;

-- kek: the version of the project's key that the envelope is under.
CREATE TABLE secret_value(
  project      text COLLATE "C" NOT NULL,
  secret       bytea   NOT NULL,
  version      bigint  NOT NULL,
  kek          bigint  NOT NULL,
  envelope     bytea   NOT NULL,
  PRIMARY KEY(project, secret, version)
);
CREATE INDEX secret_value_kek ON secret_value(project, kek);

-- The key that a key was made with: it is revoked with it.
ALTER TABLE api_key ADD COLUMN parent BLOB;
CREATE INDEX api_key_parent ON api_key(parent) WHERE parent IS NOT NULL;

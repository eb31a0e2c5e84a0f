-- Who does a request: one who was taken for dead does not end what another has taken over.
ALTER TABLE reply ADD COLUMN doer bytea;

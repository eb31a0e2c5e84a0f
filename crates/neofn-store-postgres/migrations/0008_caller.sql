-- Who had an invocation run, and who had money moved: one line of text, null for what nobody asked for.
ALTER TABLE invocation ADD COLUMN caller text;
ALTER TABLE ledger_transfer ADD COLUMN caller text;
ALTER TABLE ledger_hold ADD COLUMN caller text;

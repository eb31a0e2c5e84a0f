-- Who had an invocation run, and who had money moved: one line of text, null for what nobody asked for.
ALTER TABLE invocation ADD COLUMN caller TEXT;
ALTER TABLE ledger_transfer ADD COLUMN caller TEXT;
ALTER TABLE ledger_hold ADD COLUMN caller TEXT;

-- A project that was deleted keeps its row, so that its name is never given out again: statements, transactions and the audit log
-- go by it.
ALTER TABLE project ADD COLUMN ended_at INTEGER;

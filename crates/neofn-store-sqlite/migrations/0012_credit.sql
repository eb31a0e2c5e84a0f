-- Of a balance, what the operator gave and nothing was spent of: it does not leave. Until now it was reckoned from the journal,
-- which is what the first value is.
ALTER TABLE ledger_account ADD COLUMN granted INTEGER NOT NULL DEFAULT 0 CHECK (granted >= 0);
UPDATE ledger_account AS a SET granted = max(0, min(a.balance,
  (SELECT coalesce(sum(t.amount), 0) FROM ledger_transfer t WHERE t.credit = a.aid AND t.purpose IN (8, 9))
  - (SELECT coalesce(sum(t.amount), 0) FROM ledger_transfer t WHERE t.debit = a.aid AND t.purpose IN (1, 5, 10))))
WHERE a.name LIKE 'project:%';
DROP INDEX ledger_given;

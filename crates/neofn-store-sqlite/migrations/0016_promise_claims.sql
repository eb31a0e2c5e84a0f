-- Until when whoever is telling it has it to himself.
ALTER TABLE promise ADD COLUMN claimed_until INTEGER NOT NULL DEFAULT 0;

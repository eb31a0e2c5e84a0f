-- Until when whoever is telling it has it to himself.
ALTER TABLE promise ADD COLUMN claimed_until bigint NOT NULL DEFAULT 0;

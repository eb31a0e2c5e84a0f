-- How often it was asked for again while somebody told it: what was told then is not forgotten, but told once more.
ALTER TABLE promise ADD COLUMN again bigint NOT NULL DEFAULT 0;

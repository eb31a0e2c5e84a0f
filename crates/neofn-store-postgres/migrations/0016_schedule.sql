-- Whose runs are handled up to `cron_at`: another schedule of the same trigger begins anew.
ALTER TABLE trigger_state ADD COLUMN schedule text;

-- The rows that are there, and the index of their granules, anew; in the background.
-- Days of such a table may miss events until that is done.
ALTER TABLE outcomes_log MATERIALIZE COLUMN displaced_at

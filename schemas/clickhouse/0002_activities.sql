-- Point activities on users' timelines, repeats folded: the first arrival of an
-- event wins, and an event is here or in skipped, never in both, because the
-- fold comes before the WHERE.
--
-- A view's own settings hold whatever the session of the reader says:
--
--   use_skip_indexes_if_final = 1: a filter on occurred_at alone reads a day's
--   granules and not the tenant's months.
--
--   use_skip_indexes_if_final_exact_mode = 1: granules that hold the same keys
--   in other parts are read too. An event sent again 40 days later has another
--   occurred_at, its arrival. Without this, asking for that later day would
--   read only the repeat, fold it with nothing, and show the event twice.
--
--   do_not_merge_across_partitions_select_final = 1: partitions are folded
--   apart, in parallel and without comparing their keys. Sound because the
--   partition is a function of event_time, which is in the key.
--
--   optimize_move_to_prewhere_if_final = 0: a filter that ran before the fold
--   would let a repeat stand in for the first arrival that it filtered out.
CREATE OR REPLACE VIEW activities AS
SELECT
    activity_id,
    tenant_id,
    user_id,
    category,
    kind,
    weight,
    ticket_id,
    agent_id,
    credited_as,
    status_id,
    occurred_at,
    received_at
FROM outcomes_log FINAL
WHERE reason = ''
SETTINGS
    use_skip_indexes_if_final = 1,
    use_skip_indexes_if_final_exact_mode = 1,
    do_not_merge_across_partitions_select_final = 1,
    optimize_move_to_prewhere_if_final = 0

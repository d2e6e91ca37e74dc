-- Point activities on users' timelines, repeats folded: the first arrival of an
-- event wins, and an event is here or in skipped, never in both, because the
-- fold comes before the WHERE.
--
-- Three reads, of rows that have nothing in common, so that a filter on
-- occurred_at becomes a range of what the table is sorted by:
--
--   1. Rows that are shown at their event time. All repeats of an event have
--      that time, so that a range of it holds all of them or none.
--   2. Rows without an event time (or with one before all Halo): the first few
--      granules of each tenant, which are read whole.
--   3. Rows that are shown at their arrival although they have an event time.
--      The index finds their granules. In exact mode the engine also reads the
--      granules that hold the same keys in other parts: an event sent again 40
--      days later has another occurred_at, and the repeat alone would show it
--      twice.
--
-- A view's own settings hold whatever the session of the reader says:
--
--   use_skip_indexes_if_final and its exact mode: on in the third read, off in
--   the others, which need none.
--
--   do_not_merge_across_partitions_select_final = 1: partitions are folded
--   apart, in parallel and without comparing their keys. Sound because the
--   partition is a function of event_time, which is in the key.
--
--   optimize_move_to_prewhere_if_final = 0: a filter that ran before the fold
--   would let a repeat stand in for the first arrival that it filtered out.
CREATE VIEW IF NOT EXISTS activities AS
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
    actor_type,
    status_id,
    log.event_time AS occurred_at,
    received_at
FROM outcomes_log AS log FINAL
WHERE reason = '' AND log.event_time >= '2020-01-01' AND log.occurred_at = log.event_time
SETTINGS
    use_skip_indexes_if_final = 0,
    use_skip_indexes_if_final_exact_mode = 0,
    do_not_merge_across_partitions_select_final = 1,
    optimize_move_to_prewhere_if_final = 0
UNION ALL
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
    actor_type,
    status_id,
    log.occurred_at AS occurred_at,
    received_at
FROM outcomes_log AS log FINAL
WHERE reason = '' AND log.event_time < '2020-01-01'
SETTINGS
    use_skip_indexes_if_final = 0,
    use_skip_indexes_if_final_exact_mode = 0,
    do_not_merge_across_partitions_select_final = 1,
    optimize_move_to_prewhere_if_final = 0
UNION ALL
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
    actor_type,
    status_id,
    log.displaced_at AS occurred_at,
    received_at
FROM outcomes_log AS log FINAL
WHERE reason = '' AND log.event_time >= '2020-01-01' AND log.occurred_at != log.event_time
SETTINGS
    use_skip_indexes_if_final = 1,
    use_skip_indexes_if_final_exact_mode = 1,
    do_not_merge_across_partitions_select_final = 1,
    optimize_move_to_prewhere_if_final = 0

-- Events that made no activity, with the reason, repeats folded. The three reads
-- and their settings are those of the view activities, for the reasons given
-- there.
CREATE VIEW IF NOT EXISTS skipped AS
SELECT
    activity_id AS event_id,
    tenant_id,
    kind,
    ticket_id,
    agent_id,
    reason,
    log.event_time AS occurred_at,
    received_at
FROM outcomes_log AS log FINAL
WHERE reason != '' AND log.event_time >= '2020-01-01' AND log.occurred_at = log.event_time
SETTINGS
    use_skip_indexes_if_final = 0,
    use_skip_indexes_if_final_exact_mode = 0,
    do_not_merge_across_partitions_select_final = 1,
    optimize_move_to_prewhere_if_final = 0
UNION ALL
SELECT
    activity_id AS event_id,
    tenant_id,
    kind,
    ticket_id,
    agent_id,
    reason,
    log.occurred_at AS occurred_at,
    received_at
FROM outcomes_log AS log FINAL
WHERE reason != '' AND log.event_time < '2020-01-01'
SETTINGS
    use_skip_indexes_if_final = 0,
    use_skip_indexes_if_final_exact_mode = 0,
    do_not_merge_across_partitions_select_final = 1,
    optimize_move_to_prewhere_if_final = 0
UNION ALL
SELECT
    activity_id AS event_id,
    tenant_id,
    kind,
    ticket_id,
    agent_id,
    reason,
    log.displaced_at AS occurred_at,
    received_at
FROM outcomes_log AS log FINAL
WHERE reason != '' AND log.event_time >= '2020-01-01' AND log.occurred_at != log.event_time
SETTINGS
    use_skip_indexes_if_final = 1,
    use_skip_indexes_if_final_exact_mode = 1,
    do_not_merge_across_partitions_select_final = 1,
    optimize_move_to_prewhere_if_final = 0

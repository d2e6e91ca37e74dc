-- Events that made no activity, with the reason, repeats folded. The settings
-- are those of the view activities, for the reasons given there.
CREATE OR REPLACE VIEW skipped AS
SELECT
    activity_id AS event_id,
    tenant_id,
    kind,
    ticket_id,
    agent_id,
    reason,
    occurred_at,
    received_at
FROM outcomes_log FINAL
WHERE reason != ''
SETTINGS
    use_skip_indexes_if_final = 1,
    use_skip_indexes_if_final_exact_mode = 1,
    do_not_merge_across_partitions_select_final = 1,
    optimize_move_to_prewhere_if_final = 0

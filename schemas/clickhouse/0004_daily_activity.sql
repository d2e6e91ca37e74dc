-- Activity per user, day (UTC) and kind. It reads the folded view and not a
-- materialised one: a repeat would be added to a materialised sum each time,
-- since such a view sees the rows of an insert and not what they fold to. A
-- filter on day prunes granules as one on occurred_at does, because toDate is
-- monotonic. Filter by tenant_id and by day.
CREATE VIEW IF NOT EXISTS daily_activity AS
SELECT
    tenant_id,
    user_id,
    toDate(occurred_at) AS day,
    kind,
    count() AS events,
    sum(weight) AS score
FROM activities
GROUP BY tenant_id, user_id, day, kind

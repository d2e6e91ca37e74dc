-- Questions that analysts ask, as queries to copy. Each begins with its name.
--
-- {name:Type} is a query parameter of ClickHouse: clickhouse-client takes them
-- as --param_name=…, HTTP as ?param_name=…, Grafana has variables in their
-- place. Every query is bounded by tenant and by occurred_at; without the first
-- it mixes customers, without the second it reads all months.
--
-- "from" is the first day, "to" the one after the last.
--
-- activities, skipped and daily_activity fold repeats. outcomes_log does not.
-- Days and weeks of daily_activity are UTC; a query that takes a zone cuts days
-- as that place does.

-- name: a user's day
-- Everything that one user did on one day of his own time zone, in order. Two bounds
-- in UTC, for what is read, and the day itself: where clocks go forward at midnight
-- (Cairo, Beirut, Santiago) that midnight is no instant, and stands for one an hour early.
SELECT
    toTimeZone(occurred_at, {zone:String}) AS at,
    kind,
    ticket_id,
    status_id,
    credited_as,
    weight
FROM activities
WHERE tenant_id = {tenant:String}
  AND user_id = {user:String}
  AND occurred_at >= toDateTime64(toString({day:Date} - 1), 3, 'UTC')
  AND occurred_at < toDateTime64(toString({day:Date} + 2), 3, 'UTC')
  AND toDate(occurred_at, {zone:String}) = {day:Date}
ORDER BY occurred_at, activity_id;

-- name: a team by week
-- Events, score and days with any activity, per user and week (from Monday). Who
-- is in a team is WorkSights' knowledge, not ours: hand in the users. Weeks in
-- which a user did nothing have no row.
SELECT
    toMonday(day) AS week,
    user_id,
    sum(d.events) AS events,
    round(sum(d.score), 2) AS score,
    uniqExact(day) AS days
FROM daily_activity AS d
WHERE tenant_id = {tenant:String}
  AND user_id IN {users:Array(String)}
  AND day >= {from:Date}
  AND day < {to:Date}
GROUP BY week, user_id
ORDER BY week, user_id;

-- name: score by kind
-- What a tenant's score is made of. An update by an end user weighs less than
-- what the agent did himself, see the weights in the README.
SELECT
    kind,
    sum(d.events) AS events,
    round(sum(d.score), 2) AS score,
    round(100 * sum(d.score) / sum(sum(d.score)) OVER (), 1) AS percent
FROM daily_activity AS d
WHERE tenant_id = {tenant:String}
  AND day >= {from:Date}
  AND day < {to:Date}
GROUP BY kind
ORDER BY score DESC, kind;

-- name: resolutions and reopens
-- How often each user closed tickets, and how often a closed ticket was opened
-- again. Status ids are the tenant's own (9 is often "Closed"): hand in those
-- that mean closed. A resolution is credited to whom the closing is credited; a
-- reopen to whom the resolution that it undid was, though another may have moved
-- the ticket from one closed status to the next in between.
--
-- The query looks 92 days further back than asked, so that a ticket that was
-- closed before "from" and opened again after it counts. Changes by agents who
-- are not mapped are in skipped, without a status, and are not seen here: map
-- the agents first, then trust the figures. Of two changes in the same
-- millisecond the order is not known.
WITH changes AS
(
    SELECT
        ticket_id,
        user_id,
        occurred_at,
        has({closed:Array(Int32)}, status_id) AS closed,
        activity_id,
        lagInFrame(toUInt8(has({closed:Array(Int32)}, status_id)), 1, toUInt8(0)) OVER ticket AS was_closed
    FROM activities
    WHERE tenant_id = {tenant:String}
      AND kind = 'status_changed'
      AND status_id != 0
      AND occurred_at >= toDateTime64(toString({from:Date} - 92), 3, 'UTC')
      AND occurred_at < toDateTime64(toString({to:Date}), 3, 'UTC')
    WINDOW ticket AS (PARTITION BY ticket_id ORDER BY occurred_at, activity_id ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)
),
turns AS
(
    SELECT
        occurred_at,
        user_id,
        closed,
        was_closed,
        lagInFrame(user_id, 1, '') OVER (PARTITION BY ticket_id ORDER BY occurred_at, activity_id ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS resolver
    FROM changes
    WHERE closed != was_closed
)
SELECT
    if(closed, user_id, resolver) AS user,
    countIf(closed AND NOT was_closed) AS resolutions,
    countIf(NOT closed AND was_closed) AS reopens
FROM turns
WHERE occurred_at >= toDateTime64(toString({from:Date}), 3, 'UTC')
GROUP BY user
ORDER BY resolutions DESC, user;

-- name: quiet agents
-- Agents with activity in the 28 days before "since" and none from then until
-- "to": on leave, gone, or mapped to the wrong user. Look at "unmapped agents"
-- before you ask them.
SELECT
    agent_id,
    argMax(user_id, occurred_at) AS user,
    max(occurred_at) AS last_activity,
    count() AS events_before
FROM activities
WHERE tenant_id = {tenant:String}
  AND occurred_at >= toDateTime64(toString({since:Date} - 28), 3, 'UTC')
  AND occurred_at < toDateTime64(toString({to:Date}), 3, 'UTC')
GROUP BY agent_id
HAVING last_activity < toDateTime64(toString({since:Date}), 3, 'UTC')
ORDER BY last_activity, agent_id;

-- name: unmapped agents
-- Agents who work and whose work nobody is credited for. Map them with haloctl
-- map, from then on; there is no backfill.
SELECT
    agent_id,
    count() AS events,
    max(occurred_at) AS last_event
FROM skipped
WHERE tenant_id = {tenant:String}
  AND reason = 'unmapped'
  AND occurred_at >= toDateTime64(toString({from:Date}), 3, 'UTC')
  AND occurred_at < toDateTime64(toString({to:Date}), 3, 'UTC')
GROUP BY agent_id
ORDER BY events DESC, agent_id;

-- name: why nothing came of events
-- Events of a period and what became of them: the share that is credited, and
-- why the others are not.
SELECT
    outcome,
    count() AS events,
    round(100 * count() / sum(count()) OVER (), 1) AS percent
FROM
(
    SELECT 'credited' AS outcome
    FROM activities
    WHERE tenant_id = {tenant:String}
      AND occurred_at >= toDateTime64(toString({from:Date}), 3, 'UTC')
      AND occurred_at < toDateTime64(toString({to:Date}), 3, 'UTC')
    UNION ALL
    SELECT reason AS outcome
    FROM skipped
    WHERE tenant_id = {tenant:String}
      AND occurred_at >= toDateTime64(toString({from:Date}), 3, 'UTC')
      AND occurred_at < toDateTime64(toString({to:Date}), 3, 'UTC')
)
GROUP BY outcome
ORDER BY events DESC, outcome;

-- name: how late events arrive
-- Seconds from what happened in Halo to its delivery, by day: the median and
-- the slowest hundredth. Halo has been seen to take more than a minute. What came
-- more than 31 days late, or without a time, is shown at its arrival: it counts as 0.
SELECT
    toDate(occurred_at) AS day,
    count() AS events,
    round(quantileExact(0.5)(dateDiff('millisecond', occurred_at, received_at) / 1000), 1) AS median,
    round(quantileExact(0.99)(dateDiff('millisecond', occurred_at, received_at) / 1000), 1) AS slowest
FROM activities
WHERE tenant_id = {tenant:String}
  AND occurred_at >= toDateTime64(toString({from:Date}), 3, 'UTC')
  AND occurred_at < toDateTime64(toString({to:Date}), 3, 'UTC')
GROUP BY day
ORDER BY day;

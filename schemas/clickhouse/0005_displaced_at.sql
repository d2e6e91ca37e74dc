-- For tables that earlier builds made with 1900 in displaced_at, see
-- 0001_outcomes_log: a day asked for as toDate(occurred_at) with an upper bound, as
-- in daily_activity, missed events that are shown at their arrival.
ALTER TABLE outcomes_log
    MODIFY COLUMN displaced_at DateTime64(3, 'UTC') MATERIALIZED if(occurred_at = event_time, toDateTime64('2000-01-01 00:00:00', 3, 'UTC'), occurred_at) CODEC(Delta, LZ4)

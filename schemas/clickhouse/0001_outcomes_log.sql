-- One row per event: an activity, or a skip with its reason. One table for
-- both, so that an event that arrives twice and is judged differently (skipped
-- as unmapped, sent again after its agent was mapped) still is one row, and
-- stays what it was at first.
--
-- Rows are appended at least once; repeats of a key fold to the row with the
-- greatest version. Read the views, which fold; a count of this table counts
-- repeats.
--
-- ORDER BY (tenant_id, event_time, activity_id). The key holds facts of the
-- event and nothing else. Were the user in it, a repeat that arrives after the
-- agent was mapped anew would become a second row; were occurred_at or
-- received_at in it, every repeat would, because our clock is in them.
-- tenant_id leads because every query is bounded by it. event_time comes
-- before the id because ids are digests: a tenant's rows sorted by id would lie
-- in no order of time and a day would be spread over every granule. activity_id
-- makes the key unique. (ClickHouse sorts a UUID by its second half; nothing
-- here depends on the order of ids.)
--
-- PARTITION BY the quarter of event_time in 2020 to 2043, one bucket for all
-- other times: 97 partitions at most, whatever times a tenant sends. ClickHouse
-- refuses an insert that touches more than 100, and a refused insert would stop
-- the pipeline. It is a function of the key, so that repeats meet in one
-- partition: across partitions ReplacingMergeTree never folds. A quarter and
-- not a month, because an insert of late events makes one part per partition.
-- 0 is the bucket of events without a time (1970-01-01).
--
-- displaced_at and its INDEX. People ask by occurred_at, which is not in the key.
-- For nearly every event it is event_time, which is; the views turn a question
-- about the one into a range of the other. The rest are displaced: shown at
-- their arrival, because Halo gave no time or one that cannot be. Those with
-- no time are together at the beginning of a tenant's rows. For the others, a
-- resend after more than 31 days or a clock ahead, displaced_at is occurred_at
-- and 2000 for all other rows: a granule without them never holds the day that
-- is asked for. Not 1900: toDate, toDateTime and toStartOfHour of what is before
-- their range wrap around to a day to come, and the engine, which takes them for
-- monotonic, applies them to the ends of a granule's range. It then passes by
-- granules that hold the day.
--
-- An index on occurred_at itself would not do. Under FINAL the engine must read,
-- beside a granule that holds the day, all others that its range of keys
-- touches. The smallest part, of the last seconds, is one granule from the first
-- tenant to the last: a question about today would read every tenant's
-- quarter. There is no index on user_id: a granule covers hours of a tenant, in
-- which nearly every one of its users was active.
--
-- received_at_range and one_event are for reads of the log itself, without FINAL:
-- what arrived last, and where one event is. A ticket is found by reading the
-- column of all, which is small: an index of it left half of the granules. Such a read names the rows, and a
-- second one folds just those by their key.
--
-- index_granularity is half the default: a day of such a tenant is then read
-- with less of its two neighbours.
--
-- Codecs and LowCardinality: a timeline reads a few and filters many, so that it
-- costs what decoding costs. Measured on a day of 110,000 rows under FINAL: 20 ms
-- of CPU with ZSTD and user_id as String, 12 ms with LZ4 and user_id as numbers
-- into a dictionary, of the part while that is small and else of the granule.
--
-- version: (2^48-1 - received_at in ms) * 2^16 + 16 bits of a digest of the
-- rest of the row. The first arrival has the greatest; two that arrived in one
-- millisecond fold the same way in whatever order they were appended.
--
-- fsync: the sink commits its Kafka offsets once an insert is answered, and
-- Kafka is not asked again. What was answered must outlive a power cut, on a
-- table without replicas too. It costs a few milliseconds on two inserts a
-- second.
--
-- The TTL on received_at is set by the migration program from
-- RETENTION_MONTHS. Expired rows are dropped once a day and not six times, as
-- each time rewrites the oldest parts.
CREATE TABLE IF NOT EXISTS outcomes_log
(
    -- The customer of WorkSights; bounds every query.
    tenant_id LowCardinality(String),
    -- As Halo gave it; 1970-01-01 where it gave none. People are shown occurred_at.
    event_time DateTime64(3, 'UTC') CODEC(Delta, LZ4),
    -- Derived from facts of the event: the same for every repeat of it.
    activity_id UUID,
    version UInt64,
    -- Why the event made no activity; empty for an activity.
    reason LowCardinality(String),
    -- The WorkSights user; empty for a skip, as are category and credited_as.
    user_id LowCardinality(String),
    category LowCardinality(String),
    -- Which of the four kinds; empty for a skip whose kind is not known.
    kind LowCardinality(String),
    -- 0 < weight <= 1; 0 for a skip.
    weight Float32,
    -- Of the tenant's Halo; 0 where none was found.
    ticket_id UInt64,
    -- Whom the event is, or would have been, credited to; 0 for nobody.
    agent_id UInt64,
    -- Which fact named the agent: actor, assignee or envelope.
    credited_as LowCardinality(String),
    -- Who acted: agent, end_user or system; empty where Halo does not say, and
    -- for a skip. A system is a rule or the clock, credited like anybody else.
    actor_type LowCardinality(String),
    -- Halo's status id, which is per tenant; 0 for none.
    status_id Int32,
    -- event_time where that is plausible, else received_at.
    occurred_at DateTime64(3, 'UTC') CODEC(Delta, LZ4),
    -- When the delivery reached us.
    received_at DateTime64(3, 'UTC') CODEC(Delta, LZ4),
    -- occurred_at where it is not event_time, else 2000; computed on insert.
    displaced_at DateTime64(3, 'UTC') MATERIALIZED if(occurred_at = event_time, toDateTime64('2000-01-01 00:00:00', 3, 'UTC'), occurred_at) CODEC(Delta, LZ4),

    INDEX displaced_at_range displaced_at TYPE minmax GRANULARITY 1,
    INDEX received_at_range received_at TYPE minmax GRANULARITY 1,
    INDEX one_event activity_id TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY if(toYear(event_time) >= 2020 AND toYear(event_time) < 2044, toYear(event_time) * 10 + toQuarter(event_time), 0)
ORDER BY (tenant_id, event_time, activity_id)
SETTINGS
    index_granularity = 4096,
    fsync_after_insert = 1,
    fsync_part_directory = 1,
    merge_with_ttl_timeout = 86400
COMMENT 'One row per event and repeat; read the views activities and skipped, which fold repeats'

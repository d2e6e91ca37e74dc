-- Who may do what in ClickHouse: one role per program and one for people. Run
-- it before users.sql, as a user with access management; it may be run again.
-- Tables that are named here need not exist yet.
--
-- The views read with the rights of whoever asks (SQL SECURITY INVOKER), so a
-- reader of a view needs SELECT on outcomes_log as well, and the row policies
-- of outcomes_log hold for the views too.
CREATE ROLE IF NOT EXISTS halo_migrate;
CREATE ROLE IF NOT EXISTS halo_sink;
CREATE ROLE IF NOT EXISTS halo_connect;
CREATE ROLE IF NOT EXISTS halo_analyst;

CREATE ROLE IF NOT EXISTS halo_erase;

-- haloctl migrate: makes the database, tables and views, sets the retention and
-- records what it did. What it may alter is named one by one, so that it can delete
-- no row and drop no table; a view, which holds none, it makes anew. CLUSTER is for
-- CLICKHOUSE_CLUSTER, and idle without.
GRANT CREATE DATABASE, CREATE TABLE, CREATE VIEW, DROP VIEW ON worksights.* TO halo_migrate;
GRANT ALTER ADD COLUMN, ALTER TTL ON worksights.outcomes_log TO halo_migrate;
GRANT SELECT ON worksights.* TO halo_migrate;
GRANT INSERT ON worksights.schema_migrations TO halo_migrate;
GRANT SELECT ON system.mutations TO halo_migrate;
GRANT SELECT ON system.replicas TO halo_migrate;
GRANT CLUSTER ON *.* TO halo_migrate;

-- The sink appends, and sees how many replicas stand behind an insert. It cannot
-- read what is there.
GRANT INSERT ON worksights.outcomes_log TO halo_sink;
GRANT SELECT ON system.replicas TO halo_sink;

-- connect answers timelines and diagnoses. It reads two views, and the log for
-- what arrived last.
GRANT SELECT ON worksights.outcomes_log TO halo_connect;
GRANT SELECT ON worksights.activities TO halo_connect;
GRANT SELECT ON worksights.skipped TO halo_connect;

-- connect erases as this one (CLICKHOUSE_ERASE_DSN), who may do nothing else: of
-- the rows he reads whose they are and when they arrived.
GRANT ALTER DELETE ON worksights.outcomes_log TO halo_erase;
GRANT SELECT(tenant_id, user_id, event_time, activity_id, version, received_at) ON worksights.outcomes_log TO halo_erase;
GRANT SELECT ON system.mutations TO halo_erase;
GRANT SELECT ON system.parts TO halo_erase;

-- Analysts read, within bounds.
GRANT SELECT ON worksights.outcomes_log TO halo_analyst;
GRANT SELECT ON worksights.activities TO halo_analyst;
GRANT SELECT ON worksights.skipped TO halo_analyst;
GRANT SELECT ON worksights.daily_activity TO halo_analyst;

-- readonly = 2 and not 1: Grafana and the drivers send settings of their own
-- with each query. The bounds can be moved within their limits and not lifted:
-- 0, which would mean "no bound", is below every MIN.
CREATE SETTINGS PROFILE OR REPLACE halo_analyst SETTINGS
    readonly = 2 READONLY,
    max_execution_time = 60 MIN 1 MAX 300,
    max_memory_usage = 4000000000 MIN 1 MAX 8000000000,
    max_threads = 4 MIN 1 MAX 8
TO halo_analyst;

-- A query of one tenant's month reads some 2.5 million rows: this is four
-- thousand of them an hour and person, and no runaway dashboard.
CREATE QUOTA OR REPLACE halo_analyst KEYED BY user_name
    FOR INTERVAL 1 hour MAX queries = 4000, read_rows = 10000000000, execution_time = 1800
TO halo_analyst;

-- Whoever reads all tenants is named here: once a table has a row policy, a
-- server may show nothing to readers who are in none.
CREATE ROW POLICY OR REPLACE halo_every_tenant ON worksights.outcomes_log
    FOR SELECT USING 1 TO halo_migrate, halo_connect, halo_erase, halo_analyst;

-- Analysts of some tenants only: a user in halo_analyst_tenants is shown the
-- tenants that analyst_access names beside his name. To let jane read acme:
--
--   INSERT INTO worksights.analyst_access VALUES ('jane', 'acme');
--
-- Never give such a user halo_analyst as well: policies add up, and one that shows
-- everything wins. On a cluster make the table a Replicated one.
CREATE ROLE IF NOT EXISTS halo_analyst_tenants;
CREATE DATABASE IF NOT EXISTS worksights;
CREATE TABLE IF NOT EXISTS worksights.analyst_access
(
    user_name String,
    tenant_id String
)
ENGINE = MergeTree
ORDER BY (user_name, tenant_id);
GRANT SELECT ON worksights.outcomes_log TO halo_analyst_tenants;
GRANT SELECT ON worksights.activities TO halo_analyst_tenants;
GRANT SELECT ON worksights.skipped TO halo_analyst_tenants;
GRANT SELECT ON worksights.daily_activity TO halo_analyst_tenants;
GRANT SELECT ON worksights.analyst_access TO halo_analyst_tenants;
CREATE ROW POLICY OR REPLACE halo_own_access ON worksights.analyst_access
    FOR SELECT USING user_name = currentUser() TO halo_analyst_tenants;
CREATE ROW POLICY OR REPLACE halo_own_tenants ON worksights.outcomes_log
    FOR SELECT USING tenant_id IN (SELECT tenant_id FROM worksights.analyst_access WHERE user_name = currentUser()) TO halo_analyst_tenants;

-- For whom the bounds above hold. Each list takes the place of the one before it:
-- who is not in the last has no bounds, and may write where he has the right.
ALTER SETTINGS PROFILE halo_analyst TO halo_analyst, halo_analyst_tenants;
ALTER QUOTA halo_analyst TO halo_analyst, halo_analyst_tenants;

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

-- haloctl migrate: makes the database, tables and views, sets the retention and
-- records what it did. It may drop nothing.
GRANT CREATE DATABASE, CREATE TABLE, CREATE VIEW ON worksights.* TO halo_migrate;
GRANT ALTER TABLE ON worksights.* TO halo_migrate;
GRANT SELECT ON worksights.* TO halo_migrate;
GRANT INSERT ON worksights.schema_migrations TO halo_migrate;

-- The sink appends. It cannot read what is there.
GRANT INSERT ON worksights.outcomes_log TO halo_sink;

-- connect answers timelines and diagnoses. It reads two views, and the log for
-- the last delivery.
GRANT SELECT ON worksights.outcomes_log TO halo_connect;
GRANT SELECT ON worksights.activities TO halo_connect;
GRANT SELECT ON worksights.skipped TO halo_connect;

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
    FOR SELECT USING 1 TO halo_migrate, halo_connect, halo_analyst;

-- An analyst of one tenant, here "demo". Copy the block for each, with the
-- tenant in the names and in USING, and add the role to both lists below. Never
-- give such a user halo_analyst as well: policies add up, and one that shows
-- everything wins.
CREATE ROLE IF NOT EXISTS halo_analyst_demo;
GRANT SELECT ON worksights.outcomes_log TO halo_analyst_demo;
GRANT SELECT ON worksights.activities TO halo_analyst_demo;
GRANT SELECT ON worksights.skipped TO halo_analyst_demo;
GRANT SELECT ON worksights.daily_activity TO halo_analyst_demo;
CREATE ROW POLICY OR REPLACE halo_tenant_demo ON worksights.outcomes_log
    FOR SELECT USING tenant_id = 'demo' TO halo_analyst_demo;

-- For whom the bounds above hold. Each list takes the place of the one before it:
-- who is not in the last has no bounds, and may write where he has the right.
ALTER SETTINGS PROFILE halo_analyst TO halo_analyst, halo_analyst_demo;
ALTER QUOTA halo_analyst TO halo_analyst, halo_analyst_demo;

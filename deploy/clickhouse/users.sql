-- The users, each with the role that grants.sql gives the rights to. Passwords
-- are query parameters, so that this file holds none:
--
--   clickhouse-client --param_sink_password=… … < users.sql
--
-- ClickHouse keeps their digests only, and leaves passwords out of its log. May be run
-- again: it sets the passwords anew, which is how they are changed.
CREATE USER IF NOT EXISTS migrate;
ALTER USER migrate IDENTIFIED WITH sha256_password BY {migrate_password:String};
GRANT halo_migrate TO migrate;

CREATE USER IF NOT EXISTS sink;
ALTER USER sink IDENTIFIED WITH sha256_password BY {sink_password:String};
GRANT halo_sink TO sink;

CREATE USER IF NOT EXISTS connect;
ALTER USER connect IDENTIFIED WITH sha256_password BY {connect_password:String};
GRANT halo_connect TO connect;

CREATE USER IF NOT EXISTS erase;
ALTER USER erase IDENTIFIED WITH sha256_password BY {erase_password:String};
GRANT halo_erase TO erase;

CREATE USER IF NOT EXISTS analyst;
ALTER USER analyst IDENTIFIED WITH sha256_password BY {analyst_password:String};
GRANT halo_analyst TO analyst;

package schemas

import "embed"

// Migrations are the ClickHouse migrations, clickhouse/NNNN_name.sql: one
// statement each, applied in the order of their numbers. Each may be applied
// again without harm, so that two processes that migrate at once, or one that
// died before it recorded what it did, need no lock. One that was released is
// never edited: a change is a new file.
//
//go:embed clickhouse/*.sql
var Migrations embed.FS

// Package engine runs ClickHouse on a single machine without a server: the real
// engine, as the library libchdb, in a child process behind ClickHouse's own
// HTTP interface.
//
// It promises that a client cannot tell it from a server as far as the
// connector goes (clickhouse-go over HTTP, curl, a dashboard), that an
// acknowledged insert survives the death of any process, and that nobody but
// programs of this machine can reach it.
//
// What keeps that true:
//
//   - The library lives in a child process. Its signal handlers clash with those
//     of Go, its crash ends its process, and it cannot be reopened without
//     leaking threads; so a crash costs a restart and not the connector.
//   - The parent binds the address and hands the socket to every child, so the
//     address outlives the child.
//   - The child ends with its parent: the kernel sees to that on Linux, the end
//     of the child's standard input elsewhere. Two file locks keep a second
//     parent out and let a successor wait for a dying child.
//   - A 200 to an INSERT is written after the engine reported the part written
//     and synced.
//
// Absent, compared with a server: users and rights, replicated tables, sessions
// that outlive a request, external tables, the query log.
package engine

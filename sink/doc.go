// Package sink appends outcomes, the activities and skips of Kafka, to
// ClickHouse.
//
// It promises that every record which was acknowledged on the two topics is a
// row of the table of outcomes, or a dead letter, whatever dies in between; and
// that repeating any of it changes no answer of a view. The first is kept by
// one order of side effects, the second by the identity of the row: rows are
// appended at least once, and repeats of an event fold to its first arrival.
//
// # The order of side effects
//
//  1. Poll. Records are in hand; nothing is owed to anybody. From here on no
//     rebalance can take their partitions, until 5 or a pause.
//     Crash: they are polled again, by whoever owns the partition then.
//  2. Append the rows to the store, again and again until it answers. Between
//     two attempts partitions may be taken away; their rows are put out of
//     hand, as the new owner reads them again.
//     Crash: some rows are there, or all, and are appended again. They fold.
//  3. Produce a dead letter for each record that does not parse and each row
//     that the store refuses for good, and wait for the acknowledgements.
//     Crash: as above, and some dead letters are written twice. They say where
//     their record was, so that a reader can tell. A row is given up only
//     beside one that is kept: without, nobody could tell its fault from the
//     table's, and it waits for the next.
//  4. Commit the offsets of 1.
//     Crash, or a commit that is refused because the partitions are somebody
//     else's by now: as above; the next owner starts from the last commit.
//  5. Allow rebalances, and begin again.
//
// Offsets are never committed before the rows are appended: a crash in between
// would lose them, and no one would notice.
//
// # What an outage does
//
// A store that is away is asked for ever, with longer and longer pauses. The
// group goes on meanwhile: the client sends its heartbeats on its own, and in
// each pause rebalances are allowed. A member that does not let go in time is
// put out of the group, so that an attempt which is under way when a rebalance
// begins gets a few seconds and is then abandoned; abandoned attempts fold.
package sink

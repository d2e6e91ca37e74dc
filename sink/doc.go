// Package sink appends outcomes, the activities and skips of Kafka, to
// ClickHouse.
//
// It promises that every record which was acknowledged on the two topics is a
// row of the table of outcomes, or a dead letter, whatever dies in between; that
// repeating any of it changes no answer of a view; and that who was erased does
// not come back. The first is kept by one order of side effects, the second by
// the identity of the row (rows are appended at least once, and repeats of an
// event fold to its first arrival), the third by looking, before each append,
// whom the topic of erasures names. Erased rows, and rows of events that the
// store may have had and removed after their retention, are counted and left out.
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
//  3. Produce a dead letter for each record that does not parse, and wait for
//     the acknowledgements.
//     Crash: as above, and some dead letters are written twice. They say where
//     their record was, so that a reader can tell.
//  4. Commit the offsets of 1. A commit that fails is owed: it is tried again,
//     traffic or not, until it succeeds or the partition is somebody else's.
//     Crash, or a commit that is refused: as above; the next owner starts from
//     the last commit.
//  5. Allow rebalances, once nothing is in hand.
//
// Offsets are never committed before the rows are appended: a crash in between
// would lose them, and no one would notice. While a batch is in steps 2 and 3
// the next one is polled; it is appended after the first is committed.
//
// # What an outage does
//
// A store that is away is asked for ever, with longer and longer pauses. So is
// one that refuses: the rows are of our making and typed, so that what a table
// does not take is a fault of the table, which a person has to mend. The group
// goes on meanwhile: the client sends its heartbeats on its own, and in each
// pause rebalances are allowed. A member that does not let go in time is put out
// of the group, so that an attempt which is under way when a rebalance begins
// gets a few seconds and is then abandoned; abandoned attempts fold.
package sink

// Package processor turns events into activities and skips.
//
// It promises that each event of the events topic becomes exactly one of the
// two (or a dead letter, where it is no record of ours or Kafka does not take
// its outcome; or nothing, where it is credited to somebody who was erased), that
// the answer depends on the event and on who was mapped to whom when the event
// arrived, and on nothing else, so that a replay gives the same bytes; and that no
// event is judged by a table which misses a mapping that was acknowledged before
// the event arrived, or an erasure.
//
// [Attribute] and [Join] are pure. [Processor.Run] is the loop around them, and
// keeps the promise by the order of its steps:
//
//  1. Poll a batch of events. The partitions stay ours until step 6.
//  2. Barrier: ask Kafka, now, where the topics of mappings and erasures end, and
//     wait until the tables have applied everything up to there. What was
//     acknowledged before an event of the batch arrived was acknowledged before
//     the poll, so it is in. Where the barrier fails nothing is judged; it is
//     tried again.
//  3. Judge. Memory only. A crash up to here leaves no trace: the next owner
//     polls the same events.
//  4. Produce the outcomes and wait until Kafka has acknowledged all of them. A
//     crash in here, or an acknowledgement that is lost, leaves some outcomes in
//     Kafka and the batch uncommitted: the next owner judges it again, with the
//     same result under the same ids, and the repeats fold.
//  5. Commit the offsets. A crash between 4 and 5 repeats the whole batch. A
//     commit that fails is owed: it is tried again, traffic or not, until it
//     succeeds or the group has given the partition to somebody else, who repeats
//     the batch. After a commit that failed the next poll waits, so that repeats
//     do not come in a rush.
//  6. Let partitions go, if the group wants them. They are never let go between
//     1 and 5, so that a commit of ours cannot rewind a later owner's.
//
// While a batch is in step 4 the next one takes steps 1 to 3; its outcomes follow
// once the first is committed. A batch is thus committed whole or not at all, and
// the outcomes of one tenant keep the order of its events; a repeat follows as a
// whole. Only outcomes that Kafka finds too large are written once more alone.
package processor

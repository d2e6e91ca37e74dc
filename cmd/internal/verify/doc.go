// Package verify answers "is what I see what arrived?": it judges every event
// that Kafka still has anew and compares the outcome with the row that
// ClickHouse shows.
//
// It promises that it names each event whose row is missing, each row that
// differs from what the event comes to, and each row that no event accounts
// for; and that it never calls a pipeline wrong for being busy, since it looks
// again, for a minute, before it says so.
//
// What keeps it true is that judging is pure. An outcome follows from the event
// and from the mappings as of its arrival, both of which are in Kafka, so that
// the processor of yesterday and this package come to the same. The one thing
// that does not follow is the weight, which is the operator's to choose: a row
// that differs in that alone is counted and is no difference.
package verify

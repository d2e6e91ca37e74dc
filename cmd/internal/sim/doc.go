// Package sim runs the whole pipeline in one virtual time, driven by one seed:
// two edges, two processors, two sinks and two control planes on a broker and a
// store in memory, while they are killed, frozen, cut off and lied to. A
// reference that knows nothing of Kafka judges what is left by the five promises
// (ARCHITECTURE.md).
//
// All that is real in production is real here: the stages' code, the Kafka
// client, the protocol, the election, the fence. Replaced are the broker (one
// in memory that takes orders), ClickHouse (a table in memory that folds as it
// does), the network and the clock.
//
//	make sim SEEDS=300    that many seeds, from 1 on
//	make sim SEED=17      one seed, with its story
//	make sim-mutants      each deliberate fault of order is found
//	make model            the order of the steps alone, in every schedule (model/)
//
// A seed decides what happens and when; the order of goroutines within one
// instant it does not. So a seed that failed fails again, nearly always.
package sim

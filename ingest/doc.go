// Package ingest is the edge: the HTTP endpoint that HaloPSA posts to.
//
// It promises that a delivery is answered 200 only when every event of it is
// kept by Kafka, that nothing a person wrote gets further than the memory of
// the request, and that a delivery which was genuine when it was sent is never
// called a forgery. What keeps that true is the order of the steps.
//
//  1. The secret is checked, before the body is read. Nothing has happened yet:
//     a crash here, or in the next step, looks to Halo like a connection that
//     broke, and Halo's delivery log holds what to send again.
//  2. The body is read and decoded, bounded, in memory ([halopsa.Decode]).
//  3. All events of the delivery are handed to the [Log] at once. A crash from
//     here on may leave some of them in Kafka, or all, and Halo without an
//     answer. When it sends them again they have the same ids and fold.
//  4. Kafka acknowledges: each event is on all in-sync replicas.
//  5. The answer is 200. A crash between 4 and 5, or an answer that is lost on
//     its way, costs a repeat, which folds.
//  6. A delivery that was refused is written down, after its answer: when, why,
//     how large, and which of the vendor's names were in it. A crash before
//     that loses the note, which the metrics have counted.
//
// Where the acknowledgement takes longer than the edge may wait, the answer is 503
// and the events stay on their way. They usually arrive, and are a repeat once
// Halo sends them again.
//
// # Who may wait for whom
//
// A genuine delivery waits for its own acknowledgement and for nothing else.
// One whose secret fits nothing in the table of connections waits until the
// table has caught up with Kafka: connect may have answered a moment ago, and
// its record may still be on the way. All who come within the same 20 ms share
// what they ask of Kafka, so that a flood of guesses costs Kafka some questions
// and the genuine among them some milliseconds.
//
// One connection's deliveries are bounded in number (limits.go), and all bodies in
// what they hold and in how many processors they take (body.go): who sends much
// is refused, and the others are served.
//
// TLS ends in front of this process.
package ingest

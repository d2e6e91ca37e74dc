// Package ledger is what connect knows of its tenants, and the one way to
// change it.
//
// It promises four things.
//
//   - What is answered is in Kafka, and counts there: [Turn.Apply] returns nil
//     only after each record was read back as valid. Else nobody knows yet, and
//     the next Apply of the tenant waits until somebody does.
//   - One instance writes. Of two who both think they act, the log takes the
//     records of one and passes over the other's, whatever an election says.
//   - Absence is never an order. A tenant whose vault record is missing, foreign,
//     malformed or sealed with a lost key is sealed: it is shown as such, and
//     nothing of it is withdrawn, overwritten or read another way until a person
//     says so.
//   - Credentials, names and e-mails are in clear in this process only: in Kafka
//     they are sealed (package vault).
//
// # The parts
//
// The vault record of a tenant is the truth of its connection, a mapping's record
// that of its history. What the edge knows (the connection record) follows from
// the vault. An operation writes the vault first and then what follows; whoever
// begins a term writes what is missing. So a crash between two writes heals
// without anybody knowing where it happened. Mappings follow from the vault too,
// by rules that the ledger does not know: who acts brings them up to date, see
// [Ledger.Act].
//
// # Terms
//
// The first thing that an instance writes is a marker with an epoch above all that
// were ever met. Everything that it writes later carries the epoch. Who reads a
// record whose epoch is below the greatest at a lower offset passes over it: see
// package table. ARCHITECTURE.md argues step by step why that is enough.
package ledger

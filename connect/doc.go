// Package connect is the control plane: a tenant's connection to its Halo from
// request to revocation.
//
// It promises five things.
//
//   - Nothing is saved unless Halo accepted the credentials, and a connect that
//     fails or is killed at any step leaves, once it is repeated, one webhook,
//     four notifications and one mapping of each agent.
//   - A webhook never delivers before the edge can verify it: the verifier is
//     acknowledged by Kafka before Halo is told the secret.
//   - A mapping holds from an instant that lies between the request and its
//     answer: what arrives after the answer is credited, what arrived before
//     the request is not, and a replay says the same.
//   - Credentials, names and e-mails are in clear in this process only. In
//     Kafka they are sealed (package vault), and no log, error or metric of this
//     package holds one.
//   - One instance acts at a time: the one that owns the vault topic's
//     partition. Another takes over within seconds and finds everything in
//     Kafka.
//
// # State
//
// All state is in three topics. The vault record of a tenant is the truth: its
// credentials, agents, users, what was mapped by hand, which webhook is its.
// The connection record that the edge reads and the open mappings follow from
// it. Each operation writes the vault first, then what follows; an instance
// that takes over works out what should follow and writes what is missing. So
// a crash between two writes heals without knowing where it happened.
package connect

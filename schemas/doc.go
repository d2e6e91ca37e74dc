// Package schemas is the domain core: the nouns of the connector and the one
// form in which each of them is written down.
//
// It promises that a record written by any version of this package parses for
// ever, that parsing one and writing it again gives the same bytes, and that
// two copies of the same occurrence carry the same [ID]. What keeps that true:
// the golden records under testdata are only ever added to, every record has
// exactly one writer (AppendJSON) and one reader (Parse…), and an identity is
// derived from facts of the vendor alone, never from a clock or a random
// source of ours.
//
// The package imports the standard library only, so that everybody may import
// it. It does no I/O.
//
// # Records
//
// A record's schema and version travel in the Kafka header [HeaderSchema].
// Readers ignore members that they do not know; a version that they do not
// know goes to the dead-letter topic. *.schema.json beside this file are the
// published contracts; a test holds the Go types and the golden records to
// them.
package schemas

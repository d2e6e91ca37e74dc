package ledger

// Seal makes a vault record.
var Seal = seal

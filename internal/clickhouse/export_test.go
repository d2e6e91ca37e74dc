package clickhouse

import (
	"strings"
	"time"
)

// SetRewritePatience changes how long a migration waits for the background,
// until it is called back.
func SetRewritePatience(d time.Duration) (back func()) {
	was := rewritePatience
	rewritePatience = d
	return func() { rewritePatience = was }
}

// ReplicatedStatements are what a cluster is sent, as one of its hosts carries it
// out for itself.
func ReplicatedStatements(cluster string) []string {
	all, err := migrations()
	if err != nil {
		return nil
	}
	l := layout{cluster: cluster}
	statements := []string{l.of(ledger, ledgerPath)}
	for _, m := range all {
		statements = append(statements, l.of(m.statement, tablePath))
	}
	for i, s := range statements {
		statements[i] = strings.Replace(s, " ON CLUSTER '"+cluster+"'", "", 1)
	}
	return statements
}

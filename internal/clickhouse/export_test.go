package clickhouse

import "time"

// SetRewritePatience changes how long a migration waits for the background,
// until it is called back.
func SetRewritePatience(d time.Duration) (back func()) {
	was := rewritePatience
	rewritePatience = d
	return func() { rewritePatience = was }
}

package ingest

// HoldAtMost lowers what open bodies may hold.
func (e *Edge) HoldAtMost(n int64) { e.bodies.limit = n }

// Held is what open bodies hold.
func (e *Edge) Held() int64 { return e.bodies.held.Load() + int64(len(e.bodies.large)) }

package control

import "context"

// The steps of PUT /connection, in order. They are told to who asked in the same
// process; over the network there is the answer only.
const (
	StepSignIn   = "sign_in"  // find Halo and sign in
	StepAgents   = "agents"   // list the agents and the events
	StepWebhook  = "webhook"  // register the webhook and look whether Halo kept it
	StepMatching = "matching" // match the agents, and keep the connection
)

// ConnectSteps are all of them.
func ConnectSteps() []string { return []string{StepSignIn, StepAgents, StepWebhook, StepMatching} }

type progressKey struct{}

// WithProgress returns a context with which what is asked tells when it begins a
// step. tell is called from another goroutine than the caller's, and must not
// wait.
func WithProgress(ctx context.Context, tell func(step string)) context.Context {
	return context.WithValue(ctx, progressKey{}, tell)
}

// Progress tells that a step begins, where somebody wants to know.
func Progress(ctx context.Context, step string) {
	if tell, ok := ctx.Value(progressKey{}).(func(string)); ok {
		tell(step)
	}
}

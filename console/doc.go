// Package console is the web pages of the connector: connect Halo, say who its
// agents are, see what they did, find out why something is missing.
//
// It promises that
//
//   - a page can do nothing that the control API cannot: every fact comes from
//     the API and every change goes to it, as whoever signed in, through one
//     client. What keeps it true is that the package is handed a way to the API
//     and nothing else;
//   - no text that others wrote can act or mislead: templates escape it, and
//     what reorders or hides text is taken out where the API's answers come in;
//   - nothing is asked of another origin and nothing runs that was not served
//     from here, by a policy that is on every answer;
//   - every page works without script, by keyboard, and at 320 pixels.
//
// A session is a cookie that the API sealed. The API is asked on every request
// what it is worth, so that it ends within a second of its token.
package console

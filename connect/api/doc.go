// Package api is the control API: its routes, their rules, and the OpenAPI
// document that is made of them.
//
// It promises that nobody meets anything of a tenant without a token that
// covers the tenant and the scope of the route; that what the document says of
// a request is what is refused, always as 400 with the words that say why, and
// what it says of an answer is what is answered; and that each change, and each
// refusal of a token, is in the log under the token's name, and never under the
// token.
//
// What keeps it true: a route is one entry that names its scope, its input and
// its output as Go types, and both the checks and the document are generated
// from it. Nothing is read of a body before the token was looked at.
//
// The package holds no state but the console's links, which are good for a
// minute and for the instance that made them. What is done is done by
// [Tenants], what is read by [Reads].
package api

// Package control is the control API as its callers meet it: the JSON that
// goes over the wire, as Go types, and a client that speaks it.
//
// It promises that the API, haloctl, the console and the local mode mean the
// same by a word: all four use these types and no others, and the API's OpenAPI
// document is generated from them. The package knows the nouns and nothing of
// what answers.
//
// Answers may grow members; readers pass over what they do not know.
package control

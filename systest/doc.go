// Package systest looks at Graphtide from outside, as a stranger with the
// contract in hand does: real nodes on a real Postgres and a real Redis, spoken
// to over HTTP and websockets alone.
//
// Each test names what is promised; README.md says which proves what. The folders
// below hold what tests share (plain) and the harness that breaks a deployment
// (torture).
package systest

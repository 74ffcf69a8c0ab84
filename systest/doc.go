// Package systest looks at Graphtide from outside, as a stranger with the
// contract in hand does: real nodes on a real Postgres and a real Redis, spoken
// to over HTTP and websockets alone.
//
// It holds no code of its own. Each test names what is promised; README.md
// says what is checked where.
package systest

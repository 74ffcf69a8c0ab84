// Package server is the HTTP side of Graphtide: routes, headers and the form of
// answers. What a change may do is decided behind graph.Submitter, what a
// reader may see by graph/access; nothing here is decided twice, but every
// entity is checked once more before it leaves.
//
//	request ─► id, recover, CORS ─► route ─► who (auth) ─► which graph ─► handler ─► answer or problem
//
// Promises:
//   - Every refusal is application/problem+json and carries nothing but what
//     graph.Error makes public. A fault of ours is `internal`, and its text
//     stays in the log.
//   - What is absent and what may not be read give the same bytes.
//   - Nothing of a body is read before its kind and size are known to be good.
//   - Cancelling a request never cuts a commit.
package server

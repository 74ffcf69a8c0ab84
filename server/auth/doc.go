// Package auth turns a token into a principal.
//
// Three kinds of token are known, each with keys and algorithms of its own, so
// that none can pass for another:
//
//	user token, HS256               the server's secret
//	user token, RS256 ES256 EdDSA   the JWKS of the configured address
//	run token, gtrun_…              opaque, asked of the runs (see Runs)
//
// The algorithm in a token's header picks the source of keys, never the keys
// themselves: an HS256 token is never checked with a public key. A token's own
// `jku`, `jwk` and `x5u` are ignored; a `crit` header is refused.
//
// Every refusal is the same *graph.Error, whatever was wrong: a caller learns
// nothing about keys, issuers or users. What was wrong is its cause, for the log.
package auth

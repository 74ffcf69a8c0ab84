// Package schema compiles the types, edges, rights, rules, operations and
// projections of an application from YAML into an immutable registry.
//
// A document is read in one direction, and every value keeps its line:
//
//	text ──► node (document.go) ──► types, parents first (types.go, edges.go, access.go)
//	                            └─► rules, operations, projections ──► Registry
//
// What it promises: a document that is malformed gives all its faults, each
// with file, line, type and key; what compiles judges every body without a
// panic and with bounded work; nothing is ever opened or fetched. A Registry
// never changes and is shared between goroutines; Live swaps it whole.
//
// Bodies are JSON Schema 2020-12. Properties that use simple keywords alone are
// judged on their raw text (native.go), all others by the jsonschema library
// behind a guard (guard.go); the two agree.
package schema

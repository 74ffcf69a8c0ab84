// Package patch is RFC 6902 (JSON Patch) and RFC 6901 (JSON Pointer) over raw
// JSON text, to the letter, and the strict check of JSON text that has to come
// before: what passes Check can be given to any other library.
//
// Values are kept as the bytes that were written, so numbers keep their exact
// decimal form and objects the order of their keys. Inputs are never changed;
// results may share memory with them.
package patch

// Package access decides who may do what: it parses the access of objects and
// answers which rights a principal holds on an object in a state of a graph.
//
// A right is held if the object's own access names the principal (by user,
// team, org, or public), or through an inherit entry, if the principal holds
// the right on the object at the far end of an outbound edge of that label.
// Chains are followed up to 16 edges deep; a cycle gives nothing. `manage`
// implies every right; each right needs `read`; an admin has all. An object
// whose entry inherits and that has no such edge gives its creator the right.
//
// There are two evaluators, written apart on purpose: Walker remembers what it
// found and serves the computing of views; Direct judges one question from
// scratch and checks every answer again before it is sent.
package access

// Package protocol is the wire format of the websocket: it reads what clients
// send and writes what they get.
//
// A websocket message holds JSON objects, one per line; Split takes it apart.
// Decode reads one object of a client: exact field names, no field twice,
// fields and kinds that it does not know passed over. A fault that belongs to
// one subscription or one mutation comes back as a *Refusal, so that its answer
// can name it; every other fault is a *Malformed, and the connection is closed.
//
// What goes to clients is appended to byte slices by hand. Entities are encoded
// once and their bytes shared by all who receive them; nothing here changes a
// slice that it has given away.
//
// The files in testdata hold one message of every kind and form, as it is on
// the wire. The tests of the server and those of the JavaScript client both
// read them: changing one changes the protocol.
package protocol

// Subprotocol is what a websocket must offer and what it is answered.
const Subprotocol = "graphtide.v1"

// MaxMessage bounds a message of the server in bytes; a single entity that is
// larger travels in a message of its own.
const MaxMessage = 1 << 20

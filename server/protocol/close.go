package protocol

// CloseCode is the status of a websocket close frame.
type CloseCode int

// Codes up to CloseTooOld mean: do not come back unchanged. Those from
// CloseTooMany on mean: come back after a delay.
const (
	CloseNormal          CloseCode = 1000
	CloseBadMessage      CloseCode = 4400
	CloseUnauthenticated CloseCode = 4401 // come back with another token
	CloseForbidden       CloseCode = 4403 // the session is another user's
	CloseNoGraph         CloseCode = 4404
	CloseNoHello         CloseCode = 4408
	CloseReplaced        CloseCode = 4409
	CloseTooLarge        CloseCode = 4413
	CloseTooOld          CloseCode = 4426
	CloseTooMany         CloseCode = 4429
	CloseDraining        CloseCode = 4503
	CloseStalled         CloseCode = 4510
)

var closeReasons = map[CloseCode]string{
	CloseNormal:          "bye",
	CloseBadMessage:      "bad message",
	CloseUnauthenticated: "unauthenticated",
	CloseForbidden:       "the session belongs to another user",
	CloseNoGraph:         "no such graph",
	CloseNoHello:         "no hello in time",
	CloseReplaced:        "replaced by a newer connection of the session",
	CloseTooLarge:        "message too large",
	CloseTooOld:          "offer the subprotocol " + Subprotocol,
	CloseTooMany:         "too many messages or sessions; come back later",
	CloseDraining:        "draining",
	CloseStalled:         "stalled",
}

// Reason gives the text that travels with the code: fixed, and shorter than the
// 123 bytes that a close frame holds.
func (c CloseCode) Reason() string { return closeReasons[c] }

// Final reports whether a client that comes back unchanged will be refused again.
func (c CloseCode) Final() bool {
	return c >= CloseBadMessage && c <= CloseTooOld
}

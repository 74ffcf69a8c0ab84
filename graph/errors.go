package graph

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Code names a problem; the list is closed and public.
type Code string

// The codes, with their HTTP status in codes below.
const (
	CodeInvalidJSON       Code = "invalid-json"
	CodeInvalidPatch      Code = "invalid-patch"
	CodeInvalidProjection Code = "invalid-projection"
	CodeInvalidID         Code = "invalid-id"
	CodeInvalidVersion    Code = "invalid-version"
	CodeUnknownField      Code = "unknown-field"
	CodeInvalidSchema     Code = "invalid-schema"
	CodeUnauthenticated   Code = "unauthenticated"
	CodeForbidden         Code = "forbidden"
	CodeNotFound          Code = "not-found"
	CodeExists            Code = "exists"
	CodeTestFailed        Code = "test-failed"
	CodePathMissing       Code = "path-missing"
	CodeEdgeExists        Code = "edge-exists"
	CodeCardinality       Code = "cardinality"
	CodeRestricted        Code = "restricted"
	CodeMutationConflict  Code = "mutation-conflict"
	CodeUndoConflict      Code = "undo-conflict"
	CodeSchemaInUse       Code = "schema-in-use"
	CodeGone              Code = "gone"
	CodeVersionMismatch   Code = "version-mismatch"
	CodeTooLarge          Code = "too-large"
	CodeUnsupportedMedia  Code = "unsupported-media-type"
	CodeSchema            Code = "schema"
	CodeUnknownType       Code = "unknown-type"
	CodeAbstractType      Code = "abstract-type"
	CodeEdgeNotAllowed    Code = "edge-not-allowed"
	CodeEdgeRequired      Code = "edge-required"
	CodeTypeImmutable     Code = "type-immutable"
	CodeMetaImmutable     Code = "meta-immutable"
	CodeRateLimited       Code = "rate-limited"
	CodeUnavailable       Code = "unavailable"
	// CodeInternal is what a caller sees of a fault that is ours: no detail.
	CodeInternal Code = "internal"
	// CodeInvalidQuery answers a parameter of an address that cannot be read.
	CodeInvalidQuery Code = "invalid-query"
	// CodeMethodNotAllowed answers a known path under another method.
	CodeMethodNotAllowed Code = "method-not-allowed"
	// CodeUpgradeRequired answers a plain request where a websocket is served.
	CodeUpgradeRequired Code = "upgrade-required"
)

var codes = map[Code]struct {
	status int
	title  string
}{
	CodeInvalidJSON:       {400, "The text is not acceptable JSON"},
	CodeInvalidPatch:      {400, "The patch is malformed"},
	CodeInvalidProjection: {400, "The projection is malformed"},
	CodeInvalidID:         {400, "Not a valid id"},
	CodeInvalidVersion:    {400, "No such version"},
	CodeUnknownField:      {400, "Unknown field"},
	CodeInvalidSchema:     {400, "The schema is malformed"},
	CodeInvalidQuery:      {400, "The query is malformed"},
	CodeUnauthenticated:   {401, "A valid token is needed"},
	CodeForbidden:         {403, "The right is missing"},
	CodeNotFound:          {404, "Not found"},
	CodeExists:            {409, "The id is taken"},
	CodeTestFailed:        {409, "A test did not hold"},
	CodePathMissing:       {409, "The path does not exist"},
	CodeEdgeExists:        {409, "The edge exists"},
	CodeCardinality:       {409, "Too many edges"},
	CodeRestricted:        {409, "Another object forbids the deletion"},
	CodeMutationConflict:  {409, "The key was used for another patch"},
	CodeUndoConflict:      {409, "Later changes are in the way"},
	CodeSchemaInUse:       {409, "Stored data would break"},
	CodeGone:              {410, "Older than what history keeps"},
	CodeVersionMismatch:   {412, "The version differs"},
	CodeTooLarge:          {413, "Over a limit"},
	CodeUnsupportedMedia:  {415, "Unsupported media type"},
	CodeSchema:            {422, "The schema does not allow it"},
	CodeUnknownType:       {422, "Unknown type"},
	CodeAbstractType:      {422, "The type is abstract"},
	CodeEdgeNotAllowed:    {422, "The schema does not allow this edge"},
	CodeEdgeRequired:      {422, "A required edge is missing"},
	CodeTypeImmutable:     {422, "The type cannot be changed"},
	CodeMetaImmutable:     {422, "The meta data cannot be changed"},
	CodeRateLimited:       {429, "Too many requests"},
	CodeUnavailable:       {503, "Not available now"},
	CodeInternal:          {500, "Internal error"},
	CodeMethodNotAllowed:  {405, "Method not allowed"},
	CodeUpgradeRequired:   {426, "A websocket is needed"},
}

// Status gives the HTTP status of a code; 500 for one that is not in the list.
func (c Code) Status() int {
	if k, ok := codes[c]; ok {
		return k.status
	}
	return 500
}

// Title gives the short text of a code.
func (c Code) Title() string { return codes[c].title }

// Codes gives every code, in no order.
func Codes() []Code {
	out := make([]Code, 0, len(codes))
	for c := range codes {
		out = append(out, c)
	}
	return out
}

// Violation is one fault of a body, an access or a schema.
type Violation struct {
	Path    string `json:"path"`
	Message string `json:"message"`
}

// Conflict is a path changed since, and by which version.
type Conflict struct {
	Path    string  `json:"path"`
	Version Version `json:"version"`
}

// Offender is a stored entity that a new schema would make invalid.
type Offender struct {
	Graph  string      `json:"graph"`
	ID     string      `json:"id"`
	Type   string      `json:"type"`
	Errors []Violation `json:"errors"`
}

// Error is what a caller sees of a refusal. Anything else that is an error is
// internal, and its text stays with us. Err is the cause, for our log alone.
type Error struct {
	Code    Code
	Message string // detail: what is wrong and what mends it
	Path    string // JSON Pointer into the graph document or the request
	HasPath bool   // Path is set; "" is the whole document
	Op      *int   // index of the patch operation at fault

	Right     string // forbidden
	Limit     string // too-large
	Side      string // edge-not-allowed: from, to or both
	Actual    json.RawMessage
	Version   *Version // test-failed, version-mismatch: the version judged
	Conflicts []Conflict
	Errors    []Violation // schema, invalid-schema
	SchemaVer int64
	Count     int // schema-in-use
	Objects   []Offender

	RetryAfter time.Duration
	Err        error
}

// Error gives the code, the message and the path.
func (e *Error) Error() string {
	s := string(e.Code)
	if e.Message != "" {
		s += ": " + e.Message
	}
	if e.HasPath {
		s += " at " + fmt.Sprintf("%q", e.Path)
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is matches another *Error by code alone: errors.Is(err, &Error{Code: …}).
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// Errf makes an Error.
func Errf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// At sets the path and returns e.
func (e *Error) At(path string) *Error {
	e.Path, e.HasPath = path, true
	return e
}

// AtOp sets the index of the patch operation and returns e.
func (e *Error) AtOp(i int) *Error {
	e.Op = &i
	return e
}

// InvalidID refuses a text that is not a UUID.
func InvalidID(s string) *Error {
	if len(s) > 64 {
		s = s[:64] + "…"
	}
	return Errf(CodeInvalidID, "%q is not a UUID; write it as 8-4-4-4-12 hex digits", s)
}

// NotFound is the answer for what is absent and for what may not be read: the
// two cannot be told apart.
func NotFound(what string) *Error {
	return Errf(CodeNotFound, "there is no such %s, or you may not read it", what)
}

// TooLarge refuses what is over a limit.
func TooLarge(limit string, max int64, unit string) *Error {
	e := Errf(CodeTooLarge, "more than %d %s", max, unit)
	e.Limit = limit
	return e
}

// AsError gives the public error in err's chain; an error without one becomes
// CodeInternal with err as its cause.
func AsError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Code: CodeInternal, Message: "the server could not do this; its log says why", Err: err}
}

// CodeOf gives the code of err, "" for nil, CodeInternal for what is not public.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	return AsError(err).Code
}

// MarshalJSON gives the problem document of RFC 9457 with the extension members
// of the contract. Err is left out.
func (e *Error) MarshalJSON() ([]byte, error) {
	m := struct {
		Type          string          `json:"type"`
		Code          Code            `json:"code"`
		Title         string          `json:"title"`
		Status        int             `json:"status"`
		Detail        string          `json:"detail"`
		Path          *string         `json:"path,omitempty"`
		Op            *int            `json:"op,omitempty"`
		Right         string          `json:"right,omitempty"`
		Limit         string          `json:"limit,omitempty"`
		Side          string          `json:"side,omitempty"`
		Actual        json.RawMessage `json:"actual,omitempty"`
		Version       *Version        `json:"version,omitempty"`
		Conflicts     []Conflict      `json:"conflicts,omitempty"`
		Errors        []Violation     `json:"errors,omitempty"`
		SchemaVersion int64           `json:"schemaVersion,omitempty"`
		Count         int             `json:"count,omitempty"`
		Objects       []Offender      `json:"objects,omitempty"`
		RetryAfterMs  int64           `json:"retryAfterMs,omitempty"`
	}{
		Type: "urn:graphtide:problem:" + string(e.Code), Code: e.Code, Title: e.Code.Title(), Status: e.Code.Status(),
		Detail: e.Message, Op: e.Op, Right: e.Right, Limit: e.Limit, Side: e.Side, Actual: e.Actual,
		Version: e.Version, Conflicts: e.Conflicts, Errors: e.Errors, SchemaVersion: e.SchemaVer,
		Count: e.Count, Objects: e.Objects, RetryAfterMs: e.RetryAfter.Milliseconds(),
	}
	if e.HasPath {
		m.Path = &e.Path
	}
	return json.Marshal(m)
}

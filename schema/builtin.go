package schema

import "sync"

// builtinDocument declares the types that every schema has, in the language of
// schemas itself. Object opts in to the `target` edge, so that every object can
// have operations; both ends therefore meet the double opt-in.
//
// An operation that another one started is joined to it by `startedBy`, which
// the server writes: it ends with that one, goes with it, and who may see or
// cancel that one may see and cancel it too.
//
// What an OperationRequest may hold at creation, and who may change what, is
// the write path's affair: only the executor writes most of these properties.
const builtinDocument = `
graphtide: 1
types:
  Object:
    abstract: true
    edges:
      in:
        target: {from: OperationRequest, as: operations, needs: read}
  OperationRequest:
    properties:
      operation: {type: string, minLength: 1, maxLength: 200}
      params: {type: object, default: {}}
      status:
        type: array
        default: []
        items:
          type: object
          required: [at, level, message]
          additionalProperties: false
          properties:
            at: {type: string}
            level: {type: string}
            message: {type: string}
            progress: {type: [number, "null"]}
      progress: {type: [number, "null"], default: 0}
      expectedEnd: {type: string}
      done: {type: boolean, default: false}
      state: {enum: [pending, running, succeeded, failed, cancelled, timed-out], default: pending}
      result: {default: null}
      error: {type: [object, "null"], default: null}
      warnings: {type: array, default: []}
      cancel: {type: boolean, default: false}
    required: [operation]
    access:
      read: [user, {inherit: target}, {inherit: startedBy}]
      write: [user, {inherit: target}, {inherit: startedBy}]
    edges:
      out:
        target: {to: Object, max: 1}
        startedBy: {to: OperationRequest, max: 1, onDelete: cascade}
      in:
        startedBy: {from: OperationRequest, as: children}
    history: {snapshot: 20}
`

// The built-in types.
const (
	objectName    = "Object"
	operationName = "OperationRequest"
)

// builtinRoot parses the built-in document once.
var builtinRoot = sync.OnceValue(func() *node {
	f := newFaults("builtin", []byte(builtinDocument))
	n := parseDocument(f, []byte(builtinDocument))
	if err := f.err(); err != nil {
		panic(err)
	}
	return n
})

package postprocess

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"strings"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/postprocess/lambda"
	"github.com/graphtide/graphtide/postprocess/webhook"
	"github.com/graphtide/graphtide/schema"
)

// Call is what a handler written in Go gets.
type Call struct {
	// Event is what every handler gets, as JSON.
	Event json.RawMessage
	// Graph reads and writes as the run.
	Graph Graph
	// Operation is nil for a rule.
	Operation *Operation
}

// answer is what came of a handler that did not fail.
type answer struct {
	accepted bool            // it goes on by reports
	patch    json.RawMessage // to commit; nil for none
	result   json.RawMessage // of an operation; nil for none
	raw      json.RawMessage // as it came, for the record
}

// failure is why a handler failed, as users see it.
type failure struct {
	code      string
	message   string
	where     string // places in a script; for admins
	permanent bool   // trying again does not help
}

func (f *failure) Error() string { return f.message }

func failed(format string, args ...any) *failure {
	return &failure{code: "handler-failed", message: fmt.Sprintf(format, args...)}
}

// runError gives what is recorded of an error: refusals and failures as they
// are, anything else without its text.
func runError(err error) *graph.RunError {
	var f *failure
	var pub *graph.Error
	switch {
	case errors.As(err, &f):
		return &graph.RunError{Code: f.code, Message: clip(f.message), Where: clip(f.where)}
	case errors.As(err, &pub):
		return &graph.RunError{Code: string(pub.Code), Message: clip(pub.Error())}
	case errors.Is(err, errOrphaned):
		return &graph.RunError{Code: "parent-ended", Message: errOrphaned.Error()}
	case errors.Is(err, errCutOff):
		return &graph.RunError{Code: "cancelled", Message: errCutOff.Error()}
	}
	return &graph.RunError{Code: string(graph.CodeInternal), Message: "the server could not do this; its log says why"}
}

// handle calls the handler. What it gives once ctx has ended comes too late: a
// handler may return in whatever way when it is told to.
func (a *attempt) handle(ctx context.Context) (answer, error) {
	out, err := a.call(ctx)
	if err == nil && ctx.Err() != nil {
		return answer{}, context.Cause(ctx)
	}
	return out, err
}

func (a *attempt) call(ctx context.Context) (answer, error) {
	h := a.handler
	switch {
	case h.Script != "":
		return a.runScript(ctx, h.Script)
	case h.Webhook != "":
		return a.sendWebhook(ctx, h)
	case h.Go != "":
		return a.callGo(ctx, h.Go)
	case h.Lambda != "":
		return a.callLambda(ctx, h.Lambda)
	}
	return answer{}, &failure{code: "handler-failed", message: "the schema names no handler any more", permanent: true}
}

func (a *attempt) runScript(ctx context.Context, name string) (answer, error) {
	prog, err := a.svc.programs.get(a.registry, name)
	if err != nil {
		return answer{}, &failure{code: "handler-failed", message: "the handler's script cannot be read", where: err.Error()}
	}
	a.request = withMembers(a.event)
	raw, err := prog.Run(ctx, a.request, a.graph, a.operationForScript(), a.svc.cfg.Script)
	if err != nil {
		return answer{}, a.scriptError(ctx, err)
	}
	return readAnswer(raw)
}

func (a *attempt) callGo(ctx context.Context, name string) (out answer, err error) {
	fn := a.svc.cfg.Go[name]
	if fn == nil {
		return answer{}, failed("no handler %q is registered in this program", name)
	}
	defer func() {
		if x := recover(); x != nil {
			a.svc.cfg.Log.Error("a handler panicked", "handler", name, "run", a.run.ID, "panic", x)
			err = failed("the handler panicked")
		}
	}()
	a.request = withMembers(a.event)
	raw, err := fn(ctx, &Call{Event: a.request, Graph: Graph{a.graph}, Operation: a.operation})
	if err != nil {
		var f *failure
		var pub *graph.Error
		switch {
		case ctx.Err() != nil:
			return answer{}, context.Cause(ctx)
		case errors.As(err, &f) || errors.As(err, &pub):
			return answer{}, err
		}
		return answer{}, failed("%s", err)
	}
	return readAnswer(raw)
}

func (a *attempt) sendWebhook(ctx context.Context, h schema.Handler) (answer, error) {
	secret, err := a.svc.secret(h.Secret)
	if err != nil {
		return answer{}, err
	}
	a.request = withMembers(a.event, "url", a.url()) // recorded without the token
	body := withMembers(a.event, "url", a.url(), "token", a.token)
	res, err := a.svc.webhooks.Send(ctx, webhook.Message{URL: h.Webhook, Secret: secret, ID: a.run.ID, Body: body})
	var blocked *webhook.BlockedError
	switch {
	case errors.As(err, &blocked):
		return answer{}, &failure{code: "blocked-target", message: blocked.Error(), permanent: true}
	case err != nil && ctx.Err() != nil:
		return answer{}, context.Cause(ctx)
	case err != nil:
		return answer{}, failed("%s", err)
	case res.Status == 202:
		return answer{accepted: true, raw: storable(res.Body)}, nil
	}
	out, err := readAnswer(res.Body)
	if err != nil && !json.Valid(res.Body) && !namesJSON(res.Type) {
		// A body that is no JSON is a receiver's way to say "fine"; one that was to
		// be JSON may be a patch that was cut off.
		return answer{raw: storable(res.Body)}, nil
	}
	return out, err
}

// callLambda calls a function of AWS with what a webhook would get. Its answer
// may say {"accepted": true}, as a webhook's 202 does.
func (a *attempt) callLambda(ctx context.Context, function string) (answer, error) {
	a.request = withMembers(a.event, "url", a.url()) // recorded without the token
	raw, err := a.svc.lambda.Invoke(ctx, function, withMembers(a.event, "url", a.url(), "token", a.token))
	var refused *lambda.RefusedError
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return answer{}, context.Cause(ctx)
	case errors.As(err, &refused):
		a.svc.cfg.Log.Warn("a Lambda function could not be called", "function", function, "run", a.run.ID, "why", refused.Error(), "error", errors.Unwrap(refused))
		return answer{}, &failure{code: "handler-failed", message: refused.Error(), permanent: refused.Permanent}
	default:
		return answer{}, failed("%s", err)
	}
	out, err := readAnswer(raw)
	var more struct {
		Accepted bool `json:"accepted"`
	}
	if err == nil && json.Unmarshal(raw, &more) == nil {
		out.accepted = more.Accepted
	}
	return out, err
}

// url is where a handler on the network finds the graph.
func (a *attempt) url() string {
	if a.svc.cfg.PublicURL == "" {
		return ""
	}
	return a.svc.cfg.PublicURL + "/v1/graphs/" + a.run.GraphName
}

// readAnswer reads {"patch": […], "result": …}; anything else that is JSON is
// kept for the record and asks for nothing.
func readAnswer(raw json.RawMessage) (answer, error) {
	if len(raw) == 0 {
		return answer{}, nil
	}
	out := answer{raw: storable(raw)}
	var m map[string]json.RawMessage
	if json.Unmarshal(raw, &m) != nil {
		if !json.Valid(raw) {
			return out, failed("the answer is not JSON")
		}
		return out, nil
	}
	if p := m["patch"]; p != nil && string(p) != "null" {
		if p[0] != '[' {
			return out, failed("the answer's patch is not a list of operations")
		}
		out.patch = p
	}
	out.result = m["result"]
	return out, nil
}

// namesJSON reports whether a Content-Type is that of JSON.
func namesJSON(contentType string) bool {
	name, _, err := mime.ParseMediaType(contentType)
	return err == nil && (name == "application/json" || strings.HasSuffix(name, "+json"))
}

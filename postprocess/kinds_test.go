package postprocess

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/graphtide/graphtide/graph"
)

// Every kind of handler ends at its timeout, and after its grace once it was
// asked to stop, whether it looks or not.
func TestEveryKindOfHandlerEndsInTimeAndWhenAsked(t *testing.T) {
	t.Parallel()
	called := make(chan string, 100)
	// A webhook and a Lambda function that never answer.
	web := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // a server hears of a caller that is gone once the body is read
		called <- r.URL.Path
		<-r.Context().Done()
	}))
	t.Cleanup(web.Close)
	deaf := func(ctx context.Context, c *Call) (json.RawMessage, error) {
		called <- eventOf(t, c.Event).Rule
		<-ctx.Done()
		return nil, ctx.Err()
	}
	handlers := map[string]string{
		"script": `{script: deaf.js}`, "webhook": `{webhook: "` + web.URL + `"}`, "go": `{go: deaf}`, "lambda": `{lambda: deaf}`,
	}
	decls, rulesText := "", ""
	for kind, handler := range handlers {
		decls += kind + "-late: {handler: " + handler + ", timeout: 150ms, retries: 3}\n"
		decls += kind + "-asked: {handler: " + handler + ", timeout: 5m}\n"
		rulesText += "  " + kind + "-rule: {on: {object: Thing, events: [create]}, when: after.body.kind == '" + kind + "', handler: " + handler + ", timeout: 150ms, retries: 0}\n"
	}
	s := setup(t, operations(decls)+"rules:\n"+rulesText+scripts("deaf.js", `export default () => { for (;;) ; }`),
		map[string]GoHandler{"deaf": deaf}, func(c *Config) {
			c.CancelGrace = 50 * time.Millisecond
			c.Lambda.Endpoint = web.URL
			c.Lambda.Load = func(context.Context) (aws.Config, error) {
				return aws.Config{Region: "eu-central-1", Credentials: credentials.NewStaticCredentialsProvider("id", "secret", "")}, nil
			}
		})
	for kind := range handlers {
		b := s.waitDone(s.operation(kind+"-late", `{}`))
		if why, _ := b["error"].(map[string]any); b["state"] != "timed-out" || why["code"] != "timed-out" {
			t.Errorf("%s, too late: %v", kind, b)
		}
		id := s.operation(kind+"-asked", `{}`)
		if kind == "script" {
			s.waitBody(id, func(b map[string]any) bool { return b["state"] == "running" })
		} else {
			for who := ""; !strings.Contains(who, "asked") && who != "/" && !strings.Contains(who, "functions"); {
				who = take(t, called)
			}
		}
		s.set(id, "cancel", "true")
		if b := s.waitDone(id); b["state"] != "cancelled" {
			t.Errorf("%s, asked to stop: %v", kind, b)
		}
		s.create("Thing", `{"kind":"`+kind+`"}`)
		if run := s.waitState(kind+"-rule", graph.RunDead)[0]; run.Error == nil || run.Error.Code != "timed-out" {
			t.Errorf("%s, a rule: %+v", kind, run.Error)
		}
	}
}

// What a handler gives once it was cut off is not taken, however it returns.
func TestWhatAHandlerGivesAfterItsTimeIsNotTaken(t *testing.T) {
	t.Parallel()
	late := func(ctx context.Context, c *Call) (json.RawMessage, error) {
		<-ctx.Done()
		return json.RawMessage(`{"result":1,"patch":[{"op":"add","path":"/objects/` + newID() + `","value":{"type":"Thing","body":{"late":true}}}]}`), nil
	}
	s := setup(t, operations(`
late: {handler: {go: late}, timeout: 50ms}
asked: {handler: {go: late}}`)+`rules:
  follow: {on: {object: Thing, events: [create]}, handler: {go: late}, timeout: 50ms, retries: 0}
`, map[string]GoHandler{"late": late}, func(c *Config) { c.CancelGrace = time.Millisecond })
	if b := s.waitDone(s.operation("late", `{}`)); b["state"] != "timed-out" || b["result"] != nil {
		t.Errorf("too late: %v", b)
	}
	id := s.operation("asked", `{}`)
	s.waitBody(id, func(b map[string]any) bool { return b["state"] == "running" })
	s.set(id, "cancel", "true")
	if b := s.waitDone(id); b["state"] != "cancelled" || b["result"] != nil {
		t.Errorf("asked to stop: %v", b)
	}
	s.create("Thing", `{}`)
	if run := s.waitState("follow", graph.RunDead)[0]; run.Error.Code != "timed-out" {
		t.Errorf("a rule: %+v", run.Error)
	}
	for _, c := range s.log() {
		for i := range c.Changes {
			if o := c.Changes[i].ObjAfter; o != nil && strings.Contains(string(o.Body), `"late":true`) {
				t.Errorf("version %d was written too late", c.Version)
			}
		}
	}
}

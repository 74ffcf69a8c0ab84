package postprocess

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/graphtide/graphtide/graph"
)

const hookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// receiver is a webhook's other end; fn answers.
func receiver(t *testing.T, fn func(w http.ResponseWriter, e event)) string {
	t.Helper()
	wh, err := standardwebhooks.NewWebhook(hookSecret)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		if err := wh.Verify(body, r.Header); err != nil {
			t.Errorf("the signature: %v", err)
		}
		e := eventOf(t, body)
		if r.Header.Get("webhook-id") != e.Run {
			t.Errorf("the id is %s, not the run's", r.Header.Get("webhook-id"))
		}
		fn(w, e)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func hook(kind, on, url, more string) string {
	return things + kind + ":\n  hook:\n" + on + "    handler: {webhook: \"" + url + "\", secret: \"${env:HOOK_SECRET}\"}\n" + more
}

const onCreate = "    on: {object: Thing, events: [create]}\n"

func withSecret(c *Config) {
	c.Getenv = func(name string) (string, bool) { return hookSecret, name == "HOOK_SECRET" }
}

func TestWebhooksAreSignedAndAnswerWithAPatch(t *testing.T) {
	t.Parallel()
	var tries atomic.Int32
	url := receiver(t, func(w http.ResponseWriter, e event) {
		if tries.Add(1) == 1 {
			http.Error(w, "not now", http.StatusServiceUnavailable)
			return
		}
		if e.URL != "https://graphtide.test/v1/graphs/main" || !strings.HasPrefix(e.Token, graph.RunTokenPrefix) || e.Attempt != 2 {
			t.Errorf("the message is %+v", e)
		}
		fmt.Fprintf(w, `{"patch":[{"op":"add","path":"/objects/%s/body/hooked","value":true}]}`, e.Entity)
	})
	s := setup(t, hook("rules", onCreate, url, ""), nil, withSecret)
	id, _ := s.create("Thing", `{}`)
	s.waitBody(id, func(b map[string]any) bool { return b["hooked"] == true })
	run := s.waitState("hook", graph.RunSucceeded)[0]
	d, err := s.first.svc.Get(t.Context(), "main", &admin, run.ID)
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Attempts) != 2 || d.Attempts[0].Error == nil || !strings.Contains(d.Attempts[0].Error.Message, "not now") {
		t.Errorf("attempts %+v", d.Attempts)
	}
	if strings.Contains(string(d.Attempts[1].Request), graph.RunTokenPrefix) || !strings.Contains(string(d.Attempts[1].Request), e2id(id)) {
		t.Errorf("the request is recorded as %s", d.Attempts[1].Request)
	}
}

func e2id(id string) string { return `"entity":"` + id + `"` }

func TestAcceptedRunsGoOnByReports(t *testing.T) {
	t.Parallel()
	got := make(chan event, 2)
	url := receiver(t, func(w http.ResponseWriter, e event) {
		got <- e
		w.WriteHeader(http.StatusAccepted)
	})
	s := setup(t, hook("operations", "", url, ""), nil, withSecret, func(c *Config) { c.Lease = 200 * time.Millisecond })
	id := s.operation("hook", `{}`)
	e := take(t, got)
	s.waitRuns("hook", func(runs []*graph.Run) bool { return len(runs) == 1 && runs[0].Open })
	svc, ctx := s.first.svc, t.Context()
	ident, err := svc.Authenticate(ctx, "main", e.Token)
	if err != nil || ident.Author.User != "run:"+e.Run || !ident.Author.Admin || ident.Fence.Run != e.Run || ident.Fence.Attempt != 1 ||
		ident.Depth != 1 || ident.Cause.Run != e.Run || ident.Cause.Kind != graph.CauseOperation {
		t.Fatalf("the token stands for %+v, %v", ident, err)
	}
	report := func(body string) (*graph.RunDetail, error) {
		return svc.Report(ctx, "main", &ident.Author, ident, e.Run, []byte(body))
	}
	for _, body := range []string{`{"status":{"message":"half","progress":0.5}}`, `{"warn":{"message":"careful"}}`} {
		if d, err := report(body); err != nil || d.State != graph.RunRunning {
			t.Fatalf("%s gave %+v, %v", body, d, err)
		}
	}
	for body, want := range map[string]graph.Code{
		`{"status":`: graph.CodeInvalidJSON, `{}`: graph.CodeUnknownField, `{"what":1}`: graph.CodeUnknownField,
		`{"warn":{"message":"a"},"fail":{"message":"b"}}`:                                                    graph.CodeUnknownField,
		`{"complete":{"patch":[{"op":"remove","path":"/objects/` + id + `/body/nothing"}]}}`:                 graph.CodePathMissing,
		`{"complete":{"patch":[{"op":"test","path":"/objects/` + id + `/body/operation","value":"other"}]}}`: graph.CodeTestFailed,
	} {
		if _, err := report(body); graph.CodeOf(err) != want {
			t.Errorf("%s gave %v", body, err)
		}
	}
	d, err := report(`{"complete":{"result":{"n":1},"patch":[]}}`)
	if err != nil || d.State != graph.RunSucceeded {
		t.Fatalf("complete gave %+v, %v", d, err)
	}
	b := s.waitDone(id)
	if b["state"] != "succeeded" || fmt.Sprint(b["result"]) != "map[n:1]" || len(b["status"].([]any)) != 2 {
		t.Errorf("the operation is %v", b)
	}
	if _, err := svc.Authenticate(ctx, "main", e.Token); graph.CodeOf(err) != graph.CodeUnauthenticated {
		t.Errorf("the token outlived its attempt: %v", err)
	}
	if _, err := report(`{"fail":{"message":"late"}}`); graph.CodeOf(err) != graph.CodeTestFailed {
		t.Errorf("a late report gave %v", err)
	}
	for _, tok := range []string{"", "x", graph.RunTokenPrefix, graph.RunTokenPrefix + "AAAA", e.Token + "A", e.Token[:len(e.Token)-2] + "AA"} {
		if _, err := svc.Authenticate(ctx, "main", tok); graph.CodeOf(err) != graph.CodeUnauthenticated {
			t.Errorf("token %q gave %v", tok, err)
		}
	}
}

func TestAcceptedOperationsThatNobodyEndsTimeOut(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	calls := 0
	url := receiver(t, func(w http.ResponseWriter, _ event) {
		mu.Lock()
		calls++
		mu.Unlock()
		w.WriteHeader(http.StatusAccepted)
	})
	s := setup(t, hook("operations", "", url, "    timeout: 300ms\n"), nil, withSecret, func(c *Config) { c.Lease = 100 * time.Millisecond })
	b := s.waitDone(s.operation("hook", `{}`))
	mu.Lock()
	defer mu.Unlock()
	if b["state"] != "timed-out" || calls != 1 {
		t.Errorf("after %d calls the operation is %v", calls, b)
	}
	s.waitState("hook", graph.RunDead)
}

func TestReportsEndTheRunsOfRules(t *testing.T) {
	t.Parallel()
	got := make(chan event, 4)
	url := receiver(t, func(w http.ResponseWriter, e event) {
		got <- e
		w.WriteHeader(http.StatusAccepted)
	})
	s := setup(t, hook("rules", onCreate, url, "    retries: 1\n"), nil, withSecret)
	id, _ := s.create("Thing", `{}`)
	report := func(e event, body string) error {
		ident, err := s.first.svc.Authenticate(t.Context(), "main", e.Token)
		if err != nil {
			return err
		}
		_, err = s.first.svc.Report(t.Context(), "main", &ident.Author, ident, e.Run, []byte(body))
		return err
	}
	first := take(t, got)
	if err := report(first, `{"fail":{"message":"again, please"}}`); err != nil {
		t.Fatal(err)
	}
	again := take(t, got)
	if again.Attempt != 2 || again.Run != first.Run {
		t.Fatalf("called again with %+v", again)
	}
	if err := report(first, `{"complete":{}}`); graph.CodeOf(err) != graph.CodeUnauthenticated {
		t.Errorf("a report of an old attempt gave %v", err)
	}
	if err := report(again, `{"status":{"message":"noted"}}`); err != nil {
		t.Error(err)
	}
	if err := report(again, `{"complete":{"patch":[{"op":"add","path":"/objects/`+id+`/body/n","value":1}]}}`); err != nil {
		t.Fatal(err)
	}
	s.waitState("hook", graph.RunSucceeded)
	if s.body(id)["n"] != 1.0 {
		t.Errorf("the body is %v", s.body(id))
	}
}

func TestPrivateTargetsAreBlockedByDefault(t *testing.T) {
	t.Parallel()
	hit := atomic.Bool{}
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hit.Store(true) }))
	defer inside.Close()
	s := setup(t, hook("rules", onCreate, inside.URL, ""), nil, withSecret, func(c *Config) { c.AllowPrivateWebhooks = false })
	s.create("Thing", `{}`)
	run := s.waitState("hook", graph.RunDead)[0]
	if run.Error == nil || run.Error.Code != "blocked-target" || run.Attempt != 1 || hit.Load() {
		t.Errorf("the run is %+v, %+v", run, run.Error)
	}
}

func TestAMissingSecretSendsNothing(t *testing.T) {
	t.Parallel()
	hit := atomic.Bool{}
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hit.Store(true) }))
	defer inside.Close()
	s := setup(t, hook("rules", onCreate, inside.URL, "    retries: 0\n"), nil, func(c *Config) {
		c.Getenv = func(string) (string, bool) { return "", false }
	})
	s.create("Thing", `{}`)
	run := s.waitState("hook", graph.RunDead)[0]
	if run.Error == nil || !strings.Contains(run.Error.Message, "HOOK_SECRET") || hit.Load() {
		t.Errorf("the run ended with %+v", run.Error)
	}
}

// The retry promise holds for handlers that accept and say nothing more: so many
// calls, with doubling pauses, and an end that says what happened.
func TestAcceptedRunsOfRulesThatNobodyReportsAreRetriedAsFailed(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(testing.TB, string, map[string]GoHandler, ...option) *system{"memory": setup, "postgres": setupPostgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var calls atomic.Int32
			url := receiver(t, func(w http.ResponseWriter, _ event) {
				calls.Add(1)
				w.WriteHeader(http.StatusAccepted)
			})
			s := open(t, hook("rules", onCreate, url, "    timeout: 300ms\n    retries: 2\n"), nil, withSecret,
				func(c *Config) { c.RetryDelay = 100 * time.Millisecond })
			s.create("Thing", `{}`)
			run := s.waitState("hook", graph.RunDead)[0]
			d, err := s.first.svc.Get(t.Context(), "main", &admin, run.ID)
			if err != nil {
				t.Fatal(err)
			}
			if calls.Load() != 3 || len(d.Attempts) != 3 || d.Error == nil || d.Error.Code != "timed-out" {
				t.Fatalf("%d calls, %d attempts, and it ended with %+v", calls.Load(), len(d.Attempts), d.Error)
			}
			for i, a := range d.Attempts {
				if a.Error == nil || a.Error.Code != "timed-out" {
					t.Errorf("attempt %d ended with %+v", i+1, a.Error)
				}
				if i == 0 {
					continue
				}
				ended, err1 := time.Parse(time.RFC3339Nano, d.Attempts[i-1].EndedAt)
				began, err2 := time.Parse(time.RFC3339Nano, a.StartedAt)
				// Times are shown to the millisecond.
				if pause := 100 * time.Millisecond << (i - 1); err1 != nil || err2 != nil || began.Sub(ended) < pause-2*time.Millisecond {
					t.Errorf("attempt %d began %v after the one before, want %v", i+1, began.Sub(ended), pause)
				}
			}
		})
	}
}

// An answer that was to be JSON and is not may be a patch that was cut off.
func TestAWebhooksBrokenJSONIsAFailedAttempt(t *testing.T) {
	t.Parallel()
	var tries atomic.Int32
	url := receiver(t, func(w http.ResponseWriter, e event) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		text := fmt.Sprintf(`{"patch":[{"op":"add","path":"/objects/%s/body/hooked","value":true}]}`, e.Entity)
		if tries.Add(1) == 1 {
			text = text[:len(text)/2]
		}
		fmt.Fprint(w, text)
	})
	s := setup(t, hook("rules", onCreate, url, ""), nil, withSecret)
	id, _ := s.create("Thing", `{}`)
	s.waitBody(id, func(b map[string]any) bool { return b["hooked"] == true })
	if run := s.waitState("hook", graph.RunSucceeded)[0]; run.Attempt != 2 {
		t.Errorf("it took %d attempts", run.Attempt)
	}
}

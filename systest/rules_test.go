package systest

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// take waits for a delivery.
func take(t testing.TB, ch <-chan delivery) delivery {
	t.Helper()
	select {
	case d := <-ch:
		d.call.t = t
		return d
	case <-time.After(patience):
		t.Fatal("no delivery")
	}
	return delivery{}
}

// eventually asks again until the answer is yes.
func eventually(t testing.TB, what string, ask func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ask() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("never came: %s", what)
		}
	}
}

// runs gives the runs of a rule, oldest first.
func (w *world) runs(rule string) []value {
	w.t.Helper()
	l := w.as("root").get(w.path("/runs?rule=" + rule)).want(200).json().list("runs")
	for i, j := 0, len(l)-1; i < j; i, j = i+1, j-1 {
		l[i], l[j] = l[j], l[i]
	}
	return l
}

func TestWebhooks(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann := w.as("ann")
	calls := w.deliveries("watched")
	id := ann.create("Watched", `{"n":1}`)
	d := take(t, calls)
	c := d.call
	c.is("graph", f("%q", w.graph)).is("version", "1").is("rule", `"watched"`).is("event", `"create"`).is("entity", f("%q", id)).
		is("before", "null").is("after.body.n", "1").is("by", `"ann"`).is("attempt", "1").is("cause.kind", `"client"`)
	if c.str("run") == "" || c.str("token") == "" || !strings.HasPrefix(c.str("url"), "http") || !c.has("patch") {
		t.Errorf("%s", c)
	}
	// Signed after Standard Webhooks.
	key, err := base64.StdEncoding.DecodeString("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha256.New, key)
	io.WriteString(mac, d.header.Get("Webhook-Id")+"."+d.header.Get("Webhook-Timestamp")+".")
	mac.Write(d.raw)
	if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); d.header.Get("Webhook-Signature") != want || d.header.Get("Webhook-Id") == "" {
		t.Errorf("signature %q, want %q", d.header.Get("Webhook-Signature"), want)
	}
	ann.commit(f(`[{"op":"replace","path":"/objects/%s/body/n","value":2}]`, id))
	c = take(t, calls).call
	c.is("event", `"modify"`).is("before.body.n", "1").is("after.body.n", "2").is("version", "2")
	// `when`: silent ones are not told.
	ann.commit(f(`[{"op":"add","path":"/objects/%s/body/silent","value":true}]`, id))
	ann.commit(f(`[{"op":"remove","path":"/objects/%s/body/silent"}]`, id))
	c = take(t, calls).call
	c.is("version", "4").is("before.body.silent", "true")
	ann.commit(f(`[{"op":"remove","path":"/objects/%s"}]`, id))
	// `when` looks into `after`, which is null: it errors, and so does not match.
	id2 := ann.create("Watched", `{}`)
	c = take(t, calls).call
	c.is("entity", f("%q", id2))
	trace := w.as("root").get(w.path("/trace/5")).want(200)
	if !strings.Contains(string(trace.body), "watched") {
		t.Errorf("the trace says that the condition failed: %s", trace.body)
	}
	// The token dies with the attempt.
	dead := &client{t: t, w: w, url: w.url, token: d.call.str("token")}
	eventually(t, "the end of the token", func() bool { return dead.get(w.path("")).status == 401 })
}

func TestAWebhookAnswersWithAPatch(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann := w.as("ann")
	var calls atomic.Int32
	w.on("watched", func(rw http.ResponseWriter, d delivery) {
		calls.Add(1)
		body, _ := d.call.v.(map[string]any)["after"].(map[string]any)
		if body["body"].(map[string]any)["seen"] != nil {
			answerJSON(rw, 200, `{}`)
			return
		}
		answerJSON(rw, 200, f(`{"patch":[{"op":"add","path":"/objects/%s/body/seen","value":true}]}`, d.call.v.(map[string]any)["entity"]))
	})
	id := ann.create("Watched", `{"n":1}`)
	eventually(t, "the handler's patch", func() bool { return ann.object(id).json().has("body.seen") })
	run := w.runs("watched")[0]
	commit := ann.get(w.path("/log?since=1")).json().at("commits.0")
	commit.is("cause.kind", `"run"`).is("cause.version", "1").is("cause.run", f("%q", run.str("id"))).is("by", f(`"run:%s"`, run.str("id")))
	eventually(t, "the run's end", func() bool { return w.runs("watched")[0].str("state") == "succeeded" })
	r := w.as("root").get(w.path("/runs/" + run.str("id"))).want(200).json()
	r.is("rule", `"watched"`).is("version", "1").is("entity", f("%q", id)).is("state", `"succeeded"`)
	at := r.list("attempts")
	if len(at) != 1 || !strings.Contains(at[0].String(), "patch") {
		t.Errorf("one run has each attempt's times, request, answer and error: %s", r)
	}
	// Its own write is a second visit of the same rule to the same entity: stopped.
	eventually(t, "the stopped run", func() bool {
		for _, r := range w.runs("watched") {
			if r.str("state") == "stopped" {
				return true
			}
		}
		return false
	})
	trace := w.as("root").get(w.path("/trace/1")).want(200)
	if !strings.Contains(string(trace.body), run.str("id")) || !strings.Contains(string(trace.body), "stopped") {
		t.Errorf("the trace shows the runs and what they made: %s", trace.body)
	}
	same := w.as("root").get(w.path("/trace/2")).want(200)
	if !strings.Contains(string(same.body), run.str("id")) {
		t.Errorf("what caused it: %s", same.body)
	}
	if n := calls.Load(); n != 1 {
		t.Errorf("%d calls", n)
	}
	// Undo with what it caused.
	ann.post(w.path("/revert"), `{"versions":[1],"caused":true}`)
}

func TestRetriesAndTheEndOfThem(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann, root := w.as("ann"), w.as("root")
	var calls atomic.Int32
	healthy := make(chan struct{})
	w.on("retried", func(rw http.ResponseWriter, d delivery) {
		calls.Add(1)
		select {
		case <-healthy:
			answerJSON(rw, 200, `{}`)
		default:
			answerJSON(rw, 500, `{"no":1}`)
		}
	})
	id := ann.create("Retried", `{}`)
	eventually(t, "the dead run", func() bool {
		l := w.runs("retried")
		return len(l) == 1 && l[0].str("state") == "dead"
	})
	run := w.runs("retried")[0]
	run.is("entity", f("%q", id)).is("version", "1").is("attempts", "2")
	if n := calls.Load(); n != 2 {
		t.Errorf("%d calls, want the first and one retry", n)
	}
	l := root.get(w.path("/runs?state=dead")).want(200).json().list("runs")
	if len(l) != 1 {
		t.Errorf("%v", l)
	}
	if l := root.get(w.path("/runs?state=succeeded")).want(200).json().list("runs"); len(l) != 0 {
		t.Errorf("%v", l)
	}
	root.get(w.path("/runs?state=odd")).want(400)
	root.get(w.path("/runs/" + newID())).problem("not-found")
	root.get(w.path("/runs/x")).want(400)
	close(healthy)
	root.post(w.path("/runs/"+run.str("id")+"/retry"), "").want(200)
	eventually(t, "success", func() bool { return w.runs("retried")[0].str("state") == "succeeded" })
	if s := root.post(w.path("/runs/"+run.str("id")+"/cancel"), "").status; s < 400 {
		t.Errorf("a run that is over cannot be cancelled: %d", s)
	}
	if s := ann.post(w.path("/runs/"+run.str("id")+"/retry"), "").status; s != 403 && s != 404 {
		t.Errorf("a user may not retry: %d", s)
	}
}

func TestARunIsKeptOpenBy202AndReported(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann := w.as("ann")
	calls := make(chan delivery, 10)
	w.on("watched", func(rw http.ResponseWriter, d delivery) {
		rw.WriteHeader(202)
		calls <- d
	})
	id := ann.create("Watched", `{"n":1}`)
	d := take(t, calls)
	run := d.call.str("run")
	h := &client{t: t, w: w, url: w.url, token: d.call.str("token")}
	h.object(id).want(200) // all rights in that one graph
	if s := h.get("/v1/graphs/main").status; s != 401 && s != 404 {
		t.Errorf("another graph: %d", s)
	}
	path := w.path("/runs/" + run + "/report")
	h.post(path, `{"status":{"message":"half","progress":0.5}}`).want(200)
	h.post(path, `{"warn":{"message":"hm"}}`).want(200)
	for _, bad := range []string{`{}`, `{"shout":1}`, `[]`, `{"status":{"message":5}}`} {
		if s := h.post(path, bad).status; s < 400 || s > 422 {
			t.Errorf("%s: %d", bad, s)
		}
	}
	if s := ann.post(path, `{"status":{"message":"x"}}`).status; s != 403 && s != 404 && s != 401 {
		t.Errorf("a user reports: %d", s)
	}
	h.with("Idempotency-Key: mine").patch(f(`[{"op":"add","path":"/objects/%s/body/silent","value":1}]`, id)).want(200)
	ann.get(w.path("/log?since=1")).json().is("commits.0.cause.kind", `"run"`).is("commits.0.cause.run", f("%q", run))
	h.post(path, f(`{"complete":{"result":{"ok":true},"patch":[{"op":"add","path":"/objects/%s/body/done","value":true}]}}`, id)).want(200)
	eventually(t, "the end", func() bool { return w.runs("watched")[0].str("state") == "succeeded" })
	ann.object(id).json().is("body.done", "true")
	h.get(w.path("")).want(401)
}

func TestRulesOnEdges(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann := w.as("ann")
	calls := w.deliveries("hooked-to")
	a, b := ann.create("Hooked", `{}`), ann.create("Watched", `{"silent":true}`)
	e := ann.link("hookedTo", a, b)
	take(t, calls).call.is("event", `"create"`).is("entity", f("%q", e)).is("after.label", `"hookedTo"`).is("after.from", f("%q", a)).is("before", "null")
	ann.commit(f(`[{"op":"remove","path":"/objects/%s"}]`, a))
	take(t, calls).call.is("event", `"delete"`).is("entity", f("%q", e)).is("before.to", f("%q", b)).is("after", "null")
}

func TestDeliveryIsInVersionOrderPerEntity(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann := w.as("ann")
	calls := w.deliveries("watched")
	const each = 15
	ids := []string{ann.create("Watched", `{"n":0}`), ann.create("Watched", `{"n":0}`)}
	for i := range each {
		for j, id := range ids {
			ann.on([]string{w.url, w.other}[(i+j)%2]).commit(f(`[{"op":"replace","path":"/objects/%s/body/n","value":%d}]`, id, i+1))
		}
	}
	last := map[string]int{}
	for range len(ids) * (each + 1) {
		c := take(t, calls).call
		id, v := c.str("entity"), c.int("version")
		if v <= last[id] {
			t.Errorf("%s at %d after %d", id, v, last[id])
		}
		last[id] = v
	}
}

func TestScriptHandlers(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann := w.as("ann")
	store, sch, se := ann.create("DataStore", `{"name":"s"}`), newID(), newID()
	ann.commit(f(`[{"op":"add","path":"/objects/%[1]s","value":{"type":"Schema","body":{"columns":[{"key":"a"},{"key":"b"}]}}},{"op":"add","path":"/edges/%[2]s","value":{"label":"schemaOf","from":"%[1]s","to":"%[3]s"}}]`, sch, se, store))
	var records []string
	for range 3 {
		r := newID()
		ann.commit(f(`[{"op":"add","path":"/objects/%[1]s","value":{"type":"Record","body":{"values":{"a":1,"b":2}}}},{"op":"add","path":"/edges/%[2]s","value":{"label":"dataStore","from":"%[1]s","to":"%[3]s"}}]`, r, newID(), store))
		records = append(records, r)
	}
	v := ann.commit(f(`[{"op":"remove","path":"/objects/%s/body/columns/0"}]`, sch))
	eventually(t, "the rule's clean-up", func() bool { return ann.head() > v })
	for _, r := range records {
		ann.object(r).json().is("body.values", `{"b":2}`)
	}
	ann.get(w.path(f("/log?since=%d", v))).json().is("commits.0.cause.kind", `"run"`).is("commits.0.cause.version", f("%d", v))
	// A column added does not fire it.
	ann.commit(f(`[{"op":"add","path":"/objects/%s/body/columns/-","value":{"key":"c"}}]`, sch))
	if n := len(w.runs("column-removed")); n != 1 {
		t.Errorf("%d runs", n)
	}
	// Undo with all that it caused, in one step.
	ann.post(w.path("/revert"), f(`{"versions":[%d],"caused":true}`, v)).problem("undo-conflict") // the columns have changed since
}

func TestChainsStop(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann := w.as("ann")
	ids := make([]string, 21)
	for i := range ids {
		ids[i] = newID()
	}
	quoted := `["` + strings.Join(ids, `","`) + `"]`
	ann.create("Deep", f(`{"n":0,"ids":%s}`, quoted))
	eventually(t, "the stopped run", func() bool {
		for _, r := range w.runs("deep") {
			if r.str("state") == "stopped" {
				return true
			}
		}
		return false
	})
	// Eight runs in line after the first commit.
	if got := ann.head(); got != 9 {
		t.Errorf("%d commits, want the first and those of eight runs", got)
	}
	id := ann.create("Chained", `{"n":0}`)
	ann.commit(f(`[{"op":"replace","path":"/objects/%s/body/n","value":1}]`, id))
	eventually(t, "the run stopped at its second visit", func() bool {
		for _, r := range w.runs("chained") {
			if r.str("state") == "stopped" {
				return true
			}
		}
		return false
	})
	ann.object(id).json().is("body.n", "2")
}

func TestAHandlerAsTheUser(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann, bob := w.as("ann"), w.as("bob")
	open, closed := ann.create("Doc", `{}`), ann.create("Private", `{}`)
	bob.create("AsUser", f(`{"other":%q}`, open))
	bob.create("AsUser", f(`{"other":%q}`, closed))
	eventually(t, "both runs", func() bool {
		l := w.runs("as-user")
		return len(l) == 2 && l[0].str("state") == "succeeded" && l[1].str("state") == "dead"
	})
	ann.object(open).json().is("body.seen", "true")
	if ann.object(closed).json().has("body.seen") {
		t.Error("the handler had more rights than bob")
	}
}

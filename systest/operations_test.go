package systest

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// request asks for an operation and gives the id of its OperationRequest.
func (c *client) request(body, target string) string {
	c.t.Helper()
	id := newID()
	c.patch(requestOps(id, body, target)).want(200)
	return id
}

func requestOps(id, body, target string) string {
	ops := f(`{"op":"add","path":"/objects/%s","value":{"type":"OperationRequest","body":%s}}`, id, body)
	if target != "" {
		ops += f(`,{"op":"add","path":"/edges/%s","value":{"label":"target","from":"%s","to":"%s"}}`, newID(), id, target)
	}
	return "[" + ops + "]"
}

// ended waits for the operation's end and gives its body.
func (c *client) ended(id string) value {
	c.t.Helper()
	var b value
	eventually(c.t, "the operation's end", func() bool {
		b = c.object(id).want(200).json().at("body")
		s := b.str("state")
		return s != "pending" && s != "running"
	})
	return b
}

func TestAnOperation(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann := w.as("ann")
	store := ann.create("DataStore", `{"name":"s"}`)
	s := w.dial(t, "bob") // who may read the target sees the operation
	s.sub("s1", f(`"projection":{"root":%q,"in":{"target":{}}}`, store))
	id := ann.request(`{"operation":"job","params":{"project":"X"}}`, store)
	b := ann.ended(id)
	b.is("state", `"succeeded"`).is("operation", `"job"`).is("params", `{"project":"X"}`).is("result", `{"project":"X"}`).is("done", "true")
	b.is("warnings", `["look out"]`)
	levels := map[string]bool{}
	var messages []string
	for _, st := range b.list("status") {
		if at, err := time.Parse(time.RFC3339, st.str("at")); err != nil || time.Since(at) > time.Minute {
			t.Errorf("at: %s", st)
		}
		levels[st.str("level")] = true
		messages = append(messages, st.str("message"))
	}
	if all := strings.Join(messages, ","); !strings.Contains(all, "begun") || !strings.Contains(all, "look out") || !strings.Contains(all, "nearly") || len(levels) < 2 {
		t.Errorf("status: %s", b)
	}
	s.reach(ann.head())
	s.view("s1").body(t, id).is("state", `"succeeded"`)
	w.as("cat").object(id).problem("not-found")
	for _, c := range ann.log() {
		if c.int("version") > 2 {
			c.is("cause.kind", `"operation"`)
		}
	}
	// Terminal: nothing changes it any more.
	ann.patch(f(`[{"op":"add","path":"/objects/%s/body/cancel","value":true}]`, id))
	if got := ann.object(id).json().str("body.state"); got != "succeeded" {
		t.Errorf("state %s", got)
	}
}

func TestHowOperationsEnd(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann := w.as("ann")
	store := ann.create("DataStore", `{"name":"s"}`)

	b := ann.ended(ann.request(`{"operation":"job","params":{"fail":true}}`, store))
	b.is("state", `"failed"`).is("done", "true")
	if !strings.Contains(b.at("error").String(), "as asked") || b.str("error.code") == "" {
		t.Errorf("error is a problem: %s", b)
	}

	id := ann.request(`{"operation":"job","params":{"wait":true}}`, store)
	eventually(t, "its start", func() bool { return ann.object(id).json().str("body.state") == "running" })
	w.as("dan").patch(f(`[{"op":"add","path":"/objects/%s/body/cancel","value":true}]`, id))
	ann.patch(f(`[{"op":"add","path":"/objects/%s/body/cancel","value":true}]`, id)).want(200)
	ann.ended(id).is("state", `"cancelled"`)

	b = ann.ended(ann.request(`{"operation":"slow"}`, ""))
	b.is("state", `"timed-out"`).is("done", "true")

	b = ann.ended(ann.request(`{"operation":"deny"}`, store)) // returns without a verdict
	b.is("state", `"succeeded"`)
}

func TestAnOperationByWebhook(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann := w.as("ann")
	calls := make(chan delivery, 10)
	w.on("hook-job", func(rw http.ResponseWriter, d delivery) {
		rw.WriteHeader(202)
		calls <- d
	})
	id := ann.request(`{"operation":"hook-job","params":{"n":7}}`, "")
	d := take(t, calls)
	d.call.is("after.body.params.n", "7").is("entity", f("%q", id))
	h := &client{t: t, w: w, url: w.url, token: d.call.str("token")}
	path := w.path("/runs/" + d.call.str("run") + "/report")
	h.post(path, `{"status":{"message":"half","progress":0.5}}`).want(200)
	eventually(t, "the progress", func() bool {
		b := ann.object(id).json().at("body")
		p, ok := b.find("progress")
		return ok && value{t, p}.String() == "0.5"
	})
	// That it runs is written beside the handler, who may have reported before.
	eventually(t, "its state", func() bool { return ann.object(id).json().str("body.state") == "running" })
	fresh := newID()
	h.post(path, f(`{"complete":{"result":{"sum":1},"patch":[{"op":"add","path":"/objects/%s","value":{"type":"Doc","body":{},"access":{"read":{"public":true}}}}]}}`, fresh)).want(200)
	ann.ended(id).is("state", `"succeeded"`).is("result", `{"sum":1}`).is("progress", "1")
	// The result is committed together with the changes it describes.
	v := ann.object(fresh).want(200).json().int("meta.createdVersion")
	ann.get(w.path(f("/objects/%s?at=%d", id, v))).want(200).json().is("body.state", `"succeeded"`)
	ann.get(w.path(f("/objects/%s?at=%d", id, v-1))).want(200).json().is("body.state", `"running"`)
	if s := h.post(path, `{"fail":{"message":"late"}}`).status; s < 400 {
		t.Errorf("a report after the end: %d", s)
	}
	id = ann.request(`{"operation":"hook-job","params":{"n":8}}`, "")
	d = take(t, calls)
	h.token = d.call.str("token")
	h.post(w.path("/runs/"+d.call.str("run")+"/report"), `{"fail":{"message":"sorry"}}`).want(200)
	ann.ended(id).is("state", `"failed"`)
}

func TestForgedOperations(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann := w.as("ann")
	store := ann.create("DataStore", `{"name":"s"}`)
	doc := ann.create("Doc", `{}`)
	for name, c := range map[string]struct{ body, target, code string }{
		"an unknown operation":       {`{"operation":"unheard"}`, "", "-"},
		"no operation":               {`{}`, "", "-"},
		"bad params":                 {`{"operation":"job","params":{"project":5}}`, store, "schema"},
		"unknown params":             {`{"operation":"job","params":{"x":1}}`, store, "schema"},
		"done":                       {`{"operation":"job","done":true}`, store, "forbidden"},
		"state":                      {`{"operation":"job","state":"succeeded"}`, store, "forbidden"},
		"result":                     {`{"operation":"job","result":{}}`, store, "forbidden"},
		"status":                     {`{"operation":"job","status":[]}`, store, "forbidden"},
		"progress":                   {`{"operation":"job","progress":1}`, store, "forbidden"},
		"error":                      {`{"operation":"job","error":null}`, store, "forbidden"},
		"warnings":                   {`{"operation":"job","warnings":1}`, store, "forbidden"},
		"a target of another type":   {`{"operation":"job"}`, doc, "-"},
		"a target that is not there": {`{"operation":"job"}`, newID(), "not-found"},
		"without its target":         {`{"operation":"job"}`, "", "-"},
	} {
		a := ann.patch(requestOps(newID(), c.body, c.target))
		if c.code == "-" && (a.status < 400 || a.status > 422) || c.code != "-" && (a.status != statuses[c.code] || a.str("code") != c.code) {
			t.Errorf("%s: %v", name, a)
		}
	}
	// needs: write on the target.
	w.as("bob").patch(requestOps(newID(), `{"operation":"deny"}`, store)).problem("forbidden")
	w.as("cat").patch(requestOps(newID(), `{"operation":"deny"}`, store)).problem("not-found")

	id := ann.request(`{"operation":"job","params":{"wait":true,"project":"p"}}`, store)
	for _, op := range []string{
		`{"op":"replace","path":"/objects/ID/body/state","value":"succeeded"}`,
		`{"op":"add","path":"/objects/ID/body/done","value":true}`,
		`{"op":"add","path":"/objects/ID/body/result","value":{"forged":true}}`,
		`{"op":"add","path":"/objects/ID/body/status/-","value":{"message":"x"}}`,
		`{"op":"replace","path":"/objects/ID/body/params","value":{"project":"q"}}`,
		`{"op":"replace","path":"/objects/ID/body/operation","value":"slow"}`,
		`{"op":"replace","path":"/objects/ID/body","value":{"operation":"job","cancel":true}}`,
		`{"op":"add","path":"/objects/ID/body/progress","value":1}`,
		`{"op":"add","path":"/objects/ID/body/error","value":{"code":"x"}}`,
		`{"op":"add","path":"/objects/ID/body/warnings","value":3}`,
	} {
		for _, c := range []*client{ann, w.as("root")} {
			if a := c.patch("[" + strings.ReplaceAll(op, "ID", id) + "]"); a.status != 403 {
				t.Errorf("%s as %s: %v", op, c.user, a)
			}
		}
	}
	// Hidden ones cannot be cancelled by those who may not.
	w.as("cat").patch(f(`[{"op":"add","path":"/objects/%s/body/cancel","value":true}]`, id)).problem("not-found")
	ann.patch(f(`[{"op":"add","path":"/objects/%s/body/cancel","value":true}]`, id)).want(200)
	ann.ended(id).is("state", `"cancelled"`).is("params.project", `"p"`)
}

func TestADeletedOperationRequestEnds(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann := w.as("ann")
	store := ann.create("DataStore", `{"name":"s"}`)
	id := ann.request(`{"operation":"job","params":{"wait":true}}`, store)
	eventually(t, "its start", func() bool { return ann.object(id).json().str("body.state") == "running" })
	a := ann.patch(f(`[{"op":"remove","path":"/objects/%s"}]`, id))
	if a.status >= 500 {
		t.Fatalf("%v", a)
	}
	if a.status == 200 {
		eventually(t, "the run's end", func() bool {
			for _, r := range w.as("root").get(w.path("/runs")).want(200).json().list("runs") {
				if s := r.str("state"); s == "running" || s == "pending" || s == "retrying" {
					return false
				}
			}
			return true
		})
	}
}

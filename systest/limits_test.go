package systest

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/graphtide/graphtide/internal/node"
)

func TestLimits(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann := w.as("ann")
	id := ann.create("Doc", `{"l":[]}`)
	limit := func(name string, a *answer) {
		t.Helper()
		p := a.problem("too-large")
		if p.str("limit") == "" {
			t.Errorf("%s: `limit` names it: %s", name, p)
		}
	}
	op := f(`{"op":"test","path":"/objects/%s/body/l","value":[]}`, id)
	ann.patch("[" + strings.Repeat(op+",", 999) + op + "]").want(200)
	limit("operations", ann.patch("["+strings.Repeat(op+",", 1000)+op+"]"))
	limit("bytes", ann.patch(f(`[{"op":"add","path":"/objects/%s/body/x","value":%q}]`, id, strings.Repeat("x", 1<<20))))
	limit("body", ann.patch(f(`[{"op":"add","path":"/objects/%s/body/x","value":%q}]`, id, strings.Repeat("x", 600<<10))))
	ann.patch(f(`[{"op":"add","path":"/objects/%s/body/x","value":%q}]`, id, strings.Repeat("x", 500<<10))).want(200)
	limit("body, grown", ann.patch(f(`[{"op":"add","path":"/objects/%s/body/y","value":%q}]`, id, strings.Repeat("x", 100<<10))))
	ann.commit(f(`[{"op":"remove","path":"/objects/%s/body/x"}]`, id))
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	ann.patch(f(`[{"op":"add","path":"/objects/%s/body/d","value":%s}]`, id, deep(63))).want(200)
	limit("depth", ann.patch(f(`[{"op":"add","path":"/objects/%s/body/d","value":%s}]`, id, deep(64))))
	limit("depth by moves", ann.patch(f(`[{"op":"add","path":"/objects/%[1]s/body/e","value":{"x":1}},{"op":"copy","from":"/objects/%[1]s/body/d","path":"/objects/%[1]s/body/e/x"}]`, id)))
	for _, n := range []int{1000, 100000, 400000} {
		if a := ann.patch(f(`[{"op":"add","path":"/objects/%s/body/d","value":%s}]`, id, deep(n))); a.status != 413 && a.status != 400 {
			t.Errorf("%d levels: %d", n, a.status)
		}
	}

	// Copies that grow without end.
	var bomb []string
	bomb = append(bomb, f(`{"op":"add","path":"/objects/%s/body/b","value":{"a":%q}}`, id, strings.Repeat("x", 100)))
	for range 25 {
		bomb = append(bomb, f(`{"op":"copy","from":"/objects/%[1]s/body/b","path":"/objects/%[1]s/body/b/n"}`, id), f(`{"op":"copy","from":"/objects/%[1]s/body/b","path":"/objects/%[1]s/body/b/m"}`, id))
	}
	a := ann.patch("[" + strings.Join(bomb, ",") + "]")
	if a.status != 413 {
		t.Errorf("%d", a.status)
	}
	// A thousand inserts at the front, and a key of a million letters.
	var front []string
	for range 1000 {
		front = append(front, f(`{"op":"add","path":"/objects/%s/body/l/0","value":1}`, id))
	}
	ann.patch("[" + strings.Join(front, ",") + "]").want(200)
	if a := ann.patch(f(`[{"op":"add","path":"/objects/%s/body/%s","value":1}]`, id, strings.Repeat("k", 1000000))); a.status >= 500 {
		t.Errorf("%v", a.status)
	}
	if a := ann.patch(f(`[{"op":"add","path":"/objects/%s/body%s","value":1}]`, id, strings.Repeat("/a", 400000))); a.status != 409 && a.status != 413 && a.status != 400 {
		t.Errorf("%v", a.status)
	}
	limit("a hundred megabytes", ann.do("PATCH", w.path(""), patchType, strings.Repeat(" ", 100<<20)))
	limit("a large projection", ann.do("POST", w.path("/load"), "application/json", strings.Repeat(" ", 20<<20)))
	ann.object(id).want(200)
}

func TestSubscriptionsOfASession(t *testing.T) {
	t.Parallel()
	w := setup(t)
	s := w.dial(t, "ann")
	for i := range 100 {
		s.sub(f("s%d", i), `"projection":{"root":{"type":"Doc"}}`)
	}
	s.send(`{"t":"sub","sub":"more","projection":{"root":{"type":"Doc"}}}`)
	s.refused("more", "too-large")
	s.send(`{"t":"unsub","sub":"s0"}`)
	s.sub("more", `"projection":{"root":{"type":"Doc"}}`)
}

func TestLimitsAreOptions(t *testing.T) {
	t.Parallel()
	w := ownNode(t, `{"graphtide":1,"types":{"Doc":{"open":true,"access":{"read":["public"],"write":["public"]},"edges":{"out":{"up":{"to":"Doc","onDelete":"cascade"}},"in":{"up":{"from":"Doc","as":"downs"}}}}}}`, func(c *node.Config) {
		c.Server.Limits.Operations = 60
		c.Server.Limits.Touched = 20
		c.Server.Limits.ViewEntities = 30
		c.Server.Limits.Candidates = 25
		c.Server.Rate, c.Server.RateBurst = 1, 150
	})
	ann := w.as("ann")
	ann.token = mintToken("ann", time.Hour, "graphs=main")
	op := func(id string) string {
		return f(`{"op":"add","path":"/objects/%s","value":{"type":"Doc","body":{}}}`, id)
	}
	var ids, ops []string
	for range 40 {
		ids = append(ids, newID())
		ops = append(ops, op(ids[len(ids)-1]))
	}
	if p := ann.patch("[" + strings.Join(ops[:21], ",") + "]").problem("too-large"); p.str("limit") == "" {
		t.Errorf("%s", p)
	}
	ann.commit("[" + strings.Join(ops[:20], ",") + "]")
	ann.load(`{"root":{"type":"Doc"}}`).want(200)
	ann.commit("[" + strings.Join(ops[20:40], ",") + "]")
	ann.load(`{"root":{"type":"Doc"}}`).problem("too-large")
	ann.load(`{"root":{"type":"Doc","where":{"x":1}}}`).problem("too-large")
	s := w.dialGraph(t, "main", ann.token)
	s.send(`{"t":"sub","sub":"s","projection":{"root":{"type":"Doc"}}}`)
	s.refused("s", "too-large")
	s.welcome.is("limits.viewEntities", "30").is("limits.operations", "60")
	// A cascade counts, edges too.
	for i := range 11 {
		ann.link("up", ids[i+1], ids[0])
	}
	ann.patch(f(`[{"op":"remove","path":"/objects/%s"}]`, ids[0])).problem("too-large")
	ann.object(ids[0]).want(200)
	// A user who asks too much too fast.
	var limited *answer
	for range 300 {
		if a := ann.get(w.path("")); a.status == 429 {
			limited = a
			break
		}
	}
	if limited == nil {
		t.Fatal("never limited")
	}
	p := limited.problem("rate-limited")
	if limited.header.Get("Retry-After") == "" || p.int("retryAfterMs") <= 0 {
		t.Errorf("%v", limited)
	}
	bob := w.as("bob")
	bob.token = mintToken("bob", time.Hour, "graphs=main")
	bob.get(w.path("")).want(200)
}

func TestHostileHTTP(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann := w.as("ann")
	id := ann.create("Doc", `{"n":1}`)
	// Media types and encodings.
	for _, kind := range []string{"", "application/json", "text/plain", "application/merge-patch+json", "application/x-www-form-urlencoded", "multipart/form-data"} {
		ann.do("PATCH", w.path(""), kind, "[]").problem("unsupported-media-type")
	}
	ann.do("PATCH", w.path(""), patchType+"; charset=utf-8", "[]").want(200)
	ann.with("Content-Encoding: gzip").patch("[]").problem("unsupported-media-type")
	ann.do("POST", w.path("/load"), "text/plain", `{"root":{"type":"Doc"}}`).problem("unsupported-media-type")
	// Methods and paths that are none.
	for _, method := range []string{"TRACE", "CONNECTX", "PUT", "POST", "DELETE"} {
		a := ann.do(method, w.path("/objects/"+id), "", "")
		if a.status != 405 && a.status != 404 {
			t.Errorf("%s: %v", method, a)
		}
	}
	for _, path := range []string{"/", "/v1", "/v1/", "/v1/graphs/x/y/z", "/v2/graphs", "/debug/pprof", "/debug/pprof/heap", "/.git/config", "/v1/graphs/../../etc/passwd", "/v1/graphs/%2e%2e", "/v1/graphs/main%00", "/v1/graphs/" + strings.Repeat("a", 5000), w.path("/objects/"), w.path("/objects/x"), w.path("/objects/%00"), w.path("/objects/" + strings.Repeat("f", 4000)), w.path("/trace/x"), w.path("/trace/999"), w.path("/trace/-1")} {
		a := ann.get(path)
		if a.status < 300 || a.status >= 500 {
			t.Errorf("%s: %v", path, a.status)
		}
		if strings.Contains(string(a.body), "goroutine") || strings.Contains(string(a.body), ".go:") {
			t.Errorf("%s: %s", path, a.body)
		}
	}
	// Ids of every form.
	for _, bad := range []string{"0", "00000000", strings.ToUpper(id) + "0", "{" + id + "}", "urn:uuid:" + id, strings.ReplaceAll(id, "-", ""), id[:35], "g" + id[1:], "' OR 1=1", id + "%00"} {
		if a := ann.get(w.path("/objects/" + strings.ReplaceAll(bad, " ", "%20"))); a.status != 400 && a.status != 404 {
			t.Errorf("%s: %v", bad, a)
		}
	}
	if a := ann.object(strings.ToUpper(id)); a.status == 200 && a.str("id") != id {
		t.Errorf("%v", a)
	}
	// Any version of UUID may be chosen.
	for _, u := range []string{"00000000-0000-1000-8000-000000000001", "c232ab00-9414-11ec-b3c8-9f6bdeced846", "5df41881-3aed-3515-88a7-2f4a814cf09e", "919108f7-52d1-4320-9bac-f847db4148a8", "2ed6657d-e927-568b-95e1-2665a8aea6a2", "1ec9414c-232a-6b00-b3c8-9f6bdeced846", "017f22e2-79b0-7cc3-98c4-dc0c0c07398f", "2489e9ad-2ee2-8e00-8ec9-32d5f69181c0"} {
		ann.commit(f(`[{"op":"add","path":"/objects/%s","value":{"type":"Doc","body":{}}}]`, u))
		ann.object(u).want(200).json().is("id", f("%q", u))
	}
	// Look-alikes of members, and cases.
	for _, path := range []string{"/Objects/" + id, "/OBJECTS/" + id + "/body/x", "/objects/" + id + "/Body/x", "/objects/" + id + "/body\u200b/x", "/objects/" + id + "/_body/x", "/оbjects/" + id, "/objects/" + id + "/body/../meta", "/objects//" + id} {
		a := ann.patch(f(`[{"op":"add","path":%q,"value":1}]`, path))
		if a.status == 200 && !strings.Contains(path, "/body/../") || a.status >= 500 {
			t.Errorf("%s: %v", path, a)
		}
	}
	for _, ops := range []string{`[{"OP":"remove","path":"/objects/` + id + `"}]`, `[{"op":"remove","Path":"/objects/` + id + `"}]`, `[{"op":"add","path":"/objects/` + newID() + `","value":{"Type":"Doc","body":{}}}]`} {
		if a := ann.patch(ops); a.status == 200 {
			t.Errorf("%s: %v", ops, a)
		}
	}
	// Every answer says how it is to be read, and none is cached or framed.
	for _, a := range []*answer{ann.object(id), ann.object(newID()), ann.get("/version"), ann.get("/nothing")} {
		if a.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%v %v", a, a.header)
		}
	}
	if cc := ann.object(id).header.Get("Cache-Control"); !strings.Contains(cc, "no-cache") && !strings.Contains(cc, "no-store") && !strings.Contains(cc, "private") {
		t.Errorf("Cache-Control %q", cc)
	}
	// Pages of other origins.
	a := ann.with("Origin: https://evil.example.com").object(id)
	if a.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("%v", a.header)
	}
	a = ann.with("Origin: https://app.example.com").object(id)
	if a.header.Get("Access-Control-Allow-Origin") != "https://app.example.com" || a.header.Get("Access-Control-Allow-Credentials") == "true" {
		t.Errorf("%v", a.header)
	}
	// X-Forwarded-For and the like are believed by nobody.
	w.as("").with("X-Forwarded-For: 127.0.0.1", "X-Forwarded-User: root").get(w.path("")).problem("unauthenticated")
	ann.object(id).json().is("body", `{"n":1}`)
}

func TestSlowAndBrokenConnections(t *testing.T) {
	t.Parallel()
	w := setup(t)
	host := strings.TrimPrefix(w.url, "http://")
	// A request that never ends is let go.
	conn, err := net.Dial("tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ")
	if err := conn.SetReadDeadline(time.Now().Add(15 * time.Second)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1024)
	if n, err := conn.Read(buf); err == nil && !strings.Contains(string(buf[:n]), "408") && !strings.Contains(string(buf[:n]), "400") {
		t.Errorf("%s", buf[:n])
	} else if ne, ok := err.(net.Error); ok && ne.Timeout() {
		t.Error("held for ever")
	}
	// A client that goes does not cut its commit in two.
	var wg sync.WaitGroup
	ann := w.as("ann")
	keys := make([]string, 20)
	for i := range keys {
		keys[i] = newID()
		wg.Go(func() {
			c, err := net.Dial("tcp", host)
			if err != nil {
				return
			}
			body := f(`[{"op":"add","path":"/objects/%s","value":{"type":"Doc","body":{}}},{"op":"add","path":"/objects/%s","value":{"type":"Doc","body":{}}}]`, newID(), newID())
			fmt.Fprintf(c, "PATCH %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: %s\r\nIdempotency-Key: %s\r\nContent-Length: %d\r\n\r\n%s", w.path(""), ann.token, patchType, keys[i], len(body), body)
			c.Close()
		})
	}
	wg.Wait()
	for _, commit := range ann.log() {
		if n := len(commit.list("patch")); n != 2 {
			t.Errorf("half a commit: %s", commit)
		}
	}
}

package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/graphtide/graphtide/internal/testserver"
)

// Of what is absent and of what may not be read, every request gets the same
// answer, however wrong it is: to the byte, but for the id.
func TestWhatIsHiddenIsAnsweredLikeWhatIsAbsent(t *testing.T) {
	t.Parallel()
	s := testserver.New(t, testserver.Options{Schema: hiddenSchema})
	ann, bob := s.As("ann"), s.As("bob")
	base, part, lock, link, half, gone := newID(), newID(), newID(), newID(), newID(), newID()
	ann.Patch(main, patchOf(add(base, "Base"))).Want(200)
	bob.Patch(main, patchOf(add(part, "Part"), add(lock, "Lock"), addEdge(link, "hold", lock, part), addEdge(half, "of", part, base), add(gone, "Part"))).Want(200)
	bob.Patch(main, patchOf(remove("/objects/"+gone))).Want(200)

	patches := []string{
		`[{"op":"frobnicate","path":"%"}]`, `[{"op":"frobnicate","path":"%/body"}]`, `[{"op":"frobnicate","path":"%/body/name","value":1}]`,
		`[{"op":7,"path":"%"}]`, `[{"path":"%"}]`, `[{"op":null,"path":"%/body"}]`, `[{"op":"","path":"%/body"}]`, `[{"op":"Remove","path":"%"}]`,
		`[{"op":"add","path":"%/body/name"}]`, `[{"op":"replace","path":"%/body"}]`, `[{"op":"test","path":"%/body"}]`, `[{"op":"test","path":"%"}]`,
		`[{"op":"remove","path":"%"}]`, `[{"op":"remove","path":"%/body"}]`, `[{"op":"remove","path":"%/body/none"}]`, `[{"op":"remove","path":"%/type"}]`,
		`[{"op":"replace","path":"%","value":{}}]`, `[{"op":"replace","path":"%/meta/version","value":1}]`, `[{"op":"test","path":"%/meta/version","value":1}]`,
		`[{"op":"test","path":"%/type","value":"Part"}]`, `[{"op":"add","path":"%/odd","value":1}]`, `[{"op":"add","path":"%/odd/more","value":1}]`,
		`[{"op":"add","path":"%/body/name","value":1}]`, `[{"op":"add","path":"%/body/unknown","value":1}]`, `[{"op":"add","path":"%/body/a~2b","value":1}]`, `[{"op":"add","path":"%/","value":1}]`,
		`[{"op":"replace","path":"%/access","value":7}]`, `[{"op":"replace","path":"%/access/read","value":{}}]`, `[{"op":"test","path":"%/access","value":{}}]`,
		`[{"op":"move","path":"%/body/a","from":"%/body/b"}]`, `[{"op":"move","path":"%/body/a"}]`, `[{"op":"move","path":"%/body/a","from":7}]`, `[{"op":"move","path":"%/body/a","from":"%/access/read"}]`,
		`[{"op":"copy","path":"%/body/a","from":"/objects/BASE/body/name"}]`, `[{"op":"copy","path":"/objects/BASE/body/name","from":"%/body/name"}]`, `[{"op":"move","path":"%","from":"/objects/BASE"}]`,
		`[{"op":"copy","path":"/objects/BASE","from":"%"}]`, `[{"op":"copy","path":"%/body/a","from":"%/body/a~3"}]`, `[{"op":"copy","path":"%/body/a","from":"x"}]`,
		`[{"op":"test","path":"/objects/BASE/body/name","value":"none"},{"op":"remove","path":"%"}]`, `[{"op":"remove","path":"%"},{"op":"frobnicate","path":"/objects/BASE"}]`,
		`[{"op":"frobnicate","path":"/objects/BASE"},{"op":"remove","path":"%"}]`, `[{"op":"remove","path":"%"},{"op":"remove","path":"%"}]`,
		`{"op":"remove","path":"%"}`, `[["%"]]`, `[{"op":"remove","path":"%"`, `[{"op":"remove","path":"%","path":"%"}]`, `[{"op":"remove","path":"%","extra":1}]`,
		`[{"op":"add","path":"/edges/EDGE","value":{"label":"of","from":"ID","to":"BASE"}}]`, `[{"op":"add","path":"/edges/EDGE","value":{"label":"odd","from":"ID","to":"BASE"}}]`,
		`[{"op":"add","path":"/edges/EDGE","value":{"label":"hold","from":"BASE","to":"ID"}}]`, `[{"op":"add","path":"/edges/EDGE","value":{"label":7,"from":"ID","to":"BASE"}}]`,
		`[{"op":"add","path":"/edges/EDGE","value":{"label":"of","from":"ID","to":"ID"}}]`, `[{"op":"add","path":"/edges/EDGE","value":{"label":"of","from":"ID","to":"BASE","odd":1}}]`,
		`[{"op":"add","path":"/edges/EDGE","value":{"label":"of","from":"ID","to":"BASE","body":7}}]`, `[{"op":"add","path":"/edges/EDGE","value":{"label":"of","from":"ID"}}]`,
	}
	// Paths of the single-entity routes are relative.
	relative := func(p, _ string) string { return strings.ReplaceAll(p, "%", "") }
	whole := func(p, at string) string { return strings.ReplaceAll(p, "%", at) }

	edge := newID()
	for _, kind := range []struct{ name, hidden string }{{"objects", part}, {"objects", gone}, {"edges", link}, {"edges", half}} {
		absent := newID()
		ask := func(id, method, path, body string, header ...string) string {
			fill := strings.NewReplacer("ID", id, "BASE", base, "EDGE", edge)
			var lines []string
			for i := 0; i < len(header); i += 2 {
				lines = append(lines, header[i]+": "+header[i+1])
			}
			a := ann.Header(lines...).Do(method, fill.Replace(path), "", fill.Replace(body))
			head := a.Header.Clone()
			for _, vary := range []string{"Date", "Content-Length", "X-Request-Id", "Graphtide-Request"} {
				head.Del(vary)
			}
			return strings.ReplaceAll(strings.Join([]string{http.StatusText(a.Status), string(a.Body), headerText(head)}, "\n"), id, "<id>")
		}
		same := func(method, path, body string, header ...string) {
			t.Helper()
			if h, n := ask(kind.hidden, method, path, body, header...), ask(absent, method, path, body, header...); h != n {
				t.Errorf("%s %s %v %s\n  hidden: %s\n  absent: %s", method, path, header, body, h, n)
			}
		}
		entity := "/" + kind.name + "/ID"
		for _, p := range patches {
			for _, query := range []string{"", "?dryRun=true"} {
				same("PATCH", main+query, whole(p, entity), "Content-Type", "application/json-patch+json")
				same("PATCH", main+entity+query, relative(p, entity), "Content-Type", "application/json-patch+json")
			}
			same("PATCH", main+entity, relative(p, entity), "Content-Type", "application/json-patch+json", "If-Match", `"1"`)
			same("PATCH", main+entity, relative(p, entity), "Content-Type", "application/json-patch+json", "If-Match", `odd`)
			same("PATCH", main+entity, relative(p, entity), "Content-Type", "text/plain")
			same("PATCH", main+entity, relative(p, entity), "Content-Type", "application/json-patch+json", "Graphtide-Base", "odd")
		}
		for _, path := range []string{entity, entity + "?at=1", entity + "?at=2", entity + "?at=99", entity + "?at=x", entity + "/history", entity + "/history?limit=x", entity + "/history?before=0", entity + "/history?before=99"} {
			for _, method := range []string{"GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS"} {
				same(method, main+path, "")
				same(method, main+path, "", "If-None-Match", `"2"`)
			}
		}
		for _, body := range []string{`{"root":"ID"}`, `{"root":["ID"]}`, `{"root":["ID","ID"],"out":{"of":{}}}`, `{"root":["BASE","ID"]}`, `{"root":"ID","odd":1}`, `{"name":"none","args":{"id":"ID"}}`} {
			same("POST", main+"/load", body, "Content-Type", "application/json")
			same("POST", main+"/load?at=2", body, "Content-Type", "application/json")
			same("POST", main+"/load?at=99", body, "Content-Type", "application/json")
		}
		for _, path := range []string{"/trace/ID", "/runs/ID", "/runs/ID/retry", "/runs?entity=ID"} {
			same("GET", main+path, "")
			same("POST", main+path, "{}", "Content-Type", "application/json")
		}
	}
}

func headerText(h http.Header) string {
	var b strings.Builder
	if err := h.Write(&b); err != nil {
		panic(err)
	}
	return b.String()
}

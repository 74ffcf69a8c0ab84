package systest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/graphtide/graphtide/internal/testdb"
	"github.com/graphtide/graphtide/server/auth"
)

// world is a graph of the test's own, on a node.
type world struct {
	t     testing.TB
	url   string
	other string // the second node
	graph string
}

// setup gives a fresh graph on the shared nodes.
func setup(t testing.TB) *world {
	t.Helper()
	n := nodes(t)
	w := &world{t: t, url: n.a.URL(), other: n.b.URL(), graph: testdb.GraphName(t)}
	w.root().put(w.path(""), "", "").want(201)
	return w
}

func (w *world) path(rest string) string { return "/v1/graphs/" + w.graph + rest }

// people are the users of the tests, by name.
var people = map[string]auth.Claims{
	"ann":  {User: "ann", Teams: []string{"red"}, Org: "acme"},
	"bob":  {User: "bob", Teams: []string{"blue"}, Org: "acme"},
	"cat":  {User: "cat", Org: "other"},
	"dan":  {User: "dan", Teams: []string{"red", "blue"}, Org: "acme"},
	"eve":  {User: "eve"},
	"root": {User: "root", Admin: true},
}

func mintToken(user string, ttl time.Duration, more ...string) string {
	c := people[user]
	c.User = user
	for _, m := range more {
		k, v, _ := strings.Cut(m, "=")
		switch k {
		case "admin":
			c.Admin = true
		case "graphs":
			c.Graphs = append(c.Graphs, v)
		case "team":
			c.Teams = append(c.Teams[:len(c.Teams):len(c.Teams)], v)
		case "org":
			c.Org = v
		case "noteams":
			c.Teams = nil
		}
	}
	s, err := auth.Mint([]byte(secret), c, ttl)
	if err != nil {
		panic(err)
	}
	return s
}

// as gives a client of a user whose token opens the graph.
func (w *world) as(user string) *client {
	if user == "" {
		return &client{t: w.t, w: w, url: w.url}
	}
	return &client{t: w.t, w: w, url: w.url, user: user, token: mintToken(user, time.Hour, "graphs="+w.graph)}
}

// root gives a client that may do everything everywhere.
func (w *world) root() *client {
	return &client{t: w.t, w: w, url: w.url, user: "root", token: mintToken("root", time.Hour, "admin", "graphs=*")}
}

// client sends requests as one user.
type client struct {
	t      testing.TB
	w      *world
	url    string
	user   string
	token  string
	header http.Header
}

// on gives the same client at another node.
func (c *client) on(url string) *client {
	d := *c
	d.url = url
	return &d
}

// with gives a client that sends more headers, each "Name: value".
func (c *client) with(lines ...string) *client {
	d := *c
	d.header = http.Header{}
	maps.Copy(d.header, c.header)
	for _, l := range lines {
		name, value, _ := strings.Cut(l, ": ")
		d.header[http.CanonicalHeaderKey(name)] = append(d.header[http.CanonicalHeaderKey(name)], value)
	}
	return &d
}

var transport = &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64, MaxIdleConns: 256}

func (c *client) send(method, path, kind, body string) (*answer, error) {
	r, err := http.NewRequest(method, c.url+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	maps.Copy(r.Header, c.header)
	resp, err := (&http.Client{Transport: transport, Timeout: patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}).Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	return &answer{t: c.t, what: method + " " + path + " as " + c.user, status: resp.StatusCode, header: resp.Header, body: text}, nil
}

func (c *client) do(method, path, kind, body string) *answer {
	c.t.Helper()
	a, err := c.send(method, path, kind, body)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, path, err)
	}
	return a
}

func (c *client) get(path string) *answer    { c.t.Helper(); return c.do("GET", path, "", "") }
func (c *client) delete(path string) *answer { c.t.Helper(); return c.do("DELETE", path, "", "") }
func (c *client) put(path, kind, body string) *answer {
	c.t.Helper()
	return c.do("PUT", path, kind, body)
}
func (c *client) post(path, body string) *answer {
	c.t.Helper()
	return c.do("POST", path, "application/json", body)
}

const patchType = "application/json-patch+json"

// patch sends a transaction to the graph.
func (c *client) patch(ops string) *answer {
	c.t.Helper()
	return c.do("PATCH", c.w.path(""), patchType, ops)
}

// patchAt sends a patch to another address of the graph.
func (c *client) patchAt(rest, ops string) *answer {
	c.t.Helper()
	return c.do("PATCH", c.w.path(rest), patchType, ops)
}

// commit sends a transaction that must succeed and gives its version.
func (c *client) commit(ops string) int {
	c.t.Helper()
	return c.patch(ops).want(200).int("version")
}

// create makes an object and gives its id.
func (c *client) create(kind, body string) string {
	c.t.Helper()
	id := newID()
	c.commit(fmt.Sprintf(`[{"op":"add","path":"/objects/%s","value":{"type":%q,"body":%s}}]`, id, kind, body))
	return id
}

// link makes an edge and gives its id.
func (c *client) link(label, from, to string) string {
	c.t.Helper()
	id := newID()
	c.commit(fmt.Sprintf(`[{"op":"add","path":"/edges/%s","value":{"label":%q,"from":%q,"to":%q}}]`, id, label, from, to))
	return id
}

func (c *client) object(id string) *answer { c.t.Helper(); return c.get(c.w.path("/objects/" + id)) }
func (c *client) edge(id string) *answer   { c.t.Helper(); return c.get(c.w.path("/edges/" + id)) }

// head gives the graph's version.
func (c *client) head() int { c.t.Helper(); return c.get(c.w.path("")).want(200).int("version") }

// load loads a projection.
func (c *client) load(projection string) *answer {
	c.t.Helper()
	return c.post(c.w.path("/load"), projection)
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }

// answer is what came back.
type answer struct {
	t      testing.TB
	what   string
	status int
	header http.Header
	body   []byte
}

func (a *answer) String() string { return fmt.Sprintf("%s: %d %s", a.what, a.status, a.body) }

func (a *answer) want(status int) *answer {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("%v\nwant status %d", a, status)
	}
	return a
}

// statuses are the codes of the contract.
var statuses = map[string]int{
	"invalid-json": 400, "invalid-patch": 400, "invalid-projection": 400, "invalid-id": 400, "invalid-version": 400,
	"unknown-field": 400, "invalid-schema": 400, "unauthenticated": 401, "forbidden": 403, "not-found": 404,
	"exists": 409, "test-failed": 409, "path-missing": 409, "edge-exists": 409, "cardinality": 409, "restricted": 409,
	"mutation-conflict": 409, "undo-conflict": 409, "schema-in-use": 409, "gone": 410, "version-mismatch": 412,
	"too-large": 413, "unsupported-media-type": 415, "schema": 422, "unknown-type": 422, "abstract-type": 422,
	"edge-not-allowed": 422, "edge-required": 422, "type-immutable": 422, "meta-immutable": 422, "rate-limited": 429,
	"unavailable": 503,
}

// problem fails the test where the answer is not the problem with this code,
// and gives it.
func (a *answer) problem(code string) value {
	a.t.Helper()
	if a.status != statuses[code] {
		a.t.Fatalf("%v\nwant %s (%d)", a, code, statuses[code])
	}
	if ct := a.header.Get("Content-Type"); ct != "application/problem+json" {
		a.t.Fatalf("%v\ncontent type %q", a, ct)
	}
	p := a.json()
	checkProblem(a.t, p, code)
	return p
}

func checkProblem(t testing.TB, p value, code string) {
	t.Helper()
	if p.str("code") != code || p.str("type") != "urn:graphtide:problem:"+code || p.int("status") != statuses[code] ||
		p.str("title") == "" || p.str("detail") == "" {
		t.Fatalf("want a problem document of %s: %s", code, p)
	}
	if p.has("op") && p.int("op") < 0 {
		t.Fatalf("op below zero: %s", p)
	}
}

func (a *answer) json() value {
	a.t.Helper()
	v, err := decode(a.body)
	if err != nil {
		a.t.Fatalf("%v\nnot JSON: %v", a, err)
	}
	return value{a.t, v}
}

func (a *answer) int(path string) int    { a.t.Helper(); return a.json().int(path) }
func (a *answer) str(path string) string { a.t.Helper(); return a.json().str(path) }

// decode reads one JSON value, numbers as they are written.
func decode(text []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if d.More() {
		return nil, fmt.Errorf("more than one value")
	}
	return v, nil
}

// value is a decoded JSON value, looked into by paths such as "a.b.0".
type value struct {
	t testing.TB
	v any
}

func (v value) String() string { b, _ := json.Marshal(v.v); return string(b) }

func (v value) find(path string) (any, bool) {
	cur := v.v
	if path == "" {
		return cur, true
	}
	for _, key := range strings.Split(path, ".") {
		switch c := cur.(type) {
		case map[string]any:
			next, ok := c[key]
			if !ok {
				return nil, false
			}
			cur = next
		case []any:
			var i int
			if _, err := fmt.Sscan(key, &i); err != nil || i < 0 || i >= len(c) {
				return nil, false
			}
			cur = c[i]
		default:
			return nil, false
		}
	}
	return cur, true
}

func (v value) has(path string) bool { _, ok := v.find(path); return ok }

func (v value) at(path string) value {
	v.t.Helper()
	x, ok := v.find(path)
	if !ok {
		v.t.Fatalf("no %q in %s", path, v)
	}
	return value{v.t, x}
}

func (v value) int(path string) int {
	v.t.Helper()
	n, ok := v.at(path).v.(json.Number)
	if !ok {
		v.t.Fatalf("%q is no number in %s", path, v)
	}
	i, err := n.Int64()
	if err != nil {
		v.t.Fatalf("%q: %v in %s", path, err, v)
	}
	return int(i)
}

func (v value) str(path string) string {
	v.t.Helper()
	s, ok := v.at(path).v.(string)
	if !ok {
		v.t.Fatalf("%q is no string in %s", path, v)
	}
	return s
}

func (v value) bool(path string) bool {
	v.t.Helper()
	b, ok := v.at(path).v.(bool)
	if !ok {
		v.t.Fatalf("%q is no boolean in %s", path, v)
	}
	return b
}

func (v value) list(path string) []value {
	v.t.Helper()
	l, ok := v.at(path).v.([]any)
	if !ok {
		v.t.Fatalf("%q is no array in %s", path, v)
	}
	out := make([]value, len(l))
	for i := range l {
		out[i] = value{v.t, l[i]}
	}
	return out
}

func (v value) members(path string) map[string]any {
	v.t.Helper()
	m, ok := v.at(path).v.(map[string]any)
	if !ok {
		v.t.Fatalf("%q is no object in %s", path, v)
	}
	return m
}

// is fails the test where the value at path is not the JSON text.
func (v value) is(path, want string) value {
	v.t.Helper()
	w, err := decode([]byte(want))
	if err != nil {
		v.t.Fatalf("%v in %s", err, want)
	}
	if got := v.at(path); !equal(got.v, w) {
		v.t.Fatalf("%q is %s\nwant %s\nin %s", path, got, want, v)
	}
	return v
}

package server_test

import (
	"strings"
	"testing"

	"github.com/graphtide/graphtide/graph"
)

// What hostile input gets. Nothing of it may change anything, end in a fault of
// ours, or take long.
func TestHostileTransactionsAreRefused(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann, id, fresh := s.As("ann"), newID(), newID()
	ann.Patch(main, patchOf(addNote(id, "x"))).Want(200)
	at := "/objects/" + id
	deep := func(n int) string { return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n) }
	add := func(body string) string {
		return `[{"op":"add","path":"/objects/` + fresh + `","value":{"type":"Note","body":` + body + `}}]`
	}
	for name, c := range map[string]struct {
		patch string
		codes string // one of
	}{
		"no JSON":              {`nonsense`, "invalid-json"},
		"empty":                {``, "invalid-json"},
		"two values":           {`[] []`, "invalid-json"},
		"bad UTF-8":            {"[{\"op\":\"add\",\"path\":\"" + at + "/body/text\",\"value\":\"\xff\"}]", "invalid-json"},
		"NUL":                  {patchOf(op("add", at+"/body/text", "a\x00b")), "invalid-json"},
		"NUL in a key":         {add(`{"a\u0000":1}`), "invalid-json"},
		"lone surrogate":       {add(`{"text":"\ud800"}`), "invalid-json"},
		"huge number":          {add(`{"n":1e400}`), "invalid-json"},
		"long number":          {add(`{"n":` + strings.Repeat("1", 65) + `}`), "invalid-json"},
		"huge exponent":        {add(`{"n":1e131071}`), "invalid-json"},
		"duplicate keys":       {add(`{"n":1,"n":2}`), "invalid-json"},
		"escaped duplicates":   {add(`{"n":1,"\u006e":2}`), "invalid-json"},
		"deep body":            {add(deep(200)), "too-large"},
		"deeper than a stack":  {add(deep(100000)), "too-large"},
		"deep brackets":        {strings.Repeat("[", 500000), "too-large invalid-json"},
		"a million operations": {"[" + strings.Repeat(`{},`, 300000) + `{}]`, "too-large invalid-patch"},
		"an object":            {`{"op":"add"}`, "invalid-patch"},
		"null":                 {`null`, "invalid-patch"},
		"no path":              {`[{"op":"add","value":1}]`, "invalid-patch"},
		"whole graph":          {`[{"op":"replace","path":"","value":{}}]`, "invalid-patch"},
		"all objects":          {`[{"op":"remove","path":"/objects"}]`, "invalid-patch"},
		"another root":         {`[{"op":"add","path":"/schema/x","value":{}}]`, "invalid-patch"},
		"unknown op":           {`[{"op":"merge","path":"` + at + `/body/n","value":1}]`, "invalid-patch"},
		"op in capitals":       {`[{"op":"ADD","path":"` + at + `/body/n","value":1}]`, "invalid-patch"},
		"bad escape":           {`[{"op":"add","path":"` + at + `/body/~2","value":1}]`, "invalid-patch"},
		"type":                 {patchOf(op("replace", at+"/type", "Doc")), "type-immutable"},
		"meta":                 {patchOf(op("replace", at+"/meta/createdBy", "bob")), "meta-immutable"},
		"id":                   {patchOf(op("replace", at+"/id", newID())), "invalid-patch"},
		"look-alike":           {patchOf(op("replace", at+"/Type", "Doc")), "invalid-patch"},
		"escaped look-alike":   {patchOf(op("add", at+"/body~1../type", "Doc")), "invalid-patch"},
		"meta at creation":     {patchOf(op("add", "/objects/"+fresh, m{"type": "Note", "body": m{}, "meta": m{}})), "unknown-field"},
		"id at creation":       {patchOf(op("add", "/objects/"+fresh, m{"type": "Note", "body": m{}, "id": fresh})), "unknown-field"},
		"no UUID":              {patchOf(op("add", "/objects/x", m{"type": "Note", "body": m{}})), "invalid-id"},
		"copy from another":    {`[{"op":"copy","from":"/objects/` + newID() + `/body/title","path":"` + at + `/body/text"}]`, "invalid-patch not-found"},
		"copy of meta":         {`[{"op":"copy","from":"` + at + `/meta","path":"` + at + `/body/text"}]`, "invalid-patch"},
		"move into itself":     {`[{"op":"move","from":"` + at + `/body","path":"` + at + `/body/text"}]`, "invalid-patch path-missing"},
		"__proto__":            {patchOf(op("add", at+"/body/__proto__", m{"x": 1})), "schema invalid-patch invalid-json"},
		"index beyond":         {patchOf(op("add", at+"/body/tags", []string{}), op("add", at+"/body/tags/7", "x")), "path-missing"},
		"index with a sign":    {patchOf(op("add", at+"/body/tags", []string{}), op("add", at+"/body/tags/+0", "x")), "invalid-patch path-missing"},
		"index with zeros":     {patchOf(op("add", at+"/body/tags", []string{"a"}), op("replace", at+"/body/tags/00", "x")), "invalid-patch path-missing"},
		"access of everybody":  {patchOf(op("add", at+"/access/read/everyone", true)), "schema"},
		"type that is a path":  {patchOf(op("add", "/objects/"+fresh, m{"type": "../Note", "body": m{}})), "unknown-type"},
		"copy bomb":            {copyBomb(at), "too-large schema"},
	} {
		a := ann.Patch(main, c.patch)
		var p struct{ Code graph.Code }
		if a.Status < 400 || a.Status >= 500 || a.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
			continue
		}
		a.JSON(&p)
		if !strings.Contains(" "+c.codes+" ", " "+string(p.Code)+" ") {
			t.Errorf("%s: %s instead of %s: %s", name, p.Code, c.codes, a.Body)
		}
	}
	if v := ann.Get(main).Want(200).Map()["version"]; v != 1.0 {
		t.Errorf("something of it was committed: version %v", v)
	}
	if logged := s.Logged(); strings.Contains(logged, "level=ERROR") {
		t.Errorf("a fault of ours: %s", logged[strings.Index(logged, "level=ERROR"):])
	}
}

// copyBomb doubles a value with every operation.
func copyBomb(at string) string {
	ops := []string{op("add", at+"/body/tags", []any{strings.Repeat("x", 100)})}
	for range 40 {
		ops = append(ops, `{"op":"copy","from":"`+at+`/body/tags","path":"`+at+`/body/tags/-"}`)
	}
	return patchOf(ops...)
}

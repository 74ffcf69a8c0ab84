package archive_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/archive"
	"github.com/graphtide/graphtide/graph/memstore"
)

const (
	idA = "0193a0de-0000-7000-8000-00000000000a"
	idB = "0193a0de-0000-7000-8000-00000000000b"
	idE = "0193a0de-0000-7000-8000-00000000000e"
	idF = "0193a0de-0000-7000-8000-00000000000f"
)

func header(version int, history bool, floor int) string {
	return fmt.Sprintf(`{"graphtide":1,"graph":"g","epoch":"e","version":%d,"history":%v,"floor":%d,"schemaVersion":0,"schema":null}`, version, history, floor)
}

func meta(version int) string {
	return fmt.Sprintf(`{"version":%d,"createdVersion":1,"createdAt":"2030-01-01T00:00:00Z","createdBy":"ann","updatedAt":"2030-01-01T00:00:00Z","updatedBy":"ann"}`, version)
}

func object(id string) string {
	return fmt.Sprintf(`{"object":{"id":"%s","type":"T","body":{},"access":{},"meta":%s}}`, id, meta(1))
}

func edge(id, from, to string) string {
	return fmt.Sprintf(`{"edge":{"id":"%s","label":"l","from":"%s","to":"%s","body":{},"meta":%s}}`, id, from, to, meta(1))
}

func commit(version int, ops string) string {
	return fmt.Sprintf(`{"commit":{"version":%d,"at":"2030-01-01T00:00:0%dZ","by":{"user":"ann"},"mutation":"m%d","hash":"AAAA","cause":{"kind":"client"},"asked":[%s]}}`, version, version, version, ops)
}

func mark(version int) string {
	return strings.Replace(strings.Replace(commit(version, ""), `"commit"`, `"mark"`, 1), `,"asked":[]`, "", 1)
}

func end(marks, objects, edges, commits int) string {
	return fmt.Sprintf(`{"end":{"marks":%d,"objects":%d,"edges":%d,"commits":%d}}`, marks, objects, edges, commits)
}

func addA(more string) string {
	return `{"op":"add","path":"/objects/` + idA + `","value":{"type":"T","body":{},"access":{}` + more + `}}`
}

func on(path, op, more string) string {
	return fmt.Sprintf(`{"op":%q,"path":"%s"%s}`, op, path, more)
}

func TestFaultsNameTheirLineAndLeaveNothing(t *testing.T) {
	t.Parallel()
	bodyA := "/objects/" + idA + "/body"
	for _, test := range []struct {
		name  string
		lines []string
		line  int
		text  string
	}{
		{"nothing at all", nil, 1, "empty"},
		{"another file", []string{`{"name":"x"}`}, 1, "unknown field"},
		{"no form", []string{`{}`}, 1, "not an archive"},
		{"a form of later", []string{`{"graphtide":2}`}, 1, "form 2"},
		{"a floor above the head", []string{header(1, true, 2)}, 1, "from 2 on"},
		{"cut off", []string{header(1, false, 0), object(idA)}, 3, "cut off"},
		{"not JSON", []string{header(1, false, 0), `{"object":`}, 2, ""},
		{"a duplicate key", []string{header(1, false, 0), `{"end":{"marks":0,"marks":0}}`}, 2, ""},
		{"an unknown field", []string{header(1, false, 0), strings.Replace(object(idA), `"type"`, `"extra":1,"type"`, 1)}, 2, "extra"},
		{"two things in a line", []string{header(1, false, 0), object(idA)[:len(object(idA))-1] + `,` + end(0, 0, 0, 0)[1:]}, 2, "this one holds 2"},
		{"nothing in a line", []string{header(1, false, 0), `{}`}, 2, "this one holds 0"},
		{"no UUID", []string{header(1, false, 0), object("A")}, 2, "UUID"},
		{"no type", []string{header(1, false, 0), strings.Replace(object(idA), `"T"`, `""`, 1)}, 2, "no type"},
		{"a body that is no object", []string{header(1, false, 0), strings.Replace(object(idA), `"body":{}`, `"body":[]`, 1)}, 2, "body"},
		{"an access that is none", []string{header(1, false, 0), strings.Replace(object(idA), `"access":{}`, `"access":{"read":1}`, 1)}, 2, "access"},
		{"no access", []string{header(1, false, 0), strings.Replace(object(idA), `"access":{},`, ``, 1)}, 2, "access"},
		{"an object twice", []string{header(1, false, 0), object(idA), object(idB), object(idA)}, 4, "line 2 already"},
		{"an edge before an object", []string{header(1, false, 0), object(idA), edge(idE, idA, idA), object(idB)}, 4, "before edges"},
		{"an end that is not there", []string{header(1, false, 0), object(idA), edge(idE, idA, idB)}, 3, idB},
		{"two edges alike", []string{header(1, false, 0), object(idA), edge(idE, idA, idA), edge(idF, idA, idA), end(0, 1, 2, 0)}, 4, "another one"},
		{"an unlawful object", []string{header(1, false, 0), object(idB), strings.Replace(object(idA), `"body":{}`, `"body":{"unlawful":1}`, 1)}, 3, "unlawful"},
		{"a lonely object", []string{header(1, false, 0), object(idB), object(idF), end(0, 2, 0, 0)}, 3, "lonely"},
		{"a commit without history", []string{header(1, false, 0), commit(1, addA(""))}, 2, "history alone"},
		{"wrong counts", []string{header(1, false, 0), object(idA), end(0, 2, 0, 0)}, 3, "2 objects"},
		{"more after the end", []string{header(1, false, 0), end(0, 0, 0, 0), object(idA)}, 3, "after the end"},

		{"a gap in the log", []string{header(2, true, 0), commit(2, addA(""))}, 2, "version 1 belongs"},
		{"a log that is too long", []string{header(1, true, 0), commit(1, addA("")), commit(2, on(bodyA+"/x", "add", `,"value":1`))}, 3, "beyond"},
		{"a log that is too short", []string{header(2, true, 0), commit(1, addA("")), end(0, 0, 0, 1)}, 3, "ends with version 1"},
		{"time that runs back", []string{header(2, true, 0), commit(1, addA("")), strings.Replace(commit(2, on(bodyA+"/x", "add", `,"value":1`)), "2030", "2029", 1)}, 3, "earlier"},
		{"a key twice", []string{header(2, true, 0), commit(1, addA("")), strings.Replace(commit(2, on(bodyA+"/x", "add", `,"value":1`)), `"m2"`, `"m1"`, 1), end(0, 0, 0, 2)}, 3, "in the log already"},
		{"no key", []string{header(1, true, 0), strings.Replace(commit(1, addA("")), `"m1"`, `""`, 1)}, 2, "no mutation"},
		{"an unknown cause", []string{header(1, true, 0), strings.Replace(commit(1, addA("")), `"client"`, `"fate"`, 1)}, 2, "fate"},
		{"a cause to come", []string{header(1, true, 0), strings.Replace(commit(1, addA("")), `"client"`, `"run","version":1`, 1)}, 2, "caused"},
		{"nothing done", []string{header(1, true, 0), commit(1, "")}, 2, "did nothing"},
		{"not said what was done", []string{header(1, true, 0), strings.Replace(mark(1), "mark", "commit", 1)}, 2, "does not say"},
		{"no patch", []string{header(1, true, 0), commit(1, `{"op":"dance","path":""}`)}, 2, "no patch"},
		{"an op on the whole graph", []string{header(1, true, 0), commit(1, on("/objects", "remove", ""))}, 2, "one entity"},
		{"a copy from another entity", []string{header(2, true, 0), commit(1, addA("")), commit(2, on(bodyA+"/x", "copy", `,"from":"/objects/`+idB+`/body"`))}, 3, "one entity"},
		{"a copy of the whole entity", []string{header(2, true, 0), commit(1, addA("")), commit(2, on(bodyA+"/x", "copy", `,"from":"/objects/`+idA+`"`))}, 3, "one entity"},
		{"a copy of the access", []string{header(2, true, 0), commit(1, addA("")), commit(2, on(bodyA+"/x", "copy", `,"from":"/objects/`+idA+`/access"`))}, 3, "copy of /body"},
		{"a test", []string{header(2, true, 0), commit(1, addA("")), commit(2, on(bodyA, "test", `,"value":{}`))}, 3, "test of /body"},
		{"a change of meta", []string{header(2, true, 0), commit(1, addA("")), commit(2, on("/objects/"+idA+"/meta/version", "replace", `,"value":7`))}, 3, "of /meta"},
		{"a body replaced by none", []string{header(2, true, 0), commit(1, addA("")), commit(2, on(bodyA, "replace", `,"value":1`))}, 3, "body"},
		{"a body removed", []string{header(2, true, 0), commit(1, addA("")), commit(2, on(bodyA, "remove", ""))}, 3, "body"},
		{"a path that is not there", []string{header(2, true, 0), commit(1, addA("")), commit(2, on(bodyA+"/x/y", "add", `,"value":1`))}, 3, "does not apply"},
		{"an unknown field of an object", []string{header(1, true, 0), commit(1, addA(`,"meta":{}`))}, 2, "meta"},
		{"made twice", []string{header(2, true, 0), commit(1, addA("")), commit(2, addA(""))}, 3, "which exists"},
		{"made and changed in one", []string{header(1, true, 0), commit(1, addA("")+","+on(bodyA+"/x", "add", `,"value":1`))}, 2, "adds or removes"},
		{"changed and removed in one", []string{header(2, true, 0), commit(1, addA("")), commit(2, on(bodyA+"/x", "add", `,"value":1`)+","+on("/objects/"+idA, "remove", ""))}, 3, "and more"},
		{"a replaced entity", []string{header(2, true, 0), commit(1, addA("")), commit(2, on("/objects/"+idA, "replace", `,"value":{}`))}, 3, "whole"},
		{"removed without having lived", []string{header(1, true, 0), commit(1, on("/edges/"+idE, "remove", ""))}, 2, "does not exist"},
		{"an edge to nowhere", []string{header(1, true, 0), commit(1, addA("")+","+on("/edges/"+idE, "add", `,"value":{"label":"l","from":"`+idA+`","to":"`+idB+`","body":{}}`))}, 2, idB},
		{"an object removed from its edges", []string{header(2, true, 0), commit(1, addA("")+","+on("/edges/"+idE, "add", `,"value":{"label":"l","from":"`+idA+`","to":"`+idA+`","body":{}}`)), commit(2, on("/objects/"+idA, "remove", ""))}, 3, "leaves edges"},
		{"an unlawful state", []string{header(2, true, 0), commit(1, addA("")), commit(2, on(bodyA+"/unlawful", "add", `,"value":1`)), end(0, 0, 0, 2)}, 3, "unlawful"},

		{"a mark that did something", []string{header(1, true, 1), strings.Replace(commit(1, addA("")), "commit", "mark", 1)}, 2, "does not say"},
		{"a mark beyond the floor", []string{header(2, true, 1), mark(1), mark(2)}, 3, "up to version 1"},
		{"a missing mark before the state", []string{header(2, true, 2), mark(1), object(idA)}, 3, "version 2 lacks its mark"},
		{"a missing mark before the log", []string{header(2, true, 1), commit(2, addA(""))}, 2, "version 1 lacks its mark"},
		{"a missing mark before the end", []string{header(1, true, 1), end(0, 0, 0, 0)}, 2, "version 1 lacks its mark"},
		{"a state without a floor", []string{header(1, true, 0), object(idA)}, 2, "between"},
		{"a state beyond the floor", []string{header(1, true, 1), mark(1), strings.Replace(object(idA), `"version":1`, `"version":2`, 1)}, 3, "begins after 1"},
		{"a state after the log", []string{header(2, true, 1), mark(1), commit(2, addA("")), object(idB)}, 4, "between"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := memstore.New()
			lonely, _ := graph.ParseObjectID(idF)
			text := strings.Join(append(test.lines, ""), "\n")
			law := &anything{}
			if test.text == "lonely" {
				law.lonely = lonely
			}
			_, err := archive.Import(t.Context(), s, "g", strings.NewReader(text), archive.Options{Law: law})
			var fault *archive.LineError
			if !errors.As(err, &fault) || fault.Line != test.line || !strings.Contains(fault.Text, test.text) {
				t.Errorf("%v, want line %d: …%s…", err, test.line, test.text)
			}
			leavesNothing(t, s)
		})
	}
}

func leavesNothing(t *testing.T, s *memstore.Store) {
	t.Helper()
	for _, name := range []string{"g", graph.PreparedName("g")} {
		if _, err := s.Graph(t.Context(), name); graph.CodeOf(err) != graph.CodeNotFound {
			t.Errorf("graph %s: %v", name, err)
		}
	}
}

func TestAGoodArchiveByHandIsTaken(t *testing.T) {
	t.Parallel()
	for _, lines := range [][]string{
		{header(9, false, 0), object(idA), object(idB), edge(idE, idA, idB), end(0, 2, 1, 0)},
		{header(2, true, 0), commit(1, addA("")), commit(2, on("/objects/"+idA+"/access/read", "add", `,"value":{"users":{"bob":true}}`)), end(0, 0, 0, 2)},
		{header(3, true, 2), mark(1), mark(2), object(idA), object(idB), edge(idE, idA, idB), commit(3, on("/edges/"+idE, "remove", "")), end(2, 2, 1, 1)},
	} {
		if _, err := archive.Import(t.Context(), memstore.New(), "g", strings.NewReader(strings.Join(lines, "\n")), archive.Options{Law: &anything{}}); err != nil {
			t.Errorf("%v in\n%s", err, strings.Join(lines, "\n"))
		}
	}
}

func TestAnInterruptedImportLeavesNothing(t *testing.T) {
	t.Parallel()
	s := memstore.New()
	w := lived(t, s)
	text := export(t, s, w.Info.Name, true)
	stop := errors.New("the disk is gone")
	if _, err := archive.Import(t.Context(), s, "g", &breaking{text[:len(text)/2], stop}, options(t, s)); !errors.Is(err, stop) {
		t.Errorf("%v", err)
	}
	leavesNothing(t, s)
}

// breaking gives some text and then an error.
type breaking struct {
	text []byte
	err  error
}

func (b *breaking) Read(p []byte) (int, error) {
	if len(b.text) == 0 {
		return 0, b.err
	}
	n := copy(p, b.text)
	b.text = b.text[n:]
	return n, nil
}

func FuzzImport(f *testing.F) {
	s := memstore.New()
	for _, lines := range [][]string{
		{header(9, false, 0), object(idA), object(idB), edge(idE, idA, idB), end(0, 2, 1, 0)},
		{header(2, true, 0), commit(1, addA("")), commit(2, on("/objects/"+idA+"/body/x", "add", `,"value":1`)), end(0, 0, 0, 2)},
		{header(3, true, 2), mark(1), mark(2), object(idA), object(idB), edge(idE, idA, idB), commit(3, on("/edges/"+idE, "remove", "")), end(2, 2, 1, 1)},
	} {
		f.Add([]byte(strings.Join(lines, "\n")))
	}
	headerLine := regexp.MustCompile(`^{[^\n]*`)
	f.Fuzz(func(t *testing.T, text []byte) {
		ctx := context.Background()
		name := "t-" + uuid.NewString()
		_, err := archive.Import(ctx, s, name, bytes.NewReader(text), archive.Options{Law: &anything{}})
		if err != nil {
			if _, err := s.Graph(ctx, name); graph.CodeOf(err) != graph.CodeNotFound {
				t.Errorf("a refused import left a graph: %v", err)
			}
			return
		}
		// What was taken is written and taken again, to the same text.
		var first, second bytes.Buffer
		if err := archive.Export(ctx, s, name, true, &first); err != nil {
			t.Fatal(err)
		}
		again := "t-" + uuid.NewString()
		if _, err := archive.Import(ctx, s, again, bytes.NewReader(first.Bytes()), archive.Options{Law: &anything{}}); err != nil {
			t.Fatalf("%v in\n%s", err, first.Bytes())
		}
		if err := archive.Export(ctx, s, again, true, &second); err != nil {
			t.Fatal(err)
		}
		if a, b := headerLine.ReplaceAll(first.Bytes(), nil), headerLine.ReplaceAll(second.Bytes(), nil); !bytes.Equal(a, b) {
			t.Errorf("written again:\n%s\nwas\n%s", b, a)
		}
		if err := errors.Join(s.DeleteGraph(ctx, name), s.DeleteGraph(ctx, again)); err != nil {
			t.Fatal(err)
		}
	})
}

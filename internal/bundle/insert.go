package bundle

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// withScripts gives the document with these scripts, which hold all that it has
// already. Every line of it stays where it is, for later faults name lines and
// quote them. A form in which that cannot be is written anew, as JSON.
func withScripts(text []byte, scripts map[string]string) ([]byte, error) {
	want, err := yaml.YAMLToJSON(text)
	if err != nil {
		return nil, err
	}
	var doc map[string]json.RawMessage
	if err := json.Unmarshal(want, &doc); err != nil {
		return nil, err
	}
	if doc["scripts"], err = json.Marshal(scripts); err != nil {
		return nil, err
	}
	if want, err = json.Marshal(doc); err != nil {
		return nil, err
	}
	if out := inserted(text, scripts); out != nil && means(out, want) {
		return out, nil
	}
	return want, nil
}

// means reports whether a document says what the JSON does.
func means(text, want []byte) bool {
	got, err := yaml.YAMLToJSON(text)
	if err != nil {
		return false
	}
	var a, b any
	return json.Unmarshal(got, &a) == nil && json.Unmarshal(want, &b) == nil && reflect.DeepEqual(a, b)
}

// inserted puts the scripts into the text, or gives nil where it does not know
// how.
func inserted(text []byte, scripts map[string]string) []byte {
	file, err := parser.ParseBytes(text, 0)
	if err != nil || len(file.Docs) != 1 {
		return nil
	}
	top, ok := file.Docs[0].Body.(*ast.MappingNode)
	if !ok {
		return nil
	}
	lines := bytes.Split(text, []byte("\n"))
	at := slices.IndexFunc(top.Values, func(v *ast.MappingValueNode) bool { return keyOf(v) == "scripts" })
	switch {
	case at < 0 && top.IsFlowStyle:
		return afterBrace(lines, top.Start, `"scripts": `+jsonOf(scripts), len(top.Values) > 0)
	case at < 0:
		return []byte(strings.TrimRight(string(text), "\n") + "\nscripts: " + jsonOf(scripts) + "\n")
	}
	own, ok := top.Values[at].Value.(*ast.MappingNode)
	if !ok {
		return nil
	}
	missing := map[string]string{}
	for name, source := range scripts {
		missing[name] = source
	}
	for _, v := range own.Values {
		delete(missing, keyOf(v))
	}
	if own.IsFlowStyle {
		inner := jsonOf(missing)
		return afterBrace(lines, own.Start, inner[1:len(inner)-1], len(own.Values) > 0)
	}
	end := len(lines)
	if at+1 < len(top.Values) {
		end = top.Values[at+1].Key.GetToken().Position.Line - 1
	}
	return []byte(strings.Join(flow(lines, top.Values[at], own, end, missing, scripts), "\n"))
}

// flow writes a section of indented scripts, which ends before a line, as one in
// braces: there, other than in the indented form, several may share a line. Each
// begins in the line in which it began.
func flow(lines [][]byte, section *ast.MappingValueNode, own *ast.MappingNode, end int, missing, scripts map[string]string) []string {
	out := make([]string, len(lines))
	for i, l := range lines {
		out[i] = string(l)
	}
	start := section.Key.GetToken().Position.Line - 1
	for i := start; i < end; i++ {
		out[i] = ""
	}
	inner := jsonOf(missing)
	out[start] = "scripts: {" + inner[1:len(inner)-1]
	last := start
	for _, v := range own.Values {
		last = v.Key.GetToken().Position.Line - 1
		out[last] += ", " + strings.Trim(jsonOf(map[string]string{keyOf(v): scripts[keyOf(v)]}), "{}")
	}
	out[last] += "}"
	return out
}

// afterBrace puts a member behind the brace that begins a map.
func afterBrace(lines [][]byte, brace *token.Token, member string, more bool) []byte {
	line, col := brace.Position.Line-1, brace.Position.Column
	if line < 0 || line >= len(lines) || col < 1 || col > len(lines[line]) || lines[line][col-1] != '{' {
		return nil
	}
	if more {
		member += ", "
	}
	lines = slices.Clone(lines)
	lines[line] = slices.Concat(lines[line][:col], []byte(member), lines[line][col:])
	return bytes.Join(lines, []byte("\n"))
}

func keyOf(v *ast.MappingValueNode) string {
	if s, ok := v.Key.(*ast.StringNode); ok {
		return s.Value
	}
	return v.Key.GetToken().Value
}

// jsonOf writes scripts in the order of their names.
func jsonOf(scripts map[string]string) string {
	b, err := json.Marshal(scripts)
	if err != nil { // never: it is a map of strings
		panic(err)
	}
	return string(b)
}

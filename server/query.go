package server

import (
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/graphtide/graphtide/graph"
)

// query reads the parameters that a route knows; others are ignored.
type query struct{ url.Values }

func queryOf(r *http.Request) (query, error) {
	v, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return query{}, graph.Errf(graph.CodeInvalidQuery, "the query is not well-formed")
	}
	return query{v}, nil
}

// one gives a parameter that may come once: text that a database takes.
func (q query) one(name string) (value string, set bool, err error) {
	v := q.Values[name]
	if len(v) > 1 {
		return "", false, graph.Errf(graph.CodeInvalidQuery, "%s may come once", name)
	}
	if len(v) == 0 {
		return "", false, nil
	}
	if !utf8.ValidString(v[0]) || strings.ContainsRune(v[0], 0) { // a database takes it for a fault of ours
		return "", false, graph.Errf(graph.CodeInvalidQuery, "%s is text: UTF-8 without NUL", name)
	}
	return v[0], true, nil
}

// flag reads true or false; absent is false.
func (q query) flag(name string) (bool, error) {
	v, set, err := q.one(name)
	if err != nil || !set {
		return false, err
	}
	switch v {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, graph.Errf(graph.CodeInvalidQuery, "%s is true or false", name)
}

// version reads a version; nil where the parameter is absent.
func (q query) version(name string) (*graph.Version, error) {
	s, set, err := q.one(name)
	if err != nil || !set {
		return nil, err
	}
	v, ok := parseVersion(s)
	if !ok {
		return nil, graph.Errf(graph.CodeInvalidVersion, "%s is not a version: write a whole number from 0", name)
	}
	return &v, nil
}

// limit reads how many entries are wanted: def where absent, at most max.
func (q query) limit(def, max int) (int, error) {
	s, set, err := q.one("limit")
	if err != nil || !set {
		return def, err
	}
	n, ok := parseVersion(s)
	if !ok || n == 0 {
		return 0, graph.Errf(graph.CodeInvalidQuery, "limit is a whole number from 1 to %d", max)
	}
	return int(min(n, graph.Version(max))), nil
}

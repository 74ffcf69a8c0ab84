package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/graphtide/graphtide/graph"
)

// getSchema gives the active schema, for admins whole and as it was put, with
// `view=client` what everybody may see of it.
func (s *Server) getSchema(w http.ResponseWriter, r *http.Request, c *call) error {
	q, err := queryOf(r)
	if err != nil {
		return err
	}
	view, set, err := q.one("view")
	if err != nil {
		return err
	}
	reg := s.Live.Current()
	tag := `"` + strconv.FormatInt(reg.Version, 10) + `"`
	switch {
	case set && view == "client":
		w.Header().Set("ETag", tag)
		if notModified(r.Header.Values("If-None-Match"), tag) {
			w.WriteHeader(http.StatusNotModified)
			return nil
		}
		return answer(w, http.StatusOK, reg.ClientView())
	case set:
		return graph.Errf(graph.CodeInvalidQuery, "view is client, or left out")
	}
	if err := c.needAdmin(); err != nil {
		return err
	}
	w.Header().Add("Vary", "Accept")
	body, kind := []byte(reg.Doc), typeJSON
	if len(body) == 0 {
		body = []byte(`{"graphtide":1}`)
	}
	if prefersYAML(r.Header.Values("Accept")) {
		if body, err = yaml.JSONToYAML(body); err != nil {
			return err
		}
		kind = typeYAML
		tag = tag[:len(tag)-1] + `-yaml"` // another representation has another tag
	}
	w.Header().Set("ETag", tag)
	if notModified(r.Header.Values("If-None-Match"), tag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	w.Header().Set("Content-Type", kind)
	return answer(w, http.StatusOK, body)
}

// putSchema replaces the schema, or says what that would break.
func (s *Server) putSchema(w http.ResponseWriter, r *http.Request, c *call) error {
	if err := c.needGovern(); err != nil {
		return err
	}
	q, err := queryOf(r)
	if err != nil {
		return err
	}
	dry, err := q.flag("dryRun")
	if err != nil {
		return err
	}
	doc, err := readBody(w, r, s.cfg.Limits.SchemaBytes, "schemaBytes", typeYAML, typeJSON, "application/x-yaml", "text/yaml", "text/x-yaml")
	if err != nil {
		return err
	}
	if err := schemaJSON(r, doc); err != nil {
		return err
	}
	res, err := s.Schemas.PutSchema(r.Context(), c.p, "schema", doc, dry)
	if err != nil {
		return err
	}
	problems, objects := res.Problems, res.Objects
	if problems == nil {
		problems = []graph.Violation{}
	}
	if objects == nil {
		objects = []graph.Offender{}
	}
	if dry {
		return answerJSON(w, http.StatusOK, map[string]any{"ok": res.OK, "problems": problems, "count": res.Count, "objects": objects})
	}
	w.Header().Set("ETag", `"`+strconv.FormatInt(res.Version, 10)+`"`)
	return answerJSON(w, http.StatusOK, map[string]any{"version": res.Version, "problems": problems})
}

// schemaJSON refuses what is sent as JSON and is none, though it may be YAML.
// What else is wrong with a document its reader tells, with the line.
func schemaJSON(r *http.Request, doc []byte) error {
	mt, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	doc = bytes.TrimPrefix(doc, []byte("\ufeff")) // which the reader ignores
	if mt != typeJSON || json.Valid(doc) {
		return nil
	}
	var e *graph.Error
	if err := checkJSON(doc, 10_000); errors.As(err, &e) && e.Code == graph.CodeInvalidJSON {
		return e
	}
	return nil
}

// prefersYAML reports whether Accept names YAML before JSON.
func prefersYAML(accept []string) bool {
	yamlQ, jsonQ := -1.0, -1.0
	for _, part := range strings.Split(strings.Join(accept, ","), ",") {
		mt, params, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		q := 1.0
		if v, ok := params["q"]; ok {
			if q, err = strconv.ParseFloat(v, 64); err != nil {
				continue
			}
		}
		switch mt {
		case typeYAML, "application/x-yaml", "text/yaml", "text/x-yaml":
			yamlQ = max(yamlQ, q)
		case typeJSON:
			jsonQ = max(jsonQ, q)
		}
	}
	return yamlQ > 0 && yamlQ >= jsonQ
}

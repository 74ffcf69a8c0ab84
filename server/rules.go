package server

import (
	"bytes"
	"encoding/json"
	"net/http"

	"github.com/go-chi/chi/v5"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/patch"
	"github.com/graphtide/graphtide/schema"
)

// listRules gives the rules with what became of them; with `type`, and `path`,
// those that a change there may fire.
func (s *Server) listRules(w http.ResponseWriter, r *http.Request, c *call) error {
	q, err := queryOf(r)
	if err != nil {
		return err
	}
	typ, byType, err := q.one("type")
	if err != nil {
		return err
	}
	path, byPath, err := q.one("path")
	if err != nil {
		return err
	}
	rules, err := s.Runs.Rules(r.Context(), c.graph, c.p)
	if err != nil {
		return err
	}
	if byType || byPath {
		if rules, err = s.firedBy(rules, typ, path, byPath); err != nil {
			return err
		}
	}
	return answerJSON(w, http.StatusOK, map[string]any{"rules": rules})
}

// firedBy keeps the rules that a change of a place may fire.
func (s *Server) firedBy(rules []graph.RuleInfo, typ, path string, byPath bool) ([]graph.RuleInfo, error) {
	reg := s.Live.Current()
	if reg.TypeOf(typ) == nil {
		return nil, graph.Errf(graph.CodeInvalidQuery, "type: there is no type %q", typ)
	}
	var at patch.Pointer
	if byPath {
		var ok bool
		if at, ok = patch.ParsePointer(path); !ok || len(at) == 0 {
			return nil, graph.Errf(graph.CodeInvalidQuery, "path is a JSON Pointer from the entity, such as /body/title")
		}
	}
	may := map[string]bool{}
	for _, name := range reg.Fires([]schema.Write{schema.Changing(typ, at)}) {
		may[name] = true
	}
	out := []graph.RuleInfo{}
	for _, rule := range rules {
		if may[rule.Name] {
			out = append(out, rule)
		}
	}
	return out, nil
}

func (s *Server) pauseRule(w http.ResponseWriter, r *http.Request, c *call) error {
	return s.setPaused(w, r, c, true)
}

func (s *Server) resumeRule(w http.ResponseWriter, r *http.Request, c *call) error {
	return s.setPaused(w, r, c, false)
}

func (s *Server) setPaused(w http.ResponseWriter, r *http.Request, c *call, paused bool) error {
	info, err := s.Runs.PauseRule(r.Context(), c.graph, c.p, chi.URLParam(r, "rule"), paused)
	if err != nil {
		return err
	}
	return answerJSON(w, http.StatusOK, info)
}

// testRule says whether a rule would fire for a past commit, and why not.
func (s *Server) testRule(w http.ResponseWriter, r *http.Request, c *call) error {
	var in graph.RuleTest
	if err := s.readRule(w, r, &in); err != nil {
		return err
	}
	if err := s.reach(r.Context(), c, in.Version); err != nil {
		return err
	}
	out, err := s.Runs.TestRule(r.Context(), c.graph, c.p, chi.URLParam(r, "rule"), in)
	if err != nil {
		return err
	}
	return answerJSON(w, http.StatusOK, out)
}

// replayRule makes runs of a rule for past commits.
func (s *Server) replayRule(w http.ResponseWriter, r *http.Request, c *call) error {
	var in struct {
		graph.RuleReplay
		From *graph.Version `json:"from"`
	}
	if err := s.readRule(w, r, &in); err != nil {
		return err
	}
	if in.From == nil { // nobody is to run all of the past by leaving something out
		return graph.Errf(graph.CodeInvalidVersion, "say after which version the commits begin: {\"from\": n}; 0 is the whole log").At("/from")
	}
	in.RuleReplay.From = *in.From
	out, err := s.Runs.ReplayRule(r.Context(), c.graph, c.p, chi.URLParam(r, "rule"), in.RuleReplay)
	if err != nil {
		return err
	}
	return answerJSON(w, http.StatusOK, out)
}

// readRule reads the body of a request about a rule, strictly.
func (s *Server) readRule(w http.ResponseWriter, r *http.Request, into any) error {
	body, err := readBody(w, r, int64(s.cfg.Limits.BodyBytes), "bodyBytes", typeJSON)
	if err != nil {
		return err
	}
	if err := checkJSON(body, s.cfg.Limits.BodyDepth); err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return graph.Errf(graph.CodeUnknownField, "a test is {\"version\": n, \"rule\": {…}?}, a replay {\"from\": n, \"to\": m?, \"id\": \"…\"?}")
	}
	return nil
}

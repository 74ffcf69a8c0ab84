package server

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/graphtide/graphtide/graph"
)

// parseRevert reads what to undo. Unknown members are ignored.
func parseRevert(text []byte, depth int) (*revertBody, error) {
	if err := checkJSON(text, depth); err != nil {
		return nil, err
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil || members == nil {
		return nil, graph.Errf(graph.CodeInvalidPatch, `say what to undo: {"versions": […]}, {"mutation": "…"} or {"group": "…"}`).At("")
	}
	b, named := &revertBody{}, 0
	if raw, ok := members["versions"]; ok {
		named++
		var list []json.RawMessage // a json.Number would take "1" for 1
		if err := json.Unmarshal(raw, &list); err != nil || len(list) == 0 {
			return nil, graph.Errf(graph.CodeInvalidVersion, "versions is a list of at least one version").At("/versions")
		}
		for _, n := range list {
			v, ok := parseVersion(string(n))
			if !ok || v == 0 {
				return nil, graph.Errf(graph.CodeInvalidVersion, "versions are whole numbers from 1").At("/versions")
			}
			b.versions = append(b.versions, v)
		}
	}
	for name, to := range map[string]*string{"mutation": &b.mutation, "group": &b.group} {
		if raw, ok := members[name]; ok {
			named++
			if err := json.Unmarshal(raw, to); err != nil || *to == "" {
				return nil, graph.Errf(graph.CodeInvalidPatch, "%s is a text", name).At("/" + name)
			}
		}
	}
	if raw, ok := members["caused"]; ok {
		if err := json.Unmarshal(raw, &b.caused); err != nil {
			return nil, graph.Errf(graph.CodeInvalidPatch, "caused is true or false").At("/caused")
		}
	}
	if named != 1 {
		return nil, graph.Errf(graph.CodeInvalidPatch, "exactly one of versions, mutation and group").At("")
	}
	if b.group != "" {
		id, ok := graph.ParseObjectID(b.group)
		if !ok {
			return nil, graph.InvalidID(b.group).At("/group")
		}
		b.group = id.String()
	}
	return b, nil
}

// toUndo gives the versions to be undone, ascending.
func (s *Server) toUndo(ctx context.Context, c *call, body *revertBody) ([]graph.Version, error) {
	versions, err := slices.Clone(body.versions), error(nil)
	switch {
	case body.mutation != "":
		versions, err = s.versionOfMutation(ctx, c, body.mutation)
	case body.group != "":
		versions, err = s.Store.Grouped(ctx, c.rep.Key(), body.group)
	default:
		for _, v := range versions {
			if err := s.reach(ctx, c, v); err != nil {
				return nil, err
			}
		}
	}
	if err != nil {
		return nil, hideGraph(err)
	}
	if len(versions) == 0 {
		return nil, graph.NotFound("transaction")
	}
	if body.caused {
		for causes := versions; len(causes) > 0 && len(versions) <= revertCommits; {
			made, err := s.Store.Caused(ctx, c.rep.Key(), causes)
			if err != nil {
				return nil, hideGraph(err)
			}
			causes = causes[:0:0]
			for _, v := range made {
				if !slices.Contains(versions, v) {
					causes = append(causes, v)
				}
			}
			versions = append(versions, causes...)
		}
	}
	slices.Sort(versions)
	versions = slices.Compact(versions)
	if len(versions) > revertCommits {
		return nil, graph.TooLarge("revertCommits", revertCommits, "commits to undo at once")
	}
	return versions, nil
}

// versionOfMutation finds a mutation by its key: the caller's own, else the only
// one of that name.
func (s *Server) versionOfMutation(ctx context.Context, c *call, key string) ([]graph.Version, error) {
	own := graph.MutationKey{Author: c.p.User, Key: key}
	found, err := s.Store.Recorded(ctx, c.rep.Key(), []graph.MutationKey{own})
	if err != nil {
		return nil, err
	}
	if rec, ok := found[own]; ok && !rec.Idle {
		return []graph.Version{rec.Version}, nil
	}
	versions, err := s.Store.Named(ctx, c.rep.Key(), key)
	if err != nil || len(versions) == 1 {
		return versions, err
	}
	return nil, nil
}

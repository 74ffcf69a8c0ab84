package auth

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"

	"github.com/graphtide/graphtide/graph"
)

// Bounds of the claims.
const (
	maxNameBytes = 256 // of a user, team, org or graph
	maxNames     = 1000
	// RunPrefix begins the user name of a run; no user's name may.
	RunPrefix = "run:"
)

// Claims are what a user token says, apart from its times.
type Claims struct {
	User   string
	Teams  []string
	Org    string
	Graphs []string // nil: main alone
	Admin  bool
}

// identityOf reads checked claims. A claim of the wrong form refuses the token:
// guessing at rights would be worse.
func identityOf(m jwt.MapClaims) (*Identity, error) {
	exp, err := m.GetExpirationTime()
	if err != nil || exp == nil {
		return nil, errors.New("no exp")
	}
	var c Claims
	if c.User, err = text(m, "sub"); err != nil {
		return nil, err
	}
	if c.Org, err = text(m, "org"); err != nil {
		return nil, err
	}
	if c.Teams, err = texts(m, "teams"); err != nil {
		return nil, err
	}
	if c.Graphs, err = texts(m, "graphs"); err != nil {
		return nil, err
	}
	if v, ok := m["admin"]; ok && v != nil {
		if c.Admin, ok = v.(bool); !ok {
			return nil, errors.New("admin is not a boolean")
		}
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	return &Identity{Principal: c.principal(), Expires: exp.Time}, nil
}

func (c *Claims) check() error {
	if c.User == "" {
		return errors.New("no sub")
	}
	if strings.HasPrefix(c.User, RunPrefix) {
		return errors.New("sub begins with run:")
	}
	for _, s := range slices.Concat([]string{c.User, c.Org}, c.Teams, c.Graphs) {
		if len(s) > maxNameBytes || !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
			return errors.New("a name that is too long or not printable")
		}
	}
	if len(c.Teams) > maxNames || len(c.Graphs) > maxNames {
		return fmt.Errorf("more than %d teams or graphs", maxNames)
	}
	if slices.Contains(c.Teams, "") || slices.Contains(c.Graphs, "") {
		return errors.New("an empty name")
	}
	return nil
}

func (c *Claims) principal() graph.Principal {
	teams := slices.Clone(c.Teams)
	slices.Sort(teams)
	return graph.Principal{User: c.User, Teams: slices.Compact(teams), Org: c.Org, Graphs: c.Graphs, Admin: c.Admin}
}

func text(m jwt.MapClaims, name string) (string, error) {
	v, ok := m[name]
	if !ok || v == nil {
		return "", nil
	}
	s, ok := v.(string)
	if !ok {
		return "", fmt.Errorf("%s is not a text", name)
	}
	return s, nil
}

// texts gives a list; nil only where the claim is absent or null.
func texts(m jwt.MapClaims, name string) ([]string, error) {
	v, ok := m[name]
	if !ok || v == nil {
		return nil, nil
	}
	list, ok := v.([]any)
	if !ok {
		return nil, fmt.Errorf("%s is not a list", name)
	}
	out := make([]string, 0, len(list))
	for _, e := range list {
		s, ok := e.(string)
		if !ok {
			return nil, fmt.Errorf("%s holds something else than texts", name)
		}
		out = append(out, s)
	}
	return out, nil
}

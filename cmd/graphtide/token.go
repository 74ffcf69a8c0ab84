package main

import (
	"fmt"
	"time"

	"github.com/graphtide/graphtide/server/auth"
)

type tokenCmd struct {
	User      string        `required:"" help:"The token's sub: who it stands for."`
	Team      []string      `help:"A team of the user; may be given again."`
	Org       string        `help:"The user's organisation."`
	Graph     []string      `help:"A graph that the token opens; a trailing * matches a prefix; may be given again (default: main)."`
	Admin     bool          `help:"Every right in these graphs."`
	TTL       time.Duration `help:"How long it is valid." default:"1h"`
	JWTSecret string        `name:"jwt-secret" required:"" help:"The server's secret." placeholder:"SECRET"`
	Issuer    string        `name:"jwt-issuer" help:"The iss claim, where the server checks it."`
	Audience  string        `name:"jwt-audience" help:"The aud claim, where the server checks it."`
}

func (c *tokenCmd) Run(a *app) error {
	claims := auth.Claims{User: c.User, Teams: c.Team, Org: c.Org, Graphs: c.Graph, Admin: c.Admin}
	text, err := auth.Mint([]byte(c.JWTSecret), claims, c.TTL, auth.WithIssuer(c.Issuer), auth.WithAudience(c.Audience))
	if err != nil {
		return usageError{err}
	}
	fmt.Fprintln(a.stdout, text)
	return nil
}

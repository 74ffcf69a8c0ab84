package main

import (
	"fmt"
	"time"

	"github.com/graphtide/graphtide/server/auth"
)

type tokenCmd struct {
	User      string        `required:"" help:"Whom the token stands for (its sub)." placeholder:"NAME"`
	Team      []string      `help:"A team of the user; may be given again." placeholder:"TEAM"`
	Org       string        `help:"The user's organisation." placeholder:"ORG"`
	Graph     []string      `help:"A graph that the token opens; a trailing * matches a prefix; may be given again (default: main)." placeholder:"GRAPH"`
	Admin     bool          `help:"Every right in these graphs."`
	TTL       time.Duration `help:"How long it is valid." default:"1h"`
	JWTSecret string        `name:"jwt-secret" group:"tokens" required:"" help:"The server's secret." placeholder:"SECRET"`
	Issuer    string        `name:"jwt-issuer" group:"tokens" help:"The iss claim, where the server checks it." placeholder:"ISS"`
	Audience  string        `name:"jwt-audience" group:"tokens" help:"The aud claim, where the server checks it." placeholder:"AUD"`
}

// Help teaches the command.
func (*tokenCmd) Help() string {
	return `For trying things, for scripts and for tests; an application mints its tokens itself, with any JWT library. Replacing the schema, and making and deleting graphs, needs --admin --graph '*'.

Examples:

    export GRAPHTIDE_JWT_SECRET=…
    graphtide token --user ann --team sales --org acme
    export GRAPHTIDE_TOKEN=$(graphtide token --user root --admin --graph '*' --ttl 10m)
    graphtide schema apply app.yaml`
}

func (c *tokenCmd) Run(a *app) error {
	claims := auth.Claims{User: c.User, Teams: c.Team, Org: c.Org, Graphs: c.Graph, Admin: c.Admin}
	text, err := auth.Mint([]byte(c.JWTSecret), claims, c.TTL, auth.WithIssuer(c.Issuer), auth.WithAudience(c.Audience))
	if err != nil {
		return usageError{err}
	}
	_, err = fmt.Fprintln(a.stdout, text)
	return err
}

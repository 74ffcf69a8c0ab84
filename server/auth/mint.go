package auth

import (
	"errors"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// MintOption adds to a minted token.
type MintOption func(jwt.MapClaims)

// WithIssuer sets `iss`, where the server asks for one.
func WithIssuer(iss string) MintOption {
	return func(m jwt.MapClaims) {
		if iss != "" {
			m["iss"] = iss
		}
	}
}

// WithAudience sets `aud`, where the server asks for one.
func WithAudience(aud string) MintOption {
	return func(m jwt.MapClaims) {
		if aud != "" {
			m["aud"] = aud
		}
	}
}

// Mint makes a user token (HS256) that is good for ttl from now. It refuses
// claims that Authenticate would refuse.
func Mint(secret []byte, c Claims, ttl time.Duration, opts ...MintOption) (string, error) {
	if len(secret) == 0 {
		return "", errors.New("no secret to sign with")
	}
	if ttl <= 0 {
		return "", errors.New("the lifetime must be above zero")
	}
	if err := c.check(); err != nil {
		return "", err
	}
	now := time.Now()
	m := jwt.MapClaims{"sub": c.User, "iat": now.Unix(), "exp": now.Add(ttl).Unix()}
	if len(c.Teams) > 0 {
		m["teams"] = c.Teams
	}
	if c.Org != "" {
		m["org"] = c.Org
	}
	if c.Graphs != nil {
		m["graphs"] = c.Graphs
	}
	if c.Admin {
		m["admin"] = true
	}
	for _, o := range opts {
		o(m)
	}
	return jwt.NewWithClaims(jwt.SigningMethodHS256, m).SignedString(secret)
}

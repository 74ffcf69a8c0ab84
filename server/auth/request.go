package auth

import (
	"errors"
	"net/http"
	"strings"
)

// FromRequest tells who sends a request about the graph named, by its Authorization header alone: a
// token in an address or a cookie is not looked at.
func (a *Authenticator) FromRequest(r *http.Request, graphName string) (*Identity, error) {
	token, err := bearer(r.Header)
	if err != nil {
		return nil, Unauthenticated(err)
	}
	return a.Authenticate(r.Context(), graphName, token)
}

// bearer gives the token of RFC 6750, 2.1, and "" where there is no header.
// A header that is there and holds no token is an error: falling back to no
// token would give a caller with a broken token the rights of none.
func bearer(h http.Header) (string, error) {
	values := h.Values("Authorization")
	if len(values) == 0 {
		return "", nil
	}
	if len(values) > 1 {
		return "", errors.New("more than one Authorization header")
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	token = strings.TrimSpace(token)
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return "", errors.New("not a bearer token")
	}
	return token, nil
}

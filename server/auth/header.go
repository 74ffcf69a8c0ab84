package auth

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
)

// header is what is read of a token before its signature is checked.
type header struct {
	Typ string
	Kid string
}

// readHeader reads a token's first part, bounded. Member names are compared
// exactly, as JOSE asks; encoding/json's struct decoding would not.
func readHeader(token string) (header, error) {
	first, _, ok := strings.Cut(token, ".")
	if !ok || len(first) > maxHeaderBytes {
		return header{}, errors.New("not a JWT, or its header is too long")
	}
	raw, err := base64.RawURLEncoding.DecodeString(first)
	if err != nil {
		return header{}, err
	}
	var m map[string]json.RawMessage
	if err := json.Unmarshal(raw, &m); err != nil {
		return header{}, err
	}
	if _, ok := m["crit"]; ok {
		return header{}, errors.New("a critical header extension")
	}
	var h header
	for name, to := range map[string]*string{"typ": &h.Typ, "kid": &h.Kid} {
		if v, ok := m[name]; ok {
			if err := json.Unmarshal(v, to); err != nil {
				return header{}, err
			}
		}
	}
	return h, nil
}

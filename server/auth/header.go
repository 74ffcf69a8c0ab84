package auth

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
)

// readHeader reads a token's first part, bounded, before its signature is
// checked, and gives the key id. Member names are compared exactly, as JOSE
// asks; encoding/json's struct decoding would not.
func readHeader(token string) (kid string, err error) {
	first, _, ok := strings.Cut(token, ".")
	if !ok || len(first) > maxHeaderBytes {
		return "", errors.New("not a JWT, or its header is too long")
	}
	raw, err := base64.RawURLEncoding.DecodeString(first)
	if err != nil {
		return "", err
	}
	var m map[string]json.RawMessage
	if err := json.Unmarshal(raw, &m); err != nil {
		return "", err
	}
	if _, ok := m["crit"]; ok {
		return "", errors.New("a critical header extension")
	}
	if v, ok := m["kid"]; ok {
		if err := json.Unmarshal(v, &kid); err != nil {
			return "", err
		}
	}
	return kid, nil
}

package auth

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/sync/singleflight"

	"github.com/graphtide/graphtide/graph"
)

// How the keys of an issuer are kept. Anybody can send tokens with unknown key
// ids, so these must not be able to make us fetch without end.
const (
	keysFresh    = 10 * time.Minute // fetched again after this
	keysRetry    = 15 * time.Second // between two fetches, whatever is asked
	keysKept     = 24 * time.Hour   // used this long while the issuer cannot be reached
	keysTimeout  = 10 * time.Second
	keysMaxBytes = 1 << 20
	minRSABits   = 2048
)

// keySet holds the public keys of one JWKS address.
type keySet struct {
	url    string
	clock  graph.Clock
	log    *slog.Logger
	client *http.Client
	flight singleflight.Group

	mu      sync.Mutex // guards the fields below; not held while fetching
	keys    []jose.JSONWebKey
	fetched time.Time // of keys
	tried   time.Time // last attempt, good or not
}

func newKeySet(address string, clock graph.Clock, log *slog.Logger) (*keySet, error) {
	u, err := url.Parse(address)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" {
		return nil, fmt.Errorf("the JWKS address %q is not an http or https URL", address)
	}
	return &keySet{url: address, clock: clock, log: log, client: &http.Client{
		Timeout: keysTimeout,
		// The address is the operator's word; where it points on to is not.
		CheckRedirect: func(*http.Request, []*http.Request) error { return errors.New("the JWKS address redirects") },
	}}, nil
}

// find gives the keys that may have signed a token with this algorithm and key
// id. It fetches where the keys are old or the id is unknown, once for all who
// wait; ctx bounds the waiting alone.
func (s *keySet) find(ctx context.Context, alg, kid string) (jwt.VerificationKeySet, error) {
	now := s.clock()
	s.mu.Lock()
	found := suitable(s.keys, alg, kid)
	age := now.Sub(s.fetched)
	wanted := (len(found) == 0 || age > keysFresh) && now.Sub(s.tried) >= keysRetry
	s.mu.Unlock()

	if wanted {
		done := s.flight.DoChan("", func() (any, error) { return nil, s.fetch() })
		// Known and not too old: use it, the fetch goes on by itself.
		if len(found) == 0 || age > keysKept {
			select {
			case <-done:
			case <-ctx.Done():
				return jwt.VerificationKeySet{}, graph.Errf(graph.CodeUnavailable, "the keys of the issuer cannot be had now")
			}
			s.mu.Lock()
			found = suitable(s.keys, alg, kid)
			age = now.Sub(s.fetched)
			s.mu.Unlock()
		}
	}
	if age > keysKept {
		e := graph.Errf(graph.CodeUnavailable, "the keys of the issuer cannot be had now")
		e.RetryAfter = keysRetry
		return jwt.VerificationKeySet{}, e
	}
	if len(found) == 0 {
		return jwt.VerificationKeySet{}, fmt.Errorf("no key %q for %s", kid, alg)
	}
	return jwt.VerificationKeySet{Keys: found}, nil
}

// CheckJWKS fetches the keys at an address and counts those that can be used. An
// address without any is an error.
func CheckJWKS(address string) (int, error) {
	s, err := newKeySet(address, time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		return 0, err
	}
	keys, err := s.get()
	return len(keys), err
}

func (s *keySet) fetch() error {
	now := s.clock()
	keys, err := s.get()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tried = now
	if err != nil {
		s.log.Warn("fetch the JWKS", "err", err)
		return err
	}
	s.keys, s.fetched = keys, now
	return nil
}

func (s *keySet) get() ([]jose.JSONWebKey, error) {
	resp, err := s.client.Get(s.url)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %d", resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, keysMaxBytes+1))
	if err != nil {
		return nil, err
	}
	if len(body) > keysMaxBytes {
		return nil, fmt.Errorf("more than %d bytes", keysMaxBytes)
	}
	var doc struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(body, &doc); err != nil {
		return nil, err
	}
	var keys []jose.JSONWebKey
	for _, raw := range doc.Keys {
		var k jose.JSONWebKey
		if err := k.UnmarshalJSON(raw); err != nil {
			continue // RFC 7517, 5: keys of kinds that are not understood are ignored
		}
		if k.Valid() && k.IsPublic() && (k.Use == "" || k.Use == "sig") {
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("no usable key")
	}
	return keys, nil
}

// suitable picks the keys of the algorithm's own kind; without a key id all of
// them, and the signature decides.
func suitable(keys []jose.JSONWebKey, alg, kid string) []jwt.VerificationKey {
	var out []jwt.VerificationKey
	for _, k := range keys {
		if (kid != "" && k.KeyID != kid) || (k.Algorithm != "" && k.Algorithm != alg) {
			continue
		}
		switch key := k.Key.(type) {
		case *rsa.PublicKey:
			if alg == "RS256" && key.N.BitLen() >= minRSABits {
				out = append(out, key)
			}
		case *ecdsa.PublicKey:
			if alg == "ES256" && key.Curve == elliptic.P256() {
				out = append(out, key)
			}
		case ed25519.PublicKey:
			if alg == "EdDSA" {
				out = append(out, key)
			}
		}
	}
	return out
}

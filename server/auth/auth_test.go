package auth_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/server/auth"
)

var secret = []byte("a secret of thirty-two characters!")

func newAuth(t *testing.T, cfg auth.Config) *auth.Authenticator {
	t.Helper()
	a, err := auth.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// sign makes a token with any header and claims.
func sign(t *testing.T, m jwt.SigningMethod, key any, header map[string]any, claims jwt.MapClaims) string {
	t.Helper()
	tok := jwt.NewWithClaims(m, claims)
	for k, v := range header {
		tok.Header[k] = v
	}
	s, err := tok.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func good() jwt.MapClaims {
	return jwt.MapClaims{"sub": "ann", "exp": time.Now().Add(time.Hour).Unix()}
}

func with(m jwt.MapClaims, name string, v any) jwt.MapClaims {
	m[name] = v
	return m
}

func TestMintedTokenCarriesItsClaims(t *testing.T) {
	t.Parallel()
	a := newAuth(t, auth.Config{Secret: secret})
	tok, err := auth.Mint(secret, auth.Claims{User: "ann", Teams: []string{"red", "blue", "red"}, Org: "acme", Graphs: []string{"main", "x-*"}, Admin: true}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	id, err := a.Authenticate(t.Context(), "main", tok)
	if err != nil {
		t.Fatal(err)
	}
	want := graph.Principal{User: "ann", Teams: []string{"blue", "red"}, Org: "acme", Graphs: []string{"main", "x-*"}, Admin: true}
	if d := cmp.Diff(want, id.Principal); d != "" {
		t.Error(d)
	}
	if in := time.Until(id.Expires); in < 59*time.Minute || in > time.Hour {
		t.Errorf("expires in %s", in)
	}
}

func TestAbsentGraphsClaimIsNotAnEmptyOne(t *testing.T) {
	t.Parallel()
	a := newAuth(t, auth.Config{Secret: secret})
	for _, c := range []struct {
		claim any
		set   bool
		isNil bool
	}{{nil, false, true}, {nil, true, true}, {[]string{}, true, false}} {
		m := good()
		if c.set {
			m["graphs"] = c.claim
		}
		id, err := a.Authenticate(t.Context(), "", sign(t, jwt.SigningMethodHS256, secret, nil, m))
		if err != nil {
			t.Fatal(err)
		}
		if (id.Principal.Graphs == nil) != c.isNil || len(id.Principal.Graphs) != 0 {
			t.Errorf("claim %v gives %#v", c.claim, id.Principal.Graphs)
		}
	}
}

func TestHostileTokensAreRefusedAlike(t *testing.T) {
	t.Parallel()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	jwks := serveKeys(t, jose.JSONWebKey{Key: &rsaKey.PublicKey, KeyID: "k1", Algorithm: "RS256", Use: "sig"})
	a := newAuth(t, auth.Config{Secret: secret, JWKSURL: jwks.URL, Issuer: "https://issuer.example", Audience: "graphtide"})
	base := func() jwt.MapClaims {
		return with(with(good(), "iss", "https://issuer.example"), "aud", "graphtide")
	}
	hs := jwt.SigningMethodHS256
	if _, err := a.Authenticate(t.Context(), "", sign(t, hs, secret, nil, base())); err != nil {
		t.Fatalf("the good token is refused: %v", err)
	}
	publicPEM, err := json.Marshal(jose.JSONWebKey{Key: &rsaKey.PublicKey})
	if err != nil {
		t.Fatal(err)
	}
	none := sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil, base())
	signed := sign(t, hs, secret, nil, base())
	b64 := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	cases := map[string]string{
		"not a token":          "x",
		"two parts":            "a.b",
		"empty parts":          "..",
		"alg none":             none,
		"alg None, no sig":     b64(`{"alg":"None"}`) + "." + strings.Split(signed, ".")[1] + ".",
		"wrong secret":         sign(t, hs, []byte("another secret of many characters."), nil, base()),
		"HS with public key":   sign(t, hs, publicPEM, map[string]any{"kid": "k1"}, base()),
		"HS384":                sign(t, jwt.SigningMethodHS384, secret, nil, base()),
		"HS512":                sign(t, jwt.SigningMethodHS512, secret, nil, base()),
		"PS256":                sign(t, jwt.SigningMethodPS256, rsaKey, map[string]any{"kid": "k1"}, base()),
		"unknown kid":          sign(t, jwt.SigningMethodRS256, rsaKey, map[string]any{"kid": "../../etc/passwd"}, base()),
		"kid not a text":       sign(t, hs, secret, map[string]any{"kid": 7}, base()),
		"crit":                 sign(t, hs, secret, map[string]any{"crit": []string{"exp"}}, base()),
		"no exp":               sign(t, hs, secret, nil, jwt.MapClaims{"sub": "ann", "iss": "https://issuer.example", "aud": "graphtide"}),
		"expired":              sign(t, hs, secret, nil, with(base(), "exp", time.Now().Add(-2*time.Minute).Unix())),
		"exp a text":           sign(t, hs, secret, nil, with(base(), "exp", "2099-01-01")),
		"nbf later":            sign(t, hs, secret, nil, with(base(), "nbf", time.Now().Add(2*time.Minute).Unix())),
		"iat later":            sign(t, hs, secret, nil, with(base(), "iat", time.Now().Add(2*time.Minute).Unix())),
		"wrong iss":            sign(t, hs, secret, nil, with(base(), "iss", "https://issuer.example.evil")),
		"no iss":               sign(t, hs, secret, nil, with(good(), "aud", "graphtide")),
		"wrong aud":            sign(t, hs, secret, nil, with(base(), "aud", "other")),
		"no sub":               sign(t, hs, secret, nil, with(base(), "sub", nil)),
		"empty sub":            sign(t, hs, secret, nil, with(base(), "sub", "")),
		"sub a number":         sign(t, hs, secret, nil, with(base(), "sub", 7)),
		"sub of a run":         sign(t, hs, secret, nil, with(base(), "sub", "run:0192f000")),
		"long sub":             sign(t, hs, secret, nil, with(base(), "sub", strings.Repeat("a", 300))),
		"sub with a control":   sign(t, hs, secret, nil, with(base(), "sub", "ann\x00")),
		"admin a text":         sign(t, hs, secret, nil, with(base(), "admin", "true")),
		"teams a text":         sign(t, hs, secret, nil, with(base(), "teams", "red")),
		"teams of numbers":     sign(t, hs, secret, nil, with(base(), "teams", []int{1})),
		"graphs a text":        sign(t, hs, secret, nil, with(base(), "graphs", "*")),
		"an empty team":        sign(t, hs, secret, nil, with(base(), "teams", []string{""})),
		"huge header":          sign(t, hs, secret, map[string]any{"x": strings.Repeat("x", 4096)}, base()),
		"huge token":           sign(t, hs, secret, nil, with(base(), "x", strings.Repeat("x", 32<<10))),
		"tampered":             signed[:len(signed)-4] + "AAAA",
		"padded base64":        signed + "=",
		"a run's, none taken":  graph.RunTokenPrefix + "abc",
		"JWKS key of another":  sign(t, jwt.SigningMethodRS256, otherRSA(t), map[string]any{"kid": "k1"}, base()),
		"jku is not looked at": sign(t, jwt.SigningMethodRS256, otherRSA(t), map[string]any{"kid": "k9", "jku": "http://127.0.0.1:1/"}, base()),
	}
	for name, tok := range cases {
		_, err := a.Authenticate(t.Context(), "main", tok)
		e := graph.AsError(err)
		if err == nil || e.Code != graph.CodeUnauthenticated {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got, _ := json.Marshal(e)
		want, _ := json.Marshal(auth.Unauthenticated(nil))
		if string(got) != string(want) {
			t.Errorf("%s tells more than the others: %s", name, got)
		}
	}
}

func otherRSA(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestClockSkewIsAllowedUpToTheLeeway(t *testing.T) {
	t.Parallel()
	now := time.Now()
	a := newAuth(t, auth.Config{Secret: secret, Leeway: 10 * time.Second, Clock: func() time.Time { return now }})
	for _, c := range []struct {
		ago  time.Duration
		good bool
	}{{9 * time.Second, true}, {12 * time.Second, false}} {
		_, err := a.Authenticate(t.Context(), "", sign(t, jwt.SigningMethodHS256, secret, nil, with(good(), "exp", now.Add(-c.ago).Unix())))
		if (err == nil) != c.good {
			t.Errorf("expired %s ago: %v", c.ago, err)
		}
	}
	if _, err := auth.New(auth.Config{Secret: secret, Leeway: 2 * time.Minute}); err == nil {
		t.Error("a leeway of two minutes is taken")
	}
}

func TestNoKeyMeansNoServer(t *testing.T) {
	t.Parallel()
	if _, err := auth.New(auth.Config{}); err == nil {
		t.Error("made without a key")
	}
	for _, url := range []string{"file:///etc/keys", "keys.json", "https://"} {
		if _, err := auth.New(auth.Config{JWKSURL: url}); err == nil {
			t.Errorf("JWKS address %q is taken", url)
		}
	}
}

func TestWithoutSecretNoSymmetricTokenPasses(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]auth.Config{"dev": {Dev: true}, "jwks": {JWKSURL: "http://127.0.0.1:1/keys"}} {
		a := newAuth(t, cfg)
		for _, key := range [][]byte{{}, []byte("x")} {
			if _, err := a.Authenticate(t.Context(), "", sign(t, jwt.SigningMethodHS256, key, nil, good())); graph.CodeOf(err) != graph.CodeUnauthenticated {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func TestWithoutTokenDependsOnTheMode(t *testing.T) {
	t.Parallel()
	get := func(cfg auth.Config) (*auth.Identity, error) {
		return newAuth(t, cfg).Authenticate(t.Context(), "main", "")
	}
	id, err := get(auth.Config{Dev: true})
	if err != nil || id.Principal.User != "dev" || !id.Principal.Admin || !slices.Equal(id.Principal.Graphs, []string{"*"}) {
		t.Errorf("dev: %+v, %v", id, err)
	}
	id, err = get(auth.Config{Anonymous: true})
	if err != nil || !id.Principal.Anonymous || id.Principal.User != "" || id.Principal.Admin {
		t.Errorf("anonymous: %+v, %v", id, err)
	}
	if _, err = get(auth.Config{Secret: secret}); graph.CodeOf(err) != graph.CodeUnauthenticated {
		t.Errorf("neither: %v", err)
	}
}

func TestBadTokenIsNotTheSameAsNone(t *testing.T) {
	t.Parallel()
	a := newAuth(t, auth.Config{Dev: true, Secret: secret})
	for _, values := range [][]string{{""}, {"Bearer"}, {"Bearer "}, {"Basic YTpi"}, {"Bearer x"}, {"Bearer x", "Bearer y"}} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header["Authorization"] = values
		if _, err := a.FromRequest(r, "main"); graph.CodeOf(err) != graph.CodeUnauthenticated {
			t.Errorf("Authorization %q: %v", values, err)
		}
	}
	r := httptest.NewRequest(http.MethodGet, "/?token=x&access_token=y", nil)
	if id, err := a.FromRequest(r, "main"); err != nil || id.Principal.User != "dev" {
		t.Errorf("a token in the address is looked at: %v", err)
	}
	tok, err := auth.Mint(secret, auth.Claims{User: "ann"}, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	r = httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Authorization", "bearer  "+tok)
	if id, err := a.FromRequest(r, "main"); err != nil || id.Principal.User != "ann" {
		t.Errorf("the scheme's case counts: %v", err)
	}
}

func TestMintRefusesWhatWouldBeRefused(t *testing.T) {
	t.Parallel()
	for name, mint := range map[string]func() (string, error){
		"no secret": func() (string, error) { return auth.Mint(nil, auth.Claims{User: "a"}, time.Hour) },
		"no user":   func() (string, error) { return auth.Mint(secret, auth.Claims{}, time.Hour) },
		"a run":     func() (string, error) { return auth.Mint(secret, auth.Claims{User: "run:1"}, time.Hour) },
		"no time":   func() (string, error) { return auth.Mint(secret, auth.Claims{User: "a"}, 0) },
	} {
		if tok, err := mint(); err == nil {
			t.Errorf("%s: minted %s", name, tok)
		}
	}
}

// keyServer serves a JWKS and counts who asks.
type keyServer struct {
	*httptest.Server
	asked atomic.Int64
	keys  atomic.Pointer[jose.JSONWebKeySet]
	down  atomic.Bool
}

func serveKeys(t *testing.T, keys ...jose.JSONWebKey) *keyServer {
	t.Helper()
	s := &keyServer{}
	s.keys.Store(&jose.JSONWebKeySet{Keys: keys})
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		s.asked.Add(1)
		if s.down.Load() {
			http.Error(w, "down", http.StatusBadGateway)
			return
		}
		_ = json.NewEncoder(w).Encode(s.keys.Load())
	}))
	t.Cleanup(s.Close)
	return s
}

func TestIssuerKeysOfEveryKindAreTaken(t *testing.T) {
	t.Parallel()
	r := otherRSA(t)
	e, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pub, d, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	jwks := serveKeys(t,
		jose.JSONWebKey{Key: &r.PublicKey, KeyID: "r"}, jose.JSONWebKey{Key: &e.PublicKey, KeyID: "e"},
		jose.JSONWebKey{Key: pub, KeyID: "d"}, jose.JSONWebKey{Key: &otherRSA(t).PublicKey, KeyID: "x", Use: "enc"})
	a := newAuth(t, auth.Config{JWKSURL: jwks.URL})
	for name, tok := range map[string]string{
		"RS256":        sign(t, jwt.SigningMethodRS256, r, map[string]any{"kid": "r"}, good()),
		"ES256":        sign(t, jwt.SigningMethodES256, e, map[string]any{"kid": "e"}, good()),
		"EdDSA":        sign(t, jwt.SigningMethodEdDSA, d, map[string]any{"kid": "d"}, good()),
		"no key id":    sign(t, jwt.SigningMethodES256, e, nil, good()),
		"with its typ": sign(t, jwt.SigningMethodES256, e, map[string]any{"typ": "at+jwt"}, good()),
	} {
		if id, err := a.Authenticate(t.Context(), "", tok); err != nil || id.Principal.User != "ann" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := jwks.asked.Load(); n != 1 {
		t.Errorf("the keys were fetched %d times", n)
	}
	// A key is good for its own algorithm alone.
	if _, err := a.Authenticate(t.Context(), "", sign(t, jwt.SigningMethodES256, e, map[string]any{"kid": "r"}, good())); err == nil {
		t.Error("a token names a key of another kind and passes")
	}
}

func TestKeysAreFetchedAgainButNotAtAnybodysWish(t *testing.T) {
	t.Parallel()
	first, second := otherRSA(t), otherRSA(t)
	jwks := serveKeys(t, jose.JSONWebKey{Key: &first.PublicKey, KeyID: "1"})
	now := time.Now()
	var skew atomic.Int64
	clock := func() time.Time { return now.Add(time.Duration(skew.Load())) }
	a := newAuth(t, auth.Config{JWKSURL: jwks.URL, Clock: clock})
	far := func() jwt.MapClaims { return with(good(), "exp", now.Add(100*time.Hour).Unix()) }
	tok1 := sign(t, jwt.SigningMethodRS256, first, map[string]any{"kid": "1"}, far())
	tok2 := sign(t, jwt.SigningMethodRS256, second, map[string]any{"kid": "2"}, far())
	must := func(tok string) {
		t.Helper()
		if _, err := a.Authenticate(t.Context(), "", tok); err != nil {
			t.Fatal(err)
		}
	}
	must(tok1)
	for range 20 {
		if _, err := a.Authenticate(t.Context(), "", tok2); graph.CodeOf(err) != graph.CodeUnauthenticated {
			t.Fatal(err)
		}
	}
	if n := jwks.asked.Load(); n != 1 {
		t.Fatalf("unknown key ids made %d fetches", n)
	}
	jwks.keys.Store(&jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &second.PublicKey, KeyID: "2"}}})
	skew.Store(int64(20 * time.Second))
	must(tok2)

	// The issuer is down: known keys go on for a day, unknown ones are refused.
	jwks.down.Store(true)
	skew.Store(int64(20 * time.Hour))
	must(tok2)
	skew.Store(int64(26 * time.Hour))
	if _, err := a.Authenticate(t.Context(), "", tok2); graph.CodeOf(err) != graph.CodeUnavailable {
		t.Errorf("after a day without the issuer: %v", err)
	}
}

// runs knows one token in one graph.
type runs struct{ err error }

func (r runs) Authenticate(_ context.Context, name, token string) (*graph.RunIdentity, error) {
	if r.err != nil {
		return nil, r.err
	}
	if name != "main" || token != graph.RunTokenPrefix+"one" {
		return nil, graph.Errf(graph.CodeUnauthenticated, "over")
	}
	return &graph.RunIdentity{Author: graph.Principal{User: "run:1", Admin: true, Graphs: []string{"*"}}, Depth: 3}, nil
}

func TestRunTokenOpensNoSession(t *testing.T) {
	t.Parallel()
	a := newAuth(t, auth.Config{Secret: secret, Runs: runs{}})
	if p, _, err := a.Session(t.Context(), "main", graph.RunTokenPrefix+"one"); graph.CodeOf(err) != graph.CodeUnauthenticated {
		t.Errorf("the attempt's token opens a session for %+v, %v", p, err)
	}
}

func TestRunTokenOpensItsGraphAlone(t *testing.T) {
	t.Parallel()
	a := newAuth(t, auth.Config{Secret: secret, Runs: runs{}})
	id, err := a.Authenticate(t.Context(), "main", graph.RunTokenPrefix+"one")
	if err != nil {
		t.Fatal(err)
	}
	if p := id.Principal; p.User != "run:1" || !p.Admin || !slices.Equal(p.Graphs, []string{"main"}) || id.Run == nil || id.Run.Depth != 3 {
		t.Errorf("%+v", id)
	}
	for _, name := range []string{"", "other"} {
		if _, err := a.Authenticate(t.Context(), name, graph.RunTokenPrefix+"one"); graph.CodeOf(err) != graph.CodeUnauthenticated {
			t.Errorf("graph %q: %v", name, err)
		}
	}
	if _, err := a.Authenticate(t.Context(), "main", graph.RunTokenPrefix+"two"); graph.CodeOf(err) != graph.CodeUnauthenticated {
		t.Errorf("another token: %v", err)
	}
	down := errors.New("the database is away")
	a = newAuth(t, auth.Config{Secret: secret, Runs: runs{err: down}})
	if _, err := a.Authenticate(t.Context(), "main", graph.RunTokenPrefix+"one"); !errors.Is(err, down) {
		t.Errorf("a fault of ours became %v", err)
	}
}

func FuzzNoTokenPassesWithoutTheSecret(f *testing.F) {
	tok, err := auth.Mint([]byte("another"), auth.Claims{User: "ann"}, time.Hour)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(tok)
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Add("..")
	f.Add("a.b.c")
	f.Add("gtrun_")
	a, err := auth.New(auth.Config{Secret: secret})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, tok string) {
		if tok == "" {
			return
		}
		if id, err := a.Authenticate(t.Context(), "main", tok); err == nil || id != nil || graph.CodeOf(err) != graph.CodeUnauthenticated {
			t.Errorf("%q gives %+v, %v", tok, id, err)
		}
	})
}

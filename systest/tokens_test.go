package systest

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"hash"
	"net/http"
	"strings"
	"testing"
	"time"
)

// jwt makes a token by hand.
func jwt(header, claims string, h func() hash.Hash, key string) string {
	enc := base64.RawURLEncoding
	text := enc.EncodeToString([]byte(header)) + "." + enc.EncodeToString([]byte(claims))
	if h == nil {
		return text + "."
	}
	m := hmac.New(h, []byte(key))
	m.Write([]byte(text))
	return text + "." + enc.EncodeToString(m.Sum(nil))
}

func claims(user string, exp time.Duration, more string) string {
	c := map[string]any{"sub": user, "exp": time.Now().Add(exp).Unix(), "graphs": []string{"*"}}
	if more != "" {
		if err := json.Unmarshal([]byte(more), &c); err != nil {
			panic(err)
		}
		for k, v := range c {
			if v == nil {
				delete(c, k)
			}
		}
	}
	b, _ := json.Marshal(c)
	return string(b)
}

const hs256 = `{"alg":"HS256","typ":"JWT"}`

func expired(user string) string { return jwt(hs256, claims(user, -time.Hour, ""), sha256.New, secret) }
func foreign(user string) string {
	return jwt(hs256, claims(user, time.Hour, ""), sha256.New, "another secret, just as long as it")
}

func TestTokens(t *testing.T) {
	t.Parallel()
	w := setup(t)
	good := jwt(hs256, claims("ann", time.Hour, ""), sha256.New, secret)
	path := w.path("")
	try := func(token string) *answer {
		return (&client{t: t, w: w, url: w.url, token: token}).get(path)
	}
	try(good).want(200)
	parts := strings.Split(good, ".")
	bad := map[string]string{
		"none":                 jwt(`{"alg":"none"}`, claims("ann", time.Hour, ""), nil, ""),
		"None":                 jwt(`{"alg":"None"}`, claims("ann", time.Hour, ""), nil, ""),
		"none with signature":  jwt(`{"alg":"none"}`, claims("ann", time.Hour, ""), sha256.New, secret),
		"another algorithm":    jwt(`{"alg":"HS512"}`, claims("ann", time.Hour, ""), sha512.New, secret),
		"RS256 by the secret":  jwt(`{"alg":"RS256"}`, claims("ann", time.Hour, ""), sha256.New, secret),
		"another secret":       foreign("ann"),
		"the empty secret":     jwt(hs256, claims("ann", time.Hour, ""), sha256.New, ""),
		"expired":              expired("ann"),
		"not yet":              jwt(hs256, claims("ann", time.Hour, `{"nbf":99999999999}`), sha256.New, secret),
		"no exp":               jwt(hs256, claims("ann", time.Hour, `{"exp":null}`), sha256.New, secret),
		"exp as text":          jwt(hs256, claims("ann", time.Hour, `{"exp":"tomorrow"}`), sha256.New, secret),
		"no sub":               jwt(hs256, claims("ann", time.Hour, `{"sub":null}`), sha256.New, secret),
		"an empty sub":         jwt(hs256, claims("", time.Hour, ""), sha256.New, secret),
		"sub as number":        jwt(hs256, claims("ann", time.Hour, `{"sub":5}`), sha256.New, secret),
		"a run's name":         jwt(hs256, claims("run:x", time.Hour, ""), sha256.New, secret),
		"graphs as text":       jwt(hs256, claims("ann", time.Hour, `{"graphs":"*"}`), sha256.New, secret),
		"admin as text":        jwt(hs256, claims("ann", time.Hour, `{"admin":"true"}`), sha256.New, secret),
		"teams as text":        jwt(hs256, claims("ann", time.Hour, `{"teams":"red"}`), sha256.New, secret),
		"kid as path":          jwt(`{"alg":"HS256","kid":"../../../dev/null"}`, claims("ann", time.Hour, ""), sha256.New, ""),
		"jku":                  jwt(`{"alg":"HS256","jku":"http://127.0.0.1:1/x"}`, claims("ann", time.Hour, ""), sha256.New, "x"),
		"crit":                 jwt(`{"alg":"HS256","crit":["x"],"x":1}`, claims("ann", time.Hour, ""), sha256.New, secret),
		"no signature":         parts[0] + "." + parts[1] + ".",
		"two parts":            parts[0] + "." + parts[1],
		"four parts":           good + ".x",
		"the signature cut":    good[:len(good)-4],
		"changed claims":       parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(claims("root", time.Hour, `{"admin":true}`))) + "." + parts[2],
		"nonsense":             "nonsense",
		"nothing":              " ",
		"huge":                 strings.Repeat("a", 20000),
		"claims that are none": jwt(hs256, `[]`, sha256.New, secret),
	}
	var first []byte
	for name, token := range bad {
		a := try(token)
		if a.status != 401 {
			t.Errorf("%s: %v", name, a)
			continue
		}
		p := a.problem("unauthenticated")
		if a.header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: no WWW-Authenticate", name)
		}
		delete(p.v.(map[string]any), "requestId")
		text := []byte(p.String())
		if first == nil {
			first = text
		}
		if string(first) != string(text) {
			t.Errorf("%s: the body tells them apart: %s, %s", name, text, first)
		}
	}
	for _, header := range []string{"Basic " + good, "bearer", "Token x", good} {
		a := (&client{t: t, w: w, url: w.url}).with("Authorization: " + header).get(path)
		if a.status != 401 {
			t.Errorf("%s: %v", header[:6], a)
		}
	}
	// Neither the address nor a cookie carries a token.
	nobody := w.as("")
	nobody.get(path + "?token=" + good).problem("unauthenticated")
	nobody.get(path + "?access_token=" + good).problem("unauthenticated")
	nobody.with("Cookie: token=" + good).get(path).problem("unauthenticated")
	nobody.get(path).problem("unauthenticated")
	nobody.get("/v1/schema").problem("unauthenticated")
	for _, open := range []string{"/healthz", "/readyz", "/version"} {
		nobody.get(open).want(200)
	}
}

func TestGraphsThatATokenOpens(t *testing.T) {
	t.Parallel()
	w := setup(t)
	prefix := w.graph[:6]
	for claim, opens := range map[string]bool{
		`{"graphs":null}`:                                    false, // main alone
		`{"graphs":[]}`:                                      false,
		`{"graphs":["main"]}`:                                false,
		`{"graphs":["` + w.graph + `"]}`:                     true,
		`{"graphs":["main","` + w.graph + `"]}`:              true,
		`{"graphs":["` + prefix + `*"]}`:                     true,
		`{"graphs":["*"]}`:                                   true,
		`{"graphs":["` + w.graph + `*"]}`:                    true,
		`{"graphs":["` + w.graph + `x"]}`:                    false,
		`{"graphs":["` + prefix + `"]}`:                      false,
		`{"graphs":["*` + w.graph[3:] + `"]}`:                false,
		`{"graphs":["x*"]}`:                                  false,
		`{"graphs":["elsewhere"],"admin":true}`:              false,
		`{"graphs":null,"admin":true}`:                       false,
		`{"graphs":["` + strings.ToUpper(w.graph) + `"]}`:    false,
		`{"graphs":["t-*-x","t-*` + w.graph[len(w.graph)-2:]: false,
	} {
		if !json.Valid([]byte(claim)) {
			continue
		}
		c := &client{t: t, w: w, url: w.url, token: jwt(hs256, claims("ann", time.Hour, claim), sha256.New, secret)}
		absent := *w
		absent.graph = "t-absent"
		a := c.get(w.path(""))
		if opens {
			a.want(200)
			continue
		}
		a.problem("not-found")
		same(t, a, c.get(absent.path("")))
		same(t, c.patch("[]"), c.do("PATCH", absent.path(""), patchType, "[]"))
		same(t, c.post(w.path("/load"), `{"root":{"type":"Doc"}}`), c.post(absent.path("/load"), `{"root":{"type":"Doc"}}`))
		same(t, c.get(w.path("/log")), c.get(absent.path("/log")))
		list := c.get("/v1/graphs").want(200)
		if strings.Contains(string(list.body), w.graph) {
			t.Errorf("%s lists %s", claim, list.body)
		}
	}
	main := &client{t: t, w: w, url: w.url, token: jwt(hs256, claims("ann", time.Hour, `{"graphs":null}`), sha256.New, secret)}
	main.get("/v1/graphs/main").want(200).json().is("name", `"main"`)
}

// same fails the test where two answers can be told apart.
func same(t testing.TB, a, b *answer) {
	t.Helper()
	clean := func(h http.Header) http.Header {
		h = h.Clone()
		for _, k := range []string{"Date", "X-Request-Id", "Content-Length"} {
			h.Del(k)
		}
		return h
	}
	strip := func(x *answer) string {
		v, err := decode(x.body)
		if err != nil {
			return string(x.body)
		}
		if m, ok := v.(map[string]any); ok {
			delete(m, "requestId")
		}
		return value{t, v}.String()
	}
	ha, _ := json.Marshal(clean(a.header))
	hb, _ := json.Marshal(clean(b.header))
	if a.status != b.status || strip(a) != strip(b) || string(ha) != string(hb) {
		t.Errorf("can be told apart:\n%v %s\n%v %s", a, ha, b, hb)
	}
}

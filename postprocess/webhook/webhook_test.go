package webhook

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

func server(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func open(t *testing.T, cfg Config) *Client {
	t.Helper()
	cfg.AllowPrivate = true
	c := New(cfg)
	t.Cleanup(c.Close)
	return c
}

func TestAReceiverCanVerifyTheSignature(t *testing.T) {
	t.Parallel()
	const other = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
	got := make(chan error, 2)
	url := server(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		for _, s := range []string{secret, other} {
			wh, err := standardwebhooks.NewWebhook(s)
			if err == nil {
				err = wh.Verify(body, r.Header)
			}
			got <- err
		}
		_, _ = w.Write([]byte(`{"patch":[]}`))
	})
	a, err := open(t, Config{}).Send(t.Context(), Message{URL: url, Secret: secret + " " + other, ID: "msg_1", Body: []byte(`{"a":1}`)})
	if err != nil || a.Status != 200 || string(a.Body) != `{"patch":[]}` {
		t.Fatalf("answer %v, %v", a, err)
	}
	for range 2 {
		if err := <-got; err != nil {
			t.Fatal(err)
		}
	}
}

func TestASecretThatIsNoBase64SignsWithItsBytes(t *testing.T) {
	t.Parallel()
	got := make(chan error, 1)
	url := server(t, func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		wh, _ := standardwebhooks.NewWebhookRaw([]byte("not-base64!"))
		got <- wh.Verify(body, r.Header)
	})
	if _, err := open(t, Config{}).Send(t.Context(), Message{URL: url, Secret: "not-base64!", ID: "m", Body: []byte(`1`)}); err != nil {
		t.Fatal(err)
	}
	if err := <-got; err != nil {
		t.Fatal(err)
	}
}

func TestOnlyPublicAddressesAreDialled(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]bool{
		"8.8.8.8": true, "1.1.1.1": true, "2606:4700:4700::1111": true,
		"127.0.0.1": false, "127.8.8.8": false, "::1": false, "0.0.0.0": false, "0.1.2.3": false, "::": false,
		"10.1.2.3": false, "172.16.0.1": false, "172.31.255.255": false, "192.168.1.1": false, "169.254.169.254": false,
		"100.64.0.1": false, "198.18.0.1": false, "192.0.2.1": false, "224.0.0.1": false, "240.0.0.1": false, "255.255.255.255": false,
		"fe80::1": false, "fe80::1%eth0": false, "fc00::1": false, "fd12::1": false, "ff02::1": false, "fec0::1": false,
		"::ffff:127.0.0.1": false, "::ffff:10.0.0.1": false, "::ffff:8.8.8.8": true, "::127.0.0.1": false,
		"64:ff9b::7f00:1": false, "2002:7f00:1::": false, "2001::1": false, "2001:db8::1": false,
	} {
		if got := Public(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: public is %v, want %v", addr, got, want)
		}
	}
}

func TestTargetsInsideAreRefused(t *testing.T) {
	t.Parallel()
	hit := false
	inside := server(t, func(http.ResponseWriter, *http.Request) { hit = true })
	port := inside[strings.LastIndex(inside, ":"):]
	c := New(Config{})
	defer c.Close()
	for _, url := range []string{
		inside, "https://127.0.0.1" + port, "https://localhost" + port, "https://[::1]" + port, "https://[::ffff:127.0.0.1]" + port,
		"https://169.254.169.254/latest/meta-data", "file:///etc/passwd", "gopher://x/", "https:opaque", "https://",
		"https://user:pass@127.0.0.1" + port, "://", "",
	} {
		_, err := c.Send(t.Context(), Message{URL: url, ID: "m", Body: []byte("{}")})
		var blocked *BlockedError
		if !errors.As(err, &blocked) {
			t.Errorf("%q gave %v", url, err)
		}
	}
	if hit {
		t.Fatal("an inner server was reached")
	}
}

func TestNumericHostFormsNeverConnectInside(t *testing.T) {
	t.Parallel()
	reached := make(chan struct{}, 8)
	inside := server(t, func(http.ResponseWriter, *http.Request) { reached <- struct{}{} })
	port := inside[strings.LastIndex(inside, ":"):]
	c := New(Config{})
	defer c.Close()
	for _, host := range []string{"0", "2130706433", "0177.0.0.1", "0x7f000001", "127.1", "0x7f.1"} {
		ctx, cancel := context.WithCancel(t.Context())
		if _, err := c.Send(ctx, Message{URL: "https://" + host + port, ID: "m", Body: []byte("{}")}); err == nil {
			t.Errorf("%s was delivered", host)
		}
		cancel()
	}
	if len(reached) > 0 {
		t.Fatal("an inner server was reached")
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	followed := false
	target := server(t, func(http.ResponseWriter, *http.Request) { followed = true })
	url := server(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, target, http.StatusTemporaryRedirect)
	})
	_, err := open(t, Config{}).Send(t.Context(), Message{URL: url, ID: "m", Body: []byte("{}")})
	var status *StatusError
	if !errors.As(err, &status) || status.Status != http.StatusTemporaryRedirect || followed {
		t.Fatalf("got %v, followed %v", err, followed)
	}
}

func TestAnswersAreBounded(t *testing.T) {
	t.Parallel()
	url := server(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/bad" {
			w.WriteHeader(http.StatusBadGateway)
		}
		for range 1000 {
			if _, err := w.Write(make([]byte, 1<<20)); err != nil {
				return
			}
		}
	})
	c := open(t, Config{AnswerBytes: 100})
	if _, err := c.Send(t.Context(), Message{URL: url, ID: "m"}); !errors.Is(err, ErrTooLarge) {
		t.Fatalf("got %v", err)
	}
	_, err := c.Send(t.Context(), Message{URL: url + "/bad", ID: "m"})
	var status *StatusError
	if !errors.As(err, &status) || status.Status != 502 || len(status.Body) > ErrorBytes {
		t.Fatalf("got %v", err)
	}
}

func TestAProxyOfTheEnvironmentIsNotUsed(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	c := New(Config{})
	defer c.Close()
	if c.http.Transport.(*http.Transport).Proxy != nil {
		t.Fatal("a proxy is set")
	}
}

func TestErrorsDoNotCarryTheURL(t *testing.T) {
	t.Parallel()
	url := server(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	_, err := open(t, Config{}).Send(t.Context(), Message{URL: url + "/?key=canary", ID: "m"})
	if err == nil || strings.Contains(err.Error(), "canary") {
		t.Fatalf("got %v", err)
	}
}

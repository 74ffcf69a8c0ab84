package webhook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// ErrorBytes is how much of an answer that is no success is kept.
const ErrorBytes = 64 << 10

// Config of a Client.
type Config struct {
	// AllowPrivate lets webhooks reach private addresses and plain http.
	AllowPrivate bool
	// AnswerBytes bounds an answer; 0: 1 MiB and 64 KiB.
	AnswerBytes int64
	// Agent is the User-Agent; "": graphtide.
	Agent string
	// Now gives the time of signatures; nil: time.Now.
	Now func() time.Time
}

// Client sends messages; safe for concurrent use.
type Client struct {
	cfg  Config
	http *http.Client
}

// New makes a client; Close frees its connections.
func New(cfg Config) *Client {
	if cfg.AnswerBytes == 0 {
		cfg.AnswerBytes = 1<<20 + 64<<10
	}
	if cfg.Agent == "" {
		cfg.Agent = "graphtide"
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	d := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	if !cfg.AllowPrivate {
		d.Control = refusePrivate
	}
	return &Client{cfg: cfg, http: &http.Client{
		Transport: &http.Transport{
			Proxy:                  nil, // never the environment's
			DialContext:            d.DialContext,
			TLSHandshakeTimeout:    10 * time.Second,
			MaxIdleConns:           64,
			MaxIdleConnsPerHost:    8,
			IdleConnTimeout:        60 * time.Second,
			MaxResponseHeaderBytes: 64 << 10,
			DisableCompression:     true, // what is counted is what is sent
			ForceAttemptHTTP2:      true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Close ends idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Message is what is sent. ID is the same on every retry. Secret is one secret
// or, while it is being replaced, several with spaces between; "" leaves the
// message unsigned.
type Message struct {
	URL    string
	Secret string
	ID     string
	Body   []byte
}

// Answer is what came back with a 2xx status.
type Answer struct {
	Type   string // of its content, as the other end names it
	Status int
	Body   []byte
}

// BlockedError says that the target may not be reached; trying again does not
// help.
type BlockedError struct{ Why string }

// Error gives the reason.
func (e *BlockedError) Error() string { return "the webhook's target is blocked: " + e.Why }

// StatusError is an answer that is no success.
type StatusError struct {
	Status int
	Body   []byte // the beginning
}

// Error gives the status and the beginning of the body.
func (e *StatusError) Error() string {
	s := fmt.Sprintf("the webhook answered %d", e.Status)
	if text := strings.TrimSpace(string(e.Body)); text != "" {
		if len(text) > 500 {
			text = text[:500] + "…"
		}
		s += ": " + strings.ToValidUTF8(text, "\uFFFD")
	}
	return s
}

// ErrTooLarge is given for an answer over the limit.
var ErrTooLarge = errors.New("the webhook's answer is too large")

// Send delivers a message and gives a 2xx answer. Other errors are a
// *BlockedError, a *StatusError, ErrTooLarge, ctx's, and those of the network.
func (c *Client) Send(ctx context.Context, m Message) (Answer, error) {
	u, err := c.check(m.URL)
	if err != nil {
		return Answer{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(m.Body))
	if err != nil {
		return Answer{}, &BlockedError{Why: "the URL is malformed"}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", c.cfg.Agent)
	if err := c.sign(req.Header, m); err != nil {
		return Answer{}, err
	}
	res, err := c.http.Do(req)
	if err != nil {
		var blocked *BlockedError
		if errors.As(err, &blocked) {
			return Answer{}, blocked
		}
		return Answer{}, withoutURL(err)
	}
	defer res.Body.Close()
	if res.StatusCode < 200 || res.StatusCode > 299 {
		body, _ := io.ReadAll(io.LimitReader(res.Body, ErrorBytes))
		return Answer{}, &StatusError{Status: res.StatusCode, Body: body}
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, c.cfg.AnswerBytes+1))
	if err != nil {
		return Answer{}, fmt.Errorf("read the webhook's answer: %w", err)
	}
	if int64(len(body)) > c.cfg.AnswerBytes {
		return Answer{}, ErrTooLarge
	}
	return Answer{Status: res.StatusCode, Type: res.Header.Get("Content-Type"), Body: body}, nil
}

// check judges the URL before any name is resolved.
func (c *Client) check(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Host == "" || u.Opaque != "":
		return nil, &BlockedError{Why: "the URL is malformed"}
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, &BlockedError{Why: "only https is spoken"}
	case u.Scheme == "http" && !c.cfg.AllowPrivate:
		return nil, &BlockedError{Why: "plain http is not allowed; --allow-private-webhooks allows it"}
	case u.User != nil:
		return nil, &BlockedError{Why: "a URL must not carry a name or password"}
	}
	return u, nil
}

// sign sets the headers of the specification.
func (c *Client) sign(h http.Header, m Message) error {
	now := c.cfg.Now()
	h.Set(standardwebhooks.HeaderWebhookID, m.ID)
	h.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
	var signatures []string
	for _, secret := range strings.Fields(m.Secret) {
		wh, err := standardwebhooks.NewWebhook(secret)
		if err != nil { // not base64: its bytes are the key
			if wh, err = standardwebhooks.NewWebhookRaw([]byte(secret)); err != nil {
				return &BlockedError{Why: "the secret is malformed"}
			}
		}
		s, err := wh.Sign(m.ID, now, m.Body)
		if err != nil {
			return fmt.Errorf("sign the webhook: %w", err)
		}
		signatures = append(signatures, s)
	}
	if len(signatures) > 0 {
		h.Set(standardwebhooks.HeaderWebhookSignature, strings.Join(signatures, " "))
	}
	return nil
}

// withoutURL takes the URL out of the client's error: it may hold a secret.
func withoutURL(err error) error {
	var ue *url.Error
	if errors.As(err, &ue) {
		return fmt.Errorf("the webhook could not be reached: %w", ue.Err)
	}
	return err
}

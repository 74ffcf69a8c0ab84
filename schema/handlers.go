package schema

import (
	"net/url"
	"regexp"
	"strings"
	"time"
)

// Defaults and bounds of handlers.
const (
	DefaultRetries          = 5
	DefaultRuleTimeout      = 30 * time.Second
	DefaultOperationTimeout = 10 * time.Minute
	maxRetries              = 100
	minTimeout              = 10 * time.Millisecond
	maxTimeout              = 30 * 24 * time.Hour
)

// handlerKeys are the keys of a handler.
var handlerKeys = []string{"script", "webhook", "go", "lambda", "secret"}

var envReference = regexp.MustCompile(`\$\{env:[^}]*\}`)

var envName = regexp.MustCompile(`^\$\{env:[A-Za-z_][A-Za-z0-9_]*\}$`)

// handler compiles `handler` of a rule or an operation.
func (c *compiler) handler(owner cursor) (h Handler) {
	v, ok := owner.field("handler")
	if !ok {
		owner.fault("the handler is missing: {script: …}, {webhook: …}, {go: …} or {lambda: …}")
		return h
	}
	if !v.isMap() {
		return h
	}
	v.only(handlerKeys...)
	var kinds []string
	for _, kind := range handlerKeys[:4] {
		k, ok := v.field(kind)
		if !ok {
			continue
		}
		s, ok := k.text()
		if !ok {
			continue
		}
		kinds = append(kinds, kind)
		switch kind {
		case "script":
			h.Script = s
			if why, lacking := c.lacking[s]; lacking {
				k.fault("%s", why)
			} else if c.reg.Scripts[s] == "" {
				c.warn(k, "the source of %s is not among `scripts`; the command line fills it in from the file", quoteShort(s))
			}
		case "webhook":
			h.Webhook = s
			if u, err := url.Parse(s); err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
				k.fault("must be an address that begins with https://, here it is %s", quoteShort(s))
			} else if u.User != nil {
				k.fault("a password does not belong in the address; webhooks are signed with `secret`")
			}
		case "go":
			h.Go = s
		case "lambda":
			h.Lambda = s
		}
	}
	if len(kinds) != 1 {
		v.fault("a handler is one of script, webhook, go and lambda, here there are %d", len(kinds))
	}
	if k, ok := v.field("secret"); ok {
		if s, isText := k.text(); isText {
			h.Secret = s
			if h.Webhook == "" {
				k.fault("a secret signs webhooks; other handlers have none")
			}
			for _, ref := range envReference.FindAllString(s, -1) {
				if !envName.MatchString(ref) {
					k.fault("%s does not name an environment variable", quoteShort(ref))
				}
			}
		}
	}
	return h
}

// run compiles `timeout`, `retries` and `as`.
func (c *compiler) run(owner cursor, defaultTimeout time.Duration) (timeout time.Duration, retries int, asUser bool) {
	timeout, retries = defaultTimeout, DefaultRetries
	if v, ok := owner.field("timeout"); ok {
		if d, ok := v.duration(minTimeout, maxTimeout); ok {
			timeout = d
		}
	}
	if v, ok := owner.field("retries"); ok {
		if n, ok := v.int(0, maxRetries); ok {
			retries = n
		}
	}
	if v, ok := owner.field("as"); ok {
		asUser = v.oneOf("user") == "user"
	}
	return timeout, retries, asUser
}

// checkEnv refuses ${env:…} in all of a value but the secrets of handlers.
func checkEnv(v cursor) {
	const message = "${env:…} is taken in `secret` alone"
	switch v.n.kind {
	case stringKind:
		if strings.Contains(v.n.text, "${env:") {
			v.fault(message)
		}
	case mapKind:
		for i := range v.n.members {
			m := &v.n.members[i]
			if strings.Contains(m.key, "${env:") {
				v.child(m).fault(message)
			}
			if m.key != "secret" || !strings.HasSuffix(v.pointer, "/handler") {
				checkEnv(v.child(m))
			}
		}
	case listKind:
		for _, item := range v.items() {
			checkEnv(item)
		}
	}
}

// Kind says who answers: script, webhook, go or lambda.
func (h Handler) Kind() string {
	switch {
	case h.Script != "":
		return "script"
	case h.Webhook != "":
		return "webhook"
	case h.Go != "":
		return "go"
	}
	return "lambda"
}

package fanout

import (
	"net"
	"net/http"
	"net/url"
	"strings"
)

// originAllowed judges where a connection comes from. Browsers always say it,
// and another site's page must not act for its visitor; a client that does not
// say it is no browser, and has only what its token gives it.
func (h *Hub) originAllowed(r *http.Request) bool {
	origins := r.Header.Values("Origin")
	if len(origins) == 0 {
		return true
	}
	if len(origins) > 1 {
		return false
	}
	origin := origins[0]
	for _, o := range h.cfg.AllowedOrigins {
		if strings.EqualFold(o, origin) {
			return true
		}
	}
	u, err := url.Parse(origin)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return false
	}
	if u.Scheme == schemeOf(r) && strings.EqualFold(u.Host, r.Host) {
		return true
	}
	return h.cfg.Dev && loopback(u.Hostname())
}

// schemeOf gives the scheme under which the request was made. A proxy that ends
// TLS says so in X-Forwarded-Proto, which no page can set on a websocket.
func schemeOf(r *http.Request) string {
	if p := r.Header.Get("X-Forwarded-Proto"); p != "" {
		return strings.ToLower(p)
	}
	if r.TLS != nil {
		return "https"
	}
	return "http"
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// tokenInURL reports a token where logs and histories would keep it.
func tokenInURL(u *url.URL) bool {
	for name := range u.Query() {
		switch strings.ToLower(name) {
		case "token", "access_token", "authorization", "jwt":
			return true
		}
	}
	return false
}

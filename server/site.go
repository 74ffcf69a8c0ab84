package server

import (
	"crypto/sha256"
	"encoding/base64"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"regexp"
	"strings"
)

// site serves the files of a page below a prefix.
type site struct {
	files  fs.FS
	prefix string
	// fallback serves index.html for paths without an extension: a page that
	// keeps its own routes.
	fallback bool
}

func (t site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !t.serve(w, r) {
		http.Error(w, "not found", http.StatusNotFound)
	}
}

// serve writes the file and reports whether there is one. Folders are never
// listed.
func (t site) serve(w http.ResponseWriter, r *http.Request) bool {
	name := strings.TrimPrefix(path.Clean("/"+strings.TrimPrefix(r.URL.Path, t.prefix)), "/")
	if name == "" {
		name = "index.html"
	}
	body, err := fs.ReadFile(t.files, name)
	if err != nil && path.Ext(name) == "" {
		body, err = fs.ReadFile(t.files, path.Join(name, "index.html"))
		name = path.Join(name, "index.html")
		if err != nil && t.fallback {
			name = "index.html"
			body, err = fs.ReadFile(t.files, name)
		}
	}
	if err != nil {
		return false
	}
	h := w.Header()
	kind := mime.TypeByExtension(path.Ext(name))
	switch path.Ext(name) { // not left to the machine's own tables
	case ".js", ".mjs":
		kind = "text/javascript; charset=utf-8"
	case ".json", ".map":
		kind = typeJSON
	case "":
		kind = "application/octet-stream"
	}
	h.Set("Content-Type", kind)
	h.Set("Content-Security-Policy", pagePolicy(name, body))
	h.Set("Cache-Control", "no-cache")
	sum := sha256.Sum256(body)
	tag := `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
	h.Set("ETag", tag)
	if notModified(r.Header.Values("If-None-Match"), tag) {
		w.WriteHeader(http.StatusNotModified)
		return true
	}
	w.WriteHeader(http.StatusOK)
	w.Write(body)
	return true
}

var inlineScript = regexp.MustCompile(`(?is)<script(?:\s+type="[a-z/]+")?\s*>(.*?)</script>`)

// pagePolicy lets a page load what comes from here, and the scripts that are
// written in it, by their hashes.
func pagePolicy(name string, body []byte) string {
	scripts := "'self'"
	if path.Ext(name) == ".html" {
		for _, m := range inlineScript.FindAllSubmatch(body, -1) {
			sum := sha256.Sum256(m[1])
			scripts += " 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
		}
	}
	return "default-src 'self'; script-src " + scripts + "; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; " +
		"font-src 'self' data:; connect-src 'self' ws: wss:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
}

package systest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/graphtide/graphtide/internal/testdb"
)

// delivery is one call of a webhook.
type delivery struct {
	header http.Header
	raw    []byte
	call   value
}

// hookServer is the handler at the far end of every webhook of the tests. What
// it answers is set per graph and rule.
type hookServer struct {
	web *httptest.Server

	mu      sync.Mutex // guards the field below
	answers map[string]func(w http.ResponseWriter, d delivery)
}

var hooks = sync.OnceValue(func() *hookServer {
	h := &hookServer{answers: map[string]func(http.ResponseWriter, delivery){}}
	h.web = httptest.NewServer(h)
	testdb.AtEnd(func() error { h.web.Close(); return nil })
	return h
})

func (h *hookServer) url() string { return h.web.URL }

// on answers the calls of one rule in the test's graph.
func (w *world) on(rule string, answer func(w http.ResponseWriter, d delivery)) {
	h := hooks()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answers[w.graph+"/"+rule] = answer
}

// deliveries gives the calls of one rule, each answered with an empty object.
func (w *world) deliveries(rule string) <-chan delivery {
	ch := make(chan delivery, 1000)
	w.on(rule, func(rw http.ResponseWriter, d delivery) {
		ch <- d
		answerJSON(rw, 200, `{}`)
	})
	return ch
}

func answerJSON(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	io.WriteString(w, body)
}

func (h *hookServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	v, err := decode(text)
	if err != nil {
		http.Error(w, err.Error(), 400)
		return
	}
	m, _ := v.(map[string]any)
	name, _ := m["graph"].(string)
	h.mu.Lock()
	answer := h.answers[name+r.URL.Path]
	h.mu.Unlock()
	if answer == nil {
		answerJSON(w, 200, `{}`)
		return
	}
	answer(w, delivery{header: r.Header, raw: text, call: value{new(testing.T), v}})
}

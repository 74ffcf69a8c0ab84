package server

import (
	"net/http"
	"strconv"
	"time"

	"github.com/graphtide/graphtide/graph"
)

// follow sends commits as they come (Server-Sent Events): the event's id is the
// version, its data the commit. The stream ends when the reader leaves, his
// token ends, the graph or its epoch is no more, the server drains, or limit
// commits have been sent (0: without end).
func (s *Server) follow(w http.ResponseWriter, r *http.Request, c *call, since graph.Version, limit int) error {
	ctx := r.Context()
	rc := http.NewResponseController(w)
	changed := make(chan struct{}, 1) // one waiting word is as good as many
	stop := c.rep.Watch(func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	})
	defer stop()
	epoch := c.rep.Head().Epoch
	// What can be refused is refused before the stream begins.
	events, err := s.page(ctx, c, since, streamPage(limit))
	if err != nil {
		return err
	}
	s.metrics.streams.Inc()
	defer s.metrics.streams.Dec()
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // proxies that would gather events
	h.Set(headerEpoch, epoch)
	w.WriteHeader(http.StatusOK)

	heartbeat := time.NewTicker(s.cfg.Heartbeat)
	defer heartbeat.Stop()
	var expired <-chan time.Time // nil never fires
	if at := c.id.Expires; !at.IsZero() {
		timer := time.NewTimer(time.Until(at))
		defer timer.Stop()
		expired = timer.C
	}
	var out []byte
	sent := 0
	for {
		out = out[:0]
		for _, e := range events {
			out = append(out, "id: "...)
			out = strconv.AppendInt(out, int64(e.version), 10)
			out = append(out, "\ndata: "...)
			out = append(out, e.text...) // compact JSON: no line breaks
			out = append(out, "\n\n"...)
			since = e.version
			sent++
		}
		if !write(w, rc, out) || limit > 0 && sent >= limit {
			return nil
		}
		if len(events) == 0 {
			select {
			case <-changed:
			case <-heartbeat.C:
				if !write(w, rc, []byte(": alive\n\n")) {
					return nil
				}
			case <-expired:
				return nil
			case <-c.rep.Closed():
				return nil
			case <-s.draining:
				return nil
			case <-ctx.Done():
				return nil
			}
		}
		if c.rep.Head().Epoch != epoch {
			return nil
		}
		if c.id.Run != nil { // its token dies with the attempt
			if _, err := s.Auth.FromRequest(r, c.graph); err != nil {
				return nil
			}
		}
		left := 0
		if limit > 0 {
			left = limit - sent
		}
		if events, err = s.page(ctx, c, since, streamPage(left)); err != nil {
			// The stream has begun: end it, and the reader comes back for the reason.
			s.Log.DebugContext(ctx, "event stream ends", "request", requestID(r), "err", err)
			return nil
		}
	}
}

// streamPage gives how many commits to read at once; left 0 is no bound.
func streamPage(left int) int {
	if left == 0 {
		return logPage
	}
	return min(left, logPage)
}

// write sends at once, and gives up on a reader that has stalled.
func write(w http.ResponseWriter, rc *http.ResponseController, text []byte) bool {
	// Connections without deadlines exist in tests alone.
	_ = rc.SetWriteDeadline(time.Now().Add(streamWriteTimeout))
	if len(text) > 0 {
		if _, err := w.Write(text); err != nil {
			return false
		}
	}
	return rc.Flush() == nil
}

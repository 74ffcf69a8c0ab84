package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
)

// Serve answers requests on l until ctx ends; then it accepts no more, lets
// sessions and event streams go, finishes the requests under way, and returns.
// What has not ended after Config.Drain is cut. The error is nil after a
// graceful end.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	web := &http.Server{
		Handler:           s.handler,
		ReadHeaderTimeout: headerTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxRequestHeaderSize,
	}
	failed := make(chan error, 1)
	go func() { failed <- web.Serve(l) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.Drain)
	defer cancel()
	err := s.drain(drain, web)
	<-failed // http.ErrServerClosed: Shutdown has been called
	return err
}

// drain ends web gracefully. Sockets are taken over from it, so that it does
// not wait for them: Sync does, at the same time.
func (s *Server) drain(ctx context.Context, web *http.Server) error {
	s.StopAccepting()
	var gone sync.WaitGroup
	var sessions error
	if s.Sync != nil {
		gone.Go(func() { sessions = s.Sync.Drain(ctx) })
	}
	requests := web.Shutdown(ctx)
	gone.Wait()
	if errors.Is(requests, context.DeadlineExceeded) {
		s.Log.Warn("cut requests that did not end in time", "drain", s.cfg.Drain)
		return errors.Join(web.Close(), sessions)
	}
	return errors.Join(requests, sessions)
}

// StopAccepting makes /readyz say no and lets event streams end. Requests are
// still answered. It may be called twice.
func (s *Server) StopAccepting() { s.drainOne.Do(func() { close(s.draining) }) }

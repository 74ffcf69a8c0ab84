package pgstore

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// silence is how long a connection may hear nothing while it waits for an answer, and
// how long it may take to send something: longer than any statement may take
// (statement_timeout). Past it the network is gone, even where a proxy or a firewall
// in between keeps up appearances.
const silence = 20 * time.Second

// errSilent ends a connection on which nothing came any more.
var errSilent = errors.New("the database has gone silent")

// watched is a connection whose reads and writes end after a silence. Deadlines that its user
// sets have precedence: they are how a context's end interrupts a read.
type watched struct {
	net.Conn
	silence time.Duration

	mu    sync.Mutex // held while a deadline is set; guards fixed
	fixed bool       // the user has set a deadline
}

// watch wraps what a dialer gives.
func watch(dial func(ctx context.Context, network, address string) (net.Conn, error)) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &watched{Conn: conn, silence: silence}, nil
	}
}

func (w *watched) Read(b []byte) (int, error) {
	return w.within(w.Conn.SetReadDeadline, w.Conn.Read, b)
}

func (w *watched) Write(b []byte) (int, error) {
	return w.within(w.Conn.SetWriteDeadline, w.Conn.Write, b)
}

// within reads or writes, for no longer than a silence.
func (w *watched) within(limit func(time.Time) error, act func([]byte) (int, error), b []byte) (int, error) {
	w.mu.Lock()
	ours := !w.fixed
	if ours {
		if err := limit(time.Now().Add(w.silence)); err != nil {
			w.mu.Unlock()
			return 0, err
		}
	}
	w.mu.Unlock()
	n, err := act(b)
	if err != nil && ours && errors.Is(err, os.ErrDeadlineExceeded) && !w.interrupted() {
		err = errSilent // no timeout to pgx, which would go on with the connection
	}
	return n, err
}

// interrupted reports whether a deadline of the user's has come since.
func (w *watched) interrupted() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.fixed
}

func (w *watched) SetDeadline(t time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fixed = !t.IsZero()
	return w.Conn.SetDeadline(t)
}

func (w *watched) SetReadDeadline(t time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fixed = !t.IsZero()
	return w.Conn.SetReadDeadline(t)
}

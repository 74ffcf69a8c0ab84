package pgstore

import (
	"errors"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/graphtide/graphtide/graph"
)

// pipe gives a watched connection and its other end.
func pipe(t *testing.T) (*watched, net.Conn) {
	near, far := net.Pipe()
	t.Cleanup(func() { near.Close(); far.Close() })
	return &watched{Conn: near, silence: silence}, far
}

func TestSilentConnectionEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, far := pipe(t)
		go func() {
			<-time.After(silence - time.Second) // fake time
			far.Write([]byte("x"))
		}()
		var b [1]byte
		if n, err := w.Read(b[:]); n != 1 || err != nil {
			t.Errorf("an answer within the time: %d, %v", n, err)
		}
		began := time.Now()
		_, err := w.Read(b[:])
		if !errors.Is(err, errSilent) || time.Since(began) != silence {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
		var network net.Error
		if errors.As(err, &network) {
			t.Error("pgx would take it for a timeout and keep the connection")
		}
		if code := graph.CodeOf(failed("read", err)); code != graph.CodeUnavailable {
			t.Errorf("it is %s", code)
		}
	})
}

func TestConnectionEndsThatTakesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, _ := pipe(t)
		began := time.Now()
		if _, err := w.Write([]byte("x")); !errors.Is(err, errSilent) || time.Since(began) != silence {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
	})
}

func TestDeadlineOfTheUserInterruptsARead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, far := pipe(t)
		read := make(chan error)
		go func() {
			var b [1]byte
			_, err := w.Read(b[:])
			read <- err
		}()
		synctest.Wait()
		w.SetDeadline(time.Now().Add(-time.Hour)) // as pgx does when a context ends
		if err := <-read; !errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, errSilent) {
			t.Errorf("interrupted: %v", err)
		}
		var b [1]byte
		if _, err := w.Read(b[:]); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("once more: %v", err)
		}
		w.SetDeadline(time.Time{})
		go far.Write([]byte("x"))
		if n, err := w.Read(b[:]); n != 1 || err != nil {
			t.Errorf("with the deadline gone: %d, %v", n, err)
		}
	})
}

package torture

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"
)

// echo is a server that says again what it hears, behind a wire.
func echo(t *testing.T) (*wire, net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { defer c.Close(); _, _ = io.Copy(c, c) }()
		}
	}()
	w, err := newWire("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.close)
	c, err := net.Dial("tcp", w.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return w, c
}

func said(t *testing.T, c net.Conn, text string) (took time.Duration) {
	t.Helper()
	began := time.Now()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	back := make([]byte, len(text))
	if _, err := io.ReadFull(c, back); err != nil || string(back) != text {
		t.Fatalf("%q came back as %q, %v", text, back, err)
	}
	return time.Since(began)
}

func TestAWireThatIsSlowDeadAndWellAgainLosesNothing(t *testing.T) {
	t.Parallel()
	w, c := echo(t)
	said(t, c, "well")
	w.slow(20*time.Millisecond, 10*time.Millisecond)
	if took := said(t, c, "slow"); took < 40*time.Millisecond {
		t.Errorf("there and back in %s", took)
	}
	w.cut()
	large := bytes.Repeat([]byte("0123456789abcdef"), 1<<14)
	go func() { _, _ = c.Write(large) }()
	if err := c.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(make([]byte, 1)); err == nil {
		t.Errorf("%d bytes came over a dead wire", n)
	}
	w.mend()
	if err := c.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	back := make([]byte, len(large))
	if _, err := io.ReadFull(c, back); err != nil || !bytes.Equal(back, large) {
		t.Errorf("not all came, or not in order: %v", err)
	}
}

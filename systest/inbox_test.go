package systest

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// inbox takes messages off a connection as they come, whoever looks at them and
// when: a server lets go of a peer that has not read for half a minute, as a test
// may not for want of a processor, and a peer that does not read is waited for
// when a node ends.
type inbox struct {
	news chan struct{} // holds one where something has come
	done chan struct{} // closed when nothing more comes

	mu       sync.Mutex // guards the fields below
	messages []message
	err      error // of the reading, once it is over
}

// message is what one read of a connection gave.
type message struct {
	kind websocket.MessageType
	text []byte
}

// empty reads a connection until its end.
func empty(conn *websocket.Conn) *inbox {
	in := &inbox{news: make(chan struct{}, 1), done: make(chan struct{})}
	go func() {
		defer close(in.done)
		for in.read(conn) {
			continue
		}
	}()
	return in
}

func (in *inbox) read(conn *websocket.Conn) (more bool) {
	kind, text, err := conn.Read(context.Background())
	in.mu.Lock()
	defer in.mu.Unlock()
	if err != nil {
		in.err = err
	} else {
		in.messages = append(in.messages, message{kind, text})
	}
	select {
	case in.news <- struct{}{}:
	default:
	}
	return err == nil
}

// next gives the next message; the error of the reading after the last one.
func (in *inbox) next() (message, error) {
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		in.mu.Lock()
		if len(in.messages) > 0 {
			m := in.messages[0]
			in.messages = in.messages[1:]
			in.mu.Unlock()
			return m, nil
		}
		err := in.err
		in.mu.Unlock()
		if err != nil {
			return message{}, err
		}
		select {
		case <-in.news:
		case <-late.C:
			return message{}, fmt.Errorf("nothing came for %s", patience)
		}
	}
}

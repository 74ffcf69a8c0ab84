package main

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
)

// wsClient is a lean websocket client for loads of many sessions: it frames and
// unframes in place and does not look into what it need not (RFC 6455, 5.2).
// A message is valid until the next read.
type wsClient struct {
	t    *target
	conn net.Conn
	r    *bufio.Reader
	in   []byte
	out  []byte
}

// dial opens the websocket of a graph. The target closes what is still open
// when a row ends.
func (t *target) dial(graph string) (*wsClient, error) {
	host := strings.TrimPrefix(t.url, "http://")
	conn, err := net.Dial("tcp", host)
	if err != nil {
		return nil, err
	}
	var key [16]byte
	rand.Read(key[:])
	fmt.Fprintf(conn, "GET /v1/graphs/%s/sync HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: graphtide.v1\r\n\r\n",
		graph, host, base64.StdEncoding.EncodeToString(key[:]))
	c := &wsClient{t: t, conn: conn, r: bufio.NewReaderSize(conn, 4<<10)}
	res, err := http.ReadResponse(c.r, nil)
	if err != nil {
		conn.Close()
		return nil, err
	}
	if res.StatusCode != http.StatusSwitchingProtocols {
		conn.Close()
		return nil, fmt.Errorf("upgrade: %s", res.Status)
	}
	t.mu.Lock()
	if t.open == nil {
		t.open = map[*wsClient]struct{}{}
	}
	t.open[c] = struct{}{}
	t.mu.Unlock()
	return c, nil
}

func (c *wsClient) close() {
	c.conn.Close()
	c.t.mu.Lock()
	delete(c.t.open, c)
	c.t.mu.Unlock()
}

// send writes one text message. The mask is zero: it is there for the protocol.
func (c *wsClient) send(text []byte) error {
	b := append(c.out[:0], 0x81)
	switch n := len(text); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = append(b, 0x80|126, byte(n>>8), byte(n))
	default:
		b = append(b, 0x80|127)
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	b = append(b, 0, 0, 0, 0)
	c.out = append(b, text...)
	_, err := c.conn.Write(c.out)
	return err
}

// read gives the next text message. Pings are answered.
func (c *wsClient) read() ([]byte, error) {
	c.in = c.in[:0]
	for {
		var head [2]byte
		if _, err := io.ReadFull(c.r, head[:]); err != nil {
			return nil, err
		}
		n := uint64(head[1] & 0x7f)
		switch n {
		case 126:
			var b [2]byte
			if _, err := io.ReadFull(c.r, b[:]); err != nil {
				return nil, err
			}
			n = uint64(binary.BigEndian.Uint16(b[:]))
		case 127:
			var b [8]byte
			if _, err := io.ReadFull(c.r, b[:]); err != nil {
				return nil, err
			}
			n = binary.BigEndian.Uint64(b[:])
		}
		start := len(c.in)
		c.in = slices.Grow(c.in, int(n))
		c.in = c.in[:start+int(n)]
		if _, err := io.ReadFull(c.r, c.in[start:]); err != nil {
			return nil, err
		}
		switch head[0] & 0x0f {
		case 8:
			return nil, fmt.Errorf("closed by the server: %q", c.in[start:])
		case 9:
			pong := append([]byte{0x8a, 0x80 | byte(n), 0, 0, 0, 0}, c.in[start:]...)
			if _, err := c.conn.Write(pong); err != nil {
				return nil, err
			}
			c.in = c.in[:start]
			continue
		case 10:
			c.in = c.in[:start]
			continue
		}
		if head[0]&0x80 != 0 {
			return c.in, nil
		}
	}
}

// readUntil reads messages until one has a line that contains mark, and gives
// that line.
func (c *wsClient) readUntil(mark string) ([]byte, error) {
	m := []byte(mark)
	for {
		msg, err := c.read()
		if err != nil {
			return nil, err
		}
		if i := bytes.Index(msg, m); i >= 0 {
			start := bytes.LastIndexByte(msg[:i], '\n') + 1
			end := bytes.IndexByte(msg[i:], '\n')
			if end < 0 {
				return msg[start:], nil
			}
			return msg[start : i+end], nil
		}
		if bytes.Contains(msg, []byte(`"t":"reject"`)) || bytes.Contains(msg, []byte(`"t":"error"`)) {
			return nil, errors.New(string(msg))
		}
	}
}

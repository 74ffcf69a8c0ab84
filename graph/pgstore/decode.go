package pgstore

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/graphtide/graphtide/graph"
)

// columns reads a row of the log from its raw values, in the order of the
// statement's columns: numbers, times and ids in Postgres's binary format, which
// is what settle has the driver ask for. A follower reads every commit of every
// other node; going through the driver's codec for each value cost as much as all
// the rest of the reading.
//
// The first value that is not what it should be is kept in err, and what is read
// from there on is empty.
type columns struct {
	values [][]byte // null is nil
	err    error
}

// next gives a value as it lies in the driver's buffer, until the next row; nil
// is null.
func (c *columns) next() []byte {
	if len(c.values) == 0 {
		c.fail("it ends early")
		return nil
	}
	v := c.values[0]
	c.values = c.values[1:]
	return v
}

// fixed gives a value of so many bytes, or nil for null.
func (c *columns) fixed(size int) []byte {
	v := c.next()
	if v != nil && len(v) != size {
		c.fail(fmt.Sprintf("a value has %d bytes where %d were due", len(v), size))
		return nil
	}
	return v
}

func (c *columns) fail(why string) {
	if c.err == nil {
		c.err = fmt.Errorf("read a row of the log: %s", why)
	}
}

// due notes a null where none may be.
func (c *columns) due(v []byte) bool {
	if v == nil {
		c.fail("a value is missing")
	}
	return v != nil
}

func (c *columns) int2() int16 {
	if v := c.fixed(2); c.due(v) {
		return int16(binary.BigEndian.Uint16(v))
	}
	return 0
}

func (c *columns) int4() int32 {
	if v := c.fixed(4); c.due(v) {
		return int32(binary.BigEndian.Uint32(v))
	}
	return 0
}

func (c *columns) int8() int64 {
	if v := c.fixed(8); c.due(v) {
		return int64(binary.BigEndian.Uint64(v))
	}
	return 0
}

// int8OrNone gives 0 for null.
func (c *columns) int8OrNone() int64 {
	if v := c.fixed(8); v != nil {
		return int64(binary.BigEndian.Uint64(v))
	}
	return 0
}

// time reads a timestamptz: microseconds since the year 2000.
func (c *columns) time() time.Time {
	if v := c.fixed(8); c.due(v) {
		return timeOf(v)
	}
	return time.Time{}
}

func timeOf(v []byte) time.Time {
	return time.UnixMicro(int64(binary.BigEndian.Uint64(v)) + pgEpoch).UTC()
}

func (c *columns) id() (id [16]byte) {
	if v := c.fixed(16); c.due(v) {
		copy(id[:], v)
	}
	return id
}

func (c *columns) idOrNone() *[16]byte {
	v := c.fixed(16)
	if v == nil {
		return nil
	}
	id := [16]byte(v)
	return &id
}

// text gives a text, "" for null. like is what it probably is: then no other one
// is made.
func (c *columns) text(like string) string {
	v := c.next()
	if string(v) == like {
		return like
	}
	return string(v)
}

// bytes gives a copy of a bytea or json; nil for null.
func (c *columns) bytes() []byte { return bytes.Clone(c.next()) }

// readCommit reads a row with the columns of log.commits. last is the row before
// it.
func readCommit(values [][]byte, last *graph.Commit) (*graph.Commit, error) {
	col := columns{values: values}
	c := &graph.Commit{}
	c.Version, c.At, c.SchemaVer = graph.Version(col.int8()), col.time(), col.int8()
	c.Cause.Version, c.Depth = graph.Version(col.int8OrNone()), int(col.int4())
	c.Epoch = col.text(last.Epoch)
	user := col.text(last.Author.User)
	c.Mutation, c.Session = col.text(""), col.text(last.Session)
	c.Group, c.Note = col.text(last.Group), col.text(last.Note)
	c.Cause.Kind = graph.CauseKind(col.text(string(last.Cause.Kind)))
	c.Cause.Run, c.Hash = col.text(last.Cause.Run), col.bytes()
	who := col.next()
	c.Asked, c.Done = col.bytes(), col.bytes()
	if col.err != nil {
		return nil, col.err
	}
	if c.Done == nil {
		c.Done = c.Asked
	}
	var err error
	c.Author, err = parsePrincipals(user, who)
	return c, err
}

// readPast reads a row with the columns of log.changes. last is the row before it.
func readPast(values [][]byte, p, last *past) error {
	col := columns{values: values}
	p.ID, p.From, p.To, p.Type = col.id(), col.idOrNone(), col.idOrNone(), col.text(last.Type)
	p.Version, p.CreatedVersion = graph.Version(col.int8()), graph.Version(col.int8())
	p.At, p.CreatedAt = col.time(), col.time()
	p.By, p.CreatedBy = col.text(last.By), col.text(last.CreatedBy)
	p.Access, p.Body = col.next(), col.bytes() // an access is copied where it is a new one
	p.kind, p.what = graph.EntityKind(col.int2()), col.int2()
	return col.err
}

// readEnded reads a row with the columns of log.ended into the removal that it is
// of.
func readEnded(values [][]byte, p *past) error {
	col := columns{values: values}
	if version, id := graph.Version(col.int8()), col.id(); col.err == nil && (version != p.Version || id != p.ID) {
		return fmt.Errorf("the removal of version %d has come to stand in version %d", p.Version, version)
	}
	if v := col.fixed(8); v != nil {
		version := graph.Version(binary.BigEndian.Uint64(v))
		at, by := col.time(), col.text("")
		p.last.version, p.last.at, p.last.by = &version, &at, &by
		p.last.access, p.last.body = col.next(), col.bytes()
	}
	return col.err
}

// rawRows calls read with the raw values of each row; they are overwritten by the
// next.
func rawRows(rows pgx.Rows, read func(values [][]byte) error) error {
	defer rows.Close()
	for rows.Next() {
		if err := read(rows.RawValues()); err != nil {
			return err
		}
	}
	return rows.Err()
}

package pgstore

import (
	"encoding/binary"
	"time"
)

// The numbers of Postgres's own types (pg_type.dat).
const (
	oidBool        = 16
	oidBytea       = 17
	oidInt8        = 20
	oidInt2        = 21
	oidInt4        = 23
	oidText        = 25
	oidJSON        = 114
	oidTimestamptz = 1184
	oidUUID        = 2950
)

// rowsEncoder writes an array of a composite type in Postgres's binary format
// (array_recv and record_recv of its source). An append sends thousands of
// values; going through a driver's codec for each would cost more than the
// database does.
type rowsEncoder struct {
	buf    []byte
	elem   uint32 // the composite type's number
	fields int32
	count  int32
	row    int // where the present row's length stands
}

const arrayHeader = 20

func (e *rowsEncoder) begin(buf []byte, elem uint32, fields int32) {
	e.buf = append(buf[:0], make([]byte, arrayHeader)...)
	e.elem, e.fields, e.count = elem, fields, 0
}

// end gives the array.
func (e *rowsEncoder) end() []byte {
	b := e.buf
	if e.count == 0 {
		binary.BigEndian.PutUint32(b[0:], 0)
		binary.BigEndian.PutUint32(b[4:], 0)
		binary.BigEndian.PutUint32(b[8:], e.elem)
		return b[:12]
	}
	binary.BigEndian.PutUint32(b[0:], 1) // dimensions
	binary.BigEndian.PutUint32(b[4:], 0) // no element is null
	binary.BigEndian.PutUint32(b[8:], e.elem)
	binary.BigEndian.PutUint32(b[12:], uint32(e.count))
	binary.BigEndian.PutUint32(b[16:], 1) // the first index
	return b
}

func (e *rowsEncoder) beginRow() {
	e.count++
	e.row = len(e.buf)
	e.buf = binary.BigEndian.AppendUint32(e.buf, 0)
	e.buf = binary.BigEndian.AppendUint32(e.buf, uint32(e.fields))
}

func (e *rowsEncoder) endRow() {
	binary.BigEndian.PutUint32(e.buf[e.row:], uint32(len(e.buf)-e.row-4))
}

func (e *rowsEncoder) head(oid uint32, size int32) {
	e.buf = binary.BigEndian.AppendUint32(e.buf, oid)
	e.buf = binary.BigEndian.AppendUint32(e.buf, uint32(size))
}

func (e *rowsEncoder) null(oid uint32) { e.head(oid, -1) }

func (e *rowsEncoder) int8(v int64) {
	e.head(oidInt8, 8)
	e.buf = binary.BigEndian.AppendUint64(e.buf, uint64(v))
}

func (e *rowsEncoder) int4(v int32) {
	e.head(oidInt4, 4)
	e.buf = binary.BigEndian.AppendUint32(e.buf, uint32(v))
}

func (e *rowsEncoder) int2(v int16) {
	e.head(oidInt2, 2)
	e.buf = binary.BigEndian.AppendUint16(e.buf, uint16(v))
}

func (e *rowsEncoder) bool(v bool) {
	e.head(oidBool, 1)
	e.buf = appendBool(e.buf, v)
}

func (e *rowsEncoder) time(t time.Time) {
	e.head(oidTimestamptz, 8)
	e.buf = appendTime(e.buf, t)
}

func (e *rowsEncoder) uuid(id [16]byte) {
	e.head(oidUUID, 16)
	e.buf = append(e.buf, id[:]...)
}

func (e *rowsEncoder) text(s string) {
	e.head(oidText, int32(len(s)))
	e.buf = append(e.buf, s...)
}

// textOrNull writes "" as null.
func (e *rowsEncoder) textOrNull(s string) {
	if s == "" {
		e.null(oidText)
		return
	}
	e.text(s)
}

func (e *rowsEncoder) bytes(b []byte) {
	e.head(oidBytea, int32(len(b)))
	e.buf = append(e.buf, b...)
}

// json writes an empty text as null.
func (e *rowsEncoder) json(b []byte) {
	if len(b) == 0 {
		e.null(oidJSON)
		return
	}
	e.head(oidJSON, int32(len(b)))
	e.buf = append(e.buf, b...)
}

// Postgres counts microseconds from the year 2000.
const pgEpoch = 946684800 * 1e6

func appendTime(dst []byte, t time.Time) []byte {
	return binary.BigEndian.AppendUint64(dst, uint64(t.UnixMicro()-pgEpoch))
}

func appendBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, 1)
	}
	return append(dst, 0)
}

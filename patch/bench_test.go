package patch

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"
)

// record is an object of about n bytes, as applications have them.
func record(n int) []byte {
	var b bytes.Buffer
	b.WriteString(`{"name":"Quarterly report","rank":17.5,"open":true,"rows":[`)
	for i := 0; b.Len() < n-60; i++ {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"id":%d,"title":"Row number %d","tags":["a","b"],"done":false}`, i, i)
	}
	b.WriteString(`],"status":"draft","note":null}`)
	return b.Bytes()
}

func sizes(b *testing.B, run func(b *testing.B, doc []byte)) {
	for _, n := range []int{300, 10_000, 100_000} {
		doc := record(n)
		b.Run(fmt.Sprintf("%dB", n), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(doc)))
			run(b, doc)
		})
	}
}

func BenchmarkCheck(b *testing.B) {
	sizes(b, func(b *testing.B, doc []byte) {
		for b.Loop() {
			if e := Check(doc, JSONLimits{}); e != nil {
				b.Fatal(e)
			}
		}
	})
}

// The member behind the long array: everything in front has to be skipped.
func BenchmarkApplyOne(b *testing.B) {
	ops := []Op{{Kind: Replace, Path: Pointer{"status"}, Value: json.RawMessage(`"final"`)}}
	sizes(b, func(b *testing.B, doc []byte) {
		for b.Loop() {
			if _, e := Apply(doc, ops, JSONLimits{Bytes: 512 << 10, Depth: 64}); e != nil {
				b.Fatal(e)
			}
		}
	})
}

func BenchmarkApplyTwenty(b *testing.B) {
	var ops []Op
	for i := range 20 {
		ops = append(ops, Op{Kind: Add, Path: Pointer{"rows", "0", fmt.Sprint("field", i)}, Value: json.RawMessage(`{"x":1}`)})
	}
	sizes(b, func(b *testing.B, doc []byte) {
		for b.Loop() {
			if _, e := Apply(doc, ops, JSONLimits{Bytes: 512 << 10, Depth: 64}); e != nil {
				b.Fatal(e)
			}
		}
	})
}

func BenchmarkOracleOne(b *testing.B) {
	ops := []Op{{Kind: Replace, Path: Pointer{"status"}, Value: json.RawMessage(`"final"`)}}
	sizes(b, func(b *testing.B, doc []byte) {
		for b.Loop() {
			if _, err := oracle(doc, ops); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkParseOne(b *testing.B) {
	text := []byte(`[{"op":"replace","path":"/objects/0190163d-8694-739b-aea5-966c26f8ad91/body/status","value":"final"}]`)
	b.ReportAllocs()
	for b.Loop() {
		if _, e := Parse(text, 1000); e != nil {
			b.Fatal(e)
		}
	}
}

func BenchmarkEqual(b *testing.B) {
	sizes(b, func(b *testing.B, doc []byte) {
		other := bytes.Replace(doc, []byte("17.5"), []byte("17.50"), 1)
		for b.Loop() {
			if !Equal(doc, other) {
				b.Fatal("not equal")
			}
		}
	})
}

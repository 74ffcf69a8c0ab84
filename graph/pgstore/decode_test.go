package pgstore

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"github.com/graphtide/graphtide/graph"
)

func commitRow(at time.Time) [][]byte {
	return [][]byte{
		int8Param(7), appendTime(nil, at), int8Param(3), nil, int4Param(2), []byte("e1"), []byte("ann"), []byte("m1"),
		nil, []byte("g1"), nil, []byte("client"), nil, {}, []byte(`{"teams":["blue"]}`), []byte(`[1]`), nil,
	}
}

func TestARowOfTheLogOutlivesTheBufferItIsReadFrom(t *testing.T) {
	t.Parallel()
	at := time.Date(1999, 12, 31, 23, 59, 59, 123_000_000, time.UTC) // before the database's own year 0
	row := commitRow(at)
	c, err := readCommit(row, &graph.Commit{})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range row {
		for i := range v {
			v[i] = 'x'
		}
	}
	if c.Version != 7 || !c.At.Equal(at) || c.At.Location() != time.UTC || c.SchemaVer != 3 || c.Cause != (graph.Cause{Kind: graph.CauseClient}) || c.Depth != 2 ||
		c.Epoch != "e1" || c.Author.User != "ann" || !slices.Equal(c.Author.Teams, []string{"blue"}) || c.Mutation != "m1" || c.Session != "" || c.Group != "g1" ||
		c.Hash == nil || len(c.Hash) != 0 || string(c.Asked) != "[1]" || string(c.Done) != "[1]" {
		t.Fatalf("%+v", c)
	}
}

func TestARowThatIsNotOneIsRefused(t *testing.T) {
	t.Parallel()
	good := commitRow(time.Now())
	for name, bad := range map[string][][]byte{
		"short":           good[:len(good)-1],
		"null version":    slices.Concat([][]byte{nil}, good[1:]),
		"text for number": slices.Concat([][]byte{[]byte("7")}, good[1:]),
		"author":          slices.Concat(good[:14], [][]byte{[]byte(`{`)}, good[15:]),
	} {
		if c, err := readCommit(bad, &graph.Commit{}); err == nil {
			t.Errorf("%s: %+v", name, c)
		}
	}
}

func TestParsedPrincipalsAreForgottenInTheEnd(t *testing.T) {
	t.Parallel()
	c := principalsCache{perGeneration: 4, maxText: 8}
	text := func(i int) []byte { return binary.AppendUvarint(nil, uint64(i)) }
	for i := range 100 {
		c.put(text(i), principals{Org: string(text(i))})
		if p, known := c.get(text(0)); !known || p.Org != string(text(0)) {
			t.Fatalf("what is asked for all the time is forgotten after %d others", i)
		}
		if len(c.young)+len(c.old) > 8 {
			t.Fatalf("%d are kept", len(c.young)+len(c.old))
		}
	}
	if _, known := c.get(text(1)); known {
		t.Error("what is not asked for is kept")
	}
	long := bytes.Repeat([]byte("x"), 9)
	c.put(long, principals{})
	if _, known := c.get(long); known {
		t.Error("a long text is kept")
	}
}

package graph

import (
	"fmt"
	"testing"
	"time"
)

// What an Encoder makes of entities with equal and with different meta is what
// they make one by one.
func TestEncoderWritesWhatEntitiesWriteThemselves(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 2, 3, 4, 5, 6, 7e6, time.UTC)
	metas := []Meta{
		{Version: 7, CreatedVersion: 7, CreatedAt: at, CreatedBy: "ann", UpdatedAt: at, UpdatedBy: "ann"},
		{Version: 7, CreatedVersion: 7, CreatedAt: at, CreatedBy: "ann", UpdatedAt: at, UpdatedBy: "ann"},
		{Version: 8, CreatedVersion: 7, CreatedAt: at, CreatedBy: "ann", UpdatedAt: at.Add(time.Second), UpdatedBy: "bob"},
		{Version: 7, CreatedVersion: 7, CreatedAt: at, CreatedBy: "ann", UpdatedAt: at, UpdatedBy: "ann"},
		{},
		{},
	}
	var c Encoder
	for i, m := range metas {
		o := &Object{ID: ObjectID{1, byte(i)}, Type: `Ty"pe`, Body: []byte(`{"a":1}`), Access: &ACL{Raw: []byte(`{"read":{}}`)}, Meta: m}
		e := &Edge{ID: EdgeID{2, byte(i)}, Label: "l", From: ObjectID{3}, To: ObjectID{4}, Body: []byte(`{}`), Meta: m}
		if got, want := string(c.Object(nil, o)), fmt.Sprintf(`"%s":%s`, o.ID, o.AppendJSON(nil, false)); got != want {
			t.Errorf("object %d:\n%s\n%s", i, got, want)
		}
		if got, want := string(c.Edge([]byte("x"), e)), fmt.Sprintf(`x"%s":%s`, e.ID, e.AppendJSON(nil)); got != want {
			t.Errorf("edge %d:\n%s\n%s", i, got, want)
		}
	}
}

package pgstore_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/graphtide/graphtide/internal/testdb"
)

// BenchmarkBodyColumn compares types and compressions of the column that holds
// bodies: what a change costs that updates a row and keeps a copy in a history,
// alone and 60 a statement. docs/decisions/0002-body-column.md rests on it.
func BenchmarkBodyColumn(b *testing.B) {
	for _, typ := range []string{"json", "jsonb"} {
		for _, compression := range []string{"lz4", "pglz"} {
			for _, size := range []int{300, 100 << 10} {
				for _, rows := range []int{1, 60} {
					if size > 1000 && rows > 1 {
						rows = 8
					}
					b.Run(fmt.Sprintf("%s/%s/bytes=%d/rows=%d", typ, compression, size, rows), func(b *testing.B) {
						benchmarkBody(b, typ, compression, size, rows)
					})
				}
			}
		}
	}
}

func benchmarkBody(b *testing.B, typ, compression string, size, rows int) {
	ctx := b.Context()
	conn, err := pgx.Connect(ctx, testdb.URL(b))
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close(ctx)
	setup := fmt.Sprintf(`
		CREATE TEMP TABLE warm (x int);
		DROP TABLE IF EXISTS body_now, body_then;
		CREATE TABLE body_now (id uuid PRIMARY KEY, body %[1]s COMPRESSION %[2]s) WITH (fillfactor = 80);
		CREATE TABLE body_then (n bigserial PRIMARY KEY, id uuid, body %[1]s COMPRESSION %[2]s)`, typ, compression)
	if _, err := conn.Exec(ctx, setup); err != nil {
		b.Fatal(err)
	}
	sql := fmt.Sprintf(`
		WITH new AS (SELECT * FROM unnest($1::uuid[], $2::%s[]) AS new(id, body)),
		     kept AS (INSERT INTO body_then (id, body) SELECT id, body FROM new)
		INSERT INTO body_now SELECT id, body FROM new ON CONFLICT (id) DO UPDATE SET body = excluded.body`, typ)
	ids := make([]uuid.UUID, 200)
	for i := range ids {
		ids[i] = uuid.New()
	}
	turn := 0
	var took []time.Duration
	for b.Loop() {
		some, bodies := make([]uuid.UUID, rows), make([]string, rows)
		for i := range rows {
			turn++
			some[i], bodies[i] = ids[turn%len(ids)], bodyOf(size, turn)
		}
		before := time.Now()
		if _, err := conn.Exec(ctx, sql, some, bodies); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(before))
	}
	slices.Sort(took)
	b.ReportMetric(took[len(took)/2].Seconds()*1e3/float64(rows), "p50-ms/change")
	b.ReportMetric(took[len(took)/10].Seconds()*1e3/float64(rows), "p10-ms/change")
	b.ReportMetric(0, "ns/op")
	var bytes int64
	if err := conn.QueryRow(ctx, `SELECT pg_total_relation_size('body_then') / (SELECT count(*) FROM body_then)`).Scan(&bytes); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(bytes), "stored-B")
}

// bodyOf makes a body of records, as tables and boards have them.
func bodyOf(size, turn int) string {
	var s strings.Builder
	fmt.Fprintf(&s, `{"turn":%d,"rows":[`, turn)
	for i := 0; s.Len() < size-80; i++ {
		if i > 0 {
			s.WriteByte(',')
		}
		fmt.Fprintf(&s, `{"key":"k%d","title":"Row number %d","value":%d.%02d,"done":%v}`, i, i*7919, i*31, i%100, i%3 == 0)
	}
	s.WriteString(`]}`)
	return s.String()
}

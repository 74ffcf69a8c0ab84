package server_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/graphtide/graphtide/internal/testserver"
)

// BenchmarkLoad is a load of n records of 300 bytes with their edges, as a user
// whose rights are inherited, from the handler's start to its last byte.
func BenchmarkLoad(b *testing.B) {
	for _, n := range []int{1000, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := testserver.New(b, testserver.Options{Schema: `graphtide: 1
types:
  Book:
    access: {read: [public], write: [public]}
    edges: {in: {book: {from: Item, as: items}}}
  Item:
    properties: {n: {type: number}, text: {type: string}}
    access: {inherit: book}
    edges: {out: {book: {to: Book, max: 1, required: true, onDelete: cascade}}}
`})
			ann := s.As("ann")
			book := uuid.NewString()
			ann.Patch("/v1/graphs/main", `[{"op":"add","path":"/objects/`+book+`","value":{"type":"Book","body":{}}}]`).Want(200)
			for at := 0; at < n; at += 400 {
				var p strings.Builder
				for i := at; i < min(at+400, n); i++ {
					id := uuid.NewString()
					fmt.Fprintf(&p, `,{"op":"add","path":"/objects/%s","value":{"type":"Item","body":{"n":%d,"text":"%s"}}},{"op":"add","path":"/edges/%s","value":{"label":"book","from":"%s","to":"%s"}}`,
						id, i, strings.Repeat("graph tide ", 25), uuid.NewString(), id, book)
				}
				ann.Patch("/v1/graphs/main", "["+p.String()[1:]+"]").Want(200)
			}
			body := `{"root":"` + book + `","in":{"book":{}}}`
			handler := s.HTTP.Handler()
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				r := httptest.NewRequest(http.MethodPost, "/v1/graphs/main/load", strings.NewReader(body))
				r.Header = ann.Headers()
				r.Header.Set("Content-Type", "application/json")
				w := httptest.NewRecorder()
				handler.ServeHTTP(w, r)
				if w.Code != 200 {
					b.Fatal(w.Body.String())
				}
				b.SetBytes(int64(w.Body.Len()))
			}
		})
	}
}

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/graphtide/graphtide/patch"
)

// The floor is the least honest server for the work: one graph in memory, each
// change an update, a full snapshot and a log row in Postgres under the graph's
// row lock before it is acknowledged, natural group commit, fan-out of ready
// bytes. It knows no types, rights, projections or validation. What it reaches
// is the physical limit that the real server is held against.
type floor struct {
	pool *pgxpool.Pool

	mu      sync.RWMutex // guards objects and sets
	objects map[string]*floorObject
	sets    map[string][]*floorObject

	queue chan *floorWrite

	subMu sync.Mutex // guards subs
	subs  map[string]map[*floorSession]struct{}
}

// floorObject is of one set, which is what sessions subscribe to.
type floorObject struct {
	id, set string
	body    []byte
}

type floorWrite struct {
	id, mutation string
	patch        json.RawMessage
	ops          []patch.Op
	from         *floorSession
	version      int64
}

type floorSession struct {
	mu   sync.Mutex // guards out
	out  [][]byte
	wake chan struct{}
}

func (s *floorSession) send(b []byte) {
	s.mu.Lock()
	s.out = append(s.out, b)
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

const floorTables = `
CREATE TABLE IF NOT EXISTS floor_graph (id int PRIMARY KEY, head bigint NOT NULL);
CREATE TABLE IF NOT EXISTS floor_objects (id uuid PRIMARY KEY, version bigint NOT NULL, body json NOT NULL);
CREATE TABLE IF NOT EXISTS floor_history (id uuid, version bigint, body json NOT NULL, PRIMARY KEY (id, version));
CREATE TABLE IF NOT EXISTS floor_log (version bigint PRIMARY KEY, mutation text NOT NULL, patch json NOT NULL);
ALTER TABLE floor_objects ALTER body SET COMPRESSION lz4;
ALTER TABLE floor_history ALTER body SET COMPRESSION lz4;
INSERT INTO floor_graph VALUES (1, 0) ON CONFLICT DO NOTHING;
ALTER TABLE floor_objects SET (fillfactor = 80);
CREATE OR REPLACE FUNCTION floor_append(ids uuid[], bodies json[], lasts boolean[], mutations text[], patches json[]) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE h bigint; n int := cardinality(ids);
BEGIN
	SELECT head INTO h FROM floor_graph WHERE id = 1 FOR NO KEY UPDATE;
	INSERT INTO floor_log SELECT h + i, mutation, patch FROM unnest(mutations, patches) WITH ORDINALITY u(mutation, patch, i);
	INSERT INTO floor_history SELECT u.id, h + i, u.body FROM unnest(ids, bodies) WITH ORDINALITY u(id, body, i);
	INSERT INTO floor_objects SELECT u.id, h + i, u.body FROM unnest(ids, bodies, lasts) WITH ORDINALITY u(id, body, last, i) WHERE last
		ON CONFLICT (id) DO UPDATE SET version = excluded.version, body = excluded.body;
	UPDATE floor_graph SET head = h + n WHERE id = 1;
	RETURN h + n;
END $$;
CREATE OR REPLACE FUNCTION floor_one(oid uuid, obody json, omutation text, opatch json) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE h bigint;
BEGIN
	UPDATE floor_graph SET head = head + 1 WHERE id = 1 RETURNING head INTO h;
	WITH logged AS (INSERT INTO floor_log VALUES (h, omutation, opatch)),
		kept AS (INSERT INTO floor_history VALUES (oid, h, obody))
	UPDATE floor_objects SET version = h, body = obody WHERE id = oid;
	RETURN h;
END $$;`

func runFloor(ctx context.Context, dbURL string, announce func(url string)) error {
	pool, err := pgxpool.New(ctx, dbURL)
	if err != nil {
		return err
	}
	defer pool.Close()
	if _, err := pool.Exec(ctx, floorTables); err != nil {
		return err
	}
	f := &floor{pool: pool, objects: map[string]*floorObject{}, sets: map[string][]*floorObject{},
		queue: make(chan *floorWrite, 8192), subs: map[string]map[*floorSession]struct{}{}}
	mux := http.NewServeMux()
	mux.HandleFunc("/v1/graphs/{graph}/sync", f.sync)
	mux.HandleFunc("/v1/graphs/{graph}/load", f.load)
	mux.HandleFunc("/seed", f.seed)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	done := make(chan struct{})
	go func() { defer close(done); f.commit(ctx) }()
	go func() { <-ctx.Done(); srv.Close() }()
	announce("http://" + ln.Addr().String())
	if err := srv.Serve(ln); err != http.ErrServerClosed {
		return err
	}
	<-done
	return nil
}

// floorSeed makes objects, each of a set.
type floorSeed struct {
	IDs, Sets []string
	Bodies    []json.RawMessage
}

func (f *floor) seed(w http.ResponseWriter, r *http.Request) {
	var in floorSeed
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		http.Error(w, err.Error(), 400)
		return
	}
	bodies := make([]string, len(in.Bodies))
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, id := range in.IDs {
		o := &floorObject{id, in.Sets[i], in.Bodies[i]}
		f.objects[id], f.sets[o.set] = o, append(f.sets[o.set], o)
		bodies[i] = string(in.Bodies[i])
	}
	if _, err := f.pool.Exec(r.Context(), `INSERT INTO floor_objects SELECT i, 0, b FROM unnest($1::uuid[], $2::json[]) AS t(i, b)`, in.IDs, bodies); err != nil {
		http.Error(w, err.Error(), 500)
	}
}

// load answers with a set, named in the request as in a subscription.
func (f *floor) load(w http.ResponseWriter, r *http.Request) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	w.Write(f.appendLoad(r.URL.Query().Get("set")))
}

// floorMeta stands for what a load says of each entity's making: ready bytes.
const floorMeta = `,"meta":{"version":1,"createdVersion":1,"createdAt":"2026-01-01T00:00:00.000Z","createdBy":"bench","updatedAt":"2026-01-01T00:00:00.000Z","updatedBy":"bench"}}`

func (f *floor) appendLoad(set string) []byte {
	objects := f.sets[set]
	b := make([]byte, 0, 1000*len(objects)+100)
	b = append(b, `{"t":"load","sub":"s1","view":"v1","objects":{`...)
	for i, o := range objects {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '"')
		b = append(b, o.id...)
		b = append(b, `":{"type":"Item","body":`...)
		b = append(b, o.body...)
		b = append(b, floorMeta...)
	}
	b = append(b, `},"edges":{`...)
	for i, o := range objects {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '"')
		b = append(b, o.id...)
		b = append(b, `":{"label":"book","from":"`...)
		b = append(b, o.id...)
		b = append(b, `","to":"`+book+`","body":{}`...)
		b = append(b, floorMeta...)
	}
	return append(b, `},"done":true}`...)
}

func (f *floor) sync(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"graphtide.v1"}, CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		return
	}
	defer c.CloseNow()
	c.SetReadLimit(2 << 20)
	s := &floorSession{wake: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	go s.write(ctx, c)
	var set string
	defer func() { f.subMu.Lock(); delete(f.subs[set], s); f.subMu.Unlock() }()
	for {
		_, text, err := c.Read(ctx)
		if err != nil {
			return
		}
		var m struct {
			T, Set, Mutation string
			Patch            json.RawMessage
		}
		if json.Unmarshal(text, &m) != nil {
			return
		}
		switch m.T {
		case "hello":
			s.send([]byte(`{"t":"welcome"}`))
		case "sub":
			f.mu.RLock()
			s.send(f.appendLoad(m.Set))
			f.mu.RUnlock()
			f.subMu.Lock()
			if set = m.Set; f.subs[set] == nil {
				f.subs[set] = map[*floorSession]struct{}{}
			}
			f.subs[set][s] = struct{}{}
			f.subMu.Unlock()
		case "mutate":
			ops, perr := patch.Parse(m.Patch, 1000)
			if perr != nil || len(ops) != 1 || len(ops[0].Path) < 3 {
				return
			}
			id := ops[0].Path[1]
			ops[0].Path = ops[0].Path[3:]
			f.queue <- &floorWrite{id: id, mutation: m.Mutation, patch: m.Patch, ops: ops, from: s}
		}
	}
}

// write sends what waits in one message.
func (s *floorSession) write(ctx context.Context, c *websocket.Conn) {
	var buf []byte
	for {
		select {
		case <-s.wake:
		case <-ctx.Done():
			return
		}
		s.mu.Lock()
		out := s.out
		s.out = nil
		s.mu.Unlock()
		if len(out) == 0 {
			continue
		}
		text := out[0]
		if len(out) > 1 {
			buf = buf[:0]
			for i, b := range out {
				if i > 0 {
					buf = append(buf, '\n')
				}
				buf = append(buf, b...)
			}
			text = buf
		}
		if c.Write(ctx, websocket.MessageText, text) != nil {
			return
		}
	}
}

// commit is the one writer: it takes what waits, appends it in one round trip,
// and fans out.
func (f *floor) commit(ctx context.Context) {
	for {
		var batch []*floorWrite
		select {
		case w := <-f.queue:
			batch = append(batch, w)
		case <-ctx.Done():
			return
		}
		runtime.Gosched()
	gather:
		for len(batch) < 128 {
			select {
			case w := <-f.queue:
				batch = append(batch, w)
			default:
				break gather
			}
		}
		if err := f.append(batch); err != nil {
			if ctx.Err() == nil {
				panic(fmt.Sprintf("floor: %v", err))
			}
			return
		}
	}
}

func (f *floor) append(batch []*floorWrite) error {
	n := len(batch)
	sets := make([]string, n)
	ids, bodies, mutations, patches, lasts := make([]string, n), make([]string, n), make([]string, n), make([]string, n), make([]bool, n)
	last := make(map[string]int, n) // an object may be changed more than once in a batch
	f.mu.Lock()
	for i, w := range batch {
		o := f.objects[w.id]
		after, err := patch.Apply(o.body, w.ops, patch.JSONLimits{})
		if err != nil {
			f.mu.Unlock()
			return err
		}
		o.body, sets[i] = after, o.set
		ids[i], bodies[i], mutations[i], patches[i] = w.id, string(after), w.mutation, string(w.patch)
		if earlier, ok := last[w.id]; ok {
			lasts[earlier] = false
		}
		last[w.id], lasts[i] = i, true
	}
	f.mu.Unlock()
	var head int64
	appended := spent.observe("append")
	row := func() pgx.Row { // a lone change without the cost of arrays, as the real server has it
		if n == 1 {
			return f.pool.QueryRow(context.Background(), `SELECT floor_one($1, $2, $3, $4)`, ids[0], bodies[0], mutations[0], patches[0])
		}
		return f.pool.QueryRow(context.Background(), `SELECT floor_append($1, $2, $3, $4, $5)`, ids, bodies, lasts, mutations, patches)
	}()
	if err := row.Scan(&head); err != nil {
		return err
	}
	if appended != nil {
		appended()
	}
	frames := map[string]*[]byte{} // of each set, the lines in one message
	for i, w := range batch {
		w.version = head - int64(n-1-i)
		b := frames[sets[i]]
		if b == nil {
			b = new([]byte)
			frames[sets[i]] = b
		} else {
			*b = append(*b, '\n')
		}
		*b = append(*b, `{"t":"delta","view":"v1","version":`...)
		*b = strconv.AppendInt(*b, w.version, 10)
		*b = append(*b, `,"objects":{"`...)
		*b = append(*b, w.id...)
		*b = append(*b, `":{"patch":`...)
		*b = append(*b, w.patch...)
		*b = append(*b, `}},"done":true}`...)
	}
	f.subMu.Lock()
	for set, ready := range frames {
		for s := range f.subs[set] {
			s.send(*ready)
		}
	}
	f.subMu.Unlock()
	for _, w := range batch {
		w.from.send([]byte(`{"t":"ack","mutation":"` + w.mutation + `","version":` + strconv.FormatInt(w.version, 10) + `}`))
	}
	return nil
}

package archive

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/patch"
)

// Store is what an archive is written from and read into.
type Store interface {
	graph.Store
	graph.Archive
}

// logPage is how many commits are read at a time.
const logPage = 500

// Export writes a graph as it is when the call begins; it may be written
// meanwhile. With history it writes the whole log that there is. CodeGone where
// a compaction overtakes it: it can be tried again. What was written before an
// error is not an archive: it lacks its end.
func Export(ctx context.Context, s Store, name string, history bool, w io.Writer) error {
	info, err := s.Graph(ctx, name)
	if err != nil {
		return err
	}
	h := Header{Graphtide: Form, Graph: name, Epoch: info.Head.Epoch, Version: info.Head.Version, History: history}
	if history {
		if h.Floor, err = s.Floor(ctx, info.Key); err != nil {
			return err
		}
	}
	var doc []byte
	if h.SchemaVer, doc, err = s.Schema(ctx); err != nil {
		return fmt.Errorf("read the schema: %w", err)
	}
	h.Schema = jsonOf(doc)
	buf := bufio.NewWriterSize(w, 1<<16)
	e := &exporter{store: s, key: info.Key, enc: json.NewEncoder(buf)}
	e.enc.SetEscapeHTML(false)
	if err := e.enc.Encode(&h); err != nil {
		return err
	}
	if !history {
		err = e.state(ctx, h.Version)
	} else {
		err = e.history(ctx, h.Floor, h.Version)
	}
	if err != nil {
		return err
	}
	if err := e.write(line{End: &e.count}); err != nil {
		return err
	}
	return buf.Flush()
}

// jsonOf gives a document as JSON: itself, or, where it is YAML, as a string.
func jsonOf(doc []byte) json.RawMessage {
	switch {
	case len(doc) == 0:
		return json.RawMessage("null")
	case patch.Check(doc, patch.JSONLimits{}) == nil:
		return doc
	}
	return graph.AppendString(nil, string(doc))
}

type exporter struct {
	store Store
	key   graph.GraphKey
	enc   *json.Encoder // puts a newline behind each value
	count endLine
}

func (e *exporter) write(l line) error { return e.enc.Encode(l) }

func (e *exporter) state(ctx context.Context, at graph.Version) error {
	_, err := e.store.StateAt(ctx, e.key, at, func(objects []*graph.Object, edges []*graph.Edge) error {
		for _, o := range objects {
			if err := e.write(line{Object: lineOfObject(o)}); err != nil {
				return err
			}
			e.count.Objects++
		}
		for _, d := range edges {
			if err := e.write(line{Edge: lineOfEdge(d)}); err != nil {
				return err
			}
			e.count.Edges++
		}
		return nil
	})
	return err
}

func (e *exporter) history(ctx context.Context, floor, head graph.Version) error {
	for at := graph.Version(0); at < floor; {
		marks, err := e.store.Marks(ctx, e.key, at, int(min(logPage, floor-at)))
		if err != nil {
			return err
		}
		if len(marks) == 0 {
			return fmt.Errorf("the log lacks version %d", at+1)
		}
		for _, c := range marks {
			if err := e.write(line{Mark: lineOfCommit(c)}); err != nil {
				return err
			}
			e.count.Marks++
			at = c.Version
		}
	}
	if floor > 0 {
		if err := e.state(ctx, floor); err != nil {
			return err
		}
	}
	for at := floor; at < head; {
		log, err := e.store.Log(ctx, e.key, at, int(min(logPage, head-at)))
		if err != nil {
			return err
		}
		if len(log) == 0 {
			return fmt.Errorf("the log lacks version %d", at+1)
		}
		for _, c := range log {
			if err := e.write(line{Commit: lineOfCommit(c)}); err != nil {
				return err
			}
			e.count.Commits++
			at = c.Version
		}
	}
	return e.keys(ctx, head)
}

// keys writes the keys of transactions without effect, up to the head.
func (e *exporter) keys(ctx context.Context, head graph.Version) error {
	for last := (graph.MutationKey{}); ; {
		page, err := e.store.IdleKeys(ctx, e.key, last, logPage)
		if err != nil {
			return err
		}
		for _, k := range page {
			last = k.MutationKey
			if k.Version > head {
				continue // of a time after the one that is written
			}
			if err := e.write(line{Key: &keyLine{k.Author, k.Key, k.Version, k.Hash, k.Cause}}); err != nil {
				return err
			}
			e.count.Keys++
		}
		if len(page) < logPage {
			return nil
		}
	}
}

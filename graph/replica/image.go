package replica

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/graphtide/graphtide/graph"
)

// An image is what a replica held at a version, in a file: the node that starts
// with it follows the log from there, and need not load what it served before it
// was stopped. An image that does not fit (another graph, epoch or format, a
// damaged file, a log that does not lead on from it) is left aside with a word in
// the log: it only ever spares time.

const (
	imageMagic = "graphtide image 1\n"
	// imagePause is between two images of a graph that changes.
	imagePause = 5 * time.Minute
	// maxImageGap is how many commits are read to bring an image up to date; to
	// read more would take longer than to load what is needed.
	maxImageGap = 50_000
	imageBuffer = 1 << 20
)

// image is a core on its way to or from a file.
type image struct {
	piece
	key      graph.GraphKey
	complete bool
	last     graph.Commit // of its version: only what names it
}

// image gives what is held, without copying it.
func (c *core) image(key graph.GraphKey) *image {
	img := &image{key: key, complete: c.complete}
	img.Head = c.head
	img.Objects = make([]*graph.Object, 0, c.objects)
	img.Edges = make([]*graph.Edge, 0, len(c.edges))
	for _, e := range c.edges {
		img.Edges = append(img.Edges, e)
	}
	for id, n := range c.nodes {
		if n.obj != nil {
			img.Objects = append(img.Objects, n.obj)
		}
		if c.complete {
			continue
		}
		switch {
		case n.has&knows != 0 && n.obj == nil:
			img.units = append(img.units, objectUnit(id))
		case n.has&knowsIn != 0:
			img.units = append(img.units, inUnit(id, ""))
		}
		if n.has&noEdge != 0 {
			img.units = append(img.units, edgeUnit(graph.EdgeID(id)))
		}
		for i := range n.sets {
			if set := &n.sets[i]; set.known {
				img.units = append(img.units, inUnit(id, set.label))
			}
		}
	}
	if c.complete {
		return img
	}
	img.members = map[string][]graph.ObjectID{}
	for typ, t := range c.types {
		if !t.known {
			continue
		}
		img.units = append(img.units, typeUnit(typ))
		for _, n := range t.nodes {
			if n.obj == nil {
				img.members[typ] = append(img.members[typ], n.id)
			}
		}
	}
	return img
}

// core makes a core of an image.
func (img *image) core() (*core, error) {
	c := newCore(img.complete)
	if img.complete {
		l := &loader{c}
		if err := l.add(img.Objects, img.Edges); err != nil {
			return nil, err
		}
	} else {
		c.absorb(&img.piece)
	}
	c.head = img.Head
	return c, nil
}

// write hands the image to out in pieces.
func (img *image) write(out func([]byte) error) error {
	sum := crc32.New(castagnoli)
	buf := make([]byte, 0, imageBuffer+imageBuffer/4)
	flush := func(least int) error {
		if len(buf) < least {
			return nil
		}
		sum.Write(buf) // never fails
		err := out(buf)
		buf = buf[:0]
		return err
	}
	buf = append(buf, imageMagic...)
	buf = binary.AppendVarint(buf, int64(img.key))
	buf = appendText(buf, img.Head.Epoch)
	for _, n := range []int64{int64(img.Head.Version), img.Head.At.UnixMicro(), img.Head.SchemaVer} {
		buf = binary.AppendVarint(buf, n)
	}
	buf = appendText(buf, img.last.Mutation)
	buf = appendText(buf, img.last.Hash)
	whole := byte(0)
	if img.complete {
		whole = 1
	}
	buf = append(buf, whole)
	buf = binary.AppendUvarint(buf, uint64(len(img.Objects)))
	for _, o := range img.Objects {
		buf = appendObject(buf, o)
		if err := flush(imageBuffer); err != nil {
			return err
		}
	}
	buf = binary.AppendUvarint(buf, uint64(len(img.Edges)))
	for _, e := range img.Edges {
		buf = appendEdge(buf, e)
		if err := flush(imageBuffer); err != nil {
			return err
		}
	}
	buf = binary.AppendUvarint(buf, uint64(len(img.units)))
	for _, u := range img.units {
		buf = append(buf, byte(u.kind))
		buf = append(buf, u.id[:]...)
		buf = appendText(buf, u.label)
		if err := flush(imageBuffer); err != nil {
			return err
		}
	}
	buf = binary.AppendUvarint(buf, uint64(len(img.members)))
	for typ, ids := range img.members {
		buf = appendText(buf, typ)
		buf = binary.AppendUvarint(buf, uint64(len(ids)))
		for _, id := range ids {
			buf = append(buf, id[:]...)
			if err := flush(imageBuffer); err != nil {
				return err
			}
		}
	}
	if err := flush(0); err != nil {
		return err
	}
	return out(binary.LittleEndian.AppendUint32(nil, sum.Sum32()))
}

// parseImage reads the bytes of an image, which may be anything.
func parseImage(b []byte) (*image, error) {
	b, err := unseal(b)
	if err != nil {
		return nil, err
	}
	if len(b) < len(imageMagic) || string(b[:len(imageMagic)]) != imageMagic {
		return nil, errFormat
	}
	s := &scanner{b: b[len(imageMagic):], apart: true}
	img := &image{key: graph.GraphKey(s.int())}
	img.Head.Epoch = s.name()
	img.Head.Version, img.Head.At, img.Head.SchemaVer = graph.Version(s.int()), time.UnixMicro(s.int()).UTC(), s.int()
	img.last = graph.Commit{Version: img.Head.Version, Epoch: img.Head.Epoch, Mutation: s.name(), Hash: append([]byte(nil), s.bytes()...)}
	img.complete = s.byte() == 1
	img.Objects = make([]*graph.Object, 0, s.count(leastObject))
	for range cap(img.Objects) {
		if o := s.object(); o != nil {
			img.Objects = append(img.Objects, o)
		}
	}
	img.Edges = s.edges()
	img.units = make([]unit, 0, s.count(18))
	for range cap(img.units) {
		img.units = append(img.units, unit{kind: unitKind(s.byte()), id: s.id(), label: s.name()})
	}
	img.members = map[string][]graph.ObjectID{}
	for range s.count(2) {
		typ := s.name()
		ids := make([]graph.ObjectID, s.count(16))
		for i := range ids {
			ids[i] = s.id()
		}
		img.members[typ] = ids
	}
	if err := s.end(); err != nil {
		return nil, err
	}
	return img, nil
}

// saveImage writes a file that is there whole or not at all.
func saveImage(dir string, img *image) (err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, imageName(img.key)+".*"+partSuffix)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	err = img.write(func(b []byte) error { _, err := f.Write(b); return err })
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = f.Close()
	}
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(dir, imageName(img.key)))
	}
	return err
}

// saveImages writes images of the graphs that changed since their last ones.
func (s *Set) saveImages(ctx context.Context) {
	if s.cfg.ImageDir == "" {
		return
	}
	for _, r := range s.Opened() {
		if err := r.saveImage(ctx); err != nil {
			s.cfg.Log.Warn("no image of a graph could be written", "graph", r.name, "dir", s.cfg.ImageDir, "err", err)
		}
	}
}

func (r *Replica) saveImage(ctx context.Context) error {
	r.mu.RLock()
	img := r.core.image(r.key)
	r.mu.RUnlock()
	if r.imaged.Swap(int64(img.Head.Version)+1) == int64(img.Head.Version)+1 && img.complete {
		return nil
	}
	if img.Head.Version > 0 {
		commits, err := r.set.cfg.Store.Log(ctx, r.key, img.Head.Version-1, 1)
		if err != nil {
			return fmt.Errorf("read the last commit: %w", err)
		}
		if len(commits) == 0 {
			return errors.New("the last commit is not in the log")
		}
		img.last = *commits[0]
	}
	if err := saveImage(r.set.cfg.ImageDir, img); err != nil {
		return err
	}
	select {
	case <-r.news.closed: // retire may have come too early to find it
		r.set.dropImage(r.key)
	default:
	}
	return nil
}

// imageLoop writes images now and then, and removes those that are of no use any more.
func (s *Set) imageLoop(ctx context.Context) {
	s.sweepParts()
	s.sweepImages(ctx)
	ticker := time.NewTicker(imagePause)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			s.saveImages(ctx)
			s.sweepImages(ctx)
		}
	}
}

// fromImage gives the state that the graph's image holds, at the image's
// version; nil where there is none that fits.
func (s *Set) fromImage(ctx context.Context, info graph.GraphInfo) *core {
	if s.cfg.ImageDir == "" {
		return nil
	}
	c, why := s.readImage(ctx, info)
	switch {
	case errors.Is(why, fs.ErrNotExist):
		return nil
	case why != nil:
		s.cfg.Log.Warn("the image of a graph is of no use; it is loaded from the store", "graph", info.Name, "why", why)
		return nil
	}
	s.metrics.loaded.WithLabelValues(levelImage).Add(float64(c.objects + len(c.edges)))
	s.metrics.units.WithLabelValues(levelImage, "hit").Add(float64(len(c.clock.nodes)))
	return c
}

func (s *Set) readImage(ctx context.Context, info graph.GraphInfo) (*core, error) {
	b, err := os.ReadFile(filepath.Join(s.cfg.ImageDir, imageName(info.Key)))
	if err != nil {
		return nil, err
	}
	img, err := parseImage(b)
	if err != nil {
		return nil, err
	}
	head := info.Head
	switch {
	case img.key != info.Key || img.Head.Epoch != head.Epoch:
		return nil, errors.New("it is of another graph or epoch")
	case img.Head.Version > head.Version:
		return nil, fmt.Errorf("it is at version %d, the graph at %d", img.Head.Version, head.Version)
	case head.Version-img.Head.Version > maxImageGap:
		return nil, fmt.Errorf("it is %d commits old", head.Version-img.Head.Version)
	}
	if v := img.Head.Version; v > 0 {
		commits, err := s.cfg.Store.Log(ctx, info.Key, v-1, 1)
		if err != nil {
			return nil, fmt.Errorf("read its last commit: %w", err)
		}
		if len(commits) == 0 || !same(commits[0], &img.last) {
			return nil, errors.New("its last commit is not in the log")
		}
	}
	return img.core()
}

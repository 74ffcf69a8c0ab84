package archive

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"time"

	"github.com/google/uuid"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/patch"
)

// Law judges the state that an archive leads to, as the schema has it. An import
// calls Object for each object, then Edge for each edge, then End.
type Law interface {
	Object(o *graph.Object) error
	Edge(e *graph.Edge) error
	// End judges what only the whole can tell, and names the entity at fault.
	End() (graph.Ref, error)
}

// Options of an import.
type Options struct {
	Law Law
	// SchemaVer is the schema version that Law speaks for; an import ends with
	// CodeVersionMismatch where another one is or becomes active.
	SchemaVer int64
	// Mend, if set, gives the operations (on /body/…) that an object of the last
	// state needs because it moved: they become one more commit of the import.
	Mend func(o *graph.Object) []patch.Op
	// By is the author of the import's own commits. Default: import.
	By string
	// Touched bounds the entities of one commit of an import without history.
	// Default: 20,000.
	Touched int
	// Clock gives the time of these commits. Default: time.Now.
	Clock graph.Clock
}

// Result tells what was imported.
type Result struct {
	Graph   string
	Epoch   string
	Version graph.Version
	Objects int64
	Edges   int64
}

// LineError is a fault of an archive.
type LineError struct {
	Line int // from 1
	Text string
}

// Error names the line.
func (e *LineError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Text) }

// Import reads an archive into the graph of a name, which must be absent or
// empty; CodeExists otherwise. A fault of the archive is a *LineError. After an
// error the graph is as it was: absent or empty.
func Import(ctx context.Context, s Store, name string, r io.Reader, opt Options) (res Result, err error) {
	if opt.By == "" {
		opt.By = "import"
	}
	if opt.Touched == 0 {
		opt.Touched = graph.Limits{}.WithDefaults().Touched
	}
	if opt.Clock == nil {
		opt.Clock = time.Now
	}
	in := newReader(r)
	h, err := in.header()
	if err != nil {
		return res, err
	}
	info, err := s.Prepare(ctx, name)
	if err != nil {
		return res, err
	}
	defer func() {
		if err != nil {
			// What is left is out of sight, and given up by the next import if it
			// cannot be removed now.
			_ = s.DeleteGraph(context.WithoutCancel(ctx), graph.PreparedName(name))
		}
	}()
	im := &importer{ctx: ctx, store: s, key: info.Key, head: info.Head, opt: opt, in: in, header: h, lines: map[graph.Ref]int{}}
	if err := im.schemaIs(info.Head.SchemaVer); err != nil {
		return res, err
	}
	if h.History {
		err = im.withHistory()
	} else {
		err = im.withoutHistory()
	}
	if err != nil {
		return res, err
	}
	if err = im.mend(); err == nil {
		err = im.flush()
	}
	if err != nil {
		return res, err
	}
	heads, err := s.Heads(ctx, []graph.GraphKey{info.Key})
	if err != nil {
		return res, err
	}
	if err := im.schemaIs(heads[info.Key].SchemaVer); err != nil {
		return res, err
	}
	if err := s.Publish(ctx, info.Key, name); err != nil {
		return res, err
	}
	if info, err = s.Graph(ctx, name); err != nil {
		return res, err
	}
	return Result{name, info.Head.Epoch, info.Head.Version, info.Objects, info.Edges}, nil
}

// importer is one import.
type importer struct {
	ctx    context.Context // its life is that of the call
	store  Store
	key    graph.GraphKey
	head   graph.Head // of what was appended
	opt    Options
	in     *reader
	header *Header

	count endLine
	lines map[graph.Ref]int // where an entity was last written
	mends []mending

	commits []*graph.Commit // waiting for the next append
	at      []int           // their lines
	changes int             // of them
	bytes   int
}

func (im *importer) schemaIs(version int64) error {
	if version == im.opt.SchemaVer {
		return nil
	}
	return graph.Errf(graph.CodeVersionMismatch, "the schema changed from version %d to %d; import again", im.opt.SchemaVer, version)
}

// note remembers the line of an entity and refuses a second one.
func (im *importer) note(ref graph.Ref) error {
	if first, ok := im.lines[ref]; ok {
		return im.in.fault("%s %s is on line %d already", ref.Kind, ref.IDString(), first)
	}
	im.lines[ref] = im.in.line
	return nil
}

// judged gives a fault of the law the line of the entity.
func (im *importer) judged(ref graph.Ref, err error) error {
	if err == nil {
		return nil
	}
	line, ok := im.lines[ref]
	if !ok {
		line = im.in.line
	}
	return &LineError{line, err.Error()}
}

// ended compares the counts of the last line.
func (im *importer) ended(l *endLine) error {
	if *l != im.count {
		return im.in.fault("the archive says that it has %d marks, %d objects, %d edges, %d commits and %d keys; there were %d, %d, %d, %d and %d",
			l.Marks, l.Objects, l.Edges, l.Commits, l.Keys, im.count.Marks, im.count.Objects, im.count.Edges, im.count.Commits, im.count.Keys)
	}
	return im.in.nothingMore()
}

// own begins a commit of the import's own, after those that wait.
func (im *importer) own() *graph.Commit {
	at := im.opt.Clock().UTC().Truncate(time.Millisecond)
	last := im.head.At
	if n := len(im.commits); n > 0 {
		last = im.commits[n-1].At
	}
	if at.Before(last) {
		at = last
	}
	return &graph.Commit{
		Version: im.head.Version + graph.Version(len(im.commits)) + 1, Epoch: im.head.Epoch, At: at, SchemaVer: im.head.SchemaVer,
		Author: graph.Principal{User: im.opt.By, Admin: true}, Mutation: uuid.NewString(),
		Note:  fmt.Sprintf("import of %s at version %d", im.header.Graph, im.header.Version),
		Cause: graph.Cause{Kind: graph.CauseImport},
	}
}

// sign gives an own commit its patch.
func (im *importer) sign(c *graph.Commit, done []byte) {
	hash := sha256.Sum256(done)
	c.Asked, c.Done, c.Hash = done, done, hash[:]
}

// What one append holds: enough to be worth a round trip.
const (
	appendCommits = 100
	appendBytes   = 4 << 20
)

// append adds a commit to those that wait, and writes them when they are enough.
func (im *importer) append(c *graph.Commit, line int) error {
	im.commits, im.at = append(im.commits, c), append(im.at, line)
	im.changes += len(c.Changes)
	im.bytes += len(c.Done) + len(c.Asked)
	for i := range c.Changes {
		if o := c.Changes[i].ObjAfter; o != nil {
			im.bytes += len(o.Body)
		}
	}
	if len(im.commits) < appendCommits && im.changes < im.opt.Touched && im.bytes < appendBytes {
		return nil
	}
	return im.flush()
}

// flush appends the commits that wait.
func (im *importer) flush() error {
	if len(im.commits) == 0 {
		return nil
	}
	b := &graph.Batch{Graph: im.key, Expect: im.head, Commits: im.commits}
	res, err := im.store.Append(im.ctx, b)
	switch {
	case err != nil:
		return fmt.Errorf("write what stands up to line %d: %w", im.in.line, err)
	case res.Moved:
		if err := im.schemaIs(res.Head.SchemaVer); err != nil {
			return err
		}
		return fmt.Errorf("the graph that is being imported was written by somebody else, at version %d", res.Head.Version)
	case len(res.Hits) > 0:
		return im.obstacle(res.Hits[0])
	}
	last := im.commits[len(im.commits)-1]
	im.head.Version, im.head.At = last.Version, last.At
	im.commits, im.at, im.changes, im.bytes = nil, nil, 0, 0
	return nil
}

// obstacle says what stood in the way of an append.
func (im *importer) obstacle(h graph.Hit) error {
	line := im.at[h.Commit]
	if first, ok := im.lines[h.Ref]; ok && h.Kind != graph.HitMutation {
		line = first
	}
	text := "the commit does not fit the state before it"
	switch h.Kind {
	case graph.HitMutation:
		c := im.commits[h.Commit]
		text = fmt.Sprintf("the mutation %q of %q is in the log already", c.Mutation, c.Author.User)
	case graph.HitObject, graph.HitEdge:
		text = fmt.Sprintf("the id of %s %s is taken", h.Ref.Kind, h.Ref.IDString())
	case graph.HitBetween:
		text = fmt.Sprintf("edge %s: there is another one of its label between its ends", h.Ref.IDString())
	}
	return &LineError{line, text}
}

package main

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/graphtide/graphtide/internal/node"
)

// liveSchema keeps the server's schema what the file says: applied at the start,
// and again whenever the file, a handler, or what a handler imports changes. A
// fault is told, and mended by the next save.
//
// Folders are watched rather than files: editors save by putting another file in
// the place of the old one.
type liveSchema struct {
	app  *app
	file string

	node    *node.Node
	watcher *fsnotify.Watcher // nil: changes are not seen
	folders map[string]bool   // watched
	files   map[string]bool   // whose change matters
	applied []byte            // the document that was judged last
	broken  bool              // and was not applied, or could not be read

	end     context.CancelFunc
	watched sync.WaitGroup
}

// settleTime is how long the files must be quiet before they are read: editors
// write in several steps.
const settleTime = 150 * time.Millisecond

// start applies the schema and begins to watch. It fails only when ctx ends.
func (l *liveSchema) start(ctx context.Context, n *node.Node) error {
	l.node, l.folders = n, map[string]bool{}
	var err error
	if l.watcher, err = fsnotify.NewWatcher(); err != nil {
		l.app.log.Warn("changes of the schema will not be seen", "err", err)
	}
	if !l.apply(ctx) {
		fmt.Fprintln(l.app.stderr, "The schema was not applied; mend it and save.")
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if l.watcher != nil {
		watching, cancel := context.WithCancel(l.app.ctx)
		l.end = cancel
		l.watched.Go(func() { l.watch(watching) })
	}
	return nil
}

// stop ends the watching. Without a start before, it does nothing.
func (l *liveSchema) stop() {
	if l.end != nil {
		l.end()
	}
	l.watched.Wait()
	if l.watcher != nil {
		l.watcher.Close()
	}
}

func (l *liveSchema) watch(ctx context.Context) {
	var quiet <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case err := <-l.watcher.Errors:
			l.app.log.Warn("changes of the schema may not have been seen", "err", err)
		case e := <-l.watcher.Events:
			if l.matters(e.Name) {
				quiet = time.After(settleTime)
			}
		case <-quiet:
			quiet = nil
			l.reload(ctx)
		}
	}
}

// matters reports whether path is one of the files, or a folder above one that
// has been missing.
func (l *liveSchema) matters(path string) bool {
	if l.files[path] {
		return true
	}
	for file := range l.files {
		if strings.HasPrefix(file, path+string(filepath.Separator)) {
			return true
		}
	}
	return false
}

// reload applies the schema again and tells a person.
func (l *liveSchema) reload(ctx context.Context) {
	before, was := l.applied, l.broken
	switch {
	case !l.apply(ctx):
	case was || !bytes.Equal(before, l.applied):
		fmt.Fprintf(l.app.stdout, "  Schema applied again: version %d\n", l.node.Live.Current().Version)
	}
}

// apply reads the files and makes them the schema, unless they are. A fault is
// reported: the same one again at each save, for stored data may be what is in
// the way, and another by now.
func (l *liveSchema) apply(ctx context.Context) bool {
	made, err := readSchema(l.file)
	for l.follow(made.Files) { // what changed before we watched it is read once more
		made, err = readSchema(l.file)
	}
	if err == nil {
		if !l.broken && bytes.Equal(made.Doc, l.applied) {
			return true
		}
		l.applied = made.Doc
		err = applySchema(ctx, l.node, l.file, made.Doc)
	}
	l.broken = err != nil
	if err != nil && ctx.Err() == nil {
		report(l.app.stderr, err)
	}
	return err == nil
}

// follow watches the folders of the files, and reports whether one is new.
func (l *liveSchema) follow(files []string) (added bool) {
	l.files = map[string]bool{}
	for _, file := range files {
		l.files[file] = true
		dir := filepath.Dir(file)
		for !exists(dir) { // watched until it is made
			dir = filepath.Dir(dir)
		}
		if l.watcher == nil || l.folders[dir] {
			continue
		}
		l.folders[dir] = true
		if err := l.watcher.Add(dir); err != nil {
			l.app.log.Warn("changes in this folder will not be seen", "folder", dir, "err", err)
			continue
		}
		added = true
	}
	return added
}

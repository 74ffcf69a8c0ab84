package replica

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/graphtide/graphtide/graph"
)

// partSuffix ends the name of an image that is being written.
const partSuffix = ".part"

func imageName(key graph.GraphKey) string { return fmt.Sprintf("graph-%d.image", key) }

// imageOf gives the graph that a file is an image of.
func imageOf(name string) (key graph.GraphKey, ok bool) {
	number, _ := strings.CutSuffix(strings.TrimPrefix(name, "graph-"), ".image")
	n, err := strconv.ParseInt(number, 10, 64)
	key = graph.GraphKey(n)
	return key, err == nil && name == imageName(key)
}

// sweepParts removes what a node left behind that was killed while it wrote an
// image. Nobody else writes into the folder: each node has its own.
func (s *Set) sweepParts() {
	for _, name := range s.imageFiles() {
		image, part := strings.CutSuffix(name, partSuffix)
		if i := strings.LastIndexByte(image, '.'); part && i >= 0 {
			if _, ours := imageOf(image[:i]); ours {
				s.dropImageFile(name)
			}
		}
	}
}

// sweepImages removes images of graphs that are no more, whatever they hold of them:
// somebody deleted these while they were not open here.
func (s *Set) sweepImages(ctx context.Context) {
	names := s.imageFiles() // before the graphs: one made meanwhile has no image among these
	if len(names) == 0 {
		return
	}
	graphs, err := s.cfg.Store.Graphs(ctx)
	if err != nil {
		return // the next look will do
	}
	there := make(map[graph.GraphKey]bool, len(graphs))
	for i := range graphs {
		there[graphs[i].Key] = true
	}
	for _, name := range names {
		if key, ok := imageOf(name); ok && !there[key] {
			s.dropImageFile(name)
		}
	}
}

// dropImage removes the image of a graph that is no more.
func (s *Set) dropImage(key graph.GraphKey) {
	if s.cfg.ImageDir != "" {
		s.dropImageFile(imageName(key))
	}
}

func (s *Set) dropImageFile(name string) {
	if err := os.Remove(filepath.Join(s.cfg.ImageDir, name)); err != nil && !os.IsNotExist(err) {
		s.cfg.Log.Warn("an image that is of no use could not be removed", "file", name, "err", err)
	}
}

// imageFiles gives the names of what is in the folder.
func (s *Set) imageFiles() (names []string) {
	entries, err := os.ReadDir(s.cfg.ImageDir)
	if err != nil {
		return nil // it is made with the first image
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

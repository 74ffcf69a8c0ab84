package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/graphtide/graphtide/examples/workbook"
)

// example is what dev runs where no schema is named.
type example struct {
	schema string // file
	pages  fs.FS  // nil where the program was built without them
}

// unpackExample gives the example: from the source tree where dev runs in it, so
// that changes show at once, else from the program, unpacked in the data folder
// to be played with. What was changed there stays; another program's example
// gets another folder.
func unpackExample(data string) (example, error) {
	const source = "examples/workbook"
	if file, err := filepath.Abs(filepath.Join(source, "app.yaml")); err == nil && exists(file) {
		return example{file, pagesOf(os.DirFS(source))}, whole(os.DirFS(source))
	}
	if err := whole(workbook.Files); err != nil {
		return example{}, err
	}
	name, err := fingerprint(workbook.Files)
	if err != nil {
		return example{}, err
	}
	dir := filepath.Join(data, "example-"+name)
	ex := example{filepath.Join(dir, "app.yaml"), pagesOf(workbook.Files)}
	if exists(ex.schema) {
		return ex, nil
	}
	// Under another name first: one cut off half-way is never taken for whole.
	unfinished := dir + ".new"
	if err := os.RemoveAll(unfinished); err != nil {
		return example{}, err
	}
	if err := os.MkdirAll(data, 0o755); err != nil {
		return example{}, err
	}
	if err := os.CopyFS(unfinished, workbook.Files); err != nil {
		return example{}, fmt.Errorf("unpack the example: %w", err)
	}
	if err := os.Rename(unfinished, dir); err != nil {
		return example{}, err
	}
	return ex, nil
}

// whole reports whether the example's data were made, which plain `go build`
// does not do.
func whole(files fs.FS) error {
	if _, err := fs.Stat(files, workbook.DataFile); errors.Is(err, fs.ErrNotExist) {
		return errors.New("the example is not complete: it is made by `make build` in the source tree; or name a schema of yours with --schema")
	}
	return nil
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// pagesOf gives the built pages, or nil: the API works without them.
func pagesOf(files fs.FS) fs.FS {
	if _, err := fs.Stat(files, workbook.SiteDir+"/index.html"); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	pages, err := fs.Sub(files, workbook.SiteDir)
	if err != nil {
		return nil
	}
	return pages
}

// fingerprint names a content.
func fingerprint(files fs.FS) (string, error) {
	sum := sha256.New()
	err := fs.WalkDir(files, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(files, path)
		fmt.Fprintf(sum, "%s %d\n", path, len(text))
		sum.Write(text)
		return err
	})
	return hex.EncodeToString(sum.Sum(nil)[:4]), err
}

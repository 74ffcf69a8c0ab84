// Command patchlines applies patches as the server does: a line of standard
// input holds {"doc", "patch"}, and its line of standard output {"value"} or
// {"error"}, the code of the refusal. The tests of the JavaScript client hold
// their own answers against it.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	"github.com/graphtide/graphtide/patch"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 16<<20)
	out := bufio.NewWriter(os.Stdout)
	for in.Scan() {
		var line struct{ Doc, Patch json.RawMessage }
		if err := json.Unmarshal(in.Bytes(), &line); err != nil {
			return fmt.Errorf("read a line: %w", err)
		}
		value, code := apply(patch.Compact(line.Doc), line.Patch)
		answer := map[string]any{"value": json.RawMessage(value)}
		if code != "" {
			answer = map[string]any{"error": code}
		}
		text, err := json.Marshal(answer)
		if err != nil {
			return fmt.Errorf("write a line: %w", err)
		}
		if _, err := out.Write(append(text, '\n')); err != nil {
			return err
		}
	}
	if err := in.Err(); err != nil {
		return err
	}
	return out.Flush()
}

func apply(doc, text []byte) ([]byte, string) {
	ops, err := patch.Parse(text, 1000)
	if err != nil {
		return nil, err.Reason.String()
	}
	value, err := patch.Apply(doc, ops, patch.JSONLimits{})
	if err != nil {
		return nil, err.Reason.String()
	}
	return value, ""
}

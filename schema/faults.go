package schema

import (
	"bytes"
	"fmt"
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/graphtide/graphtide/graph"
)

// maxFaults ends the search for more: nobody reads on.
const maxFaults = 100

// faults collects what is wrong with one document.
type faults struct {
	file  string
	lines [][]byte
	list  []fault
}

type fault struct {
	line, col int
	violation graph.Violation
}

func newFaults(file string, src []byte) *faults {
	return &faults{file: file, lines: bytes.Split(src, []byte("\n"))}
}

func (f *faults) full() bool { return len(f.list) >= maxFaults }

// add notes a fault: what names the type and the key, or is empty.
func (f *faults) add(line, col int, pointer, what, message string) {
	if f.full() {
		return
	}
	f.list = append(f.list, fault{line, col, f.violation(line, col, pointer, what, message)})
}

func (f *faults) violation(line, col int, pointer, what, message string) graph.Violation {
	var b strings.Builder
	b.WriteString(f.file)
	if line > 0 {
		fmt.Fprintf(&b, ":%d", line)
	}
	b.WriteString(": ")
	if what != "" {
		b.WriteString(what)
		b.WriteString(": ")
	}
	b.WriteString(message)
	b.WriteString(f.excerpt(line, col))
	return graph.Violation{Path: pointer, Message: b.String()}
}

// excerptWidth is how much of a long line is shown on either side of the caret.
const excerptWidth = 60

// excerpt gives the source line with a caret below the column.
func (f *faults) excerpt(line, col int) string {
	if line < 1 || line > len(f.lines) {
		return ""
	}
	text := strings.ToValidUTF8(strings.TrimRight(string(f.lines[line-1]), "\r"), "?")
	at := min(max(col-1, 0), len(text))
	for at > 0 && at < len(text) && !utf8.RuneStart(text[at]) {
		at--
	}
	start, end := 0, len(text)
	if at > excerptWidth {
		start = at - excerptWidth
		for !utf8.RuneStart(text[start]) {
			start++
		}
	}
	if end-at > excerptWidth {
		end = at + excerptWidth
		for end < len(text) && !utf8.RuneStart(text[end]) {
			end++
		}
	}
	before := []rune(text[start:at])
	for i, r := range before {
		if r != '\t' {
			before[i] = ' '
		}
	}
	gutter := fmt.Sprintf("%5d | ", line)
	return "\n" + gutter + text[start:end] + "\n" + strings.Repeat(" ", len(gutter)-2) + "| " + string(before) + "^"
}

// err gives the faults as CodeInvalidSchema in the order of the document, or nil.
func (f *faults) err() *graph.Error {
	if len(f.list) == 0 {
		return nil
	}
	sort.SliceStable(f.list, func(i, j int) bool {
		a, b := f.list[i], f.list[j]
		return a.line < b.line || a.line == b.line && a.col < b.col
	})
	first, _, _ := strings.Cut(f.list[0].violation.Message, "\n")
	message := first
	switch n := len(f.list); {
	case n >= maxFaults:
		message = fmt.Sprintf("%s (and at least %d more)", first, n-1)
	case n > 1:
		message = fmt.Sprintf("%s (and %d more)", first, n-1)
	}
	e := graph.Errf(graph.CodeInvalidSchema, "%s", message).At(f.list[0].violation.Path)
	for _, x := range f.list {
		e.Errors = append(e.Errors, x.violation)
	}
	return e
}

// didYouMean gives ` (did you mean "x"?)` for the nearest of the names, or "".
func didYouMean(word string, names []string) string {
	best, bestDistance := "", 1+min(2, len(word)/2)
	if len(word) > 64 {
		return ""
	}
	for _, name := range names {
		if len(name) > 64 || name == word {
			continue
		}
		if strings.EqualFold(name, word) {
			best = name
			break
		}
		if d := distance(word, name); d < bestDistance {
			best, bestDistance = name, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" (did you mean %q?)", best)
}

// distance is the number of single letters to insert, delete, replace or swap
// with their neighbour.
func distance(a, b string) int {
	two := make([]int, len(b)+1)
	prev := make([]int, len(b)+1)
	cur := make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], two[j-2]+1)
			}
		}
		two, prev, cur = prev, cur, two
	}
	return prev[len(b)]
}

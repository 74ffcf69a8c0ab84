package schema

import (
	"fmt"
	"regexp"
	"regexp/syntax"
)

// compilePattern compiles a pattern (RE2: no look-around, no back references)
// and gives the size of its program, which its work is proportional to.
func compilePattern(s string) (re *regexp.Regexp, size int, err error) {
	if len(s) > maxPattern {
		return nil, 0, fmt.Errorf("a pattern has at most %d bytes, this one has %d", maxPattern, len(s))
	}
	tree, err := syntax.Parse(s, syntax.Perl)
	if err != nil {
		return nil, 0, fmt.Errorf("the pattern is not one that Go's regexp takes: %w", err)
	}
	prog, err := syntax.Compile(tree.Simplify())
	if err != nil {
		return nil, 0, fmt.Errorf("the pattern is not one that Go's regexp takes: %w", err)
	}
	if len(prog.Inst) > maxPatternProgram {
		return nil, 0, fmt.Errorf("the pattern repeats too much: it needs %d steps, %d are allowed", len(prog.Inst), maxPatternProgram)
	}
	re, err = regexp.Compile(s)
	return re, len(prog.Inst), err
}

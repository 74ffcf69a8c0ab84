package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Bounds of a document. The YAML parser needs about 15 µs a token (measured),
// so tokens are bounded apart from bytes; JSON is read by encoding/json.
const (
	maxDocumentBytes = 4 << 20
	maxDocumentDepth = 64
	maxYAMLTokens    = 200_000
	maxYAMLDepth     = 3 * maxDocumentDepth // as counted in tokens: key, colon, value
)

// parseDocument reads YAML 1.2 or JSON. It gives nil where f has faults.
func parseDocument(f *faults, src []byte) *node {
	switch {
	case len(src) > maxDocumentBytes:
		f.add(0, 0, "", "", fmt.Sprintf("the document has more than %d bytes", maxDocumentBytes))
		return nil
	case !utf8.Valid(src):
		f.add(1+bytes.Count(src[:invalidUTF8(src)], []byte("\n")), 1, "", "", "the document is not valid UTF-8")
		return nil
	}
	src = bytes.TrimPrefix(src, []byte("\ufeff"))
	var n *node
	if trimmed := bytes.TrimLeft(src, " \t\r\n"); len(trimmed) > 0 && trimmed[0] == '{' && json.Valid(src) {
		n = parseJSON(f, src)
	} else {
		n = parseYAML(f, src)
	}
	if len(f.list) > 0 {
		return nil
	}
	return n
}

func invalidUTF8(src []byte) int {
	for i := 0; i < len(src); {
		r, size := utf8.DecodeRune(src[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return len(src)
}

// place turns offsets of a text that is read forward into lines and columns.
type place struct {
	src             []byte
	offset          int
	line, lineStart int
}

func (p *place) at(offset int) (line, col int) {
	for ; p.offset < offset; p.offset++ {
		if p.src[p.offset] == '\n' {
			p.line++
			p.lineStart = p.offset + 1
		}
	}
	return p.line + 1, offset - p.lineStart + 1
}

// jsonReader builds nodes from tokens.
type jsonReader struct {
	f     *faults
	src   []byte
	dec   *json.Decoder
	place place
}

func parseJSON(f *faults, src []byte) *node {
	dec := json.NewDecoder(bytes.NewReader(src))
	dec.UseNumber()
	r := &jsonReader{f: f, src: src, dec: dec, place: place{src: src}}
	return r.value(0)
}

// next gives a token and where it begins.
func (r *jsonReader) next() (t json.Token, line, col int) {
	start := int(r.dec.InputOffset())
	for start < len(r.src) && strings.IndexByte(" \t\r\n,:", r.src[start]) >= 0 {
		start++
	}
	line, col = r.place.at(start)
	t, err := r.dec.Token()
	if err != nil {
		r.f.add(line, col, "", "", "the JSON cannot be read: "+err.Error())
	}
	if text, ok := t.(string); ok {
		checkText(r.f, text, replacements(string(r.src[start:r.dec.InputOffset()])), line, col)
	}
	return t, line, col
}

func (r *jsonReader) value(depth int) *node {
	t, line, col := r.next()
	n := &node{line: line, col: col}
	if depth > maxDocumentDepth {
		r.f.add(line, col, "", "", fmt.Sprintf("the document is nested more than %d levels deep", maxDocumentDepth))
		return n
	}
	switch t := t.(type) {
	case bool:
		n.kind, n.yes = boolKind, t
	case json.Number:
		n.kind, n.text = numberKind, string(t)
		checkNumber(r.f, n)
	case string:
		n.kind, n.text = stringKind, t
	case json.Delim:
		if t == '[' {
			n.kind = listKind
			for r.dec.More() && len(r.f.list) == 0 {
				n.items = append(n.items, r.value(depth+1))
			}
		} else {
			n.kind = mapKind
			seen := map[string]int{}
			for r.dec.More() && len(r.f.list) == 0 {
				k, line, col := r.next()
				key, _ := k.(string)
				checkDuplicate(r.f, seen, key, line, col)
				n.members = append(n.members, member{key, line, col, r.value(depth + 1)})
			}
		}
		if len(r.f.list) == 0 {
			r.next()
		}
	}
	return n
}

func checkDuplicate(f *faults, seen map[string]int, key string, line, col int) {
	if first, ok := seen[key]; ok {
		f.add(line, col, "", "key "+quoteShort(key), fmt.Sprintf("the key stands twice in one map, first on line %d", first))
		return
	}
	seen[key] = line
}

// checkText refuses what the database would choke on, and escapes of what is no
// character: a lone surrogate, or something beyond Unicode. Both readers take
// U+FFFD for it; written is how many of these the author has written himself.
func checkText(f *faults, s string, written, line, col int) {
	if strings.IndexByte(s, 0) >= 0 {
		f.add(line, col, "", "", "a NUL character cannot be stored")
	}
	if strings.Count(s, replacement) > written {
		f.add(line, col, "", "", "an escape that is no character: a lone surrogate, or beyond U+10FFFF")
	}
}

// replacements counts U+FFFD in a text as it is written, escaped or not.
func replacements(raw string) int {
	return strings.Count(raw, replacement) + strings.Count(strings.ToLower(raw), "fffd")
}

const replacement = "\ufffd"

// checkNumber holds numbers to the range of a double and 64 digits, like those
// of bodies: exact arithmetic on 1e999999999 would take all memory.
func checkNumber(f *faults, n *node) {
	if !saneNumber(n.text) {
		f.add(n.line, n.col, "", "", "the number "+quoteShort(n.text)+" is beyond the range of a double or has more than 64 digits")
	}
}

func quoteShort(s string) string {
	if len(s) > 64 {
		s = strings.ToValidUTF8(s[:64], "") + "…"
	}
	return strconv.Quote(s)
}

func parseYAML(f *faults, src []byte) (n *node) {
	defer func() {
		if r := recover(); r != nil { // the parser is not ours, the text is not its author's
			f.add(0, 0, "", "", fmt.Sprintf("the YAML cannot be read: %v", r))
			n = nil
		}
	}()
	tokens := joinPlain(lexer.Tokenize(string(src)))
	if !boundYAML(f, tokens) {
		return nil
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		addYAMLError(f, err)
		return nil
	}
	var docs []ast.Node
	for _, d := range file.Docs {
		if d.Body != nil && d.Body.Type() != ast.DirectiveType {
			docs = append(docs, d.Body)
		}
	}
	switch len(docs) {
	case 0:
		return &node{line: 1, col: 1}
	case 1:
		y := &yamlReader{f: f, replacements: replacements(string(src))}
		return y.value(docs[0], 0)
	}
	pos := docs[1].GetToken().Position
	f.add(pos.Line, pos.Column, "", "", "a schema is one YAML document, here a second begins")
	return nil
}

func addYAMLError(f *faults, err error) {
	var y yaml.Error
	if errors.As(err, &y) && y.GetToken() != nil && y.GetToken().Position != nil {
		pos := y.GetToken().Position
		f.add(pos.Line, pos.Column, "", "", "the YAML cannot be read: "+y.GetMessage())
		return
	}
	f.add(0, 0, "", "", "the YAML cannot be read: "+err.Error())
}

// boundYAML judges the tokens before the parser sees them: it recurses, and a
// stack that overflows cannot be recovered. What YAML has beyond JSON's values
// (anchors, tags, merge keys) is refused here as well.
func boundYAML(f *faults, tokens token.Tokens) bool {
	if len(tokens) > maxYAMLTokens {
		f.add(0, 0, "", "", fmt.Sprintf("the YAML has more than %d tokens; split it or send it as JSON", maxYAMLTokens))
		return false
	}
	flow := 0
	var columns []int // of the block structure around the token
	for _, t := range tokens {
		line, col := t.Position.Line, t.Position.Column
		switch t.Type {
		case token.AnchorType, token.AliasType:
			f.add(line, col, "", "", "anchors and aliases are not part of a schema; share with `extends`, or with `$ref` to the `$defs` of a type's `schema`")
			return false
		case token.TagType:
			f.add(line, col, "", "", "tags are not part of a schema")
			return false
		case token.MergeKeyType:
			f.add(line, col, "", "", "merge keys are not part of a schema; share with `extends`")
			return false
		case token.MappingStartType, token.SequenceStartType:
			flow++
		case token.MappingEndType, token.SequenceEndType:
			flow--
		}
		if flow == 0 {
			for len(columns) > 0 && columns[len(columns)-1] >= col {
				columns = columns[:len(columns)-1]
			}
			columns = append(columns, col)
		}
		if flow+len(columns) > maxYAMLDepth {
			f.add(line, col, "", "", fmt.Sprintf("the document is nested more than %d levels deep", maxDocumentDepth))
			return false
		}
	}
	return true
}

// yamlReader builds nodes from the parser's tree.
type yamlReader struct {
	f            *faults
	replacements int // in the whole document: its tokens do not keep how a text was written
}

func (y *yamlReader) value(a ast.Node, depth int) *node {
	n := &node{}
	if a == nil {
		return n
	}
	tk := a.GetToken()
	if tk != nil && tk.Position != nil {
		n.line, n.col = tk.Position.Line, tk.Position.Column
	}
	if depth > maxDocumentDepth {
		y.f.add(n.line, n.col, "", "", fmt.Sprintf("the document is nested more than %d levels deep", maxDocumentDepth))
		return n
	}
	switch a := a.(type) {
	case *ast.MappingNode:
		y.mapping(n, a.Values, depth)
	case *ast.MappingValueNode:
		y.mapping(n, []*ast.MappingValueNode{a}, depth)
	case *ast.SequenceNode:
		n.kind = listKind
		for _, item := range a.Values {
			n.items = append(n.items, y.value(item, depth+1))
		}
	case *ast.LiteralNode:
		n.kind, n.text = stringKind, a.Value.Value
		checkText(y.f, n.text, y.replacements, n.line, n.col)
	case *ast.StringNode:
		if quoted(tk) {
			n.kind, n.text = stringKind, a.Value
			checkText(y.f, n.text, y.replacements, n.line, n.col)
		} else {
			y.scalar(n, a.Value)
		}
	case *ast.NullNode:
		if tk.Type != token.ImplicitNullType {
			y.scalar(n, tk.Value)
		}
	case *ast.BoolNode, *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		y.scalar(n, tk.Value)
	default:
		y.f.add(n.line, n.col, "", "", "this YAML ("+strings.ToLower(a.Type().String())+") is not part of a schema")
	}
	return n
}

func quoted(tk *token.Token) bool {
	return tk.Type == token.SingleQuoteType || tk.Type == token.DoubleQuoteType
}

func (y *yamlReader) mapping(n *node, values []*ast.MappingValueNode, depth int) {
	n.kind = mapKind
	seen := make(map[string]int, len(values))
	for i, v := range values {
		k := v.Key.GetToken()
		if _, complex := v.Key.(*ast.MappingKeyNode); complex {
			y.f.add(k.Position.Line, k.Position.Column, "", "", "a key of a schema is plain text, without `?`")
			return
		}
		line, col := k.Position.Line, k.Position.Column
		if i == 0 && len(values) > 0 && n.col > col {
			n.line, n.col = line, col // a block map has the place of its first key, not of its colon
		}
		checkText(y.f, k.Value, y.replacements, line, col)
		checkDuplicate(y.f, seen, k.Value, line, col)
		n.members = append(n.members, member{k.Value, line, col, y.value(v.Value, depth+1)})
	}
}

// The core schema of YAML 1.2, section 10.3.2. The parser's own reading of
// plain scalars is older (0777 is octal, 1_000 a number), so it is not used.
var (
	yamlInt   = regexp.MustCompile(`^[-+]?[0-9]+$`)
	yamlOctal = regexp.MustCompile(`^0o[0-7]+$`)
	yamlHex   = regexp.MustCompile(`^0x[0-9a-fA-F]+$`)
	yamlFloat = regexp.MustCompile(`^([-+]?)(\.[0-9]+|[0-9]+(?:\.[0-9]*)?)([eE][-+]?[0-9]+)?$`)
	yamlInf   = regexp.MustCompile(`^([-+]?\.(inf|Inf|INF)|\.nan|\.NaN|\.NAN)$`)
)

// scalar reads a plain scalar.
func (y *yamlReader) scalar(n *node, s string) {
	switch s {
	case "", "~", "null", "Null", "NULL":
		return
	case "true", "True", "TRUE":
		n.kind, n.yes = boolKind, true
		return
	case "false", "False", "FALSE":
		n.kind = boolKind
		return
	}
	n.kind, n.text = stringKind, s
	if c := s[0]; c != '.' && c != '-' && c != '+' && (c < '0' || c > '9') {
		checkText(y.f, s, y.replacements, n.line, n.col)
		return
	}
	switch {
	case yamlInt.MatchString(s):
		n.kind, n.text = numberKind, jsonNumber(s)
	case yamlOctal.MatchString(s), yamlHex.MatchString(s):
		if len(s) <= 64 {
			i, _ := new(big.Int).SetString(s, 0)
			n.text = i.String()
		}
		n.kind = numberKind
	case yamlFloat.MatchString(s):
		n.kind, n.text = numberKind, jsonNumber(s)
	case yamlInf.MatchString(s):
		y.f.add(n.line, n.col, "", "", "a number must be finite")
	}
	if n.kind == numberKind {
		checkNumber(y.f, n)
	}
}

// jsonNumber writes a YAML number as JSON does: no plus, no leading zeros, and
// digits on both sides of the point.
func jsonNumber(s string) string {
	parts := yamlFloat.FindStringSubmatch(s)
	sign, digits, exponent := parts[1], parts[2], parts[3]
	whole, fraction, point := strings.Cut(digits, ".")
	whole = strings.TrimLeft(whole, "0")
	if whole == "" {
		whole = "0"
	}
	out := whole
	if point && fraction != "" {
		out += "." + fraction
	}
	if sign == "-" {
		out = "-" + out
	}
	return out + exponent
}

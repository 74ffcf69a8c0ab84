package patch

import (
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// The fast walk takes 64 bytes as bits, the slow one every byte by itself.
func TestSkippingAgreesWithWalkingByteByByte(t *testing.T) {
	t.Parallel()
	slow := func(b []byte) int {
		depth, inString := 0, false
		for i := 0; i < len(b); i++ {
			switch {
			case inString && b[i] == '\\':
				i++
			case b[i] == '"':
				inString = !inString
			case inString:
			case b[i] == '{' || b[i] == '[':
				depth++
			case b[i] == '}' || b[i] == ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
		}
		return -1
	}
	pieces := []string{`"abc"`, `"\\"`, `"\""`, `"[{"`, `"]}"`, `"Y_y{é\u0041"`, `""`, `12`, `null`, `[]`, `{}`, `[[{"a":[]}]]`, strings.Repeat("7", 30), `"` + strings.Repeat("x", 70) + `"`, `"` + strings.Repeat("]", 61) + `\\"`}
	rapid.Check(t, func(t *rapid.T) {
		var values []string
		for range rapid.IntRange(0, 40).Draw(t, "n") {
			values = append(values, rapid.SampledFrom(pieces).Draw(t, "piece"))
		}
		text := "[" + strings.Join(values, ",") + "]"
		if rapid.Bool().Draw(t, "object") {
			text = `{"k{\"":` + text + `,"l":[` + strings.Repeat(" ", rapid.IntRange(0, 64).Draw(t, "space")) + `]}`
		}
		if !json.Valid([]byte(text)) {
			t.Fatal(text)
		}
		b := []byte(text + rapid.SampledFrom([]string{"", "]", `,"x":[[[]]]}`, strings.Repeat(" ", 80)}).Draw(t, "behind"))
		want := slow(b)
		if got := skipContainer(b, 0); got != want || want != len(text) {
			t.Fatalf("%s: got %d, want %d", b, got, want)
		}
		if got, _, done := stepContainer(b, 0, len(b), 0); !done || got != want {
			t.Fatalf("%s: step by step got %d, want %d", b, got, want)
		}
		most, depth := 0, 0
		d := json.NewDecoder(strings.NewReader(text))
		for token, err := d.Token(); err == nil; token, err = d.Token() {
			switch token {
			case json.Delim('['), json.Delim('{'):
				depth++
				most = max(most, depth)
			case json.Delim(']'), json.Delim('}'):
				depth--
			}
		}
		if got := height([]byte(text)); got != most {
			t.Fatalf("%s: %d levels, want %d", text, got, most)
		}
	})
}

package graph

import (
	"strings"
	"testing"
)

func TestParseIDTakesTheCanonicalFormInEitherCase(t *testing.T) {
	t.Parallel()
	const canonical = "0190163d-8694-739b-aea5-966c26f8ad91"
	for _, s := range []string{canonical, strings.ToUpper(canonical)} {
		id, ok := ParseObjectID(s)
		if !ok || id.String() != canonical {
			t.Errorf("%s: got %v, %v", s, id, ok)
		}
	}
	for _, s := range []string{
		"", "x", canonical[1:], canonical + "0", "{" + canonical[1:35] + "}",
		strings.ReplaceAll(canonical, "-", ""),
		strings.Replace(canonical, "-", "0", 1),
		strings.Replace(canonical, "0", "g", 1),
		"00000000-0000-0000-0000-00-000000000", // a hyphen among the digits
		"-0000000-0000-0000-0000-000000000000",
		"00000000-0000-0000-0000-00000000000-",
		"------------------------------------",
	} {
		if id, ok := ParseObjectID(s); ok {
			t.Errorf("%q is taken as %v", s, id)
		}
		if _, ok := ParseEdgeID(s); ok {
			t.Errorf("%q is taken as an edge's id", s)
		}
	}
}

func FuzzParseObjectID(f *testing.F) {
	f.Add("0190163d-8694-739b-aea5-966c26f8ad91")
	f.Add("00000000-0000-0000-0000-00-000000000")
	f.Fuzz(func(t *testing.T, s string) {
		if id, ok := ParseObjectID(s); ok && id.String() != strings.ToLower(s) {
			t.Errorf("%q reads as %v", s, id)
		}
	})
}

package sabotage

import (
	"slices"
	"testing"
)

func TestANormalBuildBreaksNothing(t *testing.T) {
	t.Parallel()
	if Enabled {
		t.Fatal("the tests are run with the tag sabotage")
	}
	for _, b := range Breaks {
		if On(b) || Nth(b, 1) {
			t.Errorf("%s is on", b)
		}
	}
}

func TestEveryBreakHasANameOfItsOwn(t *testing.T) {
	t.Parallel()
	names := slices.Sorted(slices.Values(Breaks))
	if len(slices.Compact(names)) != len(Breaks) || slices.Contains(names, "") {
		t.Error(Breaks)
	}
}

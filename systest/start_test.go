package systest

import "testing"

func TestANodeServesAFreshGraph(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.as("ann").get(w.path("")).want(200).json().is("version", `0`)
}

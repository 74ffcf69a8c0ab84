package schema_test

import (
	"os"
	"slices"
	"testing"

	"github.com/graphtide/graphtide/schema"
)

func workbook(t testing.TB) *schema.Registry {
	t.Helper()
	doc, err := os.ReadFile("testdata/workbook.yaml")
	if err != nil {
		t.Fatal(err)
	}
	r, fault := schema.Compile("workbook.yaml", doc, 1)
	if fault != nil {
		t.Fatal(fault, fault.Errors)
	}
	return r
}

func TestTheExampleCompiles(t *testing.T) {
	t.Parallel()
	r := workbook(t)
	if got := r.TypeOf("DataStore").Rights; !slices.Equal(got, []string{"comment", "manage", "read", "write"}) {
		t.Errorf("the rights of DataStore are %v", got)
	}
}

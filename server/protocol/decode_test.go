package protocol_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/server/protocol"
)

func TestAMessageHoldsOneObjectOrSeveralOnePerLine(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		msg  string
		want []string
		bad  bool
	}{
		{msg: `{"t":"ping"}`, want: []string{`{"t":"ping"}`}},
		{msg: "{\"t\":\"ping\"}\n{\"a\":\"}\\\"{\"}\r\n", want: []string{`{"t":"ping"}`, `{"a":"}\"{"}`}},
		{msg: "{\n \"t\":\n\"ping\" }", want: []string{"{\n \"t\":\n\"ping\" }"}},
		{msg: "", want: nil},
		{msg: "\n \n", want: nil},
		{msg: `{"t":"ping"}{"t":"ping"}`, bad: true},
		{msg: "{\"t\":\"ping\"}\nx", want: []string{`{"t":"ping"}`}, bad: true},
		{msg: `[{"t":"ping"}]`, bad: true},
		{msg: `{"t":"ping"`, bad: true},
		{msg: "{\"t\":\"\xff\"}", bad: true},
	} {
		var got []string
		failed := false
		for line, err := range protocol.Split([]byte(c.msg)) {
			if err != nil {
				failed = true
				continue
			}
			got = append(got, string(line))
		}
		if d := cmp.Diff(c.want, got); d != "" || failed != c.bad {
			t.Errorf("%q: failed %v, %s", c.msg, failed, d)
		}
	}
}

func TestWhatCannotBeAnsweredIsMalformed(t *testing.T) {
	t.Parallel()
	for _, msg := range []string{
		``, `null`, `{}`, `{"t":1}`, `{"t":""}`, `{"t":"ping","t":"can"}`, `{"t":"ping",}`, `{"t":"ping"}x`,
		`{"T":"ping"}`,
		`{"t":"hello","token":1}`, `{"t":"hello","session":"x"}`, `{"t":"hello","pending":["x"]}`, `{"t":"hello","pending":[null]}`, `{"t":"hello","pending":"x"}`,
		`{"t":"token"}`, `{"t":"token","token":null}`,
		`{"t":"sub","projection":{}}`, `{"t":"sub","sub":"","projection":{}}`, `{"t":"sub","sub":"` + strings.Repeat("x", 201) + `","projection":{}}`,
		`{"t":"unsub"}`, `{"t":"mutate","patch":[]}`, `{"t":"mutate","mutation":"1","patch":[]}`,
		`{"t":"can"," objects":[]}` + "x", `{"t":"can","objects":"x"}`, `{"t":"presence","on":"x"}`,
	} {
		_, err := protocol.Decode([]byte(msg))
		var bad *protocol.Malformed
		if !errors.As(err, &bad) {
			t.Errorf("%s: %v, want a *Malformed", msg, err)
		}
	}
}

func TestAFaultOfASubscriptionOrAMutationNamesIt(t *testing.T) {
	t.Parallel()
	const sub, mut = `{"t":"sub","sub":"s1",`, `{"t":"mutate","mutation":"` + mutation + `",`
	for _, c := range []struct {
		msg  string
		code graph.Code
	}{
		{sub + `"x":1}`, graph.CodeInvalidProjection},
		{sub + `"projection":{},"name":"x"}`, graph.CodeInvalidProjection},
		{sub + `"projection":{},"args":{}}`, graph.CodeInvalidProjection},
		{sub + `"name":7}`, graph.CodeInvalidProjection},
		{sub + `"name":"x","key":1}`, graph.CodeInvalidProjection},
		{sub + `"name":"x","since":-1}`, graph.CodeInvalidVersion},
		{sub + `"name":"x","since":1.5}`, graph.CodeInvalidVersion},
		{sub + `"name":"x","since":"1"}`, graph.CodeInvalidVersion},
		{sub + `"name":"x","at":9223372036854775808}`, graph.CodeInvalidVersion},
		{sub + `"name":"x","at":1,"since":1}`, graph.CodeInvalidVersion},
		{mut + `"x":1}`, graph.CodeInvalidPatch},
		{mut + `"patch":[],"base":-1}`, graph.CodeInvalidPatch},
		{mut + `"patch":[],"group":"x"}`, graph.CodeInvalidPatch},
		{mut + `"patch":[],"note":1}`, graph.CodeInvalidPatch},
		{mut + `"patch":[],"note":"` + strings.Repeat("é", 201) + `"}`, graph.CodeInvalidPatch},
	} {
		_, err := protocol.Decode([]byte(c.msg))
		var r *protocol.Refusal
		if !errors.As(err, &r) || r.Problem.Code != c.code || (r.Sub == "s1") == (r.Mutation == mutation) {
			t.Errorf("%s: %v, want %s", c.msg, err, c.code)
		}
	}
}

func TestAnOptionalFieldMayBeNull(t *testing.T) {
	t.Parallel()
	for with, without := range map[string]string{
		`{"t":"hello","token":"x","session":null,"pending":null}`:                                                      `{"t":"hello","token":"x"}`,
		`{"t":"sub","sub":"s","projection":{},"name":null,"args":null,"since":null,"epoch":null,"key":null,"at":null}`: `{"t":"sub","sub":"s","projection":{}}`,
		`{"t":"sub","sub":"s","projection": null,"name":"x","args":null}`:                                              `{"t":"sub","sub":"s","name":"x"}`,
		`{"t":"mutate","mutation":"` + mutation + `","patch":[],"base":null,"group":null,"note":null}`:                 `{"t":"mutate","mutation":"` + mutation + `","patch":[]}`,
		`{"t":"presence","on":"` + mutation + `","state":null}`:                                                        `{"t":"presence","on":"` + mutation + `"}`,
	} {
		want, err := protocol.Decode([]byte(without))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := protocol.Decode([]byte(with)); err != nil || cmp.Diff(want, got) != "" {
			t.Errorf("%s: %v %s", with, err, cmp.Diff(want, got))
		}
	}
}

func TestUnknownKindsAndFieldsArePassedOver(t *testing.T) {
	t.Parallel()
	m, err := protocol.Decode([]byte(`{"t":"dance","x":{"t":"ping"}}`))
	if d := cmp.Diff(protocol.Message(&protocol.Unknown{Kind: "dance"}), m); d != "" || err != nil {
		t.Error(d, err)
	}
	m, err = protocol.Decode([]byte(`{"Sub":"no","t" : "unsub" , "x":[1,{"sub":2}],"sub":"s\u0031" }`))
	if d := cmp.Diff(protocol.Message(&protocol.Unsub{Sub: "s1"}), m); d != "" || err != nil {
		t.Error(d, err)
	}
}

func TestANoteMayHaveTwoHundredCharacters(t *testing.T) {
	t.Parallel()
	note := strings.Repeat("é", 200)
	m, err := protocol.Decode([]byte(`{"t":"mutate","mutation":"` + mutation + `","patch":[],"note":"` + note + `"}`))
	if err != nil || m.(*protocol.Mutate).Note != note {
		t.Errorf("%v", err)
	}
}

func FuzzDecode(f *testing.F) {
	for name := range fromClient {
		f.Add([]byte(`{"t":"` + strings.SplitN(name, "-", 2)[0] + `"}`))
	}
	f.Add([]byte("{\"t\":\"ping\"}\n{\"t\":\"sub\",\"sub\":\"s\",\"projection\":{\"root\":[]}}"))
	f.Add([]byte(`{"a":[{}],"t":"\u0074oken","token":"x"}`))
	f.Fuzz(func(t *testing.T, msg []byte) {
		for line, err := range protocol.Split(msg) {
			if err != nil {
				return
			}
			m, err := protocol.Decode(line)
			// What was taken is an object whose t, read by the standard
			// library, is the kind that was decoded.
			var std map[string]json.RawMessage
			stdErr := json.Unmarshal(line, &std)
			var bad *protocol.Malformed
			var refused *protocol.Refusal
			switch {
			case err == nil && m == nil:
				t.Fatalf("%q: neither message nor error", line)
			case err == nil && stdErr != nil:
				t.Fatalf("%q: taken, but %v", line, stdErr)
			case err != nil && !errors.As(err, &bad) && !errors.As(err, &refused):
				t.Fatalf("%q: an error of another kind: %v", line, err)
			}
		}
	})
}

package systest

import (
	"encoding/json"
	"testing"
)

// The cases that every implementation of RFC 6902 is measured by, done to the
// body of an open object. A body is an object, so a case whose document is one
// is done at the body, any other one level down, at a member.
const suiteCases = `[
{"doc":{},"patch":[],"want":{}},
{"doc":{"foo":1},"patch":[],"want":{"foo":1}},
{"doc":{"foo":1,"bar":2},"patch":[],"want":{"bar":2,"foo":1}},
{"doc":[{"foo":1,"bar":2}],"patch":[],"want":[{"bar":2,"foo":1}]},
{"doc":{"foo":{"foo":1,"bar":2}},"patch":[],"want":{"foo":{"bar":2,"foo":1}}},
{"doc":{"foo":null},"patch":[{"op":"add","path":"/foo","value":1}],"want":{"foo":1}},
{"doc":[],"patch":[{"op":"add","path":"/0","value":"foo"}],"want":["foo"]},
{"doc":["foo"],"patch":[],"want":["foo"]},
{"doc":{},"patch":[{"op":"add","path":"/foo","value":"1"}],"want":{"foo":"1"}},
{"doc":{},"patch":[{"op":"add","path":"/foo","value":1}],"want":{"foo":1}},
{"doc":"foo","patch":[{"op":"replace","path":"","value":"bar"}],"want":"bar"},
{"doc":{},"patch":[{"op":"add","path":"/","value":1}],"want":{"":1}},
{"doc":{"foo":{}},"patch":[{"op":"add","path":"/foo/","value":1}],"want":{"foo":{"":1}}},
{"doc":{"foo":1},"patch":[{"op":"add","path":"/bar","value":[1,2]}],"want":{"foo":1,"bar":[1,2]}},
{"doc":{"foo":1,"baz":[{"qux":"hello"}]},"patch":[{"op":"add","path":"/baz/0/foo","value":"world"}],"want":{"foo":1,"baz":[{"qux":"hello","foo":"world"}]}},
{"doc":{"bar":[1,2]},"patch":[{"op":"add","path":"/bar/8","value":"5"}],"error":"beyond the end"},
{"doc":{"bar":[1,2]},"patch":[{"op":"add","path":"/bar/-1","value":"5"}],"error":"below zero"},
{"doc":{"foo":1},"patch":[{"op":"add","path":"/bar","value":true}],"want":{"foo":1,"bar":true}},
{"doc":{"foo":1},"patch":[{"op":"add","path":"/bar","value":false}],"want":{"foo":1,"bar":false}},
{"doc":{"foo":1},"patch":[{"op":"add","path":"/bar","value":null}],"want":{"foo":1,"bar":null}},
{"doc":{"foo":1},"patch":[{"op":"add","path":"/0","value":"bar"}],"want":{"foo":1,"0":"bar"}},
{"doc":["foo"],"patch":[{"op":"add","path":"/1","value":"bar"}],"want":["foo","bar"]},
{"doc":["foo","sil"],"patch":[{"op":"add","path":"/1","value":"bar"}],"want":["foo","bar","sil"]},
{"doc":["foo","sil"],"patch":[{"op":"add","path":"/0","value":"bar"}],"want":["bar","foo","sil"]},
{"doc":["foo","sil"],"patch":[{"op":"add","path":"/2","value":"bar"}],"want":["foo","sil","bar"]},
{"doc":["foo","sil"],"patch":[{"op":"add","path":"/3","value":"bar"}],"error":"beyond the end"},
{"doc":{"foo":["bar","qux"]},"patch":[{"op":"test","path":"/foo/1e0","value":"qux"}],"error":"1e0 is no index"},
{"doc":["foo","sil"],"patch":[{"op":"add","path":"/bar","value":42}],"error":"no index"},
{"doc":["foo","sil"],"patch":[{"op":"add","path":"/1","value":["bar","baz"]}],"want":["foo",["bar","baz"],"sil"]},
{"doc":{"foo":1,"bar":[1,2,3,4]},"patch":[{"op":"remove","path":"/bar"}],"want":{"foo":1}},
{"doc":{"foo":1,"baz":[{"qux":"hello"}]},"patch":[{"op":"remove","path":"/baz/0/qux"}],"want":{"foo":1,"baz":[{}]}},
{"doc":{"foo":1,"baz":[{"qux":"hello"}]},"patch":[{"op":"replace","path":"/foo","value":[1,2,3,4]}],"want":{"foo":[1,2,3,4],"baz":[{"qux":"hello"}]}},
{"doc":{"foo":[1,2,3,4],"baz":[{"qux":"hello"}]},"patch":[{"op":"replace","path":"/baz/0/qux","value":"world"}],"want":{"foo":[1,2,3,4],"baz":[{"qux":"world"}]}},
{"doc":["foo"],"patch":[{"op":"replace","path":"/0","value":"bar"}],"want":["bar"]},
{"doc":[""],"patch":[{"op":"replace","path":"/0","value":0}],"want":[0]},
{"doc":[""],"patch":[{"op":"replace","path":"/0","value":true}],"want":[true]},
{"doc":[""],"patch":[{"op":"replace","path":"/0","value":false}],"want":[false]},
{"doc":[""],"patch":[{"op":"replace","path":"/0","value":null}],"want":[null]},
{"doc":["foo","sil"],"patch":[{"op":"replace","path":"/1","value":["bar","baz"]}],"want":["foo",["bar","baz"]]},
{"doc":{"foo":"bar"},"patch":[{"op":"replace","path":"","value":{"baz":"qux"}}],"want":{"baz":"qux"}},
{"doc":{"foo":null},"patch":[{"op":"test","path":"/foo","value":null}],"want":{"foo":null}},
{"doc":{"foo":null},"patch":[{"op":"replace","path":"/foo","value":"truthy"}],"want":{"foo":"truthy"}},
{"doc":{"foo":null},"patch":[{"op":"move","from":"/foo","path":"/bar"}],"want":{"bar":null}},
{"doc":{"foo":null},"patch":[{"op":"copy","from":"/foo","path":"/bar"}],"want":{"foo":null,"bar":null}},
{"doc":{"foo":null},"patch":[{"op":"remove","path":"/foo"}],"want":{}},
{"doc":{"foo":"bar"},"patch":[{"op":"replace","path":"/foo","value":null}],"want":{"foo":null}},
{"doc":{"foo":1},"patch":[{"op":"test","path":"/foo","value":1,"spurious":1}],"want":{"foo":1}},
{"doc":{"foo":1},"patch":[{"op":"replace","path":"/foo/bar","value":1}],"error":"no container"},
{"doc":{"foo":{"foo":1}},"patch":[{"op":"test","path":"/foo","value":{"foo":1.0}}],"want":{"foo":{"foo":1}}},
{"doc":{"foo":[1,2]},"patch":[{"op":"test","path":"/foo","value":[1,2]}],"want":{"foo":[1,2]}},
{"doc":{"foo":{"foo":[{"bar":[1,2,5,4]}]}},"patch":[{"op":"test","path":"/foo","value":{"foo":[{"bar":[1,2,5,4]}]}}],"want":{"foo":{"foo":[{"bar":[1,2,5,4]}]}}},
{"doc":{"foo":{"bar":[1,2,5,4]}},"patch":[{"op":"test","path":"/foo","value":[1,2]}],"error":"not equal"},
{"doc":{"foo":1},"patch":[{"op":"test","path":"/foo","value":"1"}],"error":"a number is no string"},
{"doc":{"":1},"patch":[{"op":"test","path":"/","value":1}],"want":{"":1}},
{"doc":{"foo":["bar","baz"],"":0,"a/b":1,"c%d":2,"e^f":3,"g|h":4,"i\\j":5,"k\"l":6," ":7,"m~n":8},
 "patch":[{"op":"test","path":"/foo","value":["bar","baz"]},{"op":"test","path":"/foo/0","value":"bar"},{"op":"test","path":"/","value":0},
 {"op":"test","path":"/a~1b","value":1},{"op":"test","path":"/c%d","value":2},{"op":"test","path":"/e^f","value":3},{"op":"test","path":"/g|h","value":4},
 {"op":"test","path":"/i\\j","value":5},{"op":"test","path":"/k\"l","value":6},{"op":"test","path":"/ ","value":7},{"op":"test","path":"/m~0n","value":8}],
 "want":{"foo":["bar","baz"],"":0,"a/b":1,"c%d":2,"e^f":3,"g|h":4,"i\\j":5,"k\"l":6," ":7,"m~n":8}},
{"doc":{"~1":10},"patch":[{"op":"test","path":"/~01","value":10}],"want":{"~1":10}},
{"doc":{"/":9,"~1":10},"patch":[{"op":"test","path":"/~01","value":10},{"op":"test","path":"/~1","value":9}],"want":{"/":9,"~1":10}},
{"doc":{"foo":1},"patch":[{"op":"move","from":"/foo","path":"/foo"}],"want":{"foo":1}},
{"doc":{"foo":1,"baz":[{"qux":"hello"}]},"patch":[{"op":"move","from":"/foo","path":"/bar"}],"want":{"baz":[{"qux":"hello"}],"bar":1}},
{"doc":{"baz":[{"qux":"hello"}],"bar":1},"patch":[{"op":"move","from":"/baz/0/qux","path":"/baz/1"}],"want":{"baz":[{},"hello"],"bar":1}},
{"doc":{"baz":[{"qux":"hello"}],"bar":1},"patch":[{"op":"copy","from":"/baz/0","path":"/boo"}],"want":{"baz":[{"qux":"hello"}],"bar":1,"boo":{"qux":"hello"}}},
{"doc":{"foo":"bar"},"patch":[{"op":"add","path":"","value":{"baz":"qux"}}],"want":{"baz":"qux"}},
{"doc":[1,2],"patch":[{"op":"add","path":"/-","value":{"foo":["bar","baz"]}}],"want":[1,2,{"foo":["bar","baz"]}]},
{"doc":[1,2,[3,[4,5]]],"patch":[{"op":"add","path":"/2/1/-","value":{"foo":["bar","baz"]}}],"want":[1,2,[3,[4,5,{"foo":["bar","baz"]}]]]},
{"doc":{"foo":1},"patch":[{"op":"remove","path":"/baz"}],"error":"missing"},
{"doc":[1,2,3,4],"patch":[{"op":"remove","path":"/0"}],"want":[2,3,4]},
{"doc":[1,2,3,4],"patch":[{"op":"remove","path":"/1"},{"op":"remove","path":"/2"}],"want":[1,3]},
{"doc":[1,2,3,4],"patch":[{"op":"remove","path":"/1e0"}],"error":"no index"},
{"doc":[""],"patch":[{"op":"replace","path":"/1e0","value":false}],"error":"no index"},
{"doc":{"baz":[1,2,3],"bar":1},"patch":[{"op":"copy","from":"/baz/1e0","path":"/boo"}],"error":"no index"},
{"doc":{"foo":1,"baz":[1,2,3,4]},"patch":[{"op":"move","from":"/baz/1e0","path":"/foo"}],"error":"no index"},
{"doc":["foo","sil"],"patch":[{"op":"add","path":"/1e0","value":"bar"}],"error":"no index"},
{"doc":["foo","bar"],"patch":[{"op":"test","path":"/00","value":"foo"}],"error":"leading zero"},
{"doc":["foo","bar"],"patch":[{"op":"test","path":"/01","value":"bar"}],"error":"leading zero"},
{"doc":["foo","bar"],"patch":[{"op":"test","path":"/+1","value":"bar"}],"error":"a sign"},
{"doc":["foo","bar"],"patch":[{"op":"remove","path":"/2"}],"error":"beyond"},
{"doc":["foo","bar"],"patch":[{"op":"remove","path":"/-"}],"error":"the dash names nothing"},
{"doc":["foo","bar"],"patch":[{"op":"test","path":"/-","value":"bar"}],"error":"the dash names nothing"},
{"doc":["foo","bar"],"patch":[{"op":"copy","from":"/-","path":"/0"}],"error":"the dash names nothing"},
{"doc":{"foo":"bar"},"patch":[{"op":"add","path":"baz","value":"qux"}],"error":"no slash"},
{"doc":[1],"patch":[{"op":"add","path":"/0"}],"error":"no value"},
{"doc":[1],"patch":[{"op":"replace","path":"/0"}],"error":"no value"},
{"doc":[null],"patch":[{"op":"test","path":"/0"}],"error":"no value"},
{"doc":[false],"patch":[{"op":"test","path":"/0"}],"error":"no value"},
{"doc":{"foo":1},"patch":[{"op":"copy","path":"/-"}],"error":"no from"},
{"doc":{"foo":1},"patch":[{"op":"move","path":""}],"error":"no from"},
{"doc":{"foo":1},"patch":[{"op":"spam","path":"/foo","value":1}],"error":"no such op"},
{"doc":{"foo":"bar"},"patch":[{"op":"add","path":"/FOO","value":"BAR"}],"want":{"foo":"bar","FOO":"BAR"}},
{"doc":{"foo":{"bar":[1,2]}},"patch":[{"op":"test","path":"/foo/bar/2","value":null}],"error":"missing"},
{"doc":{"foo":{}},"patch":[{"op":"test","path":"/foo/x","value":null}],"error":"missing"},
{"doc":[[null]],"patch":[{"op":"test","path":"/0","value":[null]}],"want":[[null]]},
{"doc":[[null,1]],"patch":[{"op":"test","path":"/0","value":[1]}],"error":"another length"},
{"doc":{"a":{"b":1}},"patch":[{"op":"move","from":"/a","path":"/a/b"}],"error":"into itself"},
{"doc":{"a":{"b":{"c":1}}},"patch":[{"op":"move","from":"/a/b","path":"/a"}],"want":{"a":{"c":1}}},
{"doc":{"a":{"b":1}},"patch":[{"op":"copy","from":"/a","path":"/a/c"}],"want":{"a":{"b":1,"c":{"b":1}}}},
{"doc":{"a":1},"patch":[{"op":"copy","from":"/a","path":"/b"},{"op":"replace","path":"/b","value":2}],"want":{"a":1,"b":2}},
{"doc":{"a":[]},"patch":[{"op":"copy","from":"/a","path":"/b"},{"op":"add","path":"/b/-","value":2}],"want":{"a":[],"b":[2]}},
{"doc":{"a":1},"patch":[{"op":"test","path":"/a","value":1},{"op":"replace","path":"/a","value":2},{"op":"test","path":"/a","value":3}],"error":"the last test"},
{"doc":{"foo":["all","grass","cows","eat"]},"patch":[{"op":"move","from":"/foo/1","path":"/foo/3"}],"want":{"foo":["all","cows","eat","grass"]}},
{"doc":{"foo":{"bar":"baz","waldo":"fred"},"qux":{"corge":"grault"}},"patch":[{"op":"move","from":"/foo/waldo","path":"/qux/thud"}],"want":{"foo":{"bar":"baz"},"qux":{"corge":"grault","thud":"fred"}}},
{"doc":{"foo":["bar"]},"patch":[{"op":"add","path":"/foo/-","value":["abc","def"]}],"want":{"foo":["bar",["abc","def"]]}},
{"doc":{"foo":"bar"},"patch":[{"op":"add","path":"/baz/bat","value":"qux"}],"error":"no parent"},
{"doc":{"":{"":{"":1}}},"patch":[{"op":"replace","path":"///","value":2}],"want":{"":{"":{"":2}}}},
{"doc":{"\u00e9":1,"\u0065\u0301":2},"patch":[{"op":"remove","path":"/\u00e9"}],"want":{"e\u0301":2}},
{"doc":{"n":1e2},"patch":[{"op":"test","path":"/n","value":100.0}],"want":{"n":100}},
{"doc":{"n":0.1},"patch":[{"op":"test","path":"/n","value":0.10}],"want":{"n":0.1}},
{"doc":{"n":12345678901234567890},"patch":[{"op":"test","path":"/n","value":12345678901234567891}],"error":"another number"},
{"doc":{"n":0},"patch":[{"op":"test","path":"/n","value":-0}],"want":{"n":0}},
{"doc":{"o":{"a":1,"b":2}},"patch":[{"op":"test","path":"/o","value":{"b":2,"a":1}}],"want":{"o":{"a":1,"b":2}}},
{"doc":{"a":true},"patch":[{"op":"test","path":"/a","value":1}],"error":"true is not 1"}
]`

func TestPublicSuiteOfJSONPatch(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann := w.as("ann")
	all, err := decode([]byte(suiteCases))
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range all.([]any) {
		c := value{t, c}
		prefix, body := "/body", c.at("doc")
		object := true
		if _, ok := body.v.(map[string]any); !ok {
			object = false
			prefix, body = "/body/doc", value{t, map[string]any{"doc": body.v}}
		}
		id := ann.create("Doc", body.String())
		patch := copied(c.at("patch").v).([]any)
		for _, relative := range []bool{true, false} {
			before := ann.object(id).json().at("body")
			p := copied(patch).([]any)
			for _, op := range p {
				m := op.(map[string]any)
				for _, k := range []string{"path", "from"} {
					if s, ok := m[k].(string); ok && (s == "" || s[0] == '/') {
						m[k] = prefix + s
						if !relative {
							m[k] = "/objects/" + id + m[k].(string)
						}
					}
				}
			}
			text, err := json.Marshal(p)
			if err != nil {
				t.Fatal(err)
			}
			var a *answer
			if relative {
				a = ann.patchAt("/objects/"+id, string(text))
			} else {
				id = ann.create("Doc", before.String())
				for _, op := range p {
					m := op.(map[string]any)
					for _, k := range []string{"path", "from"} {
						if s, ok := m[k].(string); ok && len(s) > 45 && s[0] == '/' {
							m[k] = "/objects/" + id + s[45:]
						}
					}
				}
				if text, err = json.Marshal(p); err != nil {
					t.Fatal(err)
				}
				a = ann.patch(string(text))
			}
			if c.has("error") {
				if a.status != 400 && a.status != 409 {
					t.Errorf("case %d %s: want a refusal: %v", i, c, a)
				}
				if got := ann.object(id).json().at("body"); !equal(got.v, before.v) {
					t.Errorf("case %d %s: a refusal changed %s to %s", i, c, before, got)
				}
				continue
			}
			if a.status != 200 {
				t.Errorf("case %d %s: %v", i, c, a)
				continue
			}
			want := c.at("want").v
			if !object {
				want = map[string]any{"doc": want}
			}
			if got := ann.object(id).json().at("body"); !equal(got.v, want) {
				t.Errorf("case %d %s: got %s", i, c, got)
			}
			break // the state has changed: the second form is for refusals
		}
	}
}

func TestSuiteOfJSONPatchWithPathsOverTheGraph(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann := w.as("ann")
	all, err := decode([]byte(suiteCases))
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range all.([]any) {
		c := value{t, c}
		if c.has("error") {
			continue
		}
		doc := c.at("doc").v
		id := ann.create("Doc", value{t, map[string]any{"doc": doc}}.String())
		patch := copied(c.at("patch").v).([]any)
		for _, op := range patch {
			m := op.(map[string]any)
			for _, k := range []string{"path", "from"} {
				if s, ok := m[k].(string); ok {
					m[k] = "/objects/" + id + "/body/doc" + s
				}
			}
		}
		ann.patch(value{t, patch}.String()).want(200)
		if got := ann.object(id).json().at("body.doc"); !equal(got.v, c.at("want").v) {
			t.Errorf("case %d %s: got %s", i, c, got)
		}
	}
}

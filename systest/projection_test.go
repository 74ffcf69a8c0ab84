package systest

import (
	"strings"
	"testing"
)

func TestProjections(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann := w.as("ann")
	var n [8]string
	for i := range n {
		n[i] = ann.create("Node", f(`{"n":%d,"s":%q,"g":{"h":%d}}`, i, string(rune('a'+i)), i%2))
	}
	// 0 → 1 → 2 → 3 → 4 by next; 5, 6, 7 → 0 by weighed
	for i := range 4 {
		ann.link("next", n[i], n[i+1])
	}
	for i := 5; i < 8; i++ {
		ann.commit(f(`[{"op":"add","path":"/edges/%s","value":{"label":"weighed","from":"%s","to":"%s","body":{"rank":%d}}}]`, newID(), n[i], n[0], 10-i))
	}
	ann.create("SpecialStore", `{"name":"special"}`)
	ann.create("DataStore", `{"name":"plain"}`)
	names := func(ids []value) string {
		var out []string
		for _, id := range ids {
			for i, x := range n {
				if x == id.v {
					out = append(out, string(rune('0'+i)))
				}
			}
		}
		return strings.Join(out, "")
	}
	roots := func(p string) string {
		t.Helper()
		return names(ann.load(p).want(200).json().list("roots"))
	}
	members := func(p string) string {
		t.Helper()
		m := ann.load(p).want(200).json().members("objects")
		var out []string
		for i, x := range n {
			if m[x] != nil {
				out = append(out, string(rune('0'+i)))
			}
		}
		return strings.Join(out, "")
	}
	for p, want := range map[string]string{
		f(`{"root":%q}`, n[3]):                                                                                            "3",
		f(`{"root":[%q,%q,%q]}`, n[5], n[3], newID()):                                                                     "53",
		`{"root":{"type":"Node","order":["/body/n"]}}`:                                                                    "01234567",
		`{"root":{"type":"Node","order":["-/body/n"]}}`:                                                                   "76543210",
		`{"root":{"type":"Node","order":["-/body/s"],"limit":2}}`:                                                         "76",
		`{"root":{"type":"Node","order":["/body/g/h","-/body/n"]}}`:                                                       "64207531",
		`{"root":{"type":"Node","where":{"n":3}}}`:                                                                        "3",
		`{"root":{"type":"Node","where":{"n":3.0}}}`:                                                                      "3",
		`{"root":{"type":"Node","where":{"n":{"gt":5}},"order":["/body/n"]}}`:                                             "67",
		`{"root":{"type":"Node","where":{"n":{"gte":5,"lt":7}},"order":["/body/n"]}}`:                                     "56",
		`{"root":{"type":"Node","where":{"n":{"lte":1}},"order":["/body/n"]}}`:                                            "01",
		`{"root":{"type":"Node","where":{"n":{"ne":1}},"order":["/body/n"]}}`:                                             "0234567",
		`{"root":{"type":"Node","where":{"n":{"in":[2,4,9]}},"order":["/body/n"]}}`:                                       "24",
		`{"root":{"type":"Node","where":{"s":{"prefix":"c"}}}}`:                                                           "2",
		`{"root":{"type":"Node","where":{"zz":{"exists":true}}}}`:                                                         "",
		`{"root":{"type":"Node","where":{"zz":{"exists":false},"n":0}}}`:                                                  "0",
		`{"root":{"type":"Node","where":{"/body/g/h":1},"order":["/body/n"]}}`:                                            "1357",
		`{"root":{"type":"Node","where":{"/meta/createdBy":"bob"}}}`:                                                      "",
		`{"root":{"type":"Node","where":{"/meta/createdBy":"ann","n":{"eq":7}}}}`:                                         "7",
		`{"root":{"type":"Node","where":{"and":[{"n":{"gt":2}},{"n":{"lt":4}}]}}}`:                                        "3",
		`{"root":{"type":"Node","where":{"or":[{"n":1},{"s":"c"}]},"order":["/body/n"]}}`:                                 "12",
		`{"root":{"type":"Node","where":{"not":{"n":{"gt":0}}}}}`:                                                         "0",
		`{"root":{"type":"Node","where":{"g":{"eq":{"h":1}}},"order":["/body/n"]}}`:                                       "1357",
		`{"root":{"type":"Node","order":["/body/n"],"limit":2,"after":{"values":[2],"id":"` + n[2] + `"}}}`:               "34",
		`{"root":{"type":"Node","order":["-/body/n"],"limit":2,"after":{"values":[2],"id":"` + n[2] + `"}}}`:              "10",
		`{"root":{"type":"Node","order":["/body/g/h","/body/n"],"limit":3,"after":{"values":[0,4],"id":"` + n[4] + `"}}}`: "613",
		`{"root":{"type":"Node","limit":0}}`:                                                                              "-",
	} {
		if want == "-" {
			continue
		}
		if got := roots(p); got != want {
			t.Errorf("%s: roots %s, want %s", p, got, want)
		}
	}
	for p, want := range map[string]string{
		f(`{"root":%q,"out":{"next":{}}}`, n[0]):                                                           "01",
		f(`{"root":%q,"out":{"next":{"repeat":1}}}`, n[0]):                                                 "012",
		f(`{"root":%q,"out":{"next":{"repeat":2}}}`, n[0]):                                                 "0123",
		f(`{"root":%q,"out":{"next":{"repeat":true}}}`, n[0]):                                              "01234",
		f(`{"root":%q,"in":{"next":{"repeat":true}}}`, n[4]):                                               "01234",
		f(`{"root":%q,"out":{"next":{"out":{"next":{}}}}}`, n[0]):                                          "012",
		f(`{"root":%q,"out":{"next":{"in":{"next":{}}}},"in":{"weighed":{}}}`, n[0]):                       "01567",
		f(`{"root":%q,"in":{"weighed":{"order":["edge:/body/rank"],"limit":2}}}`, n[0]):                    "067",
		f(`{"root":%q,"in":{"weighed":{"order":["-edge:/body/rank"],"limit":1}}}`, n[0]):                   "05",
		f(`{"root":%q,"in":{"weighed":{"where":{"n":{"gt":5}},"order":["/body/n"],"limit":1}}}`, n[0]):     "06",
		f(`{"root":%q,"in":{"weighed":{"order":["/body/n"],"after":{"values":[5],"id":%q}}}}`, n[0], n[5]): "067",
		f(`{"root":%q,"out":{"next":{"where":{"n":9}}}}`, n[0]):                                            "0",
		f(`{"root":%q,"out":{"unheard":{}}}`, n[0]):                                                        "0",
	} {
		if got := members(p); got != want {
			t.Errorf("%s: %s, want %s", p, got, want)
		}
	}
	// A type in root includes its subtypes; an abstract one, too.
	if j := ann.load(`{"root":{"type":"DataStore","order":["/body/name"]}}`).want(200).json(); len(j.list("roots")) != 2 {
		t.Errorf("%s", j)
	}
	if j := ann.load(`{"root":{"type":"Entity"}}`).want(200).json(); len(j.list("roots")) != 2 {
		t.Errorf("%s", j)
	}
	j := ann.load(f(`{"root":%q}`, n[0])).want(200).json()
	j.is("graph", f("%q", w.graph)).is("version", f("%d", ann.head())).is("edges", "{}")
	if j.str("epoch") == "" || j.has("objects."+n[0]+".access") {
		t.Errorf("%s", j)
	}
	// The same projection shown twice gives an entity once, and edges between what is shown by it.
	j = ann.load(f(`{"root":[%q,%q],"out":{"next":{}}}`, n[0], n[1])).want(200).json()
	if len(j.members("objects")) != 3 || len(j.members("edges")) != 2 {
		t.Errorf("%s", j)
	}
	for _, bad := range []string{
		`{}`, `[]`, `null`, `5`, `{"root":5}`, `{"root":[]}x`, `{"root":{"type":5}}`, `{"root":{}}`, `{"root":{"type":"Node","limit":"x"}}`,
		`{"root":{"type":"Node","limit":-5}}`, `{"root":{"type":"Node","limit":1.5}}`, `{"root":{"type":"Node","order":"x"}}`,
		`{"root":{"type":"Node","order":["edge:/body/rank"]}}`, `{"root":{"type":"Node","where":[]}}`, `{"root":{"type":"Node","where":{"n":{"like":"x"}}}}`,
		`{"root":{"type":"Node","where":{"and":{}}}}`, `{"root":{"type":"Node","after":{"values":[1],"id":"x"}}}`, `{"root":{"type":"Node","order":["/body/n"],"after":{"values":[],"id":"` + n[0] + `"}}}`,
		`{"root":{"type":"Node"},"out":[]}`, `{"root":{"type":"Node"},"out":{"next":{"repeat":-1}}}`, `{"root":{"type":"Node"},"out":{"next":{"repeat":"x"}}}`,
		`{"root":{"type":"Node"},"sideways":{}}`, `{"root":{"type":"Node","where":{"s":{"prefix":5}}}}`, `{"root":{"type":"Node","where":{"n":{"in":5}}}}`,
		`{"name":5}`, `{"name":"Workbook","args":[]}`, `{"name":"Workbook","args":{"id":5}}`, `{"name":"Workbook","args":{"id":"` + n[0] + `","x":1}}`, `{"name":"Workbook","root":{"type":"Node"}}`,
	} {
		a := ann.load(bad)
		if a.status != 400 {
			t.Errorf("%s: %v", bad, a)
		}
	}
	ann.load(f(`{"root":%q}`, newID())).problem("not-found")
	ann.load(f(`{"root":[%q,%q]}`, newID(), newID())).problem("not-found")
	ann.load(`{"root":"zz"}`).want(400)
}

func TestOrderOfValues(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann := w.as("ann")
	var want []string
	for _, body := range []string{`{}`, `{"v":null}`, `{"v":false}`, `{"v":true}`, `{"v":-1e300}`, `{"v":-2}`, `{"v":0.1}`, `{"v":1}`, `{"v":9007199254740992}`, `{"v":9007199254740993}`, `{"v":1e17}`,
		`{"v":""}`, `{"v":"A"}`, `{"v":"Z"}`, `{"v":"a"}`, `{"v":"aa"}`, `{"v":"é"}`, `{"v":"\uffff"}`, `{"v":"😀"}`, `{"v":[1]}`} {
		want = append(want, ann.create("Doc", body))
	}
	l := ann.load(`{"root":{"type":"Doc","order":["/body/v"]}}`).want(200).json().list("roots")
	for i := range want {
		if l[i].v != want[i] {
			t.Errorf("place %d has another", i)
		}
	}
	l = ann.load(`{"root":{"type":"Doc","order":["-/body/v"]}}`).want(200).json().list("roots")
	for i := range want {
		if l[i].v != want[len(want)-1-i] {
			t.Errorf("descending, place %d has another", i)
		}
	}
	// Paging through all of it meets everything once.
	seen := map[any]bool{}
	after := ""
	for range 30 {
		j := ann.load(f(`{"root":{"type":"Doc","order":["/body/v"],"limit":3%s}}`, after)).want(200).json()
		l := j.list("roots")
		if len(l) == 0 {
			break
		}
		for _, id := range l {
			if seen[id.v] {
				t.Fatalf("%s comes twice", id)
			}
			seen[id.v] = true
		}
		last := l[len(l)-1].v.(string)
		v := j.at("objects." + last + ".body")
		if !v.has("v") {
			break // a missing value has no JSON
		}
		after = f(`,"after":{"values":[%s],"id":%q}`, v.at("v"), last)
	}
}

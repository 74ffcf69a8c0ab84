package schema_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/schema"
)

// A faulty document carries #! on the line at fault. want are the pieces of the
// message of one violation.
var badSchemas = []struct {
	name string
	doc  string
	want []string
}{
	{"no version", "types: {} #!", []string{"key graphtide is missing"}},
	{"another version", "graphtide: 2 #!", []string{"key graphtide", "version 1"}},
	{"version as text", "graphtide: '1' #!", []string{"version 1"}},
	{"a list", "- graphtide #!", []string{"is a map"}},
	{"a scalar", "hello #!", []string{"is a map"}},
	{"broken YAML", "graphtide: 1\ntypes: {A: [ #!", []string{"YAML cannot be read"}},
	{"unknown top-level key", "graphtide: 1\ntype: {} #!", []string{`unknown key "type"`, `did you mean "types"?`}},
	{"top-level migrate", "graphtide: 1\nmigrate: {} #!", []string{`unknown key "migrate"`}},
	{"types as a list", "graphtide: 1\ntypes: [A] #!", []string{"key types", "must be a map", "a list"}},
	{"type as text", "graphtide: 1\ntypes:\n  A: hello #!", []string{"type A", "must be a map"}},
	{"type's name", "graphtide: 1\ntypes:\n  1A: {} #!", []string{"type 1A", "letters, digits"}},
	{"type named constructor", "graphtide: 1\ntypes:\n  constructor: {} #!", []string{"JavaScript's own"}},
	{"type named Object", "graphtide: 1\ntypes:\n  Object: {} #!", []string{"type Object", "built-in"}},
	{"type named OperationRequest", "graphtide: 1\ntypes:\n  OperationRequest: {} #!", []string{"built-in"}},
	{"duplicate type", "graphtide: 1\ntypes:\n  A: {}\n  A: {} #!", []string{"key \"A\"", "twice", "line 3"}},
	{"duplicate property", "graphtide: 1\ntypes:\n  A:\n    properties:\n      x: {type: string}\n      x: {type: number} #!", []string{"twice", "line 5"}},
	{"unknown key of a type", "graphtide: 1\ntypes:\n  A:\n    propertys: {} #!", []string{"type A", "key propertys", `did you mean "properties"?`}},
	{"abstract as text", "graphtide: 1\ntypes:\n  A: {abstract: maybe} #!", []string{"type A, key abstract", "true or false"}},
	{"yes is text", "graphtide: 1\ntypes:\n  A: {abstract: yes} #!", []string{"key abstract", "true or false", "text"}},
	{"unknown parent", "graphtide: 1\ntypes:\n  Person: {}\n  A: {extends: Persn} #!", []string{"type A, key extends", `no type "Persn"`, `did you mean "Person"?`}},
	{"two parents", "graphtide: 1\ntypes:\n  A: {extends: [B, C]} #!", []string{"key extends", "must be text"}},
	{"extends itself", "graphtide: 1\ntypes:\n  A: {extends: A} #!", []string{"extends itself"}},
	{"cycle", "graphtide: 1\ntypes:\n  A: {extends: B}\n  B: {extends: C}\n  C: {extends: A} #!", []string{"type C, key extends", "extends itself"}},
	{"extends OperationRequest", "graphtide: 1\ntypes:\n  A: {extends: OperationRequest} #!", []string{"cannot be extended"}},
	{"property begins with $", "graphtide: 1\ntypes:\n  A:\n    properties:\n      $id: {type: string} #!", []string{"type A, key properties.$id", "begins with $"}},
	{"property __proto__", "graphtide: 1\ntypes:\n  A:\n    properties:\n      __proto__: {type: string} #!", []string{"key properties.__proto__", "JavaScript's own"}},
	{"property is no schema", "graphtide: 1\ntypes:\n  A:\n    properties:\n      x: string #!", []string{"key properties.x", "JSON Schema"}},
	{"unknown keyword", "graphtide: 1\ntypes:\n  A:\n    properties:\n      x: {type: string, maxLenght: 5} #!", []string{"key properties.x.maxLenght", `did you mean "maxLength"?`}},
	{"unknown conflict policy", "graphtide: 1\ntypes:\n  A:\n    properties:\n      x: {type: string, x-conflict: unchange} #!", []string{"key properties.x.x-conflict", `did you mean "unchanged"?`}},
	{"unknown JSON type", "graphtide: 1\ntypes:\n  A:\n    properties:\n      x: {type: text} #!", []string{"key properties.x.type", "must be one of"}},
	{"negative length", "graphtide: 1\ntypes:\n  A:\n    properties:\n      x: {type: string, minLength: -1} #!", []string{"key properties.x.minLength", "-1"}},
	{"length as text", "graphtide: 1\ntypes:\n  A:\n    properties:\n      x: {type: string, minLength: one} #!", []string{"whole number"}},
	{"empty range", "graphtide: 1\ntypes:\n  A:\n    properties:\n      x:\n        minLength: 9 #!\n        maxLength: 3", []string{"key properties.x.minLength", "nothing would be valid"}},
	{"broken pattern", "graphtide: 1\ntypes:\n  A:\n    properties:\n      x: {type: string, pattern: '('} #!", []string{"key properties.x.pattern", "regexp"}},
	{"look-ahead", "graphtide: 1\ntypes:\n  A:\n    properties:\n      x: {type: string, pattern: '(?=a)'} #!", []string{"key properties.x.pattern"}},
	{"long pattern", "graphtide: 1\ntypes:\n  A:\n    properties:\n      x: {type: string, pattern: '" + strings.Repeat("a", 300) + "'} #!", []string{"256"}},
	{"costly pattern", "graphtide: 1\ntypes:\n  A:\n    properties:\n      x: {type: string, pattern: 'a{1000}b{1000}c{1000}'} #!", []string{"repeats too much"}},
	{"empty enum", "graphtide: 1\ntypes:\n  A:\n    properties:\n      x: {enum: []} #!", []string{"key properties.x.enum", "must not be empty"}},
	{"multipleOf 0", "graphtide: 1\ntypes:\n  A:\n    properties:\n      x: {multipleOf: 0} #!", []string{"more than 0"}},
	{"old keyword", "graphtide: 1\ntypes:\n  A:\n    properties:\n      x: {definitions: {}} #!", []string{"$defs"}},
	{"file reference", "graphtide: 1\ntypes:\n  A:\n    properties:\n      x: {$ref: 'file:///etc/passwd'} #!", []string{"key properties.x.$ref", "within the type"}},
	{"web reference", "graphtide: 1\ntypes:\n  A:\n    properties:\n      x: {$ref: 'http://localhost/x'} #!", []string{"within the type"}},
	{"relative reference", "graphtide: 1\ntypes:\n  A:\n    properties:\n      x: {$ref: 'other.json#/a'} #!", []string{"within the type"}},
	{"reference to nothing", "graphtide: 1\ntypes:\n  A:\n    properties:\n      x: {$ref: '#/$defs/y'} #!", []string{"key properties.x.$ref", "nothing at"}},
	{"$id", "graphtide: 1\ntypes:\n  A:\n    properties:\n      x: {$id: 'http://x/'} #!", []string{"$id"}},
	{"invalid default", "graphtide: 1\ntypes:\n  A:\n    properties:\n      x: {type: string, default: 5} #!", []string{"key properties.x.default", "not valid"}},
	{"invalid nested default", "graphtide: 1\ntypes:\n  A:\n    properties:\n      x: {type: object, properties: {y: {type: string, default: 5}}} #!", []string{"key properties.x", "default", "not valid"}},
	{"required without property", "graphtide: 1\ntypes:\n  A:\n    properties: {name: {type: string}}\n    required: [nane] #!", []string{"key required[0]", `did you mean "name"?`}},
	{"required as text", "graphtide: 1\ntypes:\n  A:\n    properties: {name: {type: string}}\n    required: name #!", []string{"key required", "must be a list"}},
	{"properties under schema", "graphtide: 1\ntypes:\n  A:\n    schema:\n      properties: {} #!", []string{"key schema.properties", "on the type itself"}},
	{"additionalProperties of a closed body", "graphtide: 1\ntypes:\n  A:\n    schema:\n      additionalProperties: {type: string} #!", []string{"open: true"}},
	{"array body", "graphtide: 1\ntypes:\n  A:\n    schema: {type: array} #!", []string{"always an object"}},
	{"child widens a maximum", "graphtide: 1\ntypes:\n  P: {properties: {x: {type: number, maximum: 10}}}\n  A:\n    extends: P\n    properties:\n      x: {maximum: 20} #!", []string{"type A, key properties.x.maximum", "widens", "inherits from P", "20 is larger"}},
	{"child widens a minimum", "graphtide: 1\ntypes:\n  P: {properties: {x: {type: string, minLength: 2}}}\n  A:\n    extends: P\n    properties:\n      x: {minLength: 1} #!", []string{"key properties.x.minLength", "widens"}},
	{"child changes the type", "graphtide: 1\ntypes:\n  P: {properties: {x: {type: string}}}\n  A:\n    extends: P\n    properties:\n      x: {type: number} #!", []string{"key properties.x.type", "wider"}},
	{"child adds an enum value", "graphtide: 1\ntypes:\n  P: {properties: {x: {enum: [a, b]}}}\n  A:\n    extends: P\n    properties:\n      x: {enum: [a, c]} #!", []string{"key properties.x.enum", `"c"`}},
	{"child contradicts", "graphtide: 1\ntypes:\n  P: {properties: {x: {maximum: 10}}}\n  A:\n    extends: P\n    properties:\n      x: {minimum: 11} #!", []string{"key properties.x.minimum", "nothing would be valid"}},
	{"child drops a nested requirement", "graphtide: 1\ntypes:\n  P: {properties: {x: {type: object, required: [a, b], properties: {a: true, b: true}}}}\n  A:\n    extends: P\n    properties:\n      x: {required: [a]} #!", []string{"key properties.x.required", "required by the parent"}},
	{"property and label collide", "graphtide: 1\ntypes:\n  A:\n    properties: {b: {type: string}}\n    edges:\n      out:\n        b: {to: A} #!", []string{"key edges.out.b", "a property", "an outbound edge"}},
	{"property and as collide", "graphtide: 1\ntypes:\n  A:\n    properties: {bs: {type: string}}\n    edges:\n      in:\n        b: {from: A, as: bs} #!", []string{"key edges.in.b", "`as` name"}},
	{"two as names collide", "graphtide: 1\ntypes:\n  A:\n    edges:\n      in:\n        b: {from: A, as: x}\n        c: {from: A, as: x} #!", []string{"key edges.in.c", "`as` name"}},
	{"label on both sides", "graphtide: 1\ntypes:\n  A:\n    edges:\n      out: {next: {to: A}}\n      in:\n        next: {from: A} #!", []string{"key edges.in.next", "needs an `as` name"}},
	{"inherited label collides", "graphtide: 1\ntypes:\n  P:\n    edges: {out: {b: {to: P}}}\n  A:\n    extends: P\n    properties:\n      b: {type: string} #!", []string{"type A", `"b"`}},
	{"property named operations", "graphtide: 1\ntypes:\n  A:\n    properties:\n      operations: {type: array} #!", []string{"operations", "`as` name"}},
	{"label begins with $", "graphtide: 1\ntypes:\n  A:\n    edges:\n      out:\n        $x: {to: A} #!", []string{"begins with $"}},
	{"as begins with $", "graphtide: 1\ntypes:\n  A:\n    edges:\n      in:\n        x: {from: A, as: $xs} #!", []string{"key edges.in.x.as", "begins with $"}},
	{"edge to an unknown type", "graphtide: 1\ntypes:\n  User: {}\n  A:\n    edges:\n      out:\n        x: {to: Usr} #!", []string{"type A, key edges.out.x.to", `no type "Usr"`, `did you mean "User"?`}},
	{"edge without an end", "graphtide: 1\ntypes:\n  A:\n    edges:\n      out:\n        x: {max: 1} #!", []string{"key edges.out.x", "to: <type>"}},
	{"from on the outbound side", "graphtide: 1\ntypes:\n  A:\n    edges:\n      out:\n        x: {from: A} #!", []string{"unknown key \"from\""}},
	{"max 0", "graphtide: 1\ntypes:\n  A:\n    edges:\n      out:\n        x: {to: A, max: 0} #!", []string{"type A, key edges.out.x.max", "0"}},
	{"required and unlink", "graphtide: 1\ntypes:\n  A:\n    edges:\n      out:\n        x: {to: A, required: true} #!", []string{"key edges.out.x.required", "onDelete: cascade"}},
	{"required and explicit unlink", "graphtide: 1\ntypes:\n  A:\n    edges:\n      out:\n        x: {to: A, required: true, onDelete: unlink} #!", []string{"key edges.out.x.required"}},
	{"required inbound", "graphtide: 1\ntypes:\n  A:\n    edges:\n      in:\n        x: {from: A, required: true} #!", []string{"outbound side"}},
	{"as outbound", "graphtide: 1\ntypes:\n  A:\n    edges:\n      out:\n        x: {to: A, as: y} #!", []string{"inbound side"}},
	{"onDelete unknown", "graphtide: 1\ntypes:\n  A:\n    edges:\n      out:\n        x: {to: A, onDelete: cascde} #!", []string{"key edges.out.x.onDelete", `did you mean "cascade"?`}},
	{"whenFull without max", "graphtide: 1\ntypes:\n  A:\n    edges:\n      out:\n        x: {to: A, whenFull: replace} #!", []string{"never full"}},
	{"child widens an edge", "graphtide: 1\ntypes:\n  B: {}\n  P: {edges: {out: {x: {to: B, max: 1}}}}\n  A:\n    extends: P\n    edges:\n      out:\n        x: {to: Object, max: 1} #!", []string{"key edges.out.x", "widens"}},
	{"child raises max", "graphtide: 1\ntypes:\n  B: {}\n  P: {edges: {out: {x: {to: B, max: 1}}}}\n  A:\n    extends: P\n    edges:\n      out:\n        x: {to: B} #!", []string{"key edges.out.x", "`max` is 1"}},
	{"needs read where rights flow", "graphtide: 1\ntypes:\n  B: {edges: {in: {x: {from: A}}}}\n  A:\n    access: {inherit: x}\n    edges:\n      out:\n        x: {to: B, max: 1, needs: read} #!", []string{"type A, key edges.out.x.needs", "write"}},
	{"needs own right where rights flow", "graphtide: 1\ntypes:\n  B: {edges: {in: {x: {from: A}}}}\n  A:\n    access: {read: [{inherit: x}], comment: [user]}\n    edges:\n      out:\n        x: {to: B, max: 1, needs: comment} #!", []string{"key edges.out.x.needs"}},
	{"redeclared target", "graphtide: 1\ntypes:\n  A:\n    edges:\n      in:\n        target: {from: A} #!", []string{"built-in type Object"}},
	{"inherit through no edge", "graphtide: 1\ntypes:\n  A:\n    access: {inherit: b} #!\n    edges: {in: {b: {from: A, as: bs}}}", []string{"type A, key access", `"b"`}},
	{"access of an unknown group", "graphtide: 1\ntypes:\n  A:\n    access: {read: [everyone]} #!", []string{"key access.read[0]", "must be one of user, team, org, public"}},
	{"access with an unknown key", "graphtide: 1\ntypes:\n  A:\n    access: {read: [{user: [ann]}]} #!", []string{`did you mean "users"?`}},
	{"create under access", "graphtide: 1\ntypes:\n  A:\n    access: {create: [user]} #!", []string{"beside `access`"}},
	{"create unknown", "graphtide: 1\ntypes:\n  A: {create: [everyone]} #!", []string{"key create[0]", "user, admin"}},
	{"method without patch", "graphtide: 1\ntypes:\n  A:\n    methods:\n      m: {params: {}} #!", []string{"key methods.m", "patch"}},
	{"method with an unknown parameter", "graphtide: 1\ntypes:\n  A:\n    properties: {x: {type: string}}\n    methods:\n      m:\n        params: {value: {type: string}}\n        patch: [{op: replace, path: /body/x, value: {$param: valeu}}] #!", []string{`no parameter "valeu"`, `did you mean "value"?`}},
	{"method elsewhere", "graphtide: 1\ntypes:\n  A:\n    methods:\n      m:\n        patch: [{op: add, path: /objects/x, value: 1}] #!", []string{"/body or /access"}},
	{"method with an unknown op", "graphtide: 1\ntypes:\n  A:\n    methods:\n      m:\n        patch: [{op: set, path: /body/x, value: 1}] #!", []string{"key methods.m.patch[0].op", "must be one of"}},
	{"history", "graphtide: 1\ntypes:\n  A:\n    history: {keep: forever} #!", []string{"type A, key history.keep", "100 versions"}},
	{"snapshot", "graphtide: 1\ntypes:\n  A:\n    history: {snapshot: 0} #!", []string{"key history.snapshot"}},
	{"migrate to an unknown property", "graphtide: 1\ntypes:\n  A:\n    properties: {title: {type: string}}\n    migrate: {rename: {name: titel}} #!", []string{"key migrate.rename.name", `did you mean "title"?`}},
	{"migrate drops what is there", "graphtide: 1\ntypes:\n  A:\n    properties: {title: {type: string}}\n    migrate: {drop: [title]} #!", []string{"key migrate.drop", "still has"}},
	{"migrate with an invalid default", "graphtide: 1\ntypes:\n  A:\n    properties: {title: {type: string}}\n    migrate: {default: {title: 5}} #!", []string{"key migrate.default.title", "not valid"}},
	{"rule on nothing", "graphtide: 1\nrules:\n  r: {handler: {go: x}} #!", []string{"rule r", "`on` is missing"}},
	{"rule on both", "graphtide: 1\nrules:\n  r:\n    handler: {go: x}\n    on: {object: Object, edge: target} #!", []string{"rule r, key on", "one of"}},
	{"rule on an unknown type", "graphtide: 1\ntypes: {Record: {}}\nrules:\n  r:\n    handler: {go: x}\n    on: {object: Recrod} #!", []string{"rule r, key on.object", `did you mean "Record"?`}},
	{"rule on an unknown edge", "graphtide: 1\nrules:\n  r:\n    handler: {go: x}\n    on: {edge: traget} #!", []string{"rule r, key on.edge", "no type declares"}},
	{"rule with an unknown event", "graphtide: 1\nrules:\n  r:\n    handler: {go: x}\n    on: {object: Object, events: [update]} #!", []string{"key on.events[0]", "create, modify, delete"}},
	{"rule with no events", "graphtide: 1\nrules:\n  r:\n    handler: {go: x}\n    on: {object: Object, events: []} #!", []string{"never fire"}},
	{"rule with a bad path", "graphtide: 1\nrules:\n  r:\n    handler: {go: x}\n    on: {object: Object, paths: [name]} #!", []string{"key on.paths[0]", "JSON Pointer"}},
	{"rule with a path beside the body", "graphtide: 1\nrules:\n  r:\n    handler: {go: x}\n    on: {object: Object, paths: [/name]} #!", []string{"begin with /body"}},
	{"rule with a path to nothing", "graphtide: 1\ntypes: {A: {properties: {name: {type: string}}}}\nrules:\n  r:\n    handler: {go: x}\n    on: {object: A, paths: [/body/nmae]} #!", []string{`did you mean "name"?`}},
	{"rule with broken CEL", "graphtide: 1\nrules:\n  r:\n    on: {object: Object}\n    handler: {go: x}\n    when: size(after.body.x >  #!", []string{"rule r, key when", "CEL"}},
	{"rule with an unknown variable", "graphtide: 1\nrules:\n  r:\n    on: {object: Object}\n    handler: {go: x}\n    when: befor.body.x == 1 #!", []string{"rule r, key when", "befor"}},
	{"rule whose condition is no boolean", "graphtide: 1\nrules:\n  r:\n    on: {object: Object}\n    handler: {go: x}\n    when: size(event) #!", []string{"true or false"}},
	{"rule without handler", "graphtide: 1\nrules:\n  r: {on: {object: Object}} #!", []string{"handler is missing"}},
	{"two handlers", "graphtide: 1\nrules:\n  r:\n    on: {object: Object}\n    handler: {go: x, lambda: y} #!", []string{"rule r, key handler", "one of script, webhook, go and lambda"}},
	{"unknown handler", "graphtide: 1\nrules:\n  r:\n    on: {object: Object}\n    handler: {webook: 'https://x/'} #!", []string{`did you mean "webhook"?`}},
	{"webhook address", "graphtide: 1\nrules:\n  r:\n    on: {object: Object}\n    handler: {webhook: example.org} #!", []string{"https://"}},
	{"secret of a script", "graphtide: 1\nrules:\n  r:\n    on: {object: Object}\n    handler: {go: x, secret: y} #!", []string{"key handler.secret"}},
	{"env outside of secret", "graphtide: 1\nrules:\n  r:\n    on: {object: Object}\n    handler: {webhook: 'https://${env:HOST}/'} #!", []string{"secret` alone"}},
	{"timeout", "graphtide: 1\nrules:\n  r:\n    on: {object: Object}\n    handler: {go: x}\n    timeout: 30 #!", []string{"key timeout", "text"}},
	{"timeout's unit", "graphtide: 1\nrules:\n  r:\n    on: {object: Object}\n    handler: {go: x}\n    timeout: 30 seconds #!", []string{"duration such as 30s"}},
	{"retries", "graphtide: 1\nrules:\n  r:\n    on: {object: Object}\n    handler: {go: x}\n    retries: -1 #!", []string{"key retries"}},
	{"as", "graphtide: 1\nrules:\n  r:\n    on: {object: Object}\n    handler: {go: x}\n    as: admin #!", []string{"key as", "must be one of user"}},
	{"operation's target", "graphtide: 1\noperations:\n  o:\n    handler: {go: x}\n    target: Nothing #!", []string{"operation o, key target", "no type"}},
	{"operation's right", "graphtide: 1\ntypes: {A: {access: {comment: [org]}}}\noperations:\n  o:\n    handler: {go: x}\n    target: A\n    needs: coment #!", []string{"operation o, key needs", `did you mean "comment"?`}},
	{"operation needs nothing", "graphtide: 1\noperations:\n  o:\n    handler: {go: x}\n    needs: write #!", []string{"without `target`"}},
	{"operation's parameters", "graphtide: 1\noperations:\n  o:\n    handler: {go: x}\n    params: {p: {type: strng}} #!", []string{"operation o, key params.p.type", `did you mean "string"?`}},
	{"projection with an unknown argument", "graphtide: 1\nprojections:\n  P: {args: {id: {type: string}}, root: {$arg: ib}} #!", []string{"projection P, key root.$arg", `did you mean "id"?`}},
	{"projection along an unknown edge", "graphtide: 1\nprojections:\n  P: {args: {id: {type: string}}, root: {$arg: id}, in: {targt: {}}} #!", []string{"projection P, key in.targt", `did you mean "target"?`}},
	{"projection of an unknown type", "graphtide: 1\nprojections:\n  P: {root: {type: Nothing}} #!", []string{"projection P, key root.type", "no type"}},
	{"projection with an unknown key", "graphtide: 1\nprojections:\n  P: {root: {type: Object}, limits: 5} #!", []string{"projection P"}},
	{"scripts", "graphtide: 1\nscripts:\n  a.js: 5 #!", []string{"key scripts.a.js", "text of the script"}},
	{"anchor", "graphtide: 1\ntypes:\n  A: &a {} #!", []string{"anchors and aliases"}},
	{"tag", "graphtide: 1\ntypes:\n  A: !!map {} #!", []string{"tags"}},
	{"merge key", "graphtide: 1\ntypes:\n  A: {<<: {}} #!", []string{"merge keys"}},
	{"second document", "graphtide: 1\n---\ntypes: {} #!", []string{"second begins"}},
	{"infinity", "graphtide: 1\ntypes:\n  A:\n    properties:\n      x: {maximum: .inf} #!", []string{"finite"}},
	{"huge number", "graphtide: 1\ntypes:\n  A:\n    properties:\n      x: {maximum: 1e999999999} #!", []string{"range of a double"}},
	{"deep nesting", "graphtide: 1\ntypes: " + strings.Repeat("[", 5000) + " #!", []string{"levels deep"}},
	{"number as a literal", "graphtide: 1\ntypes:\n  A:\n    properties:\n      x: {type: string, maxLength: 1_000} #!", []string{"key properties.x.maxLength", "text"}},
}

func TestEveryFaultIsReportedWithFileLineTypeAndKey(t *testing.T) {
	t.Parallel()
	for _, c := range badSchemas {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := schema.Compile("app.yaml", []byte(c.doc), 1)
			if err == nil {
				t.Fatal("the document compiles")
			}
			if err.Code != graph.CodeInvalidSchema {
				t.Fatalf("code %s", err.Code)
			}
			line := 1 + strings.Count(c.doc[:strings.Index(c.doc, "#!")], "\n")
			var all []string
			for _, v := range err.Errors {
				all = append(all, v.Message)
				found := strings.HasPrefix(v.Message, fmt.Sprintf("app.yaml:%d: ", line)) && strings.Contains(v.Message, "^")
				for _, piece := range c.want {
					found = found && strings.Contains(v.Message, piece)
				}
				if found {
					return
				}
			}
			t.Errorf("no violation on line %d with %q; there are:\n%s", line, c.want, strings.Join(all, "\n"))
		})
	}
}

func TestAllFaultsOfADocumentAreReportedInItsOrder(t *testing.T) {
	t.Parallel()
	doc := "graphtide: 1\ntypes:\n  A: {extends: X, abstrct: true}\n  B:\n    properties:\n      a: {type: strng}\n      b: {minLength: -1}\nrules:\n  r: {on: {object: Y}, handler: {}}\n"
	_, err := schema.Compile("app.yaml", []byte(doc), 1)
	if err == nil {
		t.Fatal("the document compiles")
	}
	var lines []string
	for _, v := range err.Errors {
		lines = append(lines, strings.SplitN(v.Message, ":", 3)[1]+" "+v.Path)
	}
	want := "3 /types/A/extends,3 /types/A/abstrct,6 /types/B/properties/a/type,7 /types/B/properties/b/minLength,9 /rules/r/on/object,9 /rules/r/handler"
	if got := strings.Join(lines, ","); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if !strings.Contains(err.Message, "and 5 more") {
		t.Errorf("the message does not count the faults: %s", err.Message)
	}
}

func TestTheCaretStandsBelowTheFault(t *testing.T) {
	t.Parallel()
	_, err := schema.Compile("app.yaml", []byte("graphtide: 1\ntypes:\n  A:\n    edges: {out: {x: {to: A, max: many}}}\n"), 1)
	want := "app.yaml:4: type A, key edges.out.x.max: must be a whole number, here it is text\n" +
		"    4 |     edges: {out: {x: {to: A, max: many}}}\n" +
		"      |                              ^"
	if err == nil || err.Errors[0].Message != want {
		t.Fatalf("got %v, want\n%s", err, want)
	}
}

func TestFaultsInJSONHaveTheirLine(t *testing.T) {
	t.Parallel()
	doc := "{\n  \"graphtide\": 1,\n  \"types\": {\n    \"A\": {\"propertys\": {}},\n    \"A\": {}\n  }\n}"
	_, err := schema.Compile("app.json", []byte(doc), 1)
	if err == nil || !strings.HasPrefix(err.Errors[0].Message, "app.json:5: key \"A\": the key stands twice") {
		t.Fatalf("got %v", err)
	}
	_, err = schema.Compile("app.json", []byte(strings.Replace(doc, "\"A\": {}", "\"B\": {}", 1)), 1)
	if err == nil || !strings.HasPrefix(err.Errors[0].Message, "app.json:4: type A, key propertys:") {
		t.Fatalf("got %v", err)
	}
}

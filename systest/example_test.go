package systest

import (
	"strings"
	"testing"
)

// contractSchema is the example of the documentation, as it stands there.
const contractSchema = `
graphtide: 1
types:
  Entity:
    abstract: true
    properties:
      name: {type: string, minLength: 1, maxLength: 200}
  Person: {extends: Entity, properties: {givenName: {type: string}, familyName: {type: string}}}
  User:
    extends: Person
    access: {read: [org], write: [user]}
    edges: {in: {creator: {from: DataStore, needs: read}}}
  DataStore:
    extends: Entity
    required: [name]
    access: {read: [org], write: [team], comment: [org]}
    edges:
      out: {creator: {to: User, max: 1}}
      in:
        dataStore: {from: Record, as: records}
        schemaOf: {from: Schema, max: 1, as: schema}
        about: {from: Comment, as: comments, needs: comment}
    methods:
      rename: {params: {name: {type: string}}, patch: [{op: replace, path: /body/name, value: {$param: name}}]}
  Schema:
    extends: Entity
    properties: {columns: {type: array, items: {type: object, required: [key], properties: {key: {type: string}, title: {type: string}}}}}
    access: {inherit: schemaOf}
    edges: {out: {schemaOf: {to: DataStore, max: 1, required: true, onDelete: cascade}}}
  Record:
    properties: {values: {type: object}, rank: {type: number}}
    access: {inherit: dataStore}
    edges: {out: {dataStore: {to: DataStore, max: 1, required: true, onDelete: cascade}}}
  Comment:
    properties: {text: {type: string, maxLength: 10000}}
    access: {read: [{inherit: about}], write: [user]}
    edges: {out: {about: {to: DataStore, max: 1, required: true, onDelete: cascade}}}
rules:
  column-removed:
    on: {object: Schema, events: [modify], paths: [/body/columns]}
    when: size(before.body.columns) > size(after.body.columns)
    handler: {script: handlers/column-removed.js}
  record-linked:
    on: {edge: dataStore, from: Record, to: DataStore, events: [create, delete]}
    handler: {webhook: "https://…", secret: "${env:HOOK_SECRET}"}
    timeout: 30s
    retries: 5
operations:
  jira-sync:
    params: {project: {type: string}}
    target: DataStore
    needs: write
    handler: {go: jira-sync}
    timeout: 10m
    retries: 3
projections:
  Workbook: {args: {id: {type: string}}, root: {$arg: id}, in: {dataStore: {order: [/body/rank]}}}
`

func TestTheExampleOfTheDocumentationWorks(t *testing.T) {
	t.Parallel()
	w := ownNode(t, contractSchema, nil)
	root := w.root()
	id := root.create("DataStore", `{"name":"s"}`)
	r := newID()
	root.commit(f(`[{"op":"add","path":"/objects/%[1]s","value":{"type":"Record","body":{"values":{"a":1},"rank":1}}},{"op":"add","path":"/edges/%[2]s","value":{"label":"dataStore","from":"%[1]s","to":"%[3]s"}}]`, r, newID(), id))
	root.load(f(`{"name":"Workbook","args":{"id":%q}}`, id)).want(200).json().is("objects."+r+".body", `{"values":{"a":1},"rank":1}`)
	v := root.get("/v1/schema?view=client").want(200).json()
	for _, hidden := range []string{"handlers/", "https://…", "HOOK_SECRET"} {
		if strings.Contains(v.String(), hidden) {
			t.Errorf("the client's view shows %s", hidden)
		}
	}
}

package systest

// appSchema is the schema of the shared node. HOOKS stands for the address of
// the tests' own webhook server.
const appSchema = `
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
    properties: {rank: {type: number}}
    access: {read: [org], write: [team], comment: [org]}
    edges:
      out: {creator: {to: User, max: 1}}
      in:
        dataStore: {from: Record, as: records}
        schemaOf: {from: Schema, max: 1, as: schema}
        about: {from: Comment, as: comments, needs: comment}
    methods:
      rename: {params: {name: {type: string}}, patch: [{op: replace, path: /body/name, value: {$param: name}}]}
  SpecialStore: {extends: DataStore, properties: {extra: {type: string}}}
  Schema:
    extends: Entity
    properties: {columns: {type: array, items: {type: object, required: [key], properties: {key: {type: string}, title: {type: string}}}}}
    access: {inherit: schemaOf}
    edges: {out: {schemaOf: {to: DataStore, max: 1, required: true, onDelete: cascade}}}
  Record:
    properties: {values: {type: object, additionalProperties: true}, rank: {type: number}, status: {type: string}}
    access: {inherit: dataStore}
    edges: {out: {dataStore: {to: DataStore, max: 1, required: true, onDelete: cascade}}}
  Comment:
    properties: {text: {type: string, maxLength: 10000}}
    access: {read: [{inherit: about}], write: [user]}
    edges: {out: {about: {to: DataStore, max: 1, required: true, onDelete: cascade}}}

  # Anything goes, for everybody who may open the graph.
  Doc:
    open: true
    access: {read: [public], write: [public], manage: [user]}
  # A body of strict form.
  Strict:
    required: [title]
    properties:
      title: {type: string, minLength: 1}
      n: {type: integer, minimum: 0}
      level: {type: string, default: low}
      tags: {type: array, items: {type: string}, uniqueItems: true}
    access: {read: [public], write: [public]}
  # Says nothing of access: private to its creator.
  Private: {open: true, edges: {in: {parent: {from: Inherit, as: children, needs: read}}}}
  # Rights of its own making.
  Shared:
    open: true
    access: {read: [org], write: [{users: [bob]}, team], manage: [user]}
    edges: {in: {parent: {from: Inherit, as: children, needs: read}}}
  Granted:
    open: true
    access: {read: {users: [bob], teams: [red], orgs: [acme]}}
  AdminMade: {create: [admin], open: true, access: {read: [public]}}
  RedMade: {create: {teams: [red]}, open: true, access: {read: [public]}}

  # Edges of every kind.
  Node:
    open: true
    access: {read: [public], write: [public], manage: [user]}
    edges:
      out:
        next: {to: Node}
        one: {to: Node, max: 1}
        swap: {to: Node, max: 1, whenFull: replace}
        few: {to: Node}
        hold: {to: Node, onDelete: restrict}
        follow: {to: Node, onDelete: cascade}
        loose: {to: Node, onDelete: unlink}
        weighed: {to: Node, body: {properties: {rank: {type: number}, label: {type: string}}, required: [rank]}}
        outOnly: {to: Node}
      in:
        next: {from: Node, as: previous}
        one: {from: Node, as: ones}
        swap: {from: Node, as: swaps, max: 1, whenFull: replace}
        few: {from: Node, as: fews, max: 2}
        hold: {from: Node, as: held}
        follow: {from: Node, as: followers}
        loose: {from: Node, as: looses}
        weighed: {from: Node, as: weighedBy}
        inOnly: {from: Node, as: inOnlys}
  Inherit:
    open: true
    access: {inherit: parent}
    edges:
      out: {parent: {to: [Inherit, Shared, Private]}}
      in: {parent: {from: Inherit, as: children, needs: read}}
  Kept:
    open: true
    access: {read: [public], write: [public]}
    history: {keep: all, snapshot: 3}

  # Post-processing.
  Watched:
    open: true
    access: {read: [public], write: [public]}
    edges: {in: {hookedTo: {from: Hooked, as: hookedBy}}}
  Hooked:
    open: true
    access: {read: [public], write: [public]}
    edges: {out: {hookedTo: {to: Watched}}}
  Chained: {open: true, access: {read: [public], write: [public]}}
  Deep: {open: true, access: {read: [public], write: [public]}}
  Retried: {open: true, access: {read: [public], write: [public]}}
  AsUser: {open: true, access: {read: [public], write: [public]}}

rules:
  column-removed:
    on: {object: Schema, events: [modify], paths: [/body/columns]}
    when: size(before.body.columns) > size(after.body.columns)
    handler: {script: handlers/column-removed.js}
  watched:
    on: {object: Watched, events: [create, modify, delete]}
    when: '!(has(after.body.silent))'
    handler: {webhook: "HOOKS/watched", secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}
    timeout: 10s
    retries: 2
  hooked-to:
    on: {edge: hookedTo, from: Hooked, to: Watched, events: [create, modify, delete]}
    handler: {webhook: "HOOKS/hooked-to", secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}
  deep:
    on: {object: Deep, events: [create]}
    handler: {script: handlers/deep.js}
  chained:
    on: {object: Chained, events: [modify], paths: [/body/n]}
    handler: {script: handlers/chained.js}
  retried:
    on: {object: Retried, events: [create]}
    handler: {webhook: "HOOKS/retried", secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}
    timeout: 2s
    retries: 1
  as-user:
    on: {object: AsUser, events: [create]}
    as: user
    handler: {script: handlers/as-user.js}
    retries: 0

operations:
  job:
    params: {project: {type: string}, fail: {type: boolean}, wait: {type: boolean}}
    target: DataStore
    needs: write
    handler: {script: handlers/job.js}
    timeout: 30s
    retries: 0
  slow:
    handler: {script: handlers/slow.js}
    timeout: 1s
    retries: 0
  hook-job:
    params: {n: {type: integer}}
    handler: {webhook: "HOOKS/hook-job", secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}
    timeout: 20s
    retries: 0
  deny:
    target: DataStore
    needs: write
    handler: {script: handlers/quick.js}

projections:
  Workbook: {args: {id: {type: string}}, root: {$arg: id}, in: {dataStore: {order: [/body/rank]}}}
  Docs: {root: {type: Doc}}

scripts:
  handlers/column-removed.js: |
    export default async function (event, graph) {
      const keys = new Set(event.after.body.columns.map((c) => c.key))
      const gone = event.before.body.columns.map((c) => c.key).filter((k) => !keys.has(k))
      const { objects, edges } = await graph.load({ root: event.entity, out: { schemaOf: { in: { dataStore: {} } } } })
      const patch = []
      for (const [id, o] of Object.entries(objects)) {
        if (o.type !== 'Record') continue
        for (const k of gone) if (k in o.body.values) patch.push({ op: 'remove', path: '/objects/' + id + '/body/values/' + k })
      }
      return { patch }
    }
  handlers/deep.js: |
    export default function (event, graph) {
      const n = event.after.body.n
      if (n >= 20) return
      return { patch: [{ op: 'add', path: '/objects/' + event.after.body.ids[n], value: { type: 'Deep', body: { n: n + 1, ids: event.after.body.ids } } }] }
    }
  handlers/chained.js: |
    export default function (event, graph) {
      return { patch: [{ op: 'replace', path: '/objects/' + event.entity + '/body/n', value: event.after.body.n + 1 }] }
    }
  handlers/as-user.js: |
    export default async function (event, graph) {
      await graph.patch([{ op: 'add', path: '/objects/' + event.after.body.other + '/body/seen', value: true }], { key: 'seen' })
    }
  handlers/job.js: |
    export default async function (event, graph) {
      const op = event.operation
      await op.status('begun', 0.1)
      if (op.params.fail) { await op.fail('as asked'); return }
      await op.warn('look out')
      while (op.params.wait && !op.cancelled) await sleep(10)
      if (op.cancelled) return
      await op.status('nearly', 0.9)
      await op.complete({ project: op.params.project }, [])
    }
  handlers/slow.js: |
    export default async function (event, graph) {
      while (true) await sleep(20)
    }
  handlers/quick.js: |
    export default function (event, graph) {}
`

/** Changes that the server refused, until somebody has dealt with each. */
import { reactive } from 'vue'
import { placeOf, reasonOf } from './words.js'

/** @type {{mutation: string, path: string, label: string, key: string | null, id: string | null, tried: any, why: string}[]} */
export const refusals = reactive([])

/** @param {import('@graphtide/client').Client} db */
export function hearRefusals(db) {
  db.on('reject', ({ mutation, problem, patch, dependsOn }) => {
    // It is there, which was the point; where there was more to it, that is not saved. Marks of reading are made again.
    const alone = patch.length === 1 || patch.every((op) => op.value?.label === 'readBy')
    if (!dependsOn && alone && (problem.code === 'exists' || problem.code === 'edge-exists')) return
    const [op] = patch
    const { object, key, label } = placeOf(db, op?.path ?? '')
    const why = dependsOn ? `it builds on a change that was not saved (${reasonOf(problem)})` : reasonOf(problem)
    refusals.push({ mutation, path: op?.path, label, key, id: object?.$id ?? null, tried: op?.value, why })
  })
}

/** The newest refusal of a place. @param {string} path */
export const refusalAt = (path) => refusals.findLast((r) => r.path === path)

export function settle(refusal) {
  const at = refusals.indexOf(refusal)
  if (at >= 0) refusals.splice(at, 1)
}

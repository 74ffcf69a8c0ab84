/** Undo and redo of one's own changes, and what stands in their way. */
import { shallowRef } from 'vue'
import { say } from './notes.js'
import { placeOf, reasonOf } from './words.js'

/** What the last undo met with. @type {import('vue').ShallowRef<{which: string, places: any[]} | null>} */
export const conflict = shallowRef(null)

/** @param {import('@graphtide/client').Client} db @param {'undo' | 'redo'} which */
export async function travel(db, which) {
  try {
    if ((await db[which]()) === undefined) say(`Nothing to ${which}`)
  } catch (problem) {
    if (problem.code !== 'undo-conflict') say(`Cannot ${which}: ${reasonOf(problem)}`, 'error')
    else conflict.value = { which, places: problem.conflicts.map((c) => ({ ...c, ...placeOf(db, c.path) })) }
  }
}

/**
 * Who sits at this browser: a `User` of the graph, made at the first visit, so
 * that comments have an author and readers a name. (Which account it is, the
 * token says; `graphtide dev` has one for all.)
 */
import { db } from '../graph.js'

const KEY = 'workbook-me'
const COLOURS = ['#c2410c', '#7c3aed', '#0369a1', '#be185d', '#3f6212', '#92400e']
const ANIMALS = ['Otter', 'Heron', 'Lynx', 'Wren', 'Badger', 'Seal', 'Hare', 'Finch', 'Stoat', 'Kite']
const pick = (list) => list[Math.floor(Math.random() * list.length)]

function remembered() {
  const known = JSON.parse(localStorage.getItem(KEY) ?? 'null')
  if (known) return known
  const fresh = { id: crypto.randomUUID(), name: pick(ANIMALS), colour: pick(COLOURS) }
  localStorage.setItem(KEY, JSON.stringify(fresh))
  return fresh
}
const known = remembered()

/** Sees to it that this person is in the graph, and stays loaded. @param {import('@graphtide/client').Client} graph */
export async function arrive(graph) {
  const { id, name, colour } = known
  const view = await graph.subscribe({ root: id }).ready
  if (view.root) return
  // (Two windows of one browser may both find nobody: the second is told that somebody is there.)
  graph.transact(() => graph.create('User', { name, colour }, { id }), { undoable: false }).catch(() => {})
}

/** This person's live object; undefined until it is loaded. */
export const myself = () => db().get(known.id)

/** How the others see this page. */
export const face = () => ({ id: known.id, name: myself()?.name ?? known.name, colour: known.colour })

export function rename(name) {
  const person = myself()
  if (name && person) person.name = name
}

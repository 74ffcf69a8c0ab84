/** What people do at a board, each as one transaction. */

import type { Client } from '@graphtide/client'
import type { Board, Card, Lane, Types } from './types.ts'

export type Db = Client<Types>

/** A change that is refused is rolled back and told by the `reject` event. */
const told = () => {}

export function newBoard(db: Db, title: string) {
  db.transact(() => {
    const board = db.create('Board', { title })
    for (const [i, name] of ['To do', 'Doing', 'Done'].entries()) db.create('Lane', { title: name, rank: i + 1, board })
  }).catch(told)
}

export function addLane(db: Db, board: Board, rank: number) {
  db.transact(() => db.create('Lane', { title: 'New lane', rank, board })).catch(told)
}

export function addCard(db: Db, lane: Lane, cards: readonly Card[], title: string) {
  db.transact(() => db.create('Card', { title, rank: between(cards.at(-1), undefined), lane })).catch(told)
}

/** Puts a card before another of a lane, or at its end. */
export function move(db: Db, card: Card, lane: Lane, cards: readonly Card[], before?: Card) {
  const others = cards.filter((c) => c.$id !== card.$id)
  const at = before ? others.findIndex((c) => c.$id === before.$id) : others.length
  db.transact(() => {
    card.rank = between(others[at - 1], others[at])
    if (card.lane?.$id !== lane.$id) card.lane = lane
  }, { note: `${card.title} to ${lane.title}` }).catch(told)
}

/** A rank between two neighbours: others who move cards meanwhile are not in the way. */
function between(above?: Card, below?: Card) {
  const from = above?.rank ?? 0
  return below ? (from + (below.rank ?? 0)) / 2 : from + 1
}

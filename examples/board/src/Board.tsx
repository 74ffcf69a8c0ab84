/** One board: its lanes side by side. */

import { live, useView } from '@graphtide/client/react'
import { LaneView } from './Lane.tsx'
import type { Board, Lane } from './types.ts'
import { addLane, type Db } from './work.ts'

export const BoardView = live(({ db, id }: { db: Db; id: string }) => {
  const view = useView(db, 'Board', { id })
  const board = view?.root as Board | undefined
  if (!view || !board) return <p className="splash" role="status">Loading…</p>
  const lanes = view.list(board, 'lanes') as readonly Lane[]
  return (
    <div className="lanes">
      {lanes.map((lane, i) => (
        <LaneView key={lane.$id} db={db} view={view} lane={lane} left={lanes[i - 1]} right={lanes[i + 1]} />
      ))}
      <button type="button" className="quiet add-lane" onClick={() => addLane(db, board, (lanes.at(-1)?.rank ?? 0) + 1)}>+ Lane</button>
    </div>
  )
})

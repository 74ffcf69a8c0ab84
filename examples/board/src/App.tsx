/** All boards, the open one, and what became of one's changes. */

import { live, useView } from '@graphtide/client/react'
import { useEffect, useState } from 'react'
import { BoardView } from './Board.tsx'
import { type Db, newBoard } from './work.ts'
import type { Board } from './types.ts'

export const App = live(({ db }: { db: Db }) => {
  const view = useView(db, { root: { type: 'Board', order: ['/body/title'] } })
  const boards = (view?.roots ?? []) as readonly Board[]
  const [open, setOpen] = useState('')
  const board = boards.find((b) => b.$id === open) ?? boards[0]
  const [trouble, setTrouble] = useState('')
  useEffect(() => {
    const stops = [
      db.on('reject', ({ problem }) => setTrouble(`Not saved: ${problem.problem.errors?.[0]?.message ?? problem.message}`)),
      db.on('problem', (problem) => setTrouble(problem.message)), // such as: what was kept here could not be read
    ]
    return () => stops.forEach((stop) => stop())
  }, [db])
  const undo = () => db.undo().catch((problem) => setTrouble(
    problem.code === 'undo-conflict' ? 'Not undone: somebody has changed the same since' : `Not undone: ${problem.message}`,
  ))
  return (
    <>
      <header className="bar">
        <h1>Board</h1>
        <nav aria-label="Boards">
          {boards.map((b) => (
            <button key={b.$id} type="button" className="tab" aria-pressed={b === board} onClick={() => setOpen(b.$id)}>{b.title}</button>
          ))}
          <button type="button" className="tab" onClick={() => newBoard(db, `Board ${boards.length + 1}`)}>+ New board</button>
        </nav>
        <button type="button" className="quiet" onClick={undo}>Undo</button>
        <Status db={db} />
      </header>
      <main>
        {board ? <BoardView key={board.$id} db={db} id={board.$id} /> : <p className="splash">{view?.status === 'live' ? 'Make a board, and open this page in a second window.' : 'Loading…'}</p>}
      </main>
      {trouble && <p className="refused" role="alert">{trouble} <button type="button" className="quiet" onClick={() => setTrouble('')}>All right</button></p>}
    </>
  )
})

const Status = live(({ db }: { db: Db }) => {
  const waiting = db.pending.length
  const text = db.status !== 'live' ? `Offline${waiting ? `, ${waiting} waiting` : ''}` : waiting ? 'Saving…' : 'Live'
  return <span className={`status ${db.status === 'live' ? 'live' : 'off'}`} role="status">{text}</span>
})

import { connect } from '@graphtide/client'
import { createRoot } from 'react-dom/client'
import { App } from './App.tsx'
import './style.css'
import type { Types } from './types.ts'

const root = createRoot(document.getElementById('app')!)
root.render(<p className="splash" role="status">Connecting…</p>)
try {
  const db = await connect<Types>({ url: location.origin, persist: true, timeoutMs: 0 })
  root.render(<App db={db} />)
} catch (problem) {
  root.render(<p className="splash" role="alert">Cannot connect: {(problem as Error).message}</p>)
}

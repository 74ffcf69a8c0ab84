/** Rows from the floor: plain JSON, and a message for each change. */

/** How often an operation of the floor tells how far it is. */
const REPORTS = 40

export async function start({ size }) {
  const socket = new WebSocket(location.origin.replace('http', 'ws'))
  await new Promise((resolve) => (socket.onopen = resolve))
  const shown = new Map()
  let rows = []
  let loaded, reported
  socket.onmessage = ({ data }) => {
    const message = JSON.parse(data)
    if (message.rows) return loaded((rows = message.rows))
    if (message.at) return reported(message.at)
    const row = rows[message.index]
    row.body.values.name = message.text
    shown.get(row)?.(message.text)
  }
  return {
    load: () => {
      socket.send(JSON.stringify({ load: size }))
      return new Promise((resolve) => (loaded = resolve))
    },
    show(row, set) {
      shown.set(row, set)
      set(row.body.values.name)
      return () => shown.delete(row)
    },
    write(index, text) {
      rows[index].body.values.name = text
      shown.get(rows[index])?.(text)
      socket.send(JSON.stringify({ index, text }))
    },
    settled: () => {},
    async work(report) {
      reported = report
      for (let n = 0; n < REPORTS; n++) {
        await new Promise((resolve) => setTimeout(resolve, 40))
        socket.send(JSON.stringify({ report: true }))
      }
    },
  }
}

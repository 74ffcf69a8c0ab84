/** Rows from the floor: plain JSON, and a message for each change. */

export async function start({ size }) {
  const socket = new WebSocket(location.origin.replace('http', 'ws'))
  await new Promise((resolve) => (socket.onopen = resolve))
  const shown = new Map()
  let rows = []
  let loaded
  socket.onmessage = ({ data }) => {
    const message = JSON.parse(data)
    if (message.rows) return loaded((rows = message.rows))
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
    },
    write(index, text) {
      rows[index].body.values.name = text
      shown.get(rows[index])?.(text)
      socket.send(JSON.stringify({ index, text }))
    },
    settled: () => {},
  }
}

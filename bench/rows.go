package main

// rows are what is measured, in this order: each a function in the file named
// for it. Rows that start further servers or stop theirs are added by
// nodes.go and restart.go.
var rows = []row{
	writeRow(64, "≥ 0.6"),
	writeRow(16, "≥ 0.6"),
	writeRow(1, "≥ 0.5"),
	{name: "write to another client", run: echoRow},
	{name: "write to another client, 16 in flight", run: busyRow},
	{name: "deliveries", run: deliveryRow},
	spreadRow(1), spreadRow(100), spreadRow(1000), spreadRow(5000),
	{name: "change to delivery, 1,000 views of one table", run: manyViewsRow},
	{name: "a shared book, and a private note each", run: privateRow, only: "node", rounds: 1, limit: longLimit},
	{name: "load of 1,000", run: loadRow(1000)},
	{name: "load of 10,000", run: loadRow(10_000)},
	{name: "subscribe to 10,000 that changed", run: subscribeRow(10_000)},
	{name: "reconnect, nothing changed", run: reconnectRow, only: "node"},
	{name: "resume", run: resumeRow, only: "node", rounds: 1, limit: longLimit},
	{name: "reconnect of all", run: stormRow, rounds: 1},
	{name: "idle sessions", run: idleRow, rounds: 1},
	{name: "cost of a commit, views it does not touch", run: costByViewsRow, only: "node", rounds: 1, limit: longLimit},
	{name: "cost of a commit, objects", run: costByObjectsRow, only: "node", rounds: 1, limit: longLimit},
	{name: "cost of a commit, history", run: costByHistoryRow, only: "node", rounds: 1, limit: longLimit},
	{name: "one-field change of a 100 KB object", run: largeRow},
	{name: "commit to handler start", run: handlerRow, only: "node"},
	{name: "commit to handler's effect at another client", run: effectRow, only: "node"},
	{name: "operations", run: operationRow, only: "node"},
	{name: "runs a second", run: runsRow, only: "node", rounds: 1},
	{name: "cost of a commit, rules that do not match", run: rulesRow, only: "node", rounds: 1, limit: longLimit},
}

package graph

// Limits bound what a caller may ask for. Each is an option of the server.
type Limits struct {
	Operations       int   `json:"operations"`       // of one transaction
	TransactionBytes int   `json:"transactionBytes"` // of its patch
	BodyBytes        int   `json:"bodyBytes"`
	BodyDepth        int   `json:"bodyDepth"`
	Touched          int   `json:"touched"` // entities of one commit, cascades and edges counted
	MessageBytes     int   `json:"messageBytes"`
	Subscriptions    int   `json:"subscriptions"` // of one session
	ViewEntities     int   `json:"viewEntities"`
	Candidates       int   `json:"candidates"` // of one filtered or ordered list
	PresenceBytes    int   `json:"presenceBytes"`
	InheritDepth     int   `json:"inheritDepth"`
	SchemaBytes      int64 `json:"schemaBytes"`
}

// WithDefaults fills in what is zero: 1,000 operations, 1 MiB a transaction,
// 512 KiB and 64 levels a body, 20,000 entities a commit, a message 64 KiB over
// the transaction's bytes, 100 subscriptions, views of 100,000 entities.
func (l Limits) WithDefaults() Limits {
	def := func(p *int, v int) {
		if *p == 0 {
			*p = v
		}
	}
	def(&l.Operations, 1000)
	def(&l.TransactionBytes, 1<<20)
	def(&l.BodyBytes, 512<<10)
	def(&l.BodyDepth, 64)
	def(&l.Touched, 20000)
	def(&l.MessageBytes, l.TransactionBytes+64<<10)
	def(&l.Subscriptions, 100)
	def(&l.ViewEntities, 100000)
	def(&l.Candidates, 100000)
	def(&l.PresenceBytes, 4<<10)
	def(&l.InheritDepth, 16)
	if l.SchemaBytes == 0 {
		l.SchemaBytes = 4 << 20
	}
	return l
}

package torture

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"
)

// journal is what the writers know. Whatever they are told stands in its file
// before it counts: a crash of the harness leaves the file for people to read.
type journal struct {
	file *os.File

	mu      sync.Mutex // guards the field below and all records
	records map[string]*record
}

// record is one mutation: what was asked, and each answer to it.
type record struct {
	id     string
	user   string
	sent   []sending // more than once, where an answer did not come
	patch  []any
	floor  int  // was acknowledged when it was first sent: its version is above
	always bool // no state allows it
	begun  time.Time
	undo   []int // the versions that it undoes; nil for a transaction
	// named are the transactions that it undoes, where it says their key or group: each
	// of them was answered with the version of the same place. See judge.resolve.
	named []string

	acks     []int
	refusals []refused
	open     bool // some attempt ended without an answer
}

// sending is one time that a mutation was sent. A reader whose token was renewed
// meanwhile sends it again with other rights, and those count then.
type sending struct {
	who  principal
	node int
}

// refused is a refusal. It was judged by the rights that its sender had, at the
// version that was acknowledged when it was asked for, or a later one that was
// committed by the time of the answer.
type refused struct {
	who  principal
	code string
	op   int // -1: of no one operation
	lo   int
	by   time.Time
	// conflicts are what an undo-conflict says to be in the way.
	conflicts []conflict
}

func newJournal(path string) (*journal, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	return &journal{file: f, records: map[string]*record{}}, nil
}

// write adds a line. The caller holds mu.
func (j *journal) write(kind, id string, what any) {
	text, _ := json.Marshal(what)
	if _, err := fmt.Fprintf(j.file, "%s %s %s\n", kind, id, text); err != nil {
		panic(fmt.Sprintf("the journal cannot be written: %v", err)) // nothing said after this would count
	}
}

// begins notes a mutation before it is sent for the first time.
func (j *journal) begins(id, user string, o op, floor int) *record {
	j.mu.Lock()
	defer j.mu.Unlock()
	r := &record{id: id, user: user, patch: o.patch, floor: floor, always: o.always, undo: o.undo, named: o.named, begun: time.Now()}
	j.records[id] = r
	j.write("begin", id, json.RawMessage(o.text))
	return r
}

// version gives the one that a mutation was acknowledged at; 0: it was not.
func (r *record) version() int {
	if len(r.acks) == 0 {
		return 0
	}
	return r.acks[0]
}

// sends notes, before it is done, that a mutation is sent to a node.
func (j *journal) sends(r *record, who principal, node int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.write("send", r.id, fmt.Sprintf("%s to %d", who, node))
	if s := (sending{who, node}); !slices.ContainsFunc(r.sent, s.same) {
		r.sent = append(r.sent, s)
	}
}

func (s sending) same(as sending) bool { return s.node == as.node && s.who.String() == as.who.String() }

// sentAs reports whether a mutation was ever sent by who.
func (r *record) sentAs(who principal) bool {
	return slices.ContainsFunc(r.sent, func(s sending) bool { return s.who.String() == who.String() })
}

func (j *journal) acknowledged(r *record, version int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.write("ack", r.id, version)
	r.acks = append(r.acks, version)
}

func (j *journal) refusedWith(r *record, x refused) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.write("refuse", r.id, x.code)
	r.refusals = append(r.refusals, x)
}

func (j *journal) unanswered(r *record) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.write("open", r.id, nil)
	r.open = true
}

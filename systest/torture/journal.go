package torture

import (
	"encoding/json"
	"fmt"
	"os"
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
	who    principal
	patch  []any
	floor  int  // was acknowledged when it was first sent: its version is above
	always bool // no state allows it

	acks     []int
	refusals []refused
	open     bool // some attempt ended without an answer
}

// refused is a refusal. It was judged at the version that was acknowledged when it
// was asked for, or a later one that was committed by the time of the answer.
type refused struct {
	code string
	op   int // -1: of no one operation
	lo   int
	by   time.Time
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

// sends notes a mutation before it is sent for the first time.
func (j *journal) sends(id string, who principal, patch []any, floor int, always bool) *record {
	j.mu.Lock()
	defer j.mu.Unlock()
	r := &record{id: id, who: who, patch: patch, floor: floor, always: always}
	j.records[id] = r
	j.write("send", id, patch)
	return r
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

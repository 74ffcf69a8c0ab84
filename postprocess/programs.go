package postprocess

import (
	"sync"

	"github.com/graphtide/graphtide/postprocess/script"
	"github.com/graphtide/graphtide/schema"
)

// programsKept is how many compiled scripts are kept.
const programsKept = 256

// programs compiles scripts once for each schema that has them.
type programs struct {
	mu   sync.Mutex // guards the field below
	made map[programKey]*compiled
}

type programKey struct{ name, source string }

type compiled struct {
	once sync.Once
	prog *script.Program
	err  error
}

// get gives the program of a schema's script.
func (p *programs) get(reg *schema.Registry, name string) (*script.Program, error) {
	source, ok := reg.Scripts[name]
	if !ok {
		return nil, failed("the schema has no script %q", name)
	}
	p.mu.Lock()
	if p.made == nil || len(p.made) >= programsKept {
		p.made = map[programKey]*compiled{} // all of them are quickly made again
	}
	k := programKey{name, source}
	c := p.made[k]
	if c == nil {
		c = &compiled{}
		p.made[k] = c
	}
	p.mu.Unlock()
	c.once.Do(func() { c.prog, c.err = script.Compile(name, source) })
	return c.prog, c.err
}

package main

import (
	"context"
	"time"
)

// largeRow is all processor time of a one-field change of a 100 KB object.
func largeRow(_ context.Context, t *target, o options) ([]figure, error) {
	c, err := t.session()
	if err != nil {
		return nil, err
	}
	defer c.close()
	n := o.pick(300, 150, 2)
	before, began := t.cpu(), time.Now()
	for range n {
		if err := c.do(counted(large)); err != nil {
			return nil, err
		}
	}
	took := time.Since(began)
	each := time.Duration(n)
	return []figure{{"all CPU per change", ms((t.cpu() - before) / each), "ms", true, "≤ 2.5 ms"}, {"time per change", ms(took / each), "ms", true, ""}}, nil
}

package fanout

import (
	"testing"
	"time"
)

func TestABurstOfMessagesMayComeAndThenOneAtATime(t *testing.T) {
	t.Parallel()
	const perSecond = 10
	var p pace
	now := thisMoment()
	took := func() (n int) {
		for p.takes(now, perSecond) {
			n++
		}
		return n
	}
	if n := took(); n != burst*perSecond {
		t.Errorf("%d came at once", n)
	}
	for range 3 {
		now += moment(time.Second / perSecond)
		if n := took(); n != 1 {
			t.Errorf("%d came after the time of one", n)
		}
	}
	now += moment(time.Hour)
	if n := took(); n != burst*perSecond {
		t.Errorf("%d came at once after an hour", n)
	}
}

package script

import "testing"

func TestErrorsNameNoCodeOfTheServer(t *testing.T) {
	t.Parallel()
	in := "Error: at sea (native)\n\tat github.com/x/y.(*run).func5 (native)\n\tat work (h.js:3:9(4))\n\tat map (native)\n"
	if got, want := ownFrames(in), "at work (h.js:3:9(4))"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, s := range []string{"", "one line"} {
		if got := ownFrames(s); got != "" {
			t.Errorf("%q has the frames %q", s, got)
		}
	}
}

package function

import "testing"

func TestHandleDoubles(t *testing.T) {
	if got := Handle("a"); got != "aa" {
		t.Errorf("Handle(a) = %q, want aa", got)
	}
}

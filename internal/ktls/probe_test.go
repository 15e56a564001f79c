package ktls

import (
	"errors"
	"testing"
)

// What is found is either everything or a reason.
func TestProbe(t *testing.T) {
	err := Probe()
	if err != nil && !errors.Is(err, ErrUnavailable) {
		t.Errorf("%v does not match %v", err, ErrUnavailable)
	}
	if again := Probe(); again != err {
		t.Errorf("first %v, then %v", err, again)
	}
	t.Logf("probe: %v", err)
}

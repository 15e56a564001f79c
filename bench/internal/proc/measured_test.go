package proc

import (
	"context"
	"strings"
	"testing"
)

// measured has a shell script measured, which gets its result when it goes on.
func measured(t *testing.T, script string) (result map[string]int, pid int, err error) {
	t.Helper()
	err = Measured(context.Background(), "/bin/sh", []string{"-c", script}, AnyCPU, &result, func(p int, run func() error) error {
		if result != nil {
			t.Error("there is a result before it went on")
		}
		pid = p
		return run()
	})
	return result, pid, err
}

func TestMeasured(t *testing.T) {
	result, pid, err := measured(t, `echo ready; read line; echo "{\"n\": $$}"; read line; exit 0`)
	if err != nil || result["n"] == 0 || result["n"] != pid {
		t.Errorf("got %v of process %d, %v", result, pid, err)
	}
}

func TestMeasuredFails(t *testing.T) {
	for script, want := range map[string]string{
		"echo no luck >&2; exit 3":                         "exit status 3: no luck",
		"echo ready; read line; echo gone >&2; exit 4":     "exit status 4: gone",
		"echo ready; read line; echo nothing; read line":   "exit status 1",
		"echo ready; read line; echo nothing; cat; exit 0": "invalid character",
	} {
		if _, _, err := measured(t, script); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q in it", script, err, want)
		}
	}
	if err := Measured(context.Background(), "/nonexistent", nil, AnyCPU, nil, nil); err == nil {
		t.Error("missing program: no error")
	}
}

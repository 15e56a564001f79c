package main

import (
	"os/exec"
	"testing"
)

func TestChooseGenerator(t *testing.T) {
	if got, err := chooseGenerator(generatorOwn); got != generatorOwn || err != nil {
		t.Errorf("own: %q, %v", got, err)
	}
	if _, err := chooseGenerator("ab"); err == nil {
		t.Error("ab: no error")
	}
	if _, err := exec.LookPath(generatorWrk); err == nil {
		for _, asked := range []string{"", generatorWrk} {
			if got, err := chooseGenerator(asked); got != generatorWrk || err != nil {
				t.Errorf("%q: %q, %v", asked, got, err)
			}
		}
	}
	t.Setenv("PATH", t.TempDir())
	if got, err := chooseGenerator(""); got != generatorOwn || err != nil {
		t.Errorf("without wrk: %q, %v", got, err)
	}
	if _, err := chooseGenerator(generatorWrk); err == nil {
		t.Error("without wrk: no error")
	}
}

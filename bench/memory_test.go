package main

import (
	"io"
	"testing"
	"time"

	"github.com/ringkit/ringkit/bench/internal/subject"
)

func TestMeasureMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("builds programs, and waits for memory to settle")
	}
	builder, err := subject.NewBuilder(t.Context(), t.TempDir(), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	for scenario, name := range map[string]string{"idle-http": subject.Ringkit, "idle-ws": subject.Gorilla} {
		s, err := builder.Build(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		one, err := measureMemory(t.Context(), place{-1, -1, 0, 1, 1}, findScenario(t, scenario), []int{50, 200}, 10*time.Millisecond, s)
		if err != nil || one.Invalid != "" || len(one.Idle) != 2 || one.Engine == "" {
			t.Fatalf("%s: %+v, %v", scenario, one, err)
		}
		if first, last := one.Idle[0], one.Idle[1]; first.Connections != 50 || last.Connections != 200 || last.RSS < first.RSS || last.PerConnection() <= 0 {
			t.Errorf("%s: %+v", scenario, one.Idle)
		}
	}
}

func TestIdleSizes(t *testing.T) {
	sizes, err := idleSizes(true)
	if err != nil {
		t.Skip(err)
	}
	if sizes[len(sizes)-1] > 5000 {
		t.Errorf("a quick run takes %d", sizes)
	}
	all, err := idleSizes(false)
	if err != nil || len(all) < len(sizes) {
		t.Errorf("%d, %v", all, err)
	}
}

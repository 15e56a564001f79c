package main

import (
	"strings"
	"testing"
	"time"
)

func TestGeneratorsTable(t *testing.T) {
	all := []both{{scenario: findScenario(t, "plain")}, {scenario: findScenario(t, "pipeline")}}
	for i := range all {
		for n := range 3 {
			ms := time.Duration(n+1) * time.Millisecond
			all[i].wrk.add(100*ms, 50*ms, 10_000, 1000*float64(n+1), ms, 2*ms)
			all[i].own.add(150*ms, 100*ms, 10_000, 2000*float64(n+1), 3*ms, 4*ms)
		}
	}
	var b strings.Builder
	if _, err := generatorsTable(all).WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	got := strings.Join(strings.Fields(b.String()), " ")
	for _, want := range []string{
		"plain wrk 2000 20.00 10.00 2.000 4.000 1.00 1.00 1.00",
		"plain load 4000 30.00 20.00 6.000 8.000 2.00 1.50 2.00",
		"pipeline load 4000 30.00 20.00 - - 2.00 1.50 2.00",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in %s", want, got)
		}
	}
}

func TestGeneratorsUsage(t *testing.T) {
	for _, args := range [][]string{{"-rounds", "0"}, {"-c", "0"}, {"-duration", "1500ms"}, {"-subject", "nobody"}, {"more"}} {
		var said strings.Builder
		if code := run(t.Context(), append([]string{"generators"}, args...), &said, &said); code != 2 {
			t.Errorf("%q: %d, %s", args, code, &said)
		}
	}
}

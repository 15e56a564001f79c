package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/ringkit/ringkit/bench/internal/subject"
	"github.com/ringkit/ringkit/bench/internal/wrk"
)

// scenario is a kind of load.
type scenario struct {
	name     string
	pipeline int  // requests in one write
	close    bool // each request asks for the end of its connection
}

var scenarios = []scenario{
	{name: "plain", pipeline: 1},
	{name: "pipeline", pipeline: 16},
	{name: "close", pipeline: 1, close: true},
}

func findScenarios(names []string) ([]scenario, error) {
	if slices.Equal(names, []string{"all"}) {
		return scenarios, nil
	}
	var found []scenario
	for _, name := range names {
		i := slices.IndexFunc(scenarios, func(s scenario) bool { return s.name == name })
		if i < 0 {
			return nil, fmt.Errorf("-scenario: no scenario %q (there are: plain, pipeline, close; or all)", name)
		}
		if slices.Contains(found, scenarios[i]) {
			return nil, fmt.Errorf("-scenario: %q is named twice", name)
		}
		found = append(found, scenarios[i])
	}
	if found == nil {
		return nil, fmt.Errorf("-scenario: none named")
	}
	return found, nil
}

// describe says in words what the scenario does.
func (s scenario) describe(connections int) string {
	text := fmt.Sprintf("%s: %d connections", s.name, connections)
	switch {
	case s.close:
		return text + ", a new one for each request"
	case s.pipeline > 1:
		return text + fmt.Sprintf(", %d requests per write", s.pipeline)
	}
	return text + ", one request at a time on each"
}

// includes reports whether the scenario is for the subject. The floors in C do not
// read the fields of a request and would not close.
func (s scenario) includes(sub subject.Subject) bool { return !s.close || !sub.Floor }

// script writes the scenario's script for wrk to dir and returns its path, or ""
// if it needs none.
func (s scenario) script(dir string) (string, error) {
	var script string
	switch {
	case s.close:
		script = wrk.CloseScript
	case s.pipeline > 1:
		script = wrk.PipelineScript(s.pipeline)
	default:
		return "", nil
	}
	path := filepath.Join(dir, s.name+".lua")
	if err := os.WriteFile(path, []byte(script), 0o644); err != nil {
		return "", fmt.Errorf("writing script for wrk: %w", err)
	}
	return path, nil
}

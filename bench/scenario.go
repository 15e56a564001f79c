package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/ringkit/ringkit/bench/internal/wrk"
)

// scenario is a kind of load.
type scenario struct {
	name     string
	pipeline int // requests in one write
}

var scenarios = []scenario{
	{name: "plain", pipeline: 1},
	{name: "pipeline", pipeline: 16},
}

func findScenarios(names []string) ([]scenario, error) {
	if slices.Equal(names, []string{"all"}) {
		return scenarios, nil
	}
	var found []scenario
	for _, name := range names {
		i := slices.IndexFunc(scenarios, func(s scenario) bool { return s.name == name })
		if i < 0 {
			return nil, fmt.Errorf("-scenario: no scenario %q (there are: plain, pipeline; or all)", name)
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
	if s.pipeline > 1 {
		return text + fmt.Sprintf(", %d requests per write", s.pipeline)
	}
	return text + ", one request at a time on each"
}

// script writes the scenario's script for wrk to dir and returns its path, or ""
// if it needs none.
func (s scenario) script(dir string) (string, error) {
	if s.pipeline == 1 {
		return "", nil
	}
	path := filepath.Join(dir, s.name+".lua")
	if err := os.WriteFile(path, []byte(wrk.PipelineScript(s.pipeline)), 0o644); err != nil {
		return "", fmt.Errorf("writing script for wrk: %w", err)
	}
	return path, nil
}

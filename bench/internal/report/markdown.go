package report

import (
	"fmt"
	"strings"

	"github.com/ringkit/ringkit/bench/internal/table"
)

// Markdown returns the report as tables for a terminal or a forge.
func (r *Report) Markdown() string {
	var b strings.Builder
	b.WriteString("# ringkit beside others\n\n" + r.summary() + "\n")
	for _, warning := range r.warnings() {
		b.WriteString("\n> **" + warning + "**\n")
	}
	b.WriteString("\n## Beside the goals\n\n")
	goals := table.New("goal", "aim", "measured", "")
	for _, g := range r.Goals() {
		goals.Add(g.What, g.Aim, g.Measured, g.Verdict)
	}
	b.WriteString(goals.Markdown())
	last := ""
	for _, sc := range r.Scenarios {
		if sc.Section != last {
			last = sc.Section
			fmt.Fprintf(&b, "\n## %s\n", last)
		}
		fmt.Fprintf(&b, "\n### %s\n\n%s\n\n%s", sc.Name, sc.About, sc.Table().Markdown())
		for _, note := range sc.Notes() {
			b.WriteString("\n* " + note)
		}
		if len(sc.Notes()) > 0 {
			b.WriteString("\n")
		}
	}
	b.WriteString("\n## Method\n\n")
	for _, line := range r.method() {
		b.WriteString("* " + line + "\n")
	}
	b.WriteString("\n## Machine and versions\n\n")
	facts := table.New("", "")
	for _, fact := range r.facts() {
		facts.Add(fact.Name, fact.Version)
	}
	b.WriteString(facts.Markdown())
	if len(r.NotMeasured) > 0 {
		b.WriteString("\n## Not measured\n\n")
		for _, note := range r.NotMeasured {
			b.WriteString("* " + note + "\n")
		}
	}
	fmt.Fprintf(&b, "\nMade by `cd bench && go run . %s`.\n", strings.Join(r.Arguments, " "))
	return b.String()
}

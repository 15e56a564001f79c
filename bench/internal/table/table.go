// Package table lays out rows of text in columns.
package table

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Table is a heading and rows of the same number of cells.
type Table struct {
	head []string
	rows [][]string
}

// New returns a table with the given column headings.
func New(head ...string) *Table {
	return &Table{head: head}
}

// Add appends a row. Missing cells are empty; surplus ones are a mistake.
func (t *Table) Add(cells ...string) {
	if len(cells) > len(t.head) {
		panic(fmt.Sprintf("table: %d cells in %d columns", len(cells), len(t.head)))
	}
	row := make([]string, len(t.head))
	copy(row, cells)
	t.rows = append(t.rows, row)
}

// Head returns the headings.
func (t *Table) Head() []string { return t.head }

// Rows returns the rows.
func (t *Table) Rows() [][]string { return t.rows }

// Markdown returns the table as one of Markdown's, the first column flush left and the
// others flush right.
func (t *Table) Markdown() string {
	var b strings.Builder
	row := func(cells []string) {
		for _, cell := range cells {
			b.WriteString("| " + strings.ReplaceAll(cell, "|", "\\|") + " ")
		}
		b.WriteString("|\n")
	}
	row(t.head)
	b.WriteString("|---" + strings.Repeat("|--:", len(t.head)-1) + "|\n")
	for _, cells := range t.rows {
		row(cells)
	}
	return b.String()
}

// WriteTo writes the table: the first column flush left, the others flush right,
// two blanks between columns, a rule below the heading.
func (t *Table) WriteTo(w io.Writer) (int64, error) {
	width := make([]int, len(t.head))
	rule := make([]string, len(t.head))
	for _, row := range append([][]string{t.head}, t.rows...) {
		for i, cell := range row {
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	for i := range rule {
		rule[i] = strings.Repeat("-", width[i])
	}

	var b strings.Builder
	for _, row := range append([][]string{t.head, rule}, t.rows...) {
		var line strings.Builder
		for i, cell := range row {
			pad := strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell))
			switch i {
			case 0:
				line.WriteString(cell + pad)
			default:
				line.WriteString("  " + pad + cell)
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	n, err := io.WriteString(w, b.String())
	return int64(n), err
}

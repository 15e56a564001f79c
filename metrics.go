package ringkit

import (
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
)

// addFigures adds all numbers of a struct to those of another of the same type, also
// those of structs within.
func addFigures[T any](sum, part *T) {
	addValues(reflect.ValueOf(sum).Elem(), reflect.ValueOf(part).Elem())
}

func addValues(sum, part reflect.Value) {
	for i := range sum.NumField() {
		switch to, from := sum.Field(i), part.Field(i); {
		case to.Kind() == reflect.Struct:
			addValues(to, from)
		case to.CanUint():
			to.SetUint(to.Uint() + from.Uint())
		case to.CanInt():
			to.SetInt(to.Int() + from.Int())
		}
	}
}

// family is one metric with its samples, as the text format wants it: together.
type family struct {
	name, kind, help string
	samples          []sample
}

type sample struct {
	labels string // `name="value",...`
	value  string
}

// exposition collects the families of a Stats, in the order of their fields.
type exposition struct {
	families []*family
	byName   map[string]*family
}

func (e *exposition) add(f reflect.StructField, labels, value string) {
	name := f.Tag.Get("name")
	if name == "" {
		name = f.Tag.Get("json")
	}
	kind := f.Tag.Get("type")
	if kind == "" {
		kind = "counter"
		name += "_total"
	}
	name = "ringkit_" + name
	if e.byName[name] == nil {
		e.byName[name] = &family{name: name, kind: kind, help: f.Tag.Get("help")}
		e.families = append(e.families, e.byName[name])
	}
	e.byName[name].samples = append(e.byName[name].samples, sample{labels, value})
}

// figures adds the figures of a struct: those that are told for each loop, or the
// others.
func (e *exposition) figures(v reflect.Value, byLoop bool, labels string) {
	for i := range v.NumField() {
		f, value := v.Type().Field(i), v.Field(i)
		switch {
		case f.Anonymous:
			e.figures(value, byLoop, labels)
		case f.Tag.Get("help") == "" || byLoop != (f.Tag.Get("by") == "loop"):
		case f.Tag.Get("label") != "":
			for j := range value.NumField() {
				kind := label(f.Tag.Get("label"), value.Type().Field(j).Tag.Get("json"))
				e.add(f, joinLabels(labels, kind), fmt.Sprint(value.Field(j)))
			}
		default:
			e.add(f, labels, fmt.Sprint(value))
		}
	}
}

// engineField has the tags of the metric that says what each loop runs on.
var engineField = reflect.StructField{Tag: `json:"loop_info" type:"gauge" help:"What each event loop runs on; the value is 1."`}

// writePrometheus writes the figures in the Prometheus text format, version 0.0.4.
func (s *Stats) writePrometheus(w io.Writer) error {
	e := exposition{byName: make(map[string]*family)}
	for i, l := range s.Loops {
		e.add(engineField, joinLabels(label("loop", strconv.Itoa(i)), label("engine", l.Engine.Name.String()), label("tier", l.Engine.Tier)), "1")
	}
	e.figures(reflect.ValueOf(*s), false, "")
	for i := range s.Loops {
		e.figures(reflect.ValueOf(s.Loops[i]), true, label("loop", strconv.Itoa(i)))
	}
	var b strings.Builder
	for _, f := range e.families {
		fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s %s\n", f.name, escapeHelp.Replace(f.help), f.name, f.kind)
		for _, s := range f.samples {
			b.WriteString(f.name)
			if s.labels != "" {
				b.WriteString("{" + s.labels + "}")
			}
			b.WriteString(" " + s.value + "\n")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

var (
	escapeHelp  = strings.NewReplacer(`\`, `\\`, "\n", `\n`)
	escapeLabel = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
)

func label(name, value string) string { return name + `="` + escapeLabel.Replace(value) + `"` }

func joinLabels(labels ...string) string {
	if labels[0] == "" {
		labels = labels[1:]
	}
	return strings.Join(labels, ",")
}

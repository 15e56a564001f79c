package report

import (
	"fmt"
	"html"
	"math"
	"strconv"
	"strings"
)

// style is how a subject looks in all plots: colours of a palette that the colour-blind can
// tell apart, and dashes and marks besides. Colours are variables of the page's style sheet.
type style struct {
	color  string
	dash   string
	mark   string // circle, square, triangle, diamond
	strong bool   // to be seen first
	faint  bool   // a yardstick
}

var styles = map[string]style{
	"ringkit":                {"own", "", "circle", true, false},
	"ringkit-epoll":          {"own", "7 4", "square", true, false},
	"ringkit-std":            {"own2", "", "triangle", true, false},
	"ringkit-std-epoll":      {"own2", "7 4", "diamond", true, false},
	"ringkit-std-inline":     {"own2", "2 4", "square", false, false},
	"ringkit-native-inline":  {"own", "2 4", "diamond", false, false},
	"nethttp":                {"blue", "", "circle", false, false},
	"fasthttp":               {"green", "", "square", false, false},
	"hertz":                  {"pink", "", "triangle", false, false},
	"gnet":                   {"sky", "2 4", "diamond", false, false},
	"nbio":                   {"ochre", "", "diamond", false, false},
	"nginx":                  {"ink", "", "square", false, false},
	"gorilla":                {"blue", "", "circle", false, false},
	"gws":                    {"green", "", "square", false, false},
	"coder":                  {"pink", "", "triangle", false, false},
	"uring":                  {"grey", "", "circle", false, true},
	"uring-defer":            {"grey", "7 4", "diamond", false, true},
	"epoll":                  {"grey", "2 4", "square", false, true},
	"client-call":            {"own", "", "circle", true, false},
	"client-call-epoll":      {"own", "7 4", "square", true, false},
	"client-do":              {"own2", "", "triangle", true, false},
	"client-do-epoll":        {"own2", "7 4", "diamond", true, false},
	"client-transport":       {"own2", "2 4", "circle", false, false},
	"client-transport-epoll": {"own2", "1 3", "square", false, false},
	"client-dial":            {"own", "", "circle", true, false},
	"client-dial-epoll":      {"own", "7 4", "square", true, false},
	"gorilla-client":         {"blue", "", "circle", false, false},
	"gws-client":             {"green", "", "square", false, false},
	"coder-client":           {"pink", "", "triangle", false, false},
	"nethttp-client":         {"blue", "", "circle", false, false},
	"fasthttp-client":        {"green", "", "square", false, false},
}

func styleOf(name string) style {
	if s, ok := styles[strings.TrimSuffix(name, "*")]; ok {
		return s
	}
	return style{color: "sky", dash: "4 2 1 2", mark: "diamond"}
}

// point is a value with its range.
type point struct {
	x, y, least, most float64
}

type series struct {
	name   string
	points []point
}

// tick is a mark on an axis.
type tick struct {
	at    float64
	label string
}

// lineChart is a plot of lines. A logarithmic axis takes no value of 0.
type lineChart struct {
	title, x, y string // what it shows, and labels of axes with units
	logX, logY  bool
	ticks       []tick // of x
	series      []series
}

// Sizes of plots in units of their own: a page scales them to its columns. On a phone that
// is by about two thirds, for which the letters are large enough.
const (
	chartWidth  = 520.0
	chartHeight = 320.0
	marginLeft  = 64.0
	marginRight = 18.0
	marginTop   = 12.0
	marginFoot  = 48.0
)

// svg is a drawing in the making.
type svg struct{ strings.Builder }

func (s *svg) add(format string, args ...any) { fmt.Fprintf(&s.Builder, format+"\n", args...) }

func (s *svg) open(title string, height float64) {
	s.add(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %s %s" role="img" aria-label="%s">`, num(chartWidth), num(height), html.EscapeString(title))
	s.add(`<title>%s</title>`, html.EscapeString(title))
}

func (s *svg) text(x, y float64, class, anchor, text string) {
	s.add(`<text x="%s" y="%s" class="%s" text-anchor="%s">%s</text>`, num(x), num(y), class, anchor, html.EscapeString(text))
}

func (s *svg) line(x1, y1, x2, y2 float64, class string) {
	s.add(`<line x1="%s" y1="%s" x2="%s" y2="%s" class="%s"/>`, num(x1), num(y1), num(x2), num(y2), class)
}

func num(v float64) string { return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64) }

// mark draws the mark of a style.
func (s *svg) mark(x, y float64, look style) {
	r := 3.4
	if look.strong {
		r = 4.4
	}
	attributes := fmt.Sprintf(`class="mark" style="--c:var(--%s)"`, look.color)
	switch look.mark {
	case "square":
		s.add(`<rect x="%s" y="%s" width="%s" height="%s" %s/>`, num(x-r), num(y-r), num(2*r), num(2*r), attributes)
	case "triangle":
		s.add(`<path d="M%s %sL%s %sL%s %sZ" %s/>`, num(x), num(y-1.2*r), num(x+1.15*r), num(y+r), num(x-1.15*r), num(y+r), attributes)
	case "diamond":
		r *= 1.3
		s.add(`<path d="M%s %sL%s %sL%s %sL%s %sZ" %s/>`, num(x), num(y-r), num(x+r), num(y), num(x), num(y+r), num(x-r), num(y), attributes)
	default:
		s.add(`<circle cx="%s" cy="%s" r="%s" %s/>`, num(x), num(y), num(r), attributes)
	}
}

// stroke returns the attributes of a line in a style.
func (look style) stroke() string {
	width := 1.8
	switch {
	case look.strong:
		width = 3
	case look.faint:
		width = 1.4
	}
	dash := ""
	if look.dash != "" {
		dash = fmt.Sprintf(` stroke-dasharray="%s"`, look.dash)
	}
	return fmt.Sprintf(`class="line" style="--c:var(--%s)" stroke-width="%s"%s`, look.color, num(width), dash)
}

// axis maps values to positions.
type axis struct {
	from, to   float64 // values
	start, end float64 // positions
	log        bool
}

func (a axis) at(v float64) float64 {
	from, to := a.from, a.to
	if a.log {
		from, to, v = math.Log(from), math.Log(to), math.Log(v)
	}
	if to == from {
		return (a.start + a.end) / 2
	}
	return a.start + (a.end-a.start)*(v-from)/(to-from)
}

// render returns the plot as SVG.
func (c lineChart) render() string {
	x, y, yTicks := c.axes()
	s := new(svg)
	s.open(c.title, chartHeight)
	for _, t := range yTicks {
		s.line(x.start, y.at(t.at), x.end, y.at(t.at), "grid")
		s.text(x.start-8, y.at(t.at)+4.5, "tick", "end", t.label)
	}
	for _, t := range c.ticks {
		s.line(x.at(t.at), y.start, x.at(t.at), y.start+5, "axis")
		s.text(x.at(t.at), y.start+19, "tick", "middle", t.label)
	}
	s.line(x.start, y.start, x.end, y.start, "axis")
	s.text((x.start+x.end)/2, chartHeight-8, "label", "middle", c.x)
	s.add(`<text transform="translate(15 %s) rotate(-90)" class="label" text-anchor="middle">%s</text>`, num((y.start+y.end)/2), html.EscapeString(c.y))
	for _, pass := range []func(style) bool{ // yardsticks below, what is to be seen first above
		func(look style) bool { return look.faint },
		func(look style) bool { return !look.faint && !look.strong },
		func(look style) bool { return look.strong },
	} {
		for _, one := range c.series {
			if look := styleOf(one.name); pass(look) {
				s.series(one, look, x, y)
			}
		}
	}
	s.add(`</svg>`)
	return s.String()
}

func (s *svg) series(one series, look style, x, y axis) {
	s.add(`<g><title>%s</title>`, html.EscapeString(one.name))
	var path strings.Builder
	for i, p := range one.points {
		fmt.Fprintf(&path, "%c%s %s", "ML"[min(i, 1)], num(x.at(p.x)), num(y.at(p.y)))
		if p.most > p.least {
			s.add(`<line x1="%[1]s" y1="%[2]s" x2="%[1]s" y2="%[3]s" class="range" style="--c:var(--%[4]s)"/>`, num(x.at(p.x)), num(y.at(p.least)), num(y.at(p.most)), look.color)
		}
	}
	s.add(`<path d="%s" %s/>`, path.String(), look.stroke())
	for _, p := range one.points {
		s.mark(x.at(p.x), y.at(p.y), look)
	}
	s.add(`</g>`)
}

// axes finds what the axes have to reach.
func (c lineChart) axes() (x, y axis, ticks []tick) {
	x = axis{math.Inf(1), math.Inf(-1), marginLeft, chartWidth - marginRight, c.logX}
	low, high := math.Inf(1), math.Inf(-1)
	for _, t := range c.ticks {
		x.from, x.to = min(x.from, t.at), max(x.to, t.at)
	}
	for _, one := range c.series {
		for _, p := range one.points {
			x.from, x.to = min(x.from, p.x), max(x.to, p.x)
			low, high = min(low, p.y, positive(p.least, p.y)), max(high, p.y, p.most)
		}
	}
	// Marks at the ends are whole.
	x.start, x.end = x.start+10, x.end-10
	y = axis{0, high, chartHeight - marginFoot, marginTop, c.logY}
	if c.logY {
		y.from, y.to, ticks = logTicks(low, high)
	} else {
		y.to, ticks = linearTicks(high, 6)
	}
	return x, y, ticks
}

func positive(v, otherwise float64) float64 {
	if v > 0 {
		return v
	}
	return otherwise
}

// linearTicks returns an end of an axis from 0 and about n marks.
func linearTicks(high float64, n int) (end float64, ticks []tick) {
	if high <= 0 || math.IsInf(high, 0) {
		high = 1
	}
	step := math.Pow(10, math.Floor(math.Log10(high/float64(n))))
	for _, times := range []float64{1, 2, 2.5, 5, 10} {
		if high/(step*times) <= float64(n) {
			step *= times
			break
		}
	}
	for v := 0.0; ; v += step {
		ticks = append(ticks, tick{v, short(v)})
		if v >= high*0.9999 {
			return v, ticks
		}
	}
}

// logTicks returns the ends of a logarithmic axis and its marks.
func logTicks(low, high float64) (from, to float64, ticks []tick) {
	if !(low > 0) || math.IsInf(low, 0) {
		low, high = 1, 10
	}
	decades := math.Log10(high / low)
	steps := []float64{1, 2, 5}
	if decades > 3 {
		steps = []float64{1}
	}
	var all []tick
	for e := math.Floor(math.Log10(low)) - 1; e <= math.Ceil(math.Log10(high))+1; e++ {
		for _, times := range steps {
			v := times * math.Pow(10, e)
			all = append(all, tick{v, short(v)})
		}
	}
	first, last := 0, len(all)-1
	for first+1 < len(all) && all[first+1].at <= low*1.0001 {
		first++
	}
	for last > first+1 && all[last-1].at >= high*0.9999 {
		last--
	}
	return all[first].at, all[last].at, all[first : last+1]
}

// short formats a number for an axis.
func short(v float64) string {
	switch {
	case v >= 1e6:
		return num(v/1e6) + " M"
	case v >= 1e4:
		return num(v/1e3) + " k"
	case v >= 10 || v == math.Trunc(v):
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

// bar is a row of a bar chart.
type bar struct {
	name  string
	value Spread
	text  string // beside it
}

// barChart is a plot of bars from 0, one below the other.
type barChart struct {
	title, x string
	bars     []bar
}

const (
	barHeight = 25.0
	barLabel  = 148.0 // room for names
	barText   = 92.0  // room for texts beside the bars
)

func (c barChart) render() string {
	high := 0.0
	for _, b := range c.bars {
		high = max(high, b.value.Median, min(b.value.Max, 3*b.value.Median))
	}
	end, ticks := linearTicks(high, 4)
	x := axis{0, end, barLabel, chartWidth - barText, false}
	foot := marginTop + barHeight*float64(len(c.bars))
	s := new(svg)
	s.open(c.title, foot+marginFoot)
	for _, t := range ticks {
		s.line(x.at(t.at), marginTop-4, x.at(t.at), foot, "grid")
		s.text(x.at(t.at), foot+17, "tick", "middle", t.label)
	}
	for i, b := range c.bars {
		look := styleOf(b.name)
		middle := marginTop + barHeight*(float64(i)+0.5)
		class := "tick"
		if look.strong {
			class = "tick strong"
		}
		s.text(x.start-8, middle+4.5, class, "end", b.name)
		s.add(`<rect x="%s" y="%s" width="%s" height="%s" class="%s" style="--c:var(--%s)"><title>%s</title></rect>`, num(x.start), num(middle-8), num(x.at(b.value.Median)-x.start), "16",
			barClass(look), look.color, html.EscapeString(b.name+": "+b.text))
		right := x.at(b.value.Median)
		if b.value.Max > b.value.Min {
			most := x.at(min(b.value.Max, end))
			s.line(x.at(b.value.Min), middle, most, middle, "whisker")
			s.line(x.at(b.value.Min), middle-4, x.at(b.value.Min), middle+4, "whisker")
			s.line(most, middle-4, most, middle+4, "whisker")
			right = max(right, most)
		}
		s.text(right+7, middle+4.5, class, "start", b.text)
	}
	s.line(x.start, marginTop-4, x.start, foot, "axis")
	s.text((x.start+x.end)/2, foot+marginFoot-8, "label", "middle", c.x)
	s.add(`</svg>`)
	return s.String()
}

func barClass(look style) string {
	switch {
	case look.faint:
		return "bar faint"
	case look.strong:
		return "bar own"
	}
	return "bar"
}

// legend returns a list of the series in a plot, each with its line and mark.
func legend(list []series) string {
	var b strings.Builder
	b.WriteString(`<ul class="legend">`)
	for _, one := range list {
		look := styleOf(one.name)
		s := new(svg)
		s.add(`<svg viewBox="0 0 34 14" width="34" height="14" aria-hidden="true"><path d="M1 7L33 7" %s/>`, look.stroke())
		s.mark(17, 7, look)
		s.add(`</svg>`)
		class := ""
		if look.strong {
			class = ` class="strong"`
		}
		fmt.Fprintf(&b, "<li%s>%s%s</li>", class, s.String(), html.EscapeString(one.name))
	}
	b.WriteString("</ul>")
	return b.String()
}

package apicheck

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/build"
	"go/parser"
	"go/printer"
	"go/token"
	"go/types"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// pkg is the exported part of one package, collected as lines.
type pkg struct {
	name  string
	fset  *token.FileSet
	info  *types.Info
	specs map[string]*ast.TypeSpec // the types of the package
	holds map[string][]string      // the exported types that embed an unexported one
	lines []string
}

// declarations returns one line for each exported declaration of the package in dir, in
// the manner of Go's own api/*.txt: functions without the names of their parameters,
// and each field and method by itself, so that a change is a change of few lines.
func declarations(t *testing.T, dir string) []string {
	t.Helper()
	source, err := build.ImportDir(dir, 0) // the files that this platform builds
	if err != nil {
		t.Fatal(err)
	}
	p := &pkg{
		name: source.Name,
		fset: token.NewFileSet(),
		info: &types.Info{Defs: map[*ast.Ident]types.Object{}},

		specs: map[string]*ast.TypeSpec{},
		holds: map[string][]string{},
	}
	var files []*ast.File
	for _, name := range source.GoFiles {
		f, err := parser.ParseFile(p.fset, filepath.Join(dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	// Types are needed only for the values of constants, and for that no other package:
	// what comes from one is written as the source has it.
	conf := types.Config{Importer: nothing{}, Error: func(error) {}}
	conf.Check(source.Name, p.fset, files, p.info)
	for _, f := range files {
		p.remember(f)
	}
	for _, f := range files {
		for _, d := range f.Decls {
			p.decl(d)
		}
	}
	slices.Sort(p.lines)
	return p.lines
}

// remember notes the types of a file, and what embeds unexported ones: their exported
// methods and fields are those of who embeds them.
func (p *pkg) remember(f *ast.File) {
	for _, d := range f.Decls {
		gen, ok := d.(*ast.GenDecl)
		if !ok || gen.Tok != token.TYPE {
			continue
		}
		for _, s := range gen.Specs {
			spec := s.(*ast.TypeSpec)
			p.specs[spec.Name.Name] = spec
			typ, ok := spec.Type.(*ast.StructType)
			if !ok || !spec.Name.IsExported() {
				continue
			}
			for _, field := range typ.Fields.List {
				if name := embedded(field); name != "" && !ast.IsExported(name) {
					p.holds[name] = append(p.holds[name], spec.Name.Name)
				}
			}
		}
	}
}

// embedded returns the name of the embedded type of this package, "" if it is none.
func embedded(f *ast.Field) string {
	typ := f.Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	if id, ok := typ.(*ast.Ident); ok && len(f.Names) == 0 {
		return id.Name
	}
	return ""
}

// nothing imports nothing.
type nothing struct{}

func (nothing) Import(path string) (*types.Package, error) {
	if path == "unsafe" {
		return types.Unsafe, nil
	}
	return nil, fmt.Errorf("%s is not looked at", path)
}

func (p *pkg) add(format string, args ...any) {
	p.lines = append(p.lines, fmt.Sprintf("pkg %s, ", p.name)+fmt.Sprintf(format, args...))
}

func (p *pkg) decl(d ast.Decl) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		p.function(d)
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				p.typeSpec(spec)
			case *ast.ValueSpec:
				p.values(d.Tok, spec)
			}
		}
	}
}

func (p *pkg) function(d *ast.FuncDecl) {
	if !d.Name.IsExported() {
		return
	}
	if d.Recv == nil {
		p.add("func %s%s%s", d.Name.Name, p.typeParams(d.Type.TypeParams), p.signature(d.Type))
		return
	}
	receiver := d.Recv.List[0].Type
	base := receiver
	if star, ok := base.(*ast.StarExpr); ok {
		base = star.X
	}
	id, ok := base.(*ast.Ident)
	if !ok {
		return
	}
	if id.IsExported() {
		p.add("method (%s) %s%s", p.source(receiver), d.Name.Name, p.signature(d.Type))
	}
	for _, holder := range p.holds[id.Name] {
		p.add("method (%s) %s%s", strings.Replace(p.source(receiver), id.Name, holder, 1), d.Name.Name, p.signature(d.Type))
	}
}

func (p *pkg) values(tok token.Token, spec *ast.ValueSpec) {
	for i, name := range spec.Names {
		if !name.IsExported() {
			continue
		}
		typ := ""
		if spec.Type != nil {
			typ = " " + p.source(spec.Type)
		}
		value := ""
		if i < len(spec.Values) {
			value = " = " + p.source(spec.Values[i])
		}
		if tok == token.VAR {
			if typ == "" {
				typ = p.guess(spec.Values[i])
			}
			p.add("var %s%s", name.Name, typ)
			continue
		}
		if c, ok := p.info.Defs[name].(*types.Const); ok && c.Val() != nil && c.Val().ExactString() != "unknown" {
			value = " = " + c.Val().ExactString()
			if named, ok := c.Type().(*types.Named); ok {
				typ = " " + named.Obj().Name()
			}
		}
		p.add("const %s%s%s", name.Name, typ, value)
	}
}

// guess says what a variable is whose type is not written down: by what makes it,
// without the contents.
func (p *pkg) guess(value ast.Expr) string {
	switch v := value.(type) {
	case *ast.UnaryExpr:
		if lit, ok := v.X.(*ast.CompositeLit); ok {
			return " *" + p.source(lit.Type)
		}
	case *ast.CompositeLit:
		return " " + p.source(v.Type)
	case *ast.CallExpr:
		switch made := p.source(v.Fun); made {
		case "errors.New", "errorString":
			return " error"
		}
	}
	return " = " + p.source(value)
}

func (p *pkg) typeSpec(spec *ast.TypeSpec) {
	if !spec.Name.IsExported() {
		return
	}
	head := "type " + spec.Name.Name + p.typeParams(spec.TypeParams)
	if spec.Assign.IsValid() {
		p.add("%s = %s", head, p.source(spec.Type))
		return
	}
	switch typ := spec.Type.(type) {
	case *ast.StructType:
		p.add("%s struct", head)
		for _, f := range typ.Fields.List {
			p.field(head, f)
		}
	case *ast.InterfaceType:
		p.add("%s interface", head)
		for _, m := range typ.Methods.List {
			p.method(head, m)
		}
	default:
		p.add("%s %s", head, p.typ(spec.Type))
	}
}

// field adds the exported fields of a struct, with the tags by which others find them.
func (p *pkg) field(head string, f *ast.Field) {
	tag := ""
	if f.Tag != nil {
		if name := reflect.StructTag(strings.Trim(f.Tag.Value, "`")).Get("json"); name != "" {
			tag = fmt.Sprintf(" json:%q", name)
		}
	}
	switch name := embedded(f); {
	case name != "" && !ast.IsExported(name):
		if typ, ok := p.specs[name].Type.(*ast.StructType); ok {
			for _, of := range typ.Fields.List {
				p.field(head, of)
			}
		}
	case len(f.Names) == 0:
		p.add("%s struct, embedded %s%s", head, p.typ(f.Type), tag)
	}
	for _, name := range f.Names {
		if name.IsExported() {
			p.add("%s struct, %s %s%s", head, name.Name, p.typ(f.Type), tag)
		}
	}
}

func (p *pkg) method(head string, m *ast.Field) {
	if len(m.Names) == 0 {
		p.add("%s interface, embedded %s", head, p.source(m.Type))
	}
	for _, name := range m.Names {
		p.add("%s interface, %s%s", head, name.Name, p.signature(m.Type.(*ast.FuncType)))
	}
}

func (p *pkg) typeParams(params *ast.FieldList) string {
	if params == nil {
		return ""
	}
	var parts []string
	for _, f := range params.List {
		var names []string
		for _, name := range f.Names {
			names = append(names, name.Name)
		}
		parts = append(parts, strings.Join(names, ", ")+" "+p.source(f.Type))
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

// signature is the type of a function without "func" and without names.
func (p *pkg) signature(f *ast.FuncType) string {
	results := p.list(f.Results)
	switch len(results) {
	case 0:
		return "(" + strings.Join(p.list(f.Params), ", ") + ")"
	case 1:
		return "(" + strings.Join(p.list(f.Params), ", ") + ") " + results[0]
	}
	return "(" + strings.Join(p.list(f.Params), ", ") + ") (" + strings.Join(results, ", ") + ")"
}

// list has the type of each parameter, as often as there are names for it.
func (p *pkg) list(fields *ast.FieldList) (types []string) {
	if fields == nil {
		return nil
	}
	for _, f := range fields.List {
		for range max(1, len(f.Names)) {
			types = append(types, p.typ(f.Type))
		}
	}
	return types
}

// typ is a type as the source has it, but for the names of parameters.
func (p *pkg) typ(e ast.Expr) string {
	if f, ok := e.(*ast.FuncType); ok {
		return "func" + p.signature(f)
	}
	return p.source(e)
}

// source is an expression in one line.
func (p *pkg) source(e ast.Expr) string {
	var b bytes.Buffer
	printer.Fprint(&b, p.fset, e)
	return strings.Join(strings.Fields(b.String()), " ")
}

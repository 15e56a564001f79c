package apicheck

import (
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"path/filepath"
	"testing"
)

// TestDocumented finds exported names without documentation. Of constants, variables and
// fields a comment on the group, the line, or the line right above is enough.
func TestDocumented(t *testing.T) {
	for _, dir := range packages {
		source, err := build.ImportDir(filepath.Join(root, dir), 0)
		if err != nil {
			t.Fatal(err)
		}
		fset := token.NewFileSet()
		overview := false
		for _, name := range source.GoFiles {
			f, err := parser.ParseFile(fset, filepath.Join(root, dir, name), nil, parser.ParseComments|parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			overview = overview || f.Doc != nil
			for _, d := range f.Decls {
				undocumented(d, func(id *ast.Ident) {
					t.Errorf("%s: %s has no documentation", fset.Position(id.Pos()), id.Name)
				}, fset)
			}
		}
		if !overview {
			t.Errorf("package %s has no documentation", dir)
		}
	}
}

func undocumented(d ast.Decl, report func(*ast.Ident), fset *token.FileSet) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && d.Doc == nil && (d.Recv == nil || exportedBase(d.Recv.List[0].Type)) {
			report(d.Name)
		}
	case *ast.GenDecl:
		line := 0 // of the last name that is documented
		for _, spec := range d.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				if !spec.Name.IsExported() {
					continue
				}
				if d.Doc == nil && spec.Doc == nil {
					report(spec.Name)
				}
				switch typ := spec.Type.(type) {
				case *ast.StructType:
					undocumentedFields(typ.Fields, report, fset)
				case *ast.InterfaceType:
					undocumentedFields(typ.Methods, report, fset)
				}
			case *ast.ValueSpec:
				at := fset.Position(spec.Pos()).Line
				if d.Doc != nil || spec.Doc != nil || spec.Comment != nil || at == line+1 {
					line = at
					continue
				}
				for _, name := range spec.Names {
					if name.IsExported() {
						report(name)
					}
				}
			}
		}
	}
}

func undocumentedFields(fields *ast.FieldList, report func(*ast.Ident), fset *token.FileSet) {
	documented := 0 // the line of the last field that is
	for _, f := range fields.List {
		at := fset.Position(f.Pos()).Line
		if f.Doc != nil || f.Comment != nil || f.Tag != nil || at == documented+1 {
			documented = fset.Position(f.End()).Line // a tag has the help text
			continue
		}
		for _, name := range f.Names {
			if name.IsExported() {
				report(name)
			}
		}
	}
}

func exportedBase(receiver ast.Expr) bool {
	if star, ok := receiver.(*ast.StarExpr); ok {
		receiver = star.X
	}
	id, ok := receiver.(*ast.Ident)
	return ok && id.IsExported()
}

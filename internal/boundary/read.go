package boundary

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Read parses the module at the root of fsys. It passes over what the go
// command passes over: testdata, folders that begin with a dot or an
// underscore, and modules inside the module.
func Read(fsys fs.FS) ([]File, error) {
	mod, err := fs.ReadFile(fsys, "go.mod")
	if err != nil {
		return nil, err
	}
	line, _, _ := strings.Cut(string(mod), "\n")
	module, ok := strings.CutPrefix(line, "module ")
	if !ok {
		return nil, fmt.Errorf("go.mod does not begin with the module's path: %q", line)
	}
	var files []File
	err = fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != ".":
			_, inner := fs.Stat(fsys, path.Join(name, "go.mod"))
			if inner == nil || d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") || strings.HasPrefix(d.Name(), "_") {
				return fs.SkipDir
			}
		case !d.IsDir() && path.Ext(name) == ".go":
			src, err := fs.ReadFile(fsys, name)
			if err != nil {
				return err
			}
			f, err := readFile(strings.TrimSpace(module), name, src)
			if err != nil {
				return err
			}
			files = append(files, f)
		}
		return nil
	})
	return files, err
}

func readFile(module, name string, src []byte) (File, error) {
	parsed, err := parser.ParseFile(token.NewFileSet(), name, src, parser.SkipObjectResolution)
	if err != nil {
		return File{}, err
	}
	f := File{Package: strings.TrimPrefix(path.Dir(name), "."), Name: path.Base(name)}
	system := make(map[string]bool) // the names under which packages with an environment are known here
	for _, spec := range parsed.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return File{}, err
		}
		known := path.Base(imported)
		if spec.Name != nil {
			known = spec.Name.Name
		}
		switch {
		case slices.Contains([]string{"os", "syscall", "golang.org/x/sys/unix"}, imported):
			system[known] = true
			if known == "." {
				f.Env = append(f.Env, `import . "`+imported+`"`)
			}
		case strings.HasPrefix(imported, "github.com/caarlos0/env"):
			f.Env = append(f.Env, imported)
		}
		if in, ours := strings.CutPrefix(imported, module+"/"); ours {
			imported = own + in
		} else if imported == module {
			imported = own
		}
		f.Imports = append(f.Imports, imported)
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			if pkg, ok := n.X.(*ast.Ident); ok && system[pkg.Name] && environment(n.Sel.Name) {
				f.Env = append(f.Env, pkg.Name+"."+n.Sel.Name)
			}
		case *ast.Field:
			if n.Tag != nil && strings.Contains(n.Tag.Value, `env:"`) {
				f.Env = append(f.Env, "a field's tag "+n.Tag.Value)
			}
		}
		return true
	})
	return f, nil
}

func environment(function string) bool {
	return slices.Contains([]string{"Getenv", "LookupEnv", "Environ", "ExpandEnv", "Setenv", "Unsetenv", "Clearenv"}, function)
}

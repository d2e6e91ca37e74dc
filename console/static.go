package console

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"strings"
)

//go:embed static
var staticFiles embed.FS

// assets are the static files by the names under which they are served. A name
// carries the digest of what is in the file, so that a browser may keep it for
// ever and meets a changed one under another name.
type assets struct {
	names map[string]string // file → name
	files map[string]asset  // name → file
}

type asset struct {
	kind string
	body []byte
}

func load() assets {
	a := assets{names: map[string]string{}, files: map[string]asset{}}
	kinds := map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
	entries, _ := fs.ReadDir(staticFiles, "static") // it is in the program
	for _, e := range entries {
		body, _ := fs.ReadFile(staticFiles, "static/"+e.Name())
		sum := sha256.Sum256(body)
		ext := path.Ext(e.Name())
		name := strings.TrimSuffix(e.Name(), ext) + "." + hex.EncodeToString(sum[:6]) + ext
		a.names[e.Name()], a.files[name] = name, asset{kinds[ext], body}
	}
	return a
}

// path is where a file is served.
func (a assets) path(file string) string { return files + a.names[file] }

func (a assets) serve(v *visit) {
	f, there := a.files[strings.TrimPrefix(v.r.URL.Path, files)]
	if !there {
		v.nothing()
		return
	}
	v.only(func(v *visit) error {
		v.w.Header().Set("Content-Type", f.kind)
		v.w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		_, _ = v.w.Write(f.body) // whoever hung up cannot be told
		return nil
	}, http.MethodGet)
}

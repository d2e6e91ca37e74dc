package console

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"strconv"
	"strings"

	"github.com/worksights/halo-connector/internal/control"
)

//go:embed templates
var templateFiles embed.FS

// templates are the pages by name, each with the frame and the shared parts.
type templates map[string]*template.Template

// parse reads all templates. They are in the program: one that does not parse
// is found by any test, and stops the start.
func (c *Console) parse() templates {
	funcs := template.FuncMap{
		"static": c.static.path,
		"count":  count,
		"things": things,
		"state":  stateOf,
		"kind":   kindWord,
		"reason": agentReason,
		"skip":   skipWord,
		"pct":    percent,
		"score":  score,
		"dict":   dict,
	}
	shared := template.Must(template.New("").Funcs(funcs).ParseFS(templateFiles, "templates/base.html", "templates/parts.html"))
	pages := templates{}
	names, _ := fs.Glob(templateFiles, "templates/*.html")
	for _, file := range names {
		name := strings.TrimSuffix(strings.TrimPrefix(file, "templates/"), ".html")
		if name == "base" || name == "parts" {
			continue
		}
		pages[name] = template.Must(template.Must(shared.Clone()).ParseFS(templateFiles, file))
	}
	return pages
}

// show answers with a page, whole or not at all.
func (v *visit) show(status int, name, title string, body any) error {
	v.Name, v.Title, v.Body = name, title, body
	var b bytes.Buffer
	if err := v.c.pages[name].ExecuteTemplate(&b, "base.html", v); err != nil {
		return fmt.Errorf("page %s: %w", name, err)
	}
	h := v.w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(b.Len()))
	v.w.WriteHeader(status)
	if v.r.Method != http.MethodHead {
		_, _ = v.w.Write(b.Bytes()) // whoever hung up cannot be told
	}
	return nil
}

// dict hands several values to a part.
func dict(pairs ...any) (map[string]any, error) {
	if len(pairs)%2 != 0 {
		return nil, fmt.Errorf("dict: a name without a value")
	}
	m := make(map[string]any, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		m[fmt.Sprint(pairs[i])] = pairs[i+1]
	}
	return m, nil
}

// count writes a number with its thousands apart.
func count(n any) string {
	s := strconv.FormatInt(whole(n), 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// whole is any of the integers that templates hand over.
func whole(n any) int64 {
	switch n := n.(type) {
	case int:
		return int64(n)
	case int64:
		return n
	case uint64:
		return int64(n)
	}
	return 0
}

// things is a number with its noun.
func things(n any, one, many string) string {
	if whole(n) == 1 {
		return "1 " + one
	}
	return count(n) + " " + many
}

// percent is a share that says 100 % only of all and 0 % only of nothing.
func percent(part, whole int64) string {
	if whole == 0 {
		return "–"
	}
	tenths := (part*1000 + whole/2) / whole
	if part < whole {
		tenths = min(tenths, 999)
	}
	if part > 0 {
		tenths = max(tenths, 1)
	}
	if tenths%10 == 0 {
		return fmt.Sprintf("%d %%", tenths/10)
	}
	return fmt.Sprintf("%d.%d %%", tenths/10, tenths%10)
}

// score is a sum of weights.
func score(f float64) string {
	if f >= 1000 {
		return count(int64(f + .5))
	}
	s := strconv.FormatFloat(f, 'f', 2, 64)
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
}

// Scopes, for templates.
func (v *visit) MayMap() bool    { return v.Can(control.ScopeMap) }
func (v *visit) MayManage() bool { return v.Can(control.ScopeManage) }

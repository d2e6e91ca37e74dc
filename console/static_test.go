package console_test

import (
	"fmt"
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/worksights/halo-connector/console/consoletest"
)

func TestStaticFilesAreNamedByWhatIsInThem(t *testing.T) {
	v := visit(t)
	names := regexp.MustCompile(`/console/-/[a-z.0-9]+`).FindAllString(v.get("/console/").text, -1)
	if len(names) != 3 {
		t.Fatalf("the page names %q", names)
	}
	for _, name := range names {
		a := v.get(name)
		a.shows(t, 200)
		if got := a.Header.Get("Cache-Control"); got != "public, max-age=31536000, immutable" {
			t.Errorf("%s: %s", name, got)
		}
		if a.Header.Get("Content-Security-Policy") == "" {
			t.Errorf("%s has no policy", name)
		}
	}
	v.get("/console/-/console.css").shows(t, 404)
}

func TestScriptAndStyleAreSmall(t *testing.T) {
	for file, most := range map[string]int{"static/console.css": 24 << 10, "static/console.js": 6 << 10} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Count(string(b), "\n")
		t.Logf("%s: %d bytes, %d lines", file, len(b), lines)
		if len(b) > most {
			t.Errorf("%s has %d bytes, at most %d", file, len(b), most)
		}
		if strings.HasSuffix(file, ".js") && lines > 150 {
			t.Errorf("%s has %d lines, at most 150", file, lines)
		}
	}
}

// style is the style sheet without comments: its tokens, and the rest.
func style(t *testing.T) (tokens map[string]string, rest string) {
	t.Helper()
	b, err := os.ReadFile("static/console.css")
	if err != nil {
		t.Fatal(err)
	}
	text := regexp.MustCompile(`(?s)/\*.*?\*/`).ReplaceAllString(string(b), "")
	root, rest, found := strings.Cut(text, "}")
	if !found || !strings.Contains(root, ":root") {
		t.Fatal("the sheet does not begin with its tokens")
	}
	tokens = map[string]string{}
	for _, m := range regexp.MustCompile(`--([a-z0-9-]+):\s*([^;]+);`).FindAllStringSubmatch(root, -1) {
		tokens[m[1]] = strings.TrimSpace(m[2])
	}
	return tokens, rest
}

func TestEveryValueIsAToken(t *testing.T) {
	tokens, rest := style(t)
	rest = regexp.MustCompile(`@media [^{]+\{`).ReplaceAllString(rest, "{") // a width of the window is no value
	for _, m := range regexp.MustCompile(`([a-z-]+)\s*:\s*([^;{}]+)[;}]`).FindAllStringSubmatch(rest, -1) {
		property, value := m[1], m[2]
		bare := regexp.MustCompile(`var\(--[a-z0-9-]+\)`).ReplaceAllString(value, "")
		bare = strings.ReplaceAll(bare, "oklch(from  l c h / ", "shadow(") // a token made lighter
		if bad := regexp.MustCompile(`#[0-9a-f]{3,8}\b|\b(rgb|hsl|oklch|lab)a?\(|[0-9.]+(px|rem|ch|vw|pt|cm)\b`).FindString(bare); bad != "" {
			t.Errorf("%s: %s has %s, which is no token", property, strings.TrimSpace(value), bad)
		}
		if strings.HasPrefix(property, "font-weight") && !strings.Contains(value, "var(--") {
			t.Errorf("%s: %s", property, value)
		}
		for _, use := range regexp.MustCompile(`var\(--([a-z0-9-]+)`).FindAllStringSubmatch(value, -1) {
			if tokens[use[1]] == "" && use[1] != "c" { // --c is the hue of a state, set where the state is
				t.Errorf("%s: %s uses a token that is not there", property, value)
			}
		}
	}
	numbered := func(prefix string) int {
		n := 0
		for name := range tokens {
			if regexp.MustCompile(`^` + prefix + `[0-9]+$`).MatchString(name) {
				n++
			}
		}
		return n
	}
	if n, sizes := numbered("n"), numbered("t"); n != 12 || sizes != 5 {
		t.Errorf("%d steps of the neutral ramp and %d sizes of type, want 12 and 5", n, sizes)
	}
	for name, value := range tokens {
		if strings.HasPrefix(name, "s") && strings.HasSuffix(value, "px") && name != "s0" {
			if px, err := strconv.Atoi(strings.TrimSuffix(value, "px")); err != nil || px%4 != 0 {
				t.Errorf("--%s: %s is off the grid of 4 px", name, value)
			}
		}
	}
}

// colour is one in linear light.
type colour struct{ r, g, b float64 }

// oklch reads "L% C H", as the sheet writes it.
func oklch(t *testing.T, s string) colour {
	t.Helper()
	var l, c, h float64
	if _, err := fmt.Sscanf(s, "%f%% %f %f", &l, &c, &h); err != nil {
		t.Fatalf("oklch(%s): %v", s, err)
	}
	l, h = l/100, h*math.Pi/180
	a, b := c*math.Cos(h), c*math.Sin(h)
	cube := func(x float64) float64 { return x * x * x }
	x, y, z := cube(l+.3963377774*a+.2158037573*b), cube(l-.1055613458*a-.0638541728*b), cube(l-.0894841775*a-1.291485548*b)
	in := func(v float64) float64 { return min(max(v, 0), 1) }
	return colour{
		in(4.0767416621*x - 3.3077115913*y + .2309699292*z), in(-1.2684380046*x + 2.6097574011*y - .3413193965*z),
		in(-.0041960863*x - .7034186147*y + 1.707614701*z),
	}
}

func (c colour) luminance() float64 { return .2126*c.r + .7152*c.g + .0722*c.b }

func contrast(a, b colour) float64 {
	x, y := a.luminance(), b.luminance()
	return (max(x, y) + .05) / (min(x, y) + .05)
}

func TestContrast(t *testing.T) {
	if black, white := oklch(t, "0% 0 0"), oklch(t, "100% 0 0"); math.Abs(contrast(black, white)-21) > .1 {
		t.Fatalf("black on white is %.1f: this proves nothing", contrast(black, white))
	}
	tokens, _ := style(t)
	pair := regexp.MustCompile(`light-dark\(oklch\(([^)]+)\), oklch\(([^)]+)\)\)`)
	at := func(name string, scheme int) colour {
		m := pair.FindStringSubmatch(tokens[name])
		if m == nil {
			t.Fatalf("--%s is %q", name, tokens[name])
		}
		return oklch(t, m[scheme])
	}
	least := 21.0
	for scheme, words := range []string{"", "light", "dark"} {
		if scheme == 0 {
			continue
		}
		check := func(front, back string, want float64) {
			t.Helper()
			got := contrast(at(front, scheme), at(back, scheme))
			if want == 4.5 {
				least = min(least, got)
			}
			if got < want {
				t.Errorf("%s: --%s on --%s is %.2f, want %.1f", words, front, back, got, want)
			}
		}
		for _, back := range []string{"n1", "n2", "n3", "n4"} {
			for _, text := range []string{"n10", "n11", "n12", "accent", "accent-strong", "good", "warn", "bad"} {
				check(text, back, 4.5)
			}
		}
		check("on-accent", "accent", 4.5)
		check("on-accent", "accent-strong", 4.5)
		check("n1", "bad", 4.5)
		for _, edge := range []string{"n7", "n8", "n9"} { // of a control, and of a glyph
			check(edge, "n1", 3)
		}
	}
	t.Logf("the least contrast of text is %.2f", least)
}

func TestEveryClassIsInTheSheet(t *testing.T) {
	_, rest := style(t)
	v := signedIn(t, consoletest.Operator)
	known := map[string]bool{}
	for _, m := range regexp.MustCompile(`\.([a-z][a-z0-9-]*)`).FindAllStringSubmatch(rest, -1) {
		known[m[1]] = true
	}
	for _, s := range states {
		for _, m := range regexp.MustCompile(` class="([^"]+)"`).FindAllStringSubmatch(v.get(s.path).text, -1) {
			for class := range strings.FieldsSeq(m[1]) {
				if !known[class] {
					t.Errorf("%s has the class %q, which the sheet does not draw", s.path, class)
					known[class] = true
				}
			}
		}
	}
}

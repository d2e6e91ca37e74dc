package harmless_test

import (
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/worksights/halo-connector/internal/harmless"
)

func TestWhatOthersWroteCanOnlyBeLookedAt(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"a name":                     {"Jane O'Neill", "Jane O'Neill"},
		"a name in another alphabet": {"王小明 Žofie محمد", "王小明 Žofie محمد"},
		"an escape sequence":         {"\x1b[2J\x1b]0;x\aJane", "\uFFFD[2J\uFFFD]0;x\uFFFDJane"},
		"one of eight bits":          {"\u009b31mJane", "\uFFFD31mJane"},
		"line breaks":                {"a\nb\r\nc\u2028d\u0085e", "a b  c d e"},
		"a tab":                      {"a\tb", "a b"},
		"a blank of another kind":    {"a\u00a0b\u3000c", "a b c"},
		"NUL":                        {"a\x00b", "a\uFFFDb"},
		"a direction turned round":   {"\u202Egpj.exe\u2066x\u2069\u200f", "\uFFFDgpj.exe\uFFFDx\uFFFD\uFFFD"},
		"zero width":                 {"\ufeffali\u200bce\u2060\u200d\u00ad", "\uFFFDali\uFFFDce\uFFFD\uFFFD\uFFFD"},
		"tags":                       {"a\U000E0061", "a\uFFFD"},
		"a filler":                   {"\u3164\u2800", "\uFFFD\uFFFD"},
		"not UTF-8":                  {"a\xffb", "a\uFFFDb"},
	} {
		if got := harmless.Text(c.in); got != c.want {
			t.Errorf("%s: %+q, want %+q", name, got, c.want)
		}
		if harmless.Is(c.in) != (c.in == c.want) {
			t.Errorf("%s: Is says %v", name, harmless.Is(c.in))
		}
	}
}

func FuzzNothingThatIsNotSeenIsLeft(f *testing.F) {
	f.Add("\x1b[31m")
	f.Fuzz(func(t *testing.T, s string) {
		got := harmless.Text(s)
		if !harmless.Is(got) {
			t.Errorf("%+q is left of %+q", got, s)
		}
		if i := strings.IndexFunc(got, func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) }); i >= 0 {
			t.Errorf("%+q is left of %+q", got, s)
		}
	})
}

func TestThePatternSaysTheSame(t *testing.T) {
	one := regexp.MustCompile("^" + harmless.Pattern() + "$")
	for r := range rune(0x10000) {
		if r >= 0xD800 && r <= 0xDFFF {
			continue
		}
		if is := harmless.Is(string(r)); one.MatchString(string(r)) != is {
			t.Errorf("%U: Is says %v", r, is)
		}
	}
}

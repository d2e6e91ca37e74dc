package main

import (
	"fmt"
	"strings"
	"testing"
)

func TestATableIsAlignedWhateverItsCellsAre(t *testing.T) {
	var c columns
	fmt.Fprintln(&c, "AGENT\tNAME\tSTATE")
	fmt.Fprintln(&c, "2\t王小明\tmatched")
	fmt.Fprintln(&c, "3\te\u0301va\tmatched")
	fmt.Fprintln(&c, "42\tBob \x1b[31m\tignored")
	fmt.Fprint(&c, "\na line of its own\n\n")
	fmt.Fprintln(&c, "x\ty")
	var out strings.Builder
	if err := c.flush(&out, 0); err != nil {
		t.Fatal(err)
	}
	want := `AGENT  NAME       STATE
2      王小明     matched
3      e` + "\u0301" + `va        matched
42     Bob ` + "\uFFFD" + `[31m  ignored

a line of its own

x  y
`
	if out.String() != want {
		t.Errorf("%s\nwant\n%s", out.String(), want)
	}
}

func TestATableFitsTheScreen(t *testing.T) {
	var c columns
	fmt.Fprintln(&c, "AGENT\tNAME\tE-MAIL\tSTATE")
	fmt.Fprintln(&c, "1234567\t"+strings.Repeat("王", 20)+"\t"+strings.Repeat("x", 60)+"@acme.example\tunmatched")
	var out strings.Builder
	if err := c.flush(&out, 60); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out.String()) {
		if n := wide(strings.TrimSuffix(line, "\n")); n > 60 {
			t.Errorf("%d places: %s", n, line)
		}
	}
	if got := out.String(); !strings.Contains(got, "1234567") || !strings.Contains(got, "unmatched") || strings.Count(got, "…") != 2 {
		t.Errorf("%s", got)
	}
}

package main

import (
	"bytes"
	"io"
	"os"
	"strings"
	"unicode"

	"golang.org/x/term"
	"golang.org/x/text/width"

	"github.com/worksights/halo-connector/internal/harmless"
)

// columns is written lines whose cells are separated by tabs, and aligns them:
// a column is as wide as its widest cell is on a screen, where a letter may take
// no place or two. What others wrote is made harmless here at the latest.
type columns struct{ text bytes.Buffer }

func (c *columns) Write(b []byte) (int, error) { return c.text.Write(b) }

// apart is between two columns.
const apart = "  "

// narrowest is how far a column is cut to make a line fit.
const narrowest = 8

// flush writes what was written, each run of lines with tabs as a table. most
// is the width of the screen; 0 where there is none, and nothing is cut.
func (c *columns) flush(w io.Writer, most int) error {
	var out strings.Builder
	var table [][]string
	end := func() {
		align(&out, table, most)
		table = nil
	}
	for line := range strings.Lines(c.text.String()) {
		cells := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		for i := range cells {
			cells[i] = harmless.Text(cells[i])
		}
		if len(cells) > 1 {
			table = append(table, cells)
			continue
		}
		end()
		out.WriteString(cells[0] + "\n")
	}
	end()
	_, err := io.WriteString(w, out.String())
	return err
}

func align(out *strings.Builder, table [][]string, most int) {
	var widths []int
	for _, row := range table {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], wide(cell))
		}
	}
	shrink(widths, most)
	for _, row := range table {
		var line strings.Builder
		for i, cell := range row {
			cell = cut(cell, widths[i])
			line.WriteString(cell)
			if i < len(row)-1 {
				line.WriteString(strings.Repeat(" ", widths[i]-wide(cell)) + apart)
			}
		}
		out.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
}

// shrink takes from the widest column until a line fits, or none can give.
func shrink(widths []int, most int) {
	if most <= 0 {
		return
	}
	total := len(apart) * (len(widths) - 1)
	for _, w := range widths {
		total += w
	}
	for ; total > most; total-- {
		widest := 0
		for i, w := range widths {
			if w > widths[widest] {
				widest = i
			}
		}
		if widths[widest] <= narrowest {
			return
		}
		widths[widest]--
	}
}

// wide is how many places of a screen a text takes.
func wide(s string) (n int) {
	for _, r := range s {
		n += places(r)
	}
	return n
}

func places(r rune) int {
	if unicode.In(r, unicode.Mn, unicode.Me) {
		return 0 // drawn over the letter before
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// cut shortens a text to so many places, and shows that it did.
func cut(s string, most int) string {
	if wide(s) <= most {
		return s
	}
	n := 0
	for i, r := range s {
		if n+places(r) > most-1 {
			return s[:i] + "…"
		}
		n += places(r)
	}
	return s
}

// screen is the width of the terminal that w is, or 0.
func screen(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok {
		return 0
	}
	n, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return n
}

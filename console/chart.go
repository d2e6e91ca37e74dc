package console

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/schemas"
)

// Charts are drawn by the server. Positions along a line are shares of it, so
// that a chart fits any width while its text keeps its size; heights are pixels.

// dayChart is a day on a line of its hours.
type dayChart struct {
	Height, Base int
	Hours        []hourMark
	Marks        []mark
	More         []moreMark
	Night        []part
}

type hourMark struct{ X, Words string }

type mark struct {
	X       string
	Y       int
	Kind    schemas.Kind
	Opacity string
	Title   string
}

// moreMark stands above a stack that is higher than the chart.
type moreMark struct {
	X string
	Y int
	N int
}

const (
	markStep  = 16 // from one mark of a stack to the next
	closeStep = 12 // in high stacks
	mostStack = 16
	hourShare = .3 // how wide an hour outside of the working day is in which nothing happened
)

// lineOfDay puts activities on a line of the day in a zone. An hour in which
// nothing happened, before 8 and after 18, takes less room. bin is how wide a
// stack is, in percent of the line; every n-th hour has its label.
func lineOfDay(all []control.Activity, date time.Time, zone *time.Location, bin float64, every int) dayChart {
	end := day(date.AddDate(0, 0, 1), zone)
	hours := int(math.Ceil(end.Sub(date).Hours())) // 23 to 25: clocks are put on and back
	busy := make([]bool, hours)
	for _, a := range all {
		if h := int(a.OccurredAt.Sub(date).Hours()); h >= 0 && h < hours {
			busy[h] = true
		}
	}
	at := make([]float64, hours+1)
	for h := range hours {
		wide := busy[h]
		if clock := date.Add(time.Duration(h) * time.Hour).In(zone).Hour(); clock >= 8 && clock < 18 {
			wide = true
		}
		at[h+1] = at[h] + hourShare
		if wide {
			at[h+1] = at[h] + 1
		}
	}
	total := at[hours]
	x := func(t time.Time) float64 {
		h := min(max(t.Sub(date).Hours(), 0), float64(hours))
		i := min(int(h), hours-1)
		return 100 * (at[i] + (h-float64(i))*(at[i+1]-at[i])) / total
	}
	c := dayChart{}
	stacks := map[int]int{}
	highest := 1
	for _, a := range slices.Backward(all) { // the API gives the newest first
		slot := int(x(a.OccurredAt) / bin)
		stacks[slot]++
		highest = max(highest, min(stacks[slot], mostStack+1))
	}
	step := markStep
	if highest > 6 {
		step = closeStep
	}
	c.Base = 8 + highest*step
	c.Height = c.Base + 24
	clear(stacks)
	over := map[int]int{}
	for _, a := range slices.Backward(all) {
		slot := int(x(a.OccurredAt) / bin)
		n := stacks[slot]
		stacks[slot]++
		if n >= mostStack {
			over[slot]++
			continue
		}
		c.Marks = append(c.Marks, mark{
			X: share(min((float64(slot)+.5)*bin, 100-bin/2)), Y: c.Base - 10 - n*step, Kind: a.Kind,
			Opacity: score(.6 + .4*float64(a.Weight)),
			Title:   fmt.Sprintf("%s %s, ticket %d", a.OccurredAt.In(zone).Format("15:04"), kindWord(a.Kind), a.Ticket),
		})
	}
	for slot, n := range over {
		c.More = append(c.More, moreMark{share((float64(slot) + .5) * bin), c.Base - 6 - mostStack*step, n})
	}
	slices.SortFunc(c.More, func(a, b moreMark) int { return slices.Compare([]byte(a.X), []byte(b.X)) })
	last, room := -100.0, 4.5*float64(every) // what a label needs
	labelled := every
	for 100/total*float64(labelled) < room {
		labelled *= 2
	}
	for h := range hours {
		t, width := date.Add(time.Duration(h)*time.Hour).In(zone), at[h+1]-at[h]
		if width < 1 {
			c.Night = append(c.Night, part{"", share(100 * at[h] / total), share(100*width/total + .05)})
		}
		begins := width == 1 && t.Hour()%labelled == 0
		ends := every == 1 && width < 1 && h > 0 && at[h]-at[h-1] == 1
		if x := 100 * at[h] / total; (begins || ends) && x-last >= room && x < 100-room/2 {
			c.Hours = append(c.Hours, hourMark{share(x), t.Format("15:04")})
			last = x
		} else if width == 1 && t.Hour()%every == 0 {
			c.Hours = append(c.Hours, hourMark{X: share(x)})
		}
	}
	return c
}

// barChart is events by day and kind.
type barChart struct {
	Height, Base int
	Lines        []gridLine
	Bars         []bar
	Labels       []barLabel
}

type gridLine struct {
	Y     int
	Words string
}

type bar struct {
	X, Width, Class, Title string
	Y, Height              int
}

type barLabel struct {
	X, Words string
	Alt      bool // left out where there is little room
	Last     bool // at the end of the line, which it must not pass
}

const plotHeight = 160

// barsByDay draws one bar a day, its kinds upon each other. Days without
// activity, which the API leaves out, are drawn as such.
func barsByDay(days []string, counts map[string]map[schemas.Kind]int64) barChart {
	c := barChart{Height: plotHeight + 32, Base: plotHeight + 8}
	most := int64(1)
	for _, d := range days {
		sum := int64(0)
		for _, n := range counts[d] {
			sum += n
		}
		most = max(most, sum)
	}
	top := nice(most)
	y := func(n int64) int { return int(math.Round(float64(plotHeight) * float64(n) / float64(top))) }
	for _, n := range []int64{0, top / 2, top} {
		if n == top/2 && top < 2 {
			continue
		}
		c.Lines = append(c.Lines, gridLine{c.Base - y(n), count(n)})
	}
	width := 100 / float64(max(1, len(days)))
	every := max(1, (len(days)+6)/7)
	for i, d := range days {
		date, _ := time.Parse(time.DateOnly, d)
		sum := int64(0)
		for j, k := range schemas.Kinds() {
			n := counts[d][k]
			if n == 0 {
				continue
			}
			low, high := y(sum), y(sum+n)
			sum += n
			c.Bars = append(c.Bars, bar{
				X: share(float64(i)*width + width*.12), Width: share(width * .76), Class: kindClasses[j%len(kindClasses)],
				Y: c.Base - high, Height: max(1, high-low), Title: fmt.Sprintf("%s: %s, %s", date.Format("Mon 2 Jan"), kindWord(k), count(n)),
			})
		}
		if n := len(days) - 1 - i; n%every == 0 {
			at := (float64(i) + .5) * width
			if n == 0 {
				at = 100
			}
			c.Labels = append(c.Labels, barLabel{share(at), date.Format("2 Jan"), n/every%2 == 1, n == 0})
		}
	}
	return c
}

// kindClasses are the fills of the kinds, in their order.
var kindClasses = []string{"k2", "k1", "k0", "k3"}

// nice is the next number that reads well on an axis.
func nice(n int64) int64 {
	for _, m := range []int64{2, 4, 6, 8} {
		if m >= n {
			return m
		}
	}
	for power := int64(1); ; power *= 10 {
		for _, m := range []int64{10, 12, 16, 20, 24, 30, 40, 50, 60, 80} {
			if m*power >= n {
				return m * power
			}
		}
	}
}

// heatMap is activities by weekday and hour.
type heatMap struct {
	Rows  []heatRow
	Hours []barLabel
}

type heatRow struct {
	Day   string
	Y     int
	Cells []heatCell
}

type heatCell struct {
	X, Title string
	Level    int
	N        int64
}

var weekdays = []string{"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"}

// heat draws the map. Levels go by the root: a quiet evening must differ from
// none, though the busiest hour is a hundred times as busy.
func heat(byHour [7][24]int64) heatMap {
	var m heatMap
	most := int64(1)
	for _, hours := range byHour {
		most = max(most, slices.Max(hours[:]))
	}
	for d, hours := range byHour {
		row := heatRow{Day: weekdays[d][:3], Y: d * 24}
		for h, n := range hours {
			cell := heatCell{X: share(float64(h) * 100 / 24), N: n, Title: fmt.Sprintf("%s %02d:00, %s", weekdays[d], h, things(n, "activity", "activities"))}
			if n > 0 {
				cell.Level = 1 + int(4.999*math.Sqrt(float64(n)/float64(most)))
				cell.Level = min(cell.Level, 5)
			}
			row.Cells = append(row.Cells, cell)
		}
		m.Rows = append(m.Rows, row)
	}
	for h := 0; h < 24; h += 3 {
		m.Hours = append(m.Hours, barLabel{share(float64(h) * 100 / 24), fmt.Sprintf("%02d", h), h%6 == 3, false})
	}
	return m
}

package config

import (
	"fmt"
	"slices"
	"strings"
)

// Strangers names the variables of environ that none of our programs reads and
// that are all but called like one: KAFKA_BROKER, HALO_ALLOWNETS. Others are
// none of our business; Kubernetes alone adds a dozen that begin with KAFKA_.
func Strangers(environ []string) (errs []error) {
	known := everyName()
	for _, entry := range environ {
		name, _, _ := strings.Cut(entry, "=")
		if len(name) < 7 || slices.Contains(known, name) {
			continue
		}
		for _, ours := range known {
			// Of a short name two letters are a quarter: another word.
			if len(ours) >= 7 && distance(strings.ToUpper(name), ours) <= min(2, len(ours)/5) {
				errs = append(errs, fmt.Errorf("%s: no program reads it; is %s meant?", name, ours))
				break
			}
		}
	}
	return errs
}

// everyName are the variables of all programs.
func everyName() (names []string) {
	for _, vars := range [][]Variable{
		Describe[Ingest](), Describe[Processor](), Describe[Sink](), Describe[Connect](), Describe[Local](), Describe[Topics](), Describe[Migrate](), Describe[Client](),
	} {
		for _, v := range vars {
			names = append(names, v.Name)
			if v.File {
				names = append(names, v.FileName())
			}
		}
	}
	return names
}

// distance is how many letters have to be added, taken away or replaced to make
// b of a (Levenshtein's).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			before, row[j+1] = row[j+1], min(before+cost, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}

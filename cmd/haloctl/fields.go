package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// jsonFlag is --json: alone for an answer as it came, with names for these of its
// members, or of its rows where it is a list.
type jsonFlag struct{ s *streams }

func (f jsonFlag) String() string { return "" }
func (f jsonFlag) Type() string   { return "fields" }

func (f jsonFlag) Set(text string) error {
	f.s.json, f.s.fields = text != "false", nil
	if text != "true" && text != "false" {
		f.s.fields = strings.Split(text, ",")
	}
	return nil
}

var severalFields = regexp.MustCompile(`^[a-z_]+(,[a-z_]+)+$`)

// joined makes "--json id,name" one word, as the flag's value is optional. A word
// behind --json names fields where the command takes none, or where it can be
// nothing else.
func joined(root *cobra.Command, args []string) []string {
	i := slices.Index(args, "--json")
	if i < 0 || i+1 == len(args) || strings.HasPrefix(args[i+1], "-") {
		return args
	}
	less := append(slices.Clone(args[:i+1]), args[i+2:]...)
	with, _, err := root.Find(args)
	without, _, errWithout := root.Find(less)
	if err != nil || errWithout != nil || with != without {
		return args // the word is the command
	}
	if !severalFields.MatchString(args[i+1]) && with.Args(with, []string{args[i+1]}) == nil {
		return args
	}
	less[i] = "--json=" + args[i+1]
	return less
}

// pick is what was asked for of an answer: of each row where it is a list. of is
// what was read from raw; it knows members that are left out where they are empty.
func (s *streams) pick(raw json.RawMessage, of any) (json.RawMessage, error) {
	rows, list := rowsOf(raw)
	known := memberNames(of, list)
	objects := make([]map[string]json.RawMessage, len(rows))
	for i, row := range rows {
		if err := json.Unmarshal(row, &objects[i]); err != nil {
			return nil, fmt.Errorf("%w: what is answered has no fields", errUsage)
		}
		for name := range objects[i] {
			if !slices.Contains(known, name) {
				known = append(known, name)
			}
		}
	}
	for _, name := range s.fields {
		if !slices.Contains(known, name) && (len(known) > 0 || name == "") {
			slices.Sort(known)
			return nil, fmt.Errorf("%w: --json: there is no field %q; there are %s", errUsage, name, strings.Join(known, ", "))
		}
	}
	var out bytes.Buffer
	for i, object := range objects {
		if i > 0 {
			out.WriteByte(',')
		}
		for j, name := range s.fields {
			value := object[name]
			if value == nil {
				value = json.RawMessage("null")
			}
			fmt.Fprintf(&out, "%c%q:%s", "{,"[min(j, 1)], name, value)
		}
		out.WriteByte('}')
	}
	if list {
		return json.RawMessage("[" + out.String() + "]"), nil
	}
	return out.Bytes(), nil
}

// rowsOf are the rows of an answer that is one list, perhaps with the cursor of the
// next page beside it; else the answer itself.
func rowsOf(raw json.RawMessage) (rows []json.RawMessage, list bool) {
	var object map[string]json.RawMessage
	if json.Unmarshal(raw, &object) != nil {
		return []json.RawMessage{raw}, false
	}
	delete(object, "next")
	for _, value := range object {
		if len(object) == 1 && json.Unmarshal(value, &rows) == nil && rows != nil {
			return rows, true
		}
	}
	return []json.RawMessage{raw}, false
}

// memberNames are the members of a struct, or with list of the rows of the list
// that it is.
func memberNames(of any, list bool) (names []string) {
	if of == nil {
		return nil
	}
	t := reflect.TypeOf(of)
	if list && t.Kind() == reflect.Struct {
		t = t.Field(0).Type
	}
	for t.Kind() == reflect.Slice || t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	for i := range t.NumField() {
		if name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ","); name != "" && name != "-" {
			names = append(names, name)
		}
	}
	return names
}

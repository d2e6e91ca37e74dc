package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/internal/harmless"
	"github.com/worksights/halo-connector/schemas"
)

const usersHelp = `FILE is CSV with a heading that names the columns user_id and email, in any order
and beside others; or JSON, [{"user_id":"…","email":"…"}]; "-" is standard input.
It is UTF-8 without a byte order mark.`

// readUsers reads a file of users. It refuses what may be a mistake: a file that
// was not written, or means other columns, must not end anybody's mapping.
func (s *streams) readUsers(file string) ([]control.User, error) {
	var b []byte
	var err error
	if file == "-" {
		b, err = io.ReadAll(s.in)
	} else {
		b, err = os.ReadFile(file)
	}
	if err != nil {
		return nil, fmt.Errorf("users: %w", err)
	}
	users, err := parseUsers(b)
	if err != nil {
		return nil, fmt.Errorf("users: %w", err)
	}
	return users, nil
}

func parseUsers(b []byte) ([]control.User, error) {
	switch {
	case bytes.HasPrefix(b, []byte{0xFF, 0xFE}), bytes.HasPrefix(b, []byte{0xFE, 0xFF}), bytes.IndexByte(b[:min(len(b), 64)], 0) >= 0:
		return nil, errors.New("the file is UTF-16; save it as UTF-8")
	case bytes.HasPrefix(b, []byte("\xEF\xBB\xBF")):
		return nil, errors.New("line 1 begins with a byte order mark; save the file as UTF-8 without one")
	case !utf8.Valid(b):
		return nil, errors.New("the file is not UTF-8")
	case len(bytes.TrimSpace(b)) == 0:
		return nil, errors.New("the file is empty; [] empties the directory")
	}
	var users []control.User
	var lines []string // where each user stands
	var err error
	if text := bytes.TrimSpace(b); text[0] == '[' || text[0] == '{' {
		users, lines, err = parseJSONUsers(text)
	} else {
		users, lines, err = parseCSVUsers(b)
	}
	if err != nil {
		return nil, err
	}
	seen := make(map[schemas.UserID]string, len(users))
	for i, u := range users {
		if fault := userFault(u); fault != "" {
			return nil, fmt.Errorf("%s: %s", lines[i], fault)
		}
		if at := seen[u.ID]; at != "" {
			return nil, fmt.Errorf("%s: the user stands at %s already", lines[i], at)
		}
		seen[u.ID] = lines[i]
	}
	return users, nil
}

func userFault(u control.User) string {
	for name, text := range map[string]string{"user_id": string(u.ID), "email": u.Email} {
		for _, r := range text {
			if !harmless.Is(string(r)) {
				return fmt.Sprintf("%s has the character %U, which is invisible or controls something", name, r)
			}
		}
	}
	if u.ID == "" {
		return "user_id is empty"
	}
	return ""
}

func parseJSONUsers(text []byte) (users []control.User, lines []string, err error) {
	if json.Unmarshal(text, &users) != nil || users == nil {
		return nil, nil, errors.New(`want JSON [{"user_id":"…","email":"…"}]`)
	}
	for i := range users {
		lines = append(lines, fmt.Sprintf("entry %d", i))
	}
	return users, lines, nil
}

func parseCSVUsers(b []byte) (users []control.User, lines []string, err error) {
	r := csv.NewReader(bytes.NewReader(b))
	r.FieldsPerRecord, r.TrimLeadingSpace = -1, true
	heading, err := r.Read()
	if err != nil {
		return nil, nil, fmt.Errorf("line 1: %w", err)
	}
	user, email := -1, -1
	for i, name := range heading {
		switch name = strings.ToLower(strings.TrimSpace(name)); name {
		case "user_id":
			if user >= 0 {
				return nil, nil, errTwice(name)
			}
			user = i
		case "email", "e-mail":
			if email >= 0 {
				return nil, nil, errTwice(name)
			}
			email = i
		}
	}
	if user < 0 || email < 0 {
		return nil, nil, headingFault(heading)
	}
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		line, _ := r.FieldPos(0)
		if err != nil {
			return nil, nil, fmt.Errorf("the columns cannot be read: %w", err)
		}
		if len(row) != len(heading) {
			return nil, nil, fmt.Errorf("line %d: %d columns, and the heading has %d", line, len(row), len(heading))
		}
		users = append(users, control.User{ID: schemas.UserID(strings.Trim(row[user], " ")), Email: strings.Trim(row[email], " ")})
		lines = append(lines, fmt.Sprintf("line %d", line))
	}
	if len(users) == 0 {
		return nil, nil, errors.New("there is a heading and nobody below it; [] in a JSON file empties the directory")
	}
	return users, lines, nil
}

func errTwice(column string) error {
	return fmt.Errorf("line 1: the heading names the column %s twice", column)
}

// headingFault says why the first line names no columns.
func headingFault(heading []string) error {
	all := strings.Join(heading, ",")
	for _, separator := range []struct{ char, name string }{{";", "semicolons"}, {"\t", "tabs"}, {"|", "bars"}} {
		if strings.Contains(all, separator.char) {
			return fmt.Errorf("line 1: the columns are separated by %s; want commas", separator.name)
		}
	}
	if slices.ContainsFunc(heading, func(s string) bool { return !harmless.Is(s) }) {
		return errors.New("line 1: the heading has an invisible character")
	}
	return errors.New("line 1: want a heading with the columns user_id and email")
}

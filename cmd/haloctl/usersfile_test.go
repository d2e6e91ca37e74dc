package main

import (
	"strings"
	"testing"
)

func TestAFileOfUsersIsReadByItsHeading(t *testing.T) {
	for name, text := range map[string]string{
		"in the usual order": "user_id,email\nu-1,a@x\nu-2,\n",
		"in another":         "email, User_ID\r\na@x,u-1\r\n,u-2\r\n",
		"beside others":      "name,user_id,team,E-Mail\n\"Doe, Jane\",u-1,t,a@x\nBob,u-2,t,\n",
		"JSON":               ` [{"user_id":"u-1","email":"a@x"},{"user_id":"u-2","email":null}]`,
	} {
		users, err := parseUsers([]byte(text))
		if err != nil || len(users) != 2 || users[0].ID != "u-1" || users[0].Email != "a@x" || users[1].ID != "u-2" || users[1].Email != "" {
			t.Errorf("%s: %+v, %v", name, users, err)
		}
	}
	if users, err := parseUsers([]byte("[]")); err != nil || len(users) != 0 {
		t.Errorf("[]: %+v, %v", users, err)
	}
}

func TestAFileThatMayBeAMistakeIsRefused(t *testing.T) {
	for name, c := range map[string]struct{ text, says string }{
		"empty":                             {" \n", "the file is empty"},
		"only a heading":                    {"user_id,email\n", "nobody below it"},
		"no heading":                        {"u-1,a@x\n", "line 1: want a heading"},
		"a column missing":                  {"user_id,mail\nu-1,a@x\n", "line 1: want a heading"},
		"semicolons":                        {"user_id;email\nu-1;a@x\n", "semicolons"},
		"tabs":                              {"user_id\temail\nu-1\ta@x\n", "tabs"},
		"a byte order mark":                 {"\ufeffuser_id,email\nu-1,a@x\n", "line 1 begins with a byte order mark"},
		"UTF-16":                            {"\xff\xfeu\x00s\x00e\x00r\x00", "UTF-16"},
		"UTF-16 without a mark":             {"u\x00s\x00e\x00r\x00", "UTF-16"},
		"another encoding":                  {"user_id,email\nu-1,j\xf6rg@x\n", "not UTF-8"},
		"an invisible character":            {"user_id,email\nu-1,a@x\n\u200balice,b@x\n", "line 3: user_id has the character U+200B"},
		"a mark in the middle":              {"user_id,email\nu-1,a@x\n\ufeffbob,b@x\n", "line 3: user_id has the character U+FEFF"},
		"a mark in JSON":                    {`[{"user_id":"\ufeffbob"}]`, "entry 0: user_id has the character U+FEFF"},
		"a blank that is none, in a column": {"user_id,email\nu-1,a\u00a0@x\n", "line 2: email has the character U+00A0"},
		"a column twice":                    {"user_id,email,user_id\nu-1,a@x,u-2\n", "names the column user_id twice"},
		"an invisible heading":              {"\u200buser_id,email\nu-1,a@x\n", "line 1: the heading has an invisible"},
		"a user without an id":              {"user_id,email\n,a@x\n", "line 2: user_id is empty"},
		"a user twice":                      {"user_id,email\nu-1,a@x\nu-2,b@x\nu-1,c@x\n", "line 4: the user stands at line 2"},
		"a column too many":                 {"user_id,email\nu-1,a@x,b\n", "line 2: 3 columns"},
		"an object":                         {`{"users":[]}`, "want JSON"},
		"null":                              {`[null`, "want JSON"},
	} {
		if users, err := parseUsers([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %+v, %v; want %q", name, users, err, c.says)
		}
	}
}

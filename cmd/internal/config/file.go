package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// largestSecret bounds what is read of a secret's file. A password or a DSN is
// a line; what is longer is another file, or one without an end.
const largestSecret = 64 << 10

// FileName is the variable that names a file with the value of v.
func (v Variable) FileName() string { return v.Name + "_FILE" }

func (v Variable) fileDescription() string {
	return "file whose one line is " + v.Name + ", in its place; read at start"
}

// secretFiles replaces in vars each NAME_FILE that one of known may have by
// NAME, with what the file holds.
//
// Containers get their secrets as files: a variable can be read by whoever may
// inspect the container. The parser has a tag for files too, but there the file
// is a second field: which of the two counts, the line's end and what is
// printed would then be every reader's affair. Here it is settled before the
// parser sees the environment, and a secret is one field.
//
// No error quotes a path: where somebody mistook one variable for the other it
// is the password.
func secretFiles(vars map[string]string, known []Variable) (errs []error) {
	for _, v := range known {
		path := vars[v.FileName()]
		if !v.File || path == "" {
			continue
		}
		if vars[v.Name] != "" {
			errs = append(errs, fmt.Errorf("%s, %s: both are set; want one of them", v.Name, v.FileName()))
			continue
		}
		value, err := secretIn(path)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", v.FileName(), err))
			continue
		}
		vars[v.Name] = value
	}
	return errs
}

// secretIn is the one line of the file at path, without its end: editors and
// echo write one, and no password of ours ends so.
func secretIn(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", pathless(err)
	}
	defer func() { _ = f.Close() }() // nothing was written
	b, err := io.ReadAll(io.LimitReader(f, largestSecret+1))
	value := strings.TrimRight(string(b), "\r\n")
	switch {
	case err != nil:
		return "", pathless(err)
	case len(b) > largestSecret:
		return "", fmt.Errorf("the file is longer than %d bytes", largestSecret)
	case value == "":
		return "", errors.New("the file is empty")
	case strings.ContainsAny(value, "\r\n\x00"):
		return "", errors.New("the file holds more than one line")
	}
	return value, nil
}

func pathless(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}

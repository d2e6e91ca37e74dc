package access

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/worksights/halo-connector/internal/rewrite"
	"github.com/worksights/halo-connector/schemas"
)

// New draws a token of 256 bits, adds its line to the file, which is made with
// mode 0600 where there is none, and returns the token: the one time that it
// can be seen. g says what it allows; its Digest is not used.
func New(path string, g Grant) (schemas.Secret, error) {
	if !validName(g.Name) {
		return "", ErrName
	}
	if g.Scope == None {
		g.Scope = Manage
	}
	var raw [32]byte
	_, _ = rand.Read(raw[:]) // never fails
	token := "hct_" + base64.RawURLEncoding.EncodeToString(raw[:])
	g.Digest = sha256.Sum256([]byte(token))
	err := rewrite.New(path, nil)
	if err == nil || errors.Is(err, fs.ErrExist) {
		err = rewrite.File(path, func(old []byte) ([]byte, error) {
			there, err := parse(old)
			if err != nil {
				return nil, err
			}
			if slices.ContainsFunc(there, func(e Grant) bool { return e.Name == g.Name }) {
				return nil, ErrTaken
			}
			if len(old) > 0 && old[len(old)-1] != '\n' {
				old = append(old, '\n')
			}
			return append(old, g.line()...), nil
		})
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	return schemas.Secret(token), nil
}

// line is the grant as it stands in the file.
func (g Grant) line() string {
	tenants := "*"
	if len(g.Tenants) > 0 {
		names := make([]string, len(g.Tenants))
		for i, t := range g.Tenants {
			names[i] = string(t)
		}
		tenants = strings.Join(names, ",")
	}
	line := g.Name + " " + hex.EncodeToString(g.Digest[:]) + " " + tenants
	if g.Scope != Manage || !g.Until.IsZero() {
		line += " " + g.Scope.String()
	}
	if !g.Until.IsZero() {
		line += " " + g.Until.UTC().Format(time.RFC3339)
	}
	return line + "\n"
}

// List are the tokens of a file, in its order.
func List(path string) ([]Grant, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	grants, err := parse(content)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return grants, nil
}

// Revoke takes the token of that name out of the file. Lines that are bad, and
// those of others, stay as they are: a token is lost most often when nobody has
// time to mend a file.
func Revoke(path, name string) error {
	err := rewrite.File(path, func(old []byte) ([]byte, error) {
		var left bytes.Buffer
		for line := range bytes.Lines(old) {
			if fields := strings.Fields(string(line)); len(fields) == 0 || fields[0] != name {
				left.Write(line)
			}
		}
		if left.Len() == len(old) {
			return nil, ErrNone
		}
		return left.Bytes(), nil
	})
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

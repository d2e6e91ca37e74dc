package config

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"text/tabwriter"

	"github.com/caarlos0/env/v11"
)

// Checked is a configuration that can say what is wrong with it.
type Checked interface{ Validate() error }

// Load reads the configuration from environ and checks it whole. The error
// names each variable at fault and says what it wants.
func Load[T Checked](environ []string) (T, error) {
	vars := env.ToMap(environ)
	unread := append(blanks(vars, Describe[T]()), secretFiles(vars, Describe[T]())...)
	cfg, err := env.ParseAsWithOptions[T](env.Options{Environment: vars})
	unparsed := explained[T](err, vars)
	if len(unparsed) > 0 {
		// Once more without them: their defaults stand in, so that what is wrong
		// with the others is said too.
		cfg, err = env.ParseAsWithOptions[T](env.Options{Environment: vars})
	}
	if err != nil {
		return cfg, joined(unread, unparsed, []error{err})
	}
	return cfg, joined(unread, unparsed, each(cfg.Validate()))
}

// blanks refuses variables that are set and empty, where nothing says what that
// means: the default would stand in for what a template did not fill, and an
// empty KAFKA_BROKERS would be a broker on loopback. It removes them from vars.
func blanks(vars map[string]string, known []Variable) (errs []error) {
	for _, v := range known {
		if value, set := vars[v.Name]; !set || value != "" || strings.Contains(v.Description, "empty: ") {
			continue
		}
		if v.File && vars[v.FileName()] != "" {
			continue
		}
		delete(vars, v.Name)
		if v.Default != "" {
			errs = append(errs, fmt.Errorf("%s: set and empty; leave it out for %s", v.Name, v.Default))
		} else {
			errs = append(errs, fmt.Errorf("%s: set and empty; leave it out, or say what is meant", v.Name))
		}
	}
	return errs
}

// explained replaces the parser's errors, which name Go's fields and quote the
// value, by ones that name the variable and what it wants. It removes those
// variables from environ.
func explained[T any](err error, environ map[string]string) (errs []error) {
	agg, ok := errors.AsType[env.AggregateError](err)
	if !ok {
		return nil
	}
	vars := Describe[T]()
	for _, e := range agg.Errors {
		p, ok := errors.AsType[env.ParseError](e)
		if !ok {
			continue
		}
		for _, v := range vars {
			if v.field == p.Name {
				errs = append(errs, fmt.Errorf("%s: not a %s (%s)", v.Name, typeWord(v.typ), v.Description))
				delete(environ, v.Name)
			}
		}
	}
	return errs
}

func typeWord(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "truth value: true or false"
	case reflect.Int64:
		if t.Name() == "Duration" {
			return "duration such as 500ms or 5m"
		}
		return "whole number"
	case reflect.Int, reflect.Int16, reflect.Int32:
		return "whole number"
	case reflect.Float32, reflect.Float64:
		return "number"
	}
	return "valid value"
}

// Variable is one variable of an environment.
type Variable struct {
	Name, Default, Description string

	// File says that in place of this one a variable NAME_FILE may be given, the
	// name of a file that holds the value.
	File bool

	field string
	typ   reflect.Type
	index []int
}

// Describe lists the variables of T, in the order in which they are declared.
func Describe[T any]() []Variable { return describe(reflect.TypeFor[T](), nil) }

func describe(t reflect.Type, at []int) []Variable {
	var vars []Variable
	for i := range t.NumField() {
		f := t.Field(i)
		index := append(append([]int(nil), at...), i)
		if f.Anonymous {
			vars = append(vars, describe(f.Type, index)...)
			continue
		}
		vars = append(vars, Variable{
			Name:        f.Tag.Get("env"),
			Default:     f.Tag.Get("envDefault"),
			Description: f.Tag.Get("desc"),
			File:        f.Tag.Get("secret") == "file",
			field:       f.Name,
			typ:         f.Type,
			index:       index,
		})
	}
	return vars
}

// Print writes the configuration in force as NAME=value lines, secrets
// redacted.
func Print[T any](w io.Writer, cfg T) error {
	for _, v := range Describe[T]() {
		value := reflect.ValueOf(cfg).FieldByIndex(v.index)
		text := fmt.Sprint(value.Interface())
		if value.Kind() == reflect.Slice {
			parts := make([]string, value.Len())
			for i := range parts {
				parts[i] = fmt.Sprint(value.Index(i).Interface())
			}
			text = strings.Join(parts, ",")
		}
		// An address that holds a password is refused, but printed before that.
		at, colon := strings.LastIndex(text, "@"), strings.Index(text, ":")
		plain := value.Type() == reflect.TypeFor[string]() || value.Type() == reflect.TypeFor[[]string]()
		if plain && 0 <= colon && colon < at {
			text = "[redacted]"
		}
		if _, err := fmt.Fprintf(w, "%s=%s\n", v.Name, text); err != nil {
			return err
		}
	}
	return nil
}

// Usage writes the variables of T for people.
func Usage[T any](w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, v := range Describe[T]() {
		def := v.Default
		if def == "" {
			def = "-"
		}
		fmt.Fprintf(tw, "  %s\t%s\t%s\n", v.Name, def, v.Description)
		if v.File {
			fmt.Fprintf(tw, "  %s\t-\t%s\n", v.FileName(), v.fileDescription())
		}
	}
	return tw.Flush()
}

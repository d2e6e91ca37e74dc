package console

import (
	"reflect"
	"strings"
	"unicode"
)

// clean takes out of a text what would mislead its reader: characters that
// reorder what stands beside them, that show as nothing, or that control. A name
// in Halo that holds one looks like another name, or turns the line that it is
// in. What remains is escaped by the templates.
func clean(s string) string {
	if !strings.ContainsFunc(s, misleads) {
		return s
	}
	return strings.Map(func(r rune) rune {
		switch {
		case !misleads(r):
			return r
		case unicode.IsSpace(r):
			return ' '
		}
		return -1
	}, s)
}

func misleads(r rune) bool {
	return r != ' ' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r) ||
		unicode.Is(unicode.Co, r) || r == '\u3164' || r == '\u115f' || r == '\u1160' || r == '\uffa0' || r == '\u2800')
}

// cleanAll cleans every text that can be reached from a pointer. It is done once,
// where an answer of the API comes in, so that no page can forget it.
func cleanAll(out any) { cleanValue(reflect.ValueOf(out)) }

func cleanValue(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		if v.CanSet() {
			v.SetString(clean(v.String()))
		}
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return
		}
		if v.Kind() == reflect.Interface { // of a map of facts: what it holds cannot be set in place
			inner := reflect.New(v.Elem().Type()).Elem()
			inner.Set(v.Elem())
			cleanValue(inner)
			if v.CanSet() {
				v.Set(inner)
			}
			return
		}
		cleanValue(v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				cleanValue(v.Field(i))
			}
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			cleanValue(v.Index(i))
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			value := reflect.New(v.Type().Elem()).Elem()
			value.Set(v.MapIndex(key))
			cleanValue(value)
			v.SetMapIndex(key, value)
		}
	}
}

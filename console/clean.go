package console

import (
	"reflect"

	"github.com/worksights/halo-connector/internal/harmless"
)

// cleanAll makes every text harmless that can be reached from a pointer. It is
// done once, where an answer of the API comes in, so that no page can forget it.
// What remains is escaped by the templates.
func cleanAll(out any) { cleanValue(reflect.ValueOf(out)) }

func cleanValue(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		if v.CanSet() {
			v.SetString(harmless.Text(v.String()))
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

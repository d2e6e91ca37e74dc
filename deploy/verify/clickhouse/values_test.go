package clickhouse

import (
	"fmt"
	"reflect"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// newValue is what a column is scanned into.
func newValue(c driver.ColumnType) any { return reflect.New(c.ScanType()).Interface() }

// text is a scanned value as people write it: days without a time, times with
// their zone.
func text(v any) string {
	switch v := reflect.ValueOf(v).Elem().Interface().(type) {
	case time.Time:
		if v.Equal(v.Truncate(24*time.Hour)) && v.Location() == time.UTC {
			return v.Format(time.DateOnly)
		}
		return v.Format("2006-01-02T15:04:05.999-07:00")
	default:
		return fmt.Sprint(v)
	}
}

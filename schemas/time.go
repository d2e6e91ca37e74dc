package schemas

import "time"

// Epoch stands for "Halo gave no time". Records always carry an event time,
// because it is part of the key under which ClickHouse folds repeats.
var Epoch = time.Unix(0, 0).UTC()

// How far an event's own time may lie from its arrival and still be shown.
// Deliveries were seen 79 s late on live tenants; Halo's delivery log lets an
// admin send old ones again, and keeps them for weeks. Ten minutes forward is
// what two badly set clocks differ by.
const (
	OccurredBefore = 31 * 24 * time.Hour
	OccurredAfter  = 10 * time.Minute
)

// Truncate gives t as records hold it: UTC, whole milliseconds, no monotonic
// reading.
func Truncate(t time.Time) time.Time {
	return time.UnixMilli(t.UnixMilli()).UTC()
}

// OccurredAt is the time that people see: eventTime where it lies within 31
// days before and 10 minutes after the arrival, else the arrival.
func OccurredAt(eventTime, receivedAt time.Time) time.Time {
	if eventTime.Before(receivedAt.Add(-OccurredBefore)) || eventTime.After(receivedAt.Add(OccurredAfter)) {
		return receivedAt
	}
	return eventTime
}

// appendTime writes RFC 3339 in UTC with exactly three decimals, quoted. The
// width is fixed, so that records compare and sort as text too.
func appendTime(dst []byte, t time.Time) []byte {
	t = t.UTC()
	year, month, day := t.Date()
	hour, minute, sec := t.Clock()
	dst = append(dst, '"')
	dst = appendDigits(dst, year, 4)
	dst = append(dst, '-')
	dst = appendDigits(dst, int(month), 2)
	dst = append(dst, '-')
	dst = appendDigits(dst, day, 2)
	dst = append(dst, 'T')
	dst = appendDigits(dst, hour, 2)
	dst = append(dst, ':')
	dst = appendDigits(dst, minute, 2)
	dst = append(dst, ':')
	dst = appendDigits(dst, sec, 2)
	dst = append(dst, '.')
	dst = appendDigits(dst, t.Nanosecond()/1e6, 3)
	return append(dst, 'Z', '"')
}

func appendDigits(dst []byte, v, width int) []byte {
	dst = append(dst, "0000"[:width]...)
	for i := len(dst) - 1; width > 0; i, width = i-1, width-1 {
		dst[i] = byte('0' + v%10)
		v /= 10
	}
	return dst
}

// parseTime reads RFC 3339. The form that appendTime writes is read without
// the general parser, which costs ten times as much; three times stand in
// every event.
func parseTime(b []byte) (time.Time, bool) {
	if t, ok := parseFixedTime(b); ok {
		return t, true
	}
	t, err := time.Parse(time.RFC3339Nano, string(b))
	if err != nil {
		return time.Time{}, false
	}
	return Truncate(t), true
}

// Expired says whether the event of a delivery may have been kept before and
// removed again, where rows are kept for so many months after their arrival (0:
// for ever). Written once more, it would be shown as new. A first delivery is
// never so late: Halo keeps what it sent for weeks.
//
// It depends on the record alone, so that a replay gives the same rows. Times
// before 2020, which is before all Halo, are clocks that were never set.
func Expired(eventTime, receivedAt time.Time, months int) bool {
	if months <= 0 || eventTime.Year() < 2020 {
		return false
	}
	// The first arrival may be earlier than Halo's clock says.
	return eventTime.Add(-OccurredAfter).AddDate(0, months, 0).Before(receivedAt)
}

package console

import (
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"time"
)

// zoneCookie holds the viewer's time zone: no secret, and nothing is allowed by
// it. The script sets it from the browser; without script the pages that need
// one have a field for it.
const zoneCookie = "halo-zone"

// zoneOf is the zone in which the viewer sees times: the address says it, else
// the cookie, else UTC.
func (v *visit) zoneOf() *time.Location {
	if v.reads() {
		if name := v.r.URL.Query().Get("zone"); name != "" {
			if zone, ok := zoneNamed(name); ok {
				return zone
			}
		}
	}
	if c, err := v.r.Cookie(zoneCookie); err == nil {
		if zone, ok := zoneNamed(strings.ReplaceAll(c.Value, "%2F", "/")); ok {
			return zone
		}
	}
	return time.UTC
}

// zoneNamed looks a zone up. "Local" would be the server's, which is nobody's.
func zoneNamed(name string) (*time.Location, bool) {
	if name == "" || name == "Local" || len(name) > 64 || strings.Contains(name, "..") {
		return nil, false
	}
	zone, err := time.LoadLocation(name)
	return zone, err == nil
}

// zoneFrom remembers the zone that a form names.
func (v *visit) zoneFrom(name string) {
	if zone, ok := zoneNamed(name); ok {
		v.zone = zone
		http.SetCookie(v.w, &http.Cookie{Name: zoneCookie, Value: name, Path: Prefix, MaxAge: 365 * 24 * 3600, Secure: v.encrypted(), SameSite: http.SameSiteLaxMode})
	}
}

// Zone is its name.
func (v *visit) Zone() string { return v.zone.String() }

// Ago is a time as it is read, with the instant in full behind it. A missing one
// is "never".
func (v *visit) Ago(at any) template.HTML {
	t, ok := instant(at)
	if !ok {
		return "never"
	}
	return v.stamp(t, ago(v.now, t.In(v.zone)))
}

// Clock is the time of day, with the instant in full behind it.
func (v *visit) Clock(at any) template.HTML {
	t, ok := instant(at)
	if !ok {
		return "–"
	}
	return v.stamp(t, t.In(v.zone).Format("15:04"))
}

// Date is the day and the time of day.
func (v *visit) Date(at any) template.HTML {
	t, ok := instant(at)
	if !ok {
		return "–"
	}
	return v.stamp(t, t.In(v.zone).Format("2 Jan 2006, 15:04"))
}

func (v *visit) stamp(t time.Time, words string) template.HTML {
	local := t.In(v.zone)
	return template.HTML(fmt.Sprintf(`<time datetime="%s" title="%s">%s</time>`, // made of digits and of names that the zone database has
		local.Format(time.RFC3339), template.HTMLEscapeString(local.Format("Monday 2 January 2006, 15:04:05 MST")), template.HTMLEscapeString(words)))
}

func instant(at any) (time.Time, bool) {
	switch t := at.(type) {
	case time.Time:
		return t, !t.IsZero()
	case *time.Time:
		if t != nil {
			return *t, !t.IsZero()
		}
	}
	return time.Time{}, false
}

// ago puts a time in words: exact enough to act upon, and short.
func ago(now, t time.Time) string {
	since := now.Sub(t)
	switch {
	case since < -time.Minute:
		return t.Format("2 Jan 2006, 15:04")
	case since < 5*time.Second:
		return "just now"
	case since < time.Minute:
		return fmt.Sprintf("%d seconds ago", int(since.Seconds()))
	case since < 2*time.Minute:
		return "1 minute ago"
	case since < time.Hour:
		return fmt.Sprintf("%d minutes ago", int(since.Minutes()))
	case since < 2*time.Hour:
		return "1 hour ago"
	case since < 24*time.Hour:
		return fmt.Sprintf("%d hours ago", int(since.Hours()))
	case since < 48*time.Hour:
		return "1 day ago"
	case since < 7*24*time.Hour:
		return fmt.Sprintf("%d days ago", int(since.Hours()/24))
	case t.Year() == now.In(t.Location()).Year():
		return t.Format("2 Jan")
	}
	return t.Format("2 Jan 2006")
}

// day is the beginning of a day in a zone. Days are not always 24 hours long, and
// do not always begin at midnight.
func day(t time.Time, zone *time.Location) time.Time {
	y, m, d := t.In(zone).Date()
	return time.Date(y, m, d, 0, 0, 0, 0, zone)
}

package halopsa

import (
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/worksights/halo-connector/schemas"
)

func TestNumbersAreWholeOrNone(t *testing.T) {
	for in, want := range map[string]string{
		"0": "0", "-0": "0", "7": "7", "4242": "4242", "-4242": "-4242", "4242.0": "4242", "4242.000": "4242", "1e0": "1", "1E+2": "100", "42420e-1": "4242",
		"0.4242e4": "4242", "100": "100", "1.5e1": "15", "007": "7", "0.0": "0", "0e9": "0", "0e99999999999": "0", "0.000": "0", "10203": "10203", "1.0203e4": "10203",
		"9007199254740993": "9007199254740993", "18446744073709551615": "18446744073709551615", "1844674407370955161500e-2": "18446744073709551615",
		"1000000000000000000000e-20": "10",
		"18446744073709551616":       "", "99999999999999999999": "", "1e20": "", "1e99999999999999999999": "", "2e19": "", "4242.5": "", "0.1": "", "1e-1": "", "15e-1": "", "1e-99999999999": "",
		"": "", "-": "", ".": "", ".5": "", "+1": "", "e1": "", "1e": "", "1e+": "", "1.2.3": "", "1 2": "", "1,000": "", "0x10": "", "true": "", "null": "", "Closed": "", "4242 Kettle": "", "٤": "",
	} {
		m, negative, ok := whole([]byte(in))
		got := ""
		if ok {
			v := new(big.Int).SetUint64(m)
			if negative {
				v.Neg(v)
			}
			got = v.String()
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func FuzzWhole(f *testing.F) {
	for _, s := range []string{"4242", "4242.0", "1e0", "-1.50e1", "18446744073709551615", "10000e-3"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		m, negative, ok := whole([]byte(s))
		if strings.Trim(s, "0123456789.eE+-") != "" || len(s) > 40 {
			return
		}
		// big.Rat is the judge wherever it reads the number too, short of
		// exponents that would fill its memory.
		if e := strings.IndexAny(s, "eE"); e >= 0 && len(s)-e > 4 {
			return
		}
		r, valid := new(big.Rat).SetString(s)
		if strings.HasPrefix(s, "+") || strings.HasPrefix(strings.TrimPrefix(s, "-"), ".") {
			valid = false
		}
		want := valid && r.IsInt() && new(big.Int).Abs(r.Num()).IsUint64()
		if ok != want {
			t.Fatalf("%q: ok %v, want %v", s, ok, want)
		}
		if ok && (new(big.Int).Abs(r.Num()).Uint64() != m || negative != (r.Sign() < 0)) {
			t.Fatalf("%q: got %d %v", s, m, negative)
		}
	})
}

func TestTimesAreUTCAndSentinelsAreNone(t *testing.T) {
	for in, want := range map[string]string{
		"2026-10-02T14:03:27.4410387Z":      "2026-10-02T14:03:27.441Z",
		"2026-10-02T14:03:27.4419999999999": "2026-10-02T14:03:27.441Z",
		"2026-10-02T14:03:27.4":             "2026-10-02T14:03:27.4Z",
		"2026-10-02T14:03:27.":              "2026-10-02T14:03:27Z",
		"2026-10-02T14:03:27":               "2026-10-02T14:03:27Z",
		"2026-10-02t14:03:27z":              "2026-10-02T14:03:27Z",
		"2026-10-02 14:03:27":               "2026-10-02T14:03:27Z",
		"2026-10-02T14:03":                  "2026-10-02T14:03:00Z",
		"2026-10-02":                        "2026-10-02T00:00:00Z",
		"2026-10-02T14:03:27.5+02:00":       "2026-10-02T12:03:27.5Z",
		"2026-10-02T14:03:27-0530":          "2026-10-02T19:33:27Z",
		"2026-10-02T14:03:27+13":            "2026-10-02T01:03:27Z",
		"2024-02-29T00:00:00Z":              "2024-02-29T00:00:00Z",
		"1971-01-01T00:00:00Z":              "1971-01-01T00:00:00Z",
		"2299-12-31T23:59:59.999Z":          "2299-12-31T23:59:59.999Z",
		"1971-01-01T00:00:00+01:00":         "",
		"2299-12-31T23:59:59-01:00":         "",
		"1970-01-01T00:00:00Z":              "",
		"1899-12-30T00:00:00":               "",
		"1900-01-01T00:00:00":               "",
		"0001-01-01T00:00:00":               "",
		"2300-01-01T00:00:00Z":              "",
		"9999-12-31T23:59:59.9999999":       "",
		"2026-02-29T00:00:00Z":              "",
		"2026-13-01T00:00:00Z":              "",
		"2026-00-10T00:00:00Z":              "",
		"2026-10-00T00:00:00Z":              "",
		"2026-10-32T00:00:00Z":              "",
		"2026-10-02T24:00:00Z":              "",
		"2026-10-02T14:60:00Z":              "",
		"2026-10-02T14:03:60Z":              "",
		"2026-10-02T14:03:27+24:00":         "",
		"2026-10-02T14:03:27+":              "",
		"2026-10-02T14:03:27+2":             "",
		"2026-10-02T14:03:27+02:":           "",
		"2026-10-02T14:03:27Z!":             "",
		"2026-10-02T14:03:27 Europe/London": "",
		"2026-10-02X14:03:27":               "",
		"02/10/2026 14:03":                  "",
		"20261002T140327Z":                  "",
		"1759413807":                        "",
		"yesterday":                         "",
		"":                                  "",
		"2026-10-02T":                       "",
		"٢٠٢٦-10-02":                        "",
	} {
		got := ""
		if v, ok := parseTime([]byte(in)); ok {
			got = v.Format(time.RFC3339Nano)
			if v.Location() != time.UTC {
				t.Errorf("%q: not in UTC", in)
			}
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestKindsAreToldByName(t *testing.T) {
	for name, want := range map[string]schemas.Kind{
		"New ticket logged":                    schemas.TicketLogged,
		"New $#request Logged - All":           schemas.TicketLogged,
		"ticket_logged":                        schemas.TicketLogged,
		"NewIncidentLogged":                    schemas.TicketLogged,
		"new case logged - Team - Second Line": schemas.TicketLogged,
		"$#request Status Changed  - All":      schemas.StatusChanged,
		"ticket status changed":                schemas.StatusChanged,
		"ticket status changed -":              schemas.StatusChanged,
		"TICKET_STATUS_CHANGED_-_ALL":          schemas.StatusChanged,
		"Request Status  Changed":              schemas.StatusChanged,
		"Ticket Updated By Agent":              schemas.UpdatedByAgent,
		"incident updated by technician - All": schemas.UpdatedByAgent,
		"$#request Updated by $#technician":    schemas.UpdatedByAgent,
		"Ticket Updated by User - All":         schemas.UpdatedByUser,
		"case updated by end user":             schemas.UpdatedByUser,
		"Request updated by EndUser":           schemas.UpdatedByUser,
		"ticket updated by customer":           schemas.UpdatedByUser,

		"":                             "",
		" - All":                       "",
		"ticket":                       "",
		"new ticket status changed":    "",
		"new ticket updated by agent":  "",
		"ticket updated by":            "",
		"ticket updated by supplier":   "",
		"ticket updated by agent team": "",
		"opportunity status changed":   "",
		"ticket status changed-All":    "",
		"ticket status changed twice":  "",
		"status changed":               "",
		"tickets logged":               "",
		"ticket closed":                "",
		"SLA about to breach - All":    "",
	} {
		var buf [maxText]byte
		if got := kindOf(string(foldName([]byte(name), &buf))); got != want {
			t.Errorf("%q: got %q, want %q", name, got, want)
		}
	}
}

func TestNamesOfTheAllowListAreFoundInAnyCase(t *testing.T) {
	names := map[string]field{
		"id": fID, "ticket_id": fTicketID, "ticketid": fTicketid, "object_id": fObjectID, "objectid": fObjectid, "agent_id": fAgentID, "status_id": fStatusID,
		"tickettype_id": fTickettypeID, "hasbeenclosed": fHasbeenclosed, "last_update": fLastUpdate, "who_type": fWhoType, "who_agentid": fWhoAgentid,
		"actionby_agent_id": fActionbyAgentID, "old_status": fOldStatus, "new_status": fNewStatus, "datetime": fDatetime, "webhook_id": fWebhookID,
		"notification_id": fNotificationID, "escmsg_id": fEscmsgID, "event": fEvent, "timestamp": fTimestamp,
		"ticket": fTicket, "action": fAction, "actions": fActions, "object": fObject, "data": fData,
	}
	for name, want := range names {
		for _, spelling := range []string{name, strings.ToUpper(name), strings.ToUpper(name[:1]) + name[1:]} {
			if got := lookup([]byte(spelling)); got != want {
				t.Errorf("%s: field %d, want %d", spelling, got, want)
			}
		}
		for _, stranger := range []string{name + "s", "x" + name, name[1:], name + " ", strings.Repeat("x", len(name)), name[:1] + strings.Repeat("x", len(name)-1)} {
			if _, listed := names[stranger]; !listed && lookup([]byte(stranger)) != other {
				t.Errorf("%s is taken for %s", stranger, name)
			}
		}
	}
	if len(names) != int(fData) {
		t.Errorf("%d names are tested, %d are listed", len(names), fData)
	}
}

func TestTextResolvesEscapesWithinItsBound(t *testing.T) {
	long := strings.Repeat("x", maxText)
	for in, want := range map[string]string{
		`"a"`: "a", `" a "`: "a", `"\ta\n"`: "a", `"\u0041\/\"\\"`: `A/"\`, `"\u00e9"`: "é", `"a\b\f\r\tb"`: "a\b\f\r\tb", `12`: "12", `true`: "true", `""`: "", `" "`: "",
		`"\ud83d\ude00"`:                        "\ufffd\ufffd",
		`"` + long + `"`:                        long,
		`"` + long + `x"`:                       "",
		`"` + long + `\n"`:                      "",
		`"\n` + long + long + `"`:               "",
		`"` + strings.Repeat(long, 100) + `\n"`: "",
	} {
		var buf [maxText]byte
		if got := string(text([]byte(in), &buf)); got != want {
			t.Errorf("%.40s: got %q", in, got)
		}
	}
}

package halotest

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// A story is the content of a ticket: what it is about and whose it is. The
// people are made up and live in domains that are reserved for examples.
type story struct {
	subject, opening, category          string
	user, email, phone, company, domain string
}

// newStory draws one. The caller holds the lock, as for all draws here.
func (s *Sim) newStory() story {
	matter := pick(s, []struct{ category, subject, opening string }{
		{"Hardware>Printer", "Printer on floor %d prints blank pages", "Since this morning every page comes out blank. We changed the toner twice. There is a delivery note that must go out before noon."},
		{"Network>VPN", "VPN drops every %d minutes", "When I work from home the connection drops and I have to type the code again. My line is fine otherwise."},
		{"Email>Outlook", "Mailbox says it is %d%% full", "I cannot send any more. Could you move the old projects to the archive, please? The password hint is still the dog's name."},
		{"Accounts>Access", "New starter on the %dth needs access", "She needs the finance share, the payroll application and a badge for the north wing. Her manager has approved it by telephone."},
		{"Software>Accounting", "Month end run stops at step %d", "The run stops with a message about a locked period. Nobody has changed anything, and the bank file is due today."},
		{"Hardware>Laptop", "Laptop is very slow, %d minutes to start", "It got worse after the last updates. I have a presentation with a customer on Thursday."},
		{"Telephony>Handset", "Handset %d has no sound", "They can hear me but I cannot hear them. My colleague's handset works at the same desk."},
	})
	name := pick(s, []string{"Robin Sample", "Alex Placeholder", "Kim Testwell", "Jo Fictional", "Sam Imaginary", "Noor Specimen"})
	company, domain := "Example Carpets", "carpets.example"
	if s.random.IntN(2) == 0 {
		company, domain = "Sample Foods", "foods.example"
	}
	return story{
		subject: fmt.Sprintf(matter.subject, 2+s.random.IntN(90)), opening: matter.opening, category: matter.category,
		user: name, email: strings.ToLower(strings.ReplaceAll(name, " ", ".")) + "@" + domain,
		phone: fmt.Sprintf("+44 20 7946 0%03d", s.random.IntN(1000)), company: company, domain: domain,
	}
}

// reply is what an end user writes back.
func (s *Sim) reply() string {
	return pick(s, []string{
		"Thank you, that helped for an hour. Now it is back.",
		"I am in the office until five; you can take over my screen any time.",
		"Is there any news? My manager asks every day.",
		"Works again. You are stars!",
		"I have attached a photograph. The number on the sticker is 88-1204.",
	})
}

// note is what an agent writes.
func (s *Sim) note() string {
	return pick(s, []string{
		"Called the user, no answer. Left a message on the voicemail.",
		"Driver replaced, queue restarted. Waiting for the user to confirm.",
		"Licence assigned. Sync takes up to an hour; temporary password given by telephone.",
		"Escalated to the supplier under their reference 5512-B.",
		"User confirmed by telephone. Closing after the review on Friday.",
	})
}

func pick[T any](s *Sim, from []T) T { return from[s.random.IntN(len(from))] }

// initials of a name, as agents' rows carry them.
func initials(name string) string {
	var b strings.Builder
	for word := range strings.FieldsSeq(name) {
		first, _ := utf8.DecodeRuneInString(word)
		b.WriteRune(first)
	}
	return b.String()
}

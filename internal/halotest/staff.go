package halotest

import (
	"fmt"
	"strings"

	"github.com/worksights/halo-connector/schemas"
)

// Staff are n agents with lifelike names, numbered from 2, as a service desk of
// that size has them: most have an e-mail made of their name, some have none, some
// share one, some have left, and two are programs. The names are put together of
// two lists, so that each is new and none is anybody's; the addresses are in
// domains that are reserved for examples.
func Staff(n int) []Agent {
	first := []string{
		"Alva", "Bram", "Cleo", "Dov", "Enid", "Fitz", "Gwen", "Hale", "Ines", "Jorun", "Kit", "Lior", "Maren", "Nils", "Odile", "Pax", "Quill",
		"Runa", "Sorrel", "Tove", "Una", "Vesper", "Wren", "Xanthe", "Yorick", "Zelda",
	}
	last := []string{
		"Ashgrove", "Birchwater", "Cobblehurst", "Dunmarrow", "Elderfen", "Foxmantle", "Greywick", "Hollowell", "Inkpen-Moss", "Juniperly",
		"Kettlebrook", "Larkspurton", "Mistlethwaite", "Nettlefold-Vane", "Oakenshaw", "Pebbleton", "Quickthorn", "Rushmere", "Saltmarsh",
	}
	staff := make([]Agent, n)
	for i := range staff {
		// 26 and 19 have no common divisor: 494 different names.
		name := first[i%len(first)] + " " + last[i%len(last)]
		parts := strings.Fields(strings.ToLower(name))
		a := Agent{ID: schemas.AgentID(i + 2), Name: name, Email: parts[0] + "." + parts[1] + "@servicedesk.example"}
		switch {
		case i == n-1:
			a.Name, a.Email, a.API = "Application Identity", "", true
		case i == n-2:
			a.Name, a.Email, a.API = "Monitoring Bridge", "alerts@servicedesk.example", true
		case i%23 == 11:
			a.Email = "" // made in a hurry
		case i%29 == 17:
			a.Email = "frontdesk@servicedesk.example" // several share it
		case i%31 == 19:
			a.Disabled = true
		}
		staff[i] = a
	}
	return staff
}

// UserOf is the WorkSights user whom an agent of [Staff] is, and his e-mail there;
// ok is false for those who have none. One in nine goes by another address than in
// Halo, such as v.ashgrove, and is found by a suggestion only.
func UserOf(a Agent) (id, email string, ok bool) {
	parts := strings.Fields(strings.ToLower(a.Name))
	if a.API || a.ID%13 == 5 || len(parts) < 2 {
		return "", "", false
	}
	email = parts[0] + "." + parts[1] + "@servicedesk.example"
	if a.ID%9 == 4 {
		email = parts[0][:1] + "." + parts[1] + "@servicedesk.example"
	}
	return fmt.Sprintf("u-%04d", 1000+int(a.ID)), email, true
}

package console

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/internal/harmless"
	"github.com/worksights/halo-connector/schemas"
)

// columns of the file. What comes in needs agent_id, and one of user_id,
// user_email and state.
var columns = []string{"agent_id", "name", "email", "state", "user_id", "user_email", "why", "since"}

// agentsCSV writes the list as a file.
func (v *visit) agentsCSV() error {
	p, err := v.sound()
	if err != nil {
		return err
	}
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	_ = w.Write(columns) // into memory: it does not fail
	for _, a := range p.sorted() {
		row := []string{fmt.Sprint(a.ID), a.Name, a.Email, a.State, "", "", agentReason(a), ""}
		if a.UserID != nil {
			row[4], row[5] = string(*a.UserID), p.emails[*a.UserID]
		}
		if a.Since != nil {
			row[7] = a.Since.UTC().Format(time.RFC3339)
		}
		for i, cell := range row {
			row[i] = noFormula(cell)
		}
		_ = w.Write(row)
	}
	w.Flush()
	h := v.w.Header()
	h.Set("Content-Type", "text/csv; charset=utf-8")
	h.Set("Content-Disposition", fmt.Sprintf(`attachment; filename="%s-agents-%s.csv"`, v.tenant, v.now.UTC().Format(time.DateOnly)))
	_, _ = v.w.Write(b.Bytes()) // whoever hung up cannot be told
	return nil
}

// noFormula keeps a spreadsheet from taking a name for a formula.
func noFormula(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}

func unquoted(cell string) string {
	cell = strings.TrimSpace(harmless.Text(cell))
	if len(cell) > 1 && cell[0] == '\'' && strings.ContainsRune("=+-@", rune(cell[1])) {
		return cell[1:]
	}
	return cell
}

// importView is the import: the form, or what the file would do.
type importView struct {
	Error   string
	Checked bool
	CSV     string // the file, for the second step
	Rows    []importRow
	Wrong   []string
	Ends    int // mappings that end
	More    int // rows that are not shown
}

type importRow struct {
	Agent, Before, After string
	change               control.Assignment
}

// importCSV reads a file, shows what it would do, and does it when asked to.
func (v *visit) importCSV() error {
	text := v.r.FormValue("csv")
	if f, _, err := v.r.FormFile("file"); err == nil {
		defer f.Close()
		b, err := io.ReadAll(io.LimitReader(f, 2<<20))
		if err != nil {
			return control.Refuse(http.StatusBadRequest, "invalid", "The file could not be read.")
		}
		text = string(b)
	}
	p, err := v.sound()
	if err != nil {
		return err
	}
	view, err := p.readCSV(text)
	if err != nil {
		return v.show(http.StatusUnprocessableEntity, "import", "Import mappings", importView{Error: err.Error()})
	}
	if v.r.FormValue("sure") != "" && len(view.Wrong) == 0 {
		var all []control.Assignment
		for _, r := range view.Rows {
			all = append(all, r.change)
		}
		return v.apply("import", all)
	}
	view.CSV, view.Checked = text, true
	if more := len(view.Rows) - 200; more > 0 {
		view.Rows, view.More = view.Rows[:200], more
	}
	return v.show(http.StatusOK, "import", "Import mappings", view)
}

// readCSV finds what a file would change. What is in the file as it is now
// changes nothing, so that a list may be taken out, edited and brought back.
func (p people) readCSV(text string) (importView, error) {
	var view importView
	text = strings.TrimPrefix(strings.ToValidUTF8(text, "\uFFFD"), "\uFEFF")
	r := csv.NewReader(strings.NewReader(text))
	r.FieldsPerRecord, r.TrimLeadingSpace = -1, true
	head, err := r.Read()
	if errors.Is(err, io.EOF) {
		return view, errors.New("Choose a file.") //nolint:staticcheck // a sentence for people
	}
	at := map[string]int{}
	for i, name := range head {
		at[strings.ToLower(unquoted(name))] = i
	}
	if len(head) == 1 && strings.Contains(head[0], ";") {
		return view, errors.New("The columns are separated by semicolons. Save the file with commas.") //nolint:staticcheck // a sentence for people
	}
	if _, ok := at["agent_id"]; err != nil || !ok {
		return view, errors.New("The first line must name the columns, agent_id among them. Export the list to see how it looks.") //nolint:staticcheck // a sentence for people
	}
	seen := map[schemas.AgentID]bool{}
	for line := 2; ; line++ {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			view.Wrong = append(view.Wrong, fmt.Sprintf("Line %d cannot be read.", line))
			break
		}
		cell := func(name string) string {
			if i, ok := at[name]; ok && i < len(record) {
				return unquoted(record[i])
			}
			return ""
		}
		row, wrong := p.readRow(cell)
		switch {
		case wrong != "":
			view.Wrong = append(view.Wrong, fmt.Sprintf("Line %d: %s", line, wrong))
		case row != nil && seen[row.change.Agent]:
			view.Wrong = append(view.Wrong, fmt.Sprintf("Line %d: agent %d is in the file twice.", line, row.change.Agent))
		case row != nil:
			seen[row.change.Agent] = true
			view.Rows = append(view.Rows, *row)
			if p.agents[row.change.Agent].State == control.Matched && row.change.User == "" {
				view.Ends++
			}
		}
	}
	view.Wrong = slices.Clip(view.Wrong[:min(len(view.Wrong), 20)])
	return view, nil
}

// readRow is what one line would change; nil for nothing.
func (p people) readRow(cell func(string) string) (*importRow, string) {
	id, err := strconv.ParseUint(cell("agent_id"), 10, 63)
	a, known := p.agents[schemas.AgentID(id)]
	if err != nil || !known {
		return nil, fmt.Sprintf("Halo lists no agent %q.", cell("agent_id"))
	}
	row := &importRow{Agent: p.agent(a.ID), Before: stateOf(a.State).Word, change: control.Assignment{Agent: a.ID}}
	if a.UserID != nil {
		row.Before = p.address(*a.UserID)
	}
	user, email, state := schemas.UserID(cell("user_id")), cell("user_email"), strings.ToLower(cell("state"))
	unchanged := a.UserID != nil && *a.UserID == user
	if user == "" || unchanged && email != "" && !strings.EqualFold(p.emails[user], email) {
		if email != "" { // the e-mail was edited, or is all that there is
			found, _ := p.find(email)
			if found == "" {
				return nil, fmt.Sprintf("no user has the e-mail %q.", email)
			}
			user = found
		}
	}
	said := state != a.State && slices.Contains([]string{control.SetIgnored, control.SetUnmatched, control.SetAutomatic}, state)
	switch {
	case said && (user == "" || a.UserID != nil && *a.UserID == user):
		row.change.Set, row.After = state, sentence(state)
	case user == "" && a.UserID != nil:
		row.change.Set, row.After = control.SetUnmatched, "Unmatched"
	case user == "" || a.UserID != nil && *a.UserID == user:
		return nil, ""
	default:
		if _, known := p.emails[user]; !known {
			return nil, fmt.Sprintf("there is no user %q.", user)
		}
		row.change.User, row.After = user, p.address(user)
	}
	return row, ""
}

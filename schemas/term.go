package schemas

// HeaderEpoch is the record header that names the term in which connect wrote
// the record, in decimal digits. A record without it is of epoch 0.
const HeaderEpoch = "epoch"

// TermKey is the key of the markers that begin a term. No tenant has it: a
// tenant's id begins with a letter or a digit.
const TermKey = "_term"

// Term is the marker with which an instance of connect begins to act. Of an
// epoch the first marker counts; a record of an epoch below the greatest at a
// lower offset was written by an instance that acts no more, and counts for
// nothing.
type Term struct {
	Epoch    uint64 `json:"epoch"`    // above 0
	Instance string `json:"instance"` // who began it, for people
}

// AppendJSON appends the record's JSON form.
func (t Term) AppendJSON(dst []byte) []byte {
	w := writer{append(dst, '{')}
	w.uint("epoch", t.Epoch)
	w.string("instance", t.Instance)
	return append(w.b, '}')
}

// ParseTerm reads a record of schema [TermSchema]. Members that it does not
// know are ignored. Errors wrap [ErrMalformed].
func ParseTerm(b []byte) (Term, error) {
	var t Term
	if err := unmarshal(b, &t); err != nil {
		return Term{}, err
	}
	if t.Epoch == 0 {
		return Term{}, missing("epoch")
	}
	return t, nil
}

// MarshalJSON is AppendJSON, so that there is one form only.
func (t Term) MarshalJSON() ([]byte, error) { return t.AppendJSON(nil), nil }

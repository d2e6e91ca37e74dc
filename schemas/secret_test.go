package schemas

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestASecretIsNotWrittenOut(t *testing.T) {
	const text = "correct-horse"
	held := struct{ S Secret }{text}
	b, err := json.Marshal(held)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "s", held.S, "held", held)
	for _, out := range []string{
		string(b), log.String(), fmt.Sprint(held), fmt.Sprintf("%v %+v %#v %s %q %x", held, held, held, held.S, held.S, held.S),
	} {
		if strings.Contains(out, text) || strings.Contains(out, fmt.Sprintf("%x", text)) {
			t.Errorf("the secret is in %s", out)
		}
	}
	if held.S.Reveal() != text || Secret("").String() != "" {
		t.Error("a secret must be readable on purpose, and an empty one seen as empty")
	}
	var back Secret
	if err := json.Unmarshal([]byte(`"correct-horse"`), &back); err != nil || back.Reveal() != text {
		t.Errorf("read as %q, %v", back.Reveal(), err)
	}
}

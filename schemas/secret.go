package schemas

import "log/slog"

// Secret is a text that must not be seen: a credential, a token, a password.
//
// Every common way of writing a value out (fmt, log/slog, encoding/json, text)
// gives "[redacted]", or "" for an empty Secret so that "is it set?" can be
// read. The one way to the text is [Secret.Reveal], which is easy to search
// for.
type Secret string

const redacted = "[redacted]"

// Reveal returns the text. Whoever calls it answers for where it goes.
func (s Secret) Reveal() string { return string(s) }

// String is "[redacted]".
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return redacted
}

// GoString is "[redacted]": %#v must not be a way around.
func (s Secret) GoString() string { return s.String() }

// MarshalText is "[redacted]". encoding/json uses it too.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText takes the text as it is.
func (s *Secret) UnmarshalText(b []byte) error {
	*s = Secret(b)
	return nil
}

// LogValue is "[redacted]".
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

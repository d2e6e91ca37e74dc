package build

import (
	"runtime/debug"
	"testing"
)

func TestABuildIsNamedByTheBestThatIsKnown(t *testing.T) {
	const hash = "458ce58aa11bb22cc33dd44ee55ff66778899001"
	vcs := func(dirty string) []debug.BuildSetting {
		return []debug.BuildSetting{{Key: "vcs", Value: "git"}, {Key: "vcs.revision", Value: hash}, {Key: "vcs.modified", Value: dirty}}
	}
	for name, c := range map[string]struct {
		told, module string
		settings     []debug.BuildSetting
		want         Info
		line         string
	}{
		"told, as an image is": {"v1.2.0", "(devel)", nil, Info{"v1.2.0", "unknown", "go1.26.8"}, "v1.2.0 go1.26.8"},
		"told, in a repository": {
			"v1.2.0", "v1.2.0", vcs("false"),
			Info{"v1.2.0", hash, "go1.26.8"},
			"v1.2.0 458ce58aa11b go1.26.8",
		},
		"told outweighs": {"v1.2.0", "v1.1.0", nil, Info{"v1.2.0", "unknown", "go1.26.8"}, "v1.2.0 go1.26.8"},
		"a tag":          {"", "v1.2.0", vcs("true"), Info{"v1.2.0", hash + "-dirty", "go1.26.8"}, "v1.2.0 458ce58aa11b-dirty go1.26.8"},
		"a pseudo-version says the revision": {
			"", "v0.0.0-20261125151700-458ce58aa11b", vcs("false"),
			Info{"v0.0.0-20261125151700-458ce58aa11b", hash, "go1.26.8"},
			"v0.0.0-20261125151700-458ce58aa11b go1.26.8",
		},
		"the revision alone": {"", "(devel)", vcs("true"), Info{hash + "-dirty", hash + "-dirty", "go1.26.8"}, hash + "-dirty go1.26.8"},
		"nothing":            {"", "(devel)", nil, Info{"unknown", "unknown", "go1.26.8"}, "unknown go1.26.8"},
	} {
		t.Run(name, func(t *testing.T) {
			got := of(c.told, &debug.BuildInfo{GoVersion: "go1.26.8", Main: debug.Module{Version: c.module}, Settings: c.settings})
			if got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
			if got.String() != c.line {
				t.Errorf("got %q, want %q", got, c.line)
			}
		})
	}
	if got := of("", new(debug.BuildInfo)); got != (Info{"unknown", "unknown", "unknown"}) {
		t.Errorf("of a binary that holds nothing: %+v", got)
	}
}

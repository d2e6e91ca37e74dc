package timeline_test

import (
	"testing"

	"github.com/worksights/halo-connector/internal/clickhousetest"
)

func TestMain(m *testing.M) { clickhousetest.Main(m) }

package fat

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// TestPlan looks at the sizes of clusters, which are Microsoft's, and where data begin.
func TestPlan(t *testing.T) {
	const mib = 1 << 20
	for _, c := range []struct{ sector, size, cluster int64 }{
		{512, 50 * mib, 512}, {512, 98 * mib, 1024}, {512, 198 * mib, 2048}, {512, 298 * mib, 4096}, {512, 1 << 30, 4096},
		{512, 10 << 30, 8192}, {512, 20 << 30, 16384}, {512, 64 << 30, 32768},
		{2048, 298 * mib, 4096}, {4096, 298 * mib, 4096}, {4096, 10 << 30, 8192}, {4096, 64 << 30, 32768},
	} {
		vol, err := Plan(&Tree{}, c.size, c.sector)
		if err != nil {
			t.Fatal(err)
		}
		if vol.cluster != c.cluster {
			t.Errorf("%d bytes in sectors of %d: clusters of %d bytes, want %d", c.size, c.sector, vol.cluster, c.cluster)
		}
		if vol.dataAt()%mib != 0 {
			t.Errorf("%d bytes in sectors of %d: data begin at byte %d", c.size, c.sector, vol.dataAt())
		}
	}
	// Names lie in one sector each, but for those that do not fit in one.
	names := &Tree{}
	for i := range 60 {
		if err := names.Add(strings.Repeat("name ", 1+i%40)+fmt.Sprint(i), Content{}); err != nil {
			t.Fatal(err)
		}
	}
	v, err := Mount(ram{formatted(t, names, 40*mib)})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range v.dirs[v.root].entries {
		if e.begin/512 != e.offset/512 && e.end()-e.begin <= 512 {
			t.Errorf("%s lies in two sectors", e.name)
		}
	}
	if n := len(v.dirs[v.root].entries); n != 60 {
		t.Errorf("%d names", n)
	}
	full := &Tree{}
	if err := full.Add("a file", Content{Size: 60 * mib}); err != nil {
		t.Fatal(err)
	}
	for _, size := range []int64{-1, 0, 20 * mib, 50 * mib} {
		if _, err := Plan(full, size, 512); !errors.Is(err, ErrTooSmall) {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
	if _, err := Plan(&Tree{}, 200*mib, 4096); !errors.Is(err, ErrTooSmall) {
		t.Errorf("200 MiB in sectors of 4096: %v", err)
	}
	for _, sector := range []int64{0, 256, 1000, 8192} {
		if _, err := Plan(&Tree{}, 1<<30, sector); err == nil || !strings.Contains(err.Error(), "no sectors of") {
			t.Errorf("sectors of %d: %v", sector, err)
		}
	}
}

// A label that does not fit is refused before anything is written.
func TestFormatLabel(t *testing.T) {
	for label, want := range map[string]string{
		"ELEVEN CHAR": "", "TWELVE CHARS": "longer than the 11", "a*b": "does not allow", "ALPHA.OS": "does not allow", "lower": "does not allow", " LEADING": "does not allow", "日本": "does not allow",
	} {
		v, err := Plan(&Tree{}, 40<<20, 512)
		if err != nil {
			t.Fatal(err)
		}
		v.Label = label
		out := &sink{}
		err = v.Write(out, 0)
		switch {
		case want == "" && err != nil:
			t.Errorf("%q: %v", label, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want) || out.n > 0):
			t.Errorf("%q: error %v after %d bytes; want %q", label, err, out.n, want)
		}
	}
}

// sink counts what is written, and keeps none of it.
type sink struct{ n int64 }

func (s *sink) Write(p []byte) (int, error)            { s.n += int64(len(p)); return len(p), nil }
func (s *sink) WriteAt(p []byte, _ int64) (int, error) { return s.Write(p) }
func (s *sink) Seek(off int64, _ int) (int64, error)   { return off, nil }

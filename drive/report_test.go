package drive_test

import (
	"errors"
	iofs "io/fs"
	"strings"
	"testing"
	"time"

	"alphaos/drive"
	"alphaos/drive/create"
	"alphaos/fs"
	"alphaos/fs/fat"
)

func TestSaveReport(t *testing.T) {
	dev := newVolume(t, create.Options{})
	day := time.Date(2026, 3, 1, 23, 59, 0, 0, time.UTC)
	for _, c := range []struct {
		now  time.Time
		want string
	}{
		{day, "/backup/machine-2026-03-01.txt"},
		{day, "/backup/machine-2026-03-01-2.txt"},
		{day, "/backup/machine-2026-03-01-3.txt"},
		{day.AddDate(0, 0, 1), "/backup/machine-2026-03-02.txt"},
		{time.Time{}, "/backup/machine-1980-01-01.txt"}, // a clock that was never set
		{time.Date(22000, 1, 1, 0, 0, 0, 0, time.UTC), "/backup/machine-1980-01-01-2.txt"},
	} {
		got, finish, err := mount(t, dev).SaveReport(c.now, []byte("too early"))
		if err == nil {
			err = finish([]byte("for " + c.want))
		}
		if err != nil || got != c.want {
			t.Errorf("at %v the report is %q, want %q: %v", c.now, got, c.want, err)
		}
	}
	d := mount(t, dev)
	for n := 1; n <= 3; n++ {
		name := drive.ReportPath(day, n)
		if got, err := iofs.ReadFile(d, name); err != nil || strings.TrimRight(string(got), "\n") != "for /"+name {
			t.Errorf("%s holds %q, %v", name, got, err)
		}
	}
	dev.protected = true
	if _, _, err := mount(t, dev).SaveReport(day, nil); !errors.Is(err, fs.ErrReadOnly) {
		t.Errorf("on a protected drive: %v", err)
	}
	full := mount(t, newVolume(t, create.Options{}))
	if _, _, err := full.SaveReport(day, make([]byte, 64<<20)); err == nil || !strings.HasPrefix(err.Error(), "the report cannot be saved on the drive: ") {
		t.Errorf("on a drive without room: %v", err)
	}
}

// A drive that a person filled by hand may have no such directory.
func TestSaveReportMakesItsDirectory(t *testing.T) {
	var tree fat.Tree
	if err := tree.Add(drive.EFIPath, fat.Bytes([]byte("x"))); err != nil {
		t.Fatal(err)
	}
	d := mount(t, byHand(t, &tree))
	name, _, err := d.SaveReport(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), []byte("x"))
	if err != nil || name != "/backup/machine-2026-03-01.txt" {
		t.Errorf("%q, %v", name, err)
	}
}

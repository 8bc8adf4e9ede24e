package drive

import (
	"bytes"
	"errors"
	"fmt"
	iofs "io/fs"
	"path"
	"time"

	"alphaos/fs"
)

// reportBase is where reports about the machine begin.
const reportBase = "backup/machine"

// ReportPath is where the nth report of a day is.
func ReportPath(day time.Time, n int) string {
	name := reportBase + day.Format("-2006-01-02")
	if n > 1 {
		name += fmt.Sprintf("-%d", n)
	}
	return name + ".txt"
}

// SaveReport saves a report about the machine in a new file and returns its path. It is the
// one file that AlphaOS adds to a drive. An older report stays.
func (d *Drive) SaveReport(now time.Time, text []byte) (name string, err error) {
	fail := func(err error) (string, error) {
		return "", fmt.Errorf("the report cannot be saved on the drive: %w", err)
	}
	if d.Device.ReadOnly() {
		return fail(fs.ErrReadOnly)
	}
	if now.Year() < 1980 || now.Year() > 2107 { // which FAT does not have
		now = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	if err := d.Mkdir(path.Dir(reportBase), now); err != nil && !errors.Is(err, iofs.ErrExist) {
		return fail(err)
	}
	const most = 999
	for n := 1; n <= most; n++ {
		name = ReportPath(now, n)
		err := d.Create(name, text, now)
		if errors.Is(err, iofs.ErrExist) {
			continue
		}
		if err != nil {
			return fail(err)
		}
		if got, err := d.ReadFile(name); err != nil {
			return fail(err)
		} else if !bytes.Equal(got, text) {
			return fail(errors.New("what was read back is not what was written"))
		}
		return name, nil
	}
	return fail(fmt.Errorf("there are %d of this day", most))
}

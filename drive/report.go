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

// reportRoom is how much longer a report may become than it was at first, in bytes.
const reportRoom = 16 << 10

// SaveReport saves a report about the machine in a new file and returns where that is. An older report stays. finish replaces the report by
// a longer one, in place.
func (d *Drive) SaveReport(now time.Time, text []byte) (where string, finish func(text []byte) error, err error) {
	wrap := func(err error) error {
		if err != nil {
			err = fmt.Errorf("the report cannot be saved on the drive: %w", err)
		}
		return err
	}
	if d.ReadOnly() {
		return "", nil, wrap(fs.ErrReadOnly)
	}
	v, base, err := d.On(reportBase)
	if err != nil {
		return "", nil, wrap(err)
	}
	now = v.stamp(now)
	if err := v.mkdir(path.Dir(base)); err != nil {
		return "", nil, wrap(err)
	}
	size := len(text) + reportRoom
	const most = 999
	for n := 1; n <= most; n++ {
		name := ReportPath(now, n)
		_, at := d.Layout.At(name)
		if _, err := v.Stat(at); err == nil {
			continue
		}
		err := v.WriteFile(at, padded(text, size))
		if err == nil {
			err = v.Sync()
		}
		if err == nil {
			err = d.verify(name, padded(text, size))
		}
		return d.Where(name), func(text []byte) error { return wrap(d.overwrite(name, padded(text, size))) }, wrap(err)
	}
	return "", nil, wrap(fmt.Errorf("there are %d of this day", most))
}

// padded makes text size bytes long, by empty lines or by leaving out its end.
func padded(text []byte, size int) []byte {
	b := bytes.Repeat([]byte("\n"), size)
	copy(b, text)
	return b
}

func (d *Drive) overwrite(name string, content []byte) error {
	f, err := d.OpenInPlace(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.WriteAt(content, 0); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return d.verify(name, content)
}

func (d *Drive) verify(name string, content []byte) error {
	got, err := iofs.ReadFile(d, name)
	if err == nil && !bytes.Equal(got, content) {
		err = errors.New("what was read back is not what was written")
	}
	return err
}

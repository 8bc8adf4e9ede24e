package drive

import (
	"io"
	"time"
)

// Facts are what a person may want to know of a drive.
type Facts struct {
	Size, Free int64 // bytes of all volumes
	Rate       int64 // bytes a second that were just read; 0: too fast, or too slow, to tell
}

// Measure finds out the facts. It reads up to 4 MB of the program, for a second at most.
func (d *Drive) Measure() (f Facts, err error) {
	for _, v := range d.Volumes() {
		free, err := v.Free()
		if err != nil {
			return f, err
		}
		f.Size, f.Free = f.Size+v.Size(), f.Free+free
	}
	file, err := d.Open(EFIPath)
	if err != nil {
		return f, err
	}
	defer file.Close()
	const most, piece = 4 << 20, 1 << 20
	buf := make([]byte, piece)
	begun, done := time.Now(), 0
	for done < most && time.Since(begun) < time.Second {
		n, err := io.ReadFull(file, buf)
		done += n
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			break
		}
		if err != nil {
			return f, err
		}
	}
	if took := time.Since(begun); took > 0 && done >= piece {
		f.Rate = int64(float64(done) / took.Seconds())
	}
	return f, nil
}

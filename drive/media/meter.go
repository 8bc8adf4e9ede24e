package media

import (
	"fmt"
	"io"
	"time"
)

// Meter tells a person how far a long step is, how fast it goes and how long it still takes, in
// one line of a terminal that changes.
type Meter struct {
	W io.Writer

	width int // of the line that is there
}

const (
	meterEvery  = 200 * time.Millisecond
	recentSpeed = 10 * time.Second // the speed told is that since between one and two of these ago
)

// Step begins a step; it is an Out's Progress.
func (m *Meter) Step(name string, total int64) func(done int64) {
	start := time.Now()
	var shown time.Time
	ended := false
	marks := [2]struct {
		at   time.Time
		done int64
	}{{start, 0}, {start, 0}}
	return func(done int64) {
		now := time.Now()
		if ended {
			return
		}
		if done >= total {
			ended = true
			m.line(fmt.Sprintf("%s: %s in %s%s", name, FormatSize(total), forHowLong(now.Sub(start)), speed(total, now.Sub(start))), true)
			return
		}
		if now.Sub(shown) < meterEvery {
			return
		}
		shown = now
		if now.Sub(marks[1].at) > recentSpeed {
			marks[0] = marks[1]
			marks[1].at, marks[1].done = now, done
		}
		m.line(progressLine(name, done, total, done-marks[0].done, now.Sub(marks[0].at)), false)
	}
}

// line shows a line over the last one.
func (m *Meter) line(s string, last bool) {
	width := len(s)
	s = fmt.Sprintf("\r%-*s", m.width, s)
	m.width = width
	if last {
		s += "\n"
		m.width = 0
	}
	io.WriteString(m.W, s)
}

// progressLine tells how far a step is that lately did recent bytes in a time.
func progressLine(name string, done, total, recent int64, in time.Duration) string {
	s := fmt.Sprintf("%s: %s of %s, %d %%%s", name, FormatSize(done), FormatSize(total), 100*done/max(total, 1), speed(recent, in))
	if recent > 0 && in >= time.Second {
		s += ", " + forHowLong(time.Duration(float64(in)*float64(total-done)/float64(recent))) + " left"
	}
	return s
}

func speed(n int64, in time.Duration) string {
	if in < 10*time.Millisecond || n == 0 {
		return ""
	}
	return ", " + FormatSize(int64(float64(n)/in.Seconds())) + "/s"
}

// forHowLong writes a duration for a person.
func forHowLong(d time.Duration) string {
	switch s := int64(d.Round(time.Second).Seconds()); {
	case s < 1:
		return "less than a second"
	case s < 60:
		return fmt.Sprintf("%d s", s)
	case s < 3600:
		return fmt.Sprintf("%d min %d s", s/60, s%60)
	default:
		return fmt.Sprintf("%d h %d min", s/3600, s/60%60)
	}
}

package boot

import (
	"errors"
	"regexp"
	"strconv"
	"strings"
	"time"
)

var zonePattern = regexp.MustCompile(`^(?:utc|gmt)?(?:([+-]?)([0-9]{1,2})(?::?([0-5][0-9]))?)?$`)

// parseZone reads how far a time zone is ahead of UTC: "+02:00", "-3:30", "2", "UTC+1",
// "UTC". Places are no help, since nobody here knows when their clocks are changed.
func parseZone(text string) (*time.Location, error) {
	m := zonePattern.FindStringSubmatch(strings.ToLower(text))
	const most = 14 * 60 // Kiribati
	if m == nil || text == "" {
		return nil, errZone
	}
	hours, _ := strconv.Atoi(m[2])
	minutes, _ := strconv.Atoi(m[3])
	if minutes += 60 * hours; minutes > most {
		return nil, errZone
	}
	if m[1] == "-" {
		minutes = -minutes
	}
	return time.FixedZone("", 60*minutes), nil
}

var errZone = errors.New("is not a time zone: write how far it is ahead of UTC, from -14:00 to +14:00, as in +02:00 or -03:30")

// zoneText is the form in which a zone is kept and told: "+02:00".
func zoneText(zone *time.Location) string { return time.Time{}.In(zone).Format("-07:00") }

// SetTimezone takes a time zone as parseZone reads it; an empty text goes back to what the
// machine knows by itself.
func (s *Start) SetTimezone(text string) error {
	var zone *time.Location
	if text != "" {
		var err error
		if zone, err = parseZone(text); err != nil {
			return err
		}
	}
	s.machine.SetZone(zone, s.ClockUTC)
	return nil
}

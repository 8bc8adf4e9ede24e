package machine

import (
	"fmt"
	"strings"

	"alphaos/amd64"
	"alphaos/boot"
)

// What a person is told of the processor's speed.

// speedFacts logs how fast the processor computes.
func speedFacts(log *boot.Log, mac bool) {
	speed := amd64.ProcessorSpeed()
	log.Printf("speed: %s", speedText(speed))
	if details := speedDetails(speed); details != "" {
		log.Printf("speed: %s", details)
	}
	if why := slowed(speed, mac); why != "" {
		log.Printf("speed: %s", why)
	}
}

// isMac tells a Mac by its firmware's vendor.
func isMac(vendor string) bool { return strings.HasPrefix(vendor, "Apple") }

// speedText is how fast the processor computes, in what it tells of that.
func speedText(s amd64.Speed) string {
	var parts []string
	say := func(hz uint64, format string) {
		if hz != 0 {
			parts = append(parts, fmt.Sprintf(format, float64(hz)/1e9))
		}
	}
	say(s.Now, "%.2f GHz now")
	if s.Now != 0 {
		say(s.Average, "%.2f GHz on average since the start")
	}
	switch {
	case s.Most != 0:
		say(s.Most, "%.2f GHz at most")
	case s.Now != 0:
		say(s.Rated, "rated at %.2f GHz")
	}
	if len(parts) == 0 {
		return "the processor does not tell"
	}
	return strings.Join(parts, ", ")
}

// slowed says in one sentence why the processor is slower than it should be and what to do,
// "" when it is not. Limits on power are in force whenever all cores work, and matter only
// when they cost more than the turbo.
func slowed(s amd64.Speed, mac bool) string {
	slow := s.Now != 0 && s.Now < s.Rated/5*4
	switch {
	case s.Held&amd64.TooHot != 0:
		return "The processor is too hot and slows down until it is cooler: let air get at the machine, and put it on something hard."
	case s.Held&amd64.FromOutside != 0 && mac:
		return "This Mac holds its processor back (BD PROCHOT), as Macs do that lack power: connect the power adapter, and charge the battery, or have it reconnected or replaced; if both are fine, give it air."
	case s.Held&amd64.FromOutside != 0:
		return "The machine holds its processor back (PROCHOT): connect its own power adapter, charge the battery, and give it air."
	case slow && s.Held&(amd64.PowerLimit|amd64.CurrentLimit) != 0:
		return fmt.Sprintf("The machine gives its processor too little power for its rated speed of %.2f GHz: connect its own power adapter, and charge the battery.", float64(s.Rated)/1e9)
	case slow:
		return fmt.Sprintf("The processor is slower than its rated %.2f GHz and does not say why: connect the power adapter, give it air, and look for a power saving mode in the firmware's settings.", float64(s.Rated)/1e9)
	}
	return ""
}

// speedDetails is what else is known of the processor's speed, for the log.
func speedDetails(s amd64.Speed) string {
	var parts []string
	if s.Asked != "" {
		parts = append(parts, "asked for the most by "+s.Asked)
	}
	if s.BD {
		parts = append(parts, "others can hold it back (BD PROCHOT is on)")
	}
	if s.Cooler >= 0 {
		parts = append(parts, fmt.Sprintf("%d degrees below its limit", s.Cooler))
	}
	if why := limitNames(s.Held); why != "" {
		parts = append(parts, "held back by "+why)
	}
	if why := limitNames(s.WasHeld); why != "" {
		parts = append(parts, "since it was switched on: "+why)
	}
	return strings.Join(parts, "; ")
}

func limitNames(l amd64.Limits) string {
	var names []string
	for _, n := range []struct {
		l    amd64.Limits
		name string
	}{{amd64.TooHot, "heat"}, {amd64.FromOutside, "PROCHOT from outside"}, {amd64.PowerLimit, "a power limit"}, {amd64.CurrentLimit, "a current limit"}} {
		if l&n.l != 0 {
			names = append(names, n.name)
		}
	}
	return strings.Join(names, ", ")
}

package assistant

import (
	"regexp"
	"strings"
)

// masks are what tells one machine, drive or person from others, in texts that were written
// for the person in front of the machine: device paths, above all, have much of it.
var masks = []struct {
	what *regexp.Regexp
	by   string
}{
	{regexp.MustCompile(`(?i)\b(documents|conversations)[/\\].*`), "$1/<name>"},
	{regexp.MustCompile(`\b[A-Z][A-Za-z0-9]*\([^()]*\)(/[^\s/:(]+(\([^()]*\))?)+`), ""}, // a device path: see way
	{regexp.MustCompile(`\b(HD|NVMe|MAC|IPv4|IPv6|Uri|UsbWwid|Path|VenHw|VenMsg|VenMedia)\([^()]*\)`), "$1"},
	{regexp.MustCompile(`(?i)\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b`), "<GUID>"},
	{regexp.MustCompile(`(?i)\b([0-9a-f]{2}[:-]){5,}[0-9a-f]{2}\b`), "<address>"},
	{regexp.MustCompile(`(?i)\b[0-9a-f]{17,}\b`), "<digits>"},
}

// Mask returns a text for strangers. It errs on the side of leaving out.
func Mask(text string) string {
	for _, m := range masks {
		if m.by == "" {
			text = m.what.ReplaceAllStringFunc(text, way)
		} else {
			text = m.what.ReplaceAllString(text, m.by)
		}
	}
	return text
}

// places are nodes of a device path that only say where in a machine something is.
var places = map[string]bool{"Pci": true, "PciRoot": true, "PcieRoot": true, "Acpi": true, "Ctrl": true, "Serial": true, "USB": true,
	"Sata": true, "Ata": true, "Scsi": true, "SD": true, "eMMC": true, "Unit": true}

// kinds are names of nodes that stand alone in a path from which what was in them is gone.
var kinds = map[string]bool{"HD": true, "NVMe": true, "CDROM": true, "VenHw": true, "VenMsg": true, "VenMedia": true, "UsbWwid": true, "UsbClass": true, "Path": true,
	"MAC": true, "IPv4": true, "IPv6": true, "Uri": true}

// way leaves of a device path the names of its nodes, and what is in those that are places.
func way(path string) string {
	var nodes []string
	for len(path) > 0 {
		node, rest, _ := strings.Cut(path, "/")
		if open := strings.IndexByte(path, '('); open >= 0 && open < len(node) { // there may be a slash within
			if end := strings.IndexByte(path, ')'); end > open {
				node, rest = path[:end+1], strings.TrimPrefix(path[end+1:], "/")
			}
		}
		name, _, ok := strings.Cut(node, "(")
		switch {
		case !ok && !kinds[name]:
			node = "File"
		case !places[name]:
			node = name
		}
		nodes, path = append(nodes, node), rest
	}
	return strings.Join(nodes, "/")
}

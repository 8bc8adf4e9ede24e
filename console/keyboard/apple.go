package keyboard

import (
	"strconv"
	"strings"
)

// apple names the layouts that macOS knows by these numbers, those of its AppleKeyboardLayouts.bundle. Where
// ours has no such Mac layout, it is the nearest that has the same letters.
var apple = map[int]string{
	0: "us", 15: "us", 29: "us", 252: "us", // U.S., Australian, Canadian, ABC
	15000: "us-intl", 71: "us-intl", 72: "us-intl", // Brazilian is a US layout with dead keys
	16300: "dvorak", 12825: "colemak", 26: "us", // Dutch has its accents on Option
	2: "uk-mac", 50: "uk-mac", 250: "uk", // British, Irish, British PC
	3: "de-mac", 92: "de-mac", 253: "de-mac", // German, Austrian, ABC QWERTZ
	19: "ch-mac", 18: "ch-fr-mac",
	1: "fr-mac", 251: "fr-mac", 6: "fr-mac", 1111: "fr-mac", 60: "fr", // French, ABC AZERTY, Belgian, numerical, PC
	80: "ca", 8: "es-mac", 87: "es-mac", 4: "it-mac", 223: "it-mac", 10: "pt-mac", 128: "br",
	7: "se-mac", 224: "se-mac", 17: "se-mac", 12: "no-mac", 9: "dk-mac", -21: "is",
	30764: "ee", 30765: "lv", 30788: "pl", 30776: "cz", 30777: "sk", 30763: "hu", -39: "ro",
}

// FromApple returns the layout that the firmware variable prev-lang:kbd of a Mac tells, where macOS keeps the
// language and the keyboard layout of its login screen: "de:3", "en-GB:2". It is nil when that tells none that
// is known here.
func FromApple(variable []byte) *Layout {
	text := strings.TrimRight(string(variable), "\x00")
	n, err := strconv.Atoi(text[strings.LastIndexByte(text, ':')+1:])
	if err != nil {
		return nil
	}
	name, ok := apple[n]
	if !ok {
		return nil
	}
	l, _ := Find(name)
	return l
}

package pdf

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Fonts name their glyphs. The names are those of the Adobe Glyph List, which is made of parts:
// letters with the names of their accents, Greek letters, signs. So a list of the parts does.

var accents = []struct{ suffix, mark string }{
	{"dieresis", "\u0308"}, {"circumflex", "\u0302"}, {"dblgrave", "\u030F"}, {"hungarumlaut", "\u030B"}, {"dotaccent", "\u0307"},
	{"dotbelow", "\u0323"}, {"commaaccent", "\u0327"}, {"cedilla", "\u0327"}, {"ogonek", "\u0328"}, {"macron", "\u0304"},
	{"breve", "\u0306"}, {"caron", "\u030C"}, {"acute", "\u0301"}, {"grave", "\u0300"}, {"tilde", "\u0303"}, {"ring", "\u030A"}, {"horn", "\u031B"},
}

var glyphs = map[string]string{}

func init() {
	for _, list := range []string{
		"space   exclam ! quotedbl \" numbersign # dollar $ percent % ampersand & quotesingle ' parenleft ( parenright ) asterisk * plus + comma , hyphen - period . slash / colon : semicolon ; less < equal = greater > question ? at @ bracketleft [ backslash \\ bracketright ] asciicircum ^ underscore _ grave ` braceleft { bar | braceright } asciitilde ~",
		"zero 0 one 1 two 2 three 3 four 4 five 5 six 6 seven 7 eight 8 nine 9",
		"quoteleft ‘ quoteright ’ quotedblleft “ quotedblright ” quotesinglbase ‚ quotedblbase „ guilsinglleft ‹ guilsinglright › guillemotleft « guillemotright » guillemetleft « guillemetright »",
		"endash – emdash — bullet • ellipsis … dagger † daggerdbl ‡ perthousand ‰ trademark ™ copyright © registered ® section § paragraph ¶ degree ° ordfeminine ª ordmasculine º exclamdown ¡ questiondown ¿ periodcentered · middot · fraction ⁄ minus − multiply × divide ÷ plusminus ± logicalnot ¬ mu µ brokenbar ¦ currency ¤ cent ¢ sterling £ yen ¥ Euro € euro € florin ƒ onesuperior ¹ twosuperior ² threesuperior ³ onehalf ½ onequarter ¼ threequarters ¾ sfthyphen - nbspace   visiblespace ␣ hyphenminus - softhyphen -",
		"fi fi fl fl ff ff ffi ffi ffl ffl ij ij IJ IJ germandbls ß ae æ AE Æ oe œ OE Œ oslash ø Oslash Ø lslash ł Lslash Ł eth ð Eth Ð thorn þ Thorn Þ dcroat đ Dcroat Đ dotlessi ı dotlessj ȷ eng ŋ Eng Ŋ hbar ħ Hbar Ħ tbar ŧ Tbar Ŧ kgreenlandic ĸ longs ſ schwa ə Germandbls ẞ napostrophe ŉ ldot ŀ Ldot Ŀ",
		"dieresis ¨ circumflex ˆ hungarumlaut ˝ dotaccent ˙ cedilla ¸ ogonek ˛ macron ¯ breve ˘ caron ˇ acute ´ tilde ˜ ring ˚",
		"Alpha Α Beta Β Gamma Γ Delta Δ Epsilon Ε Zeta Ζ Eta Η Theta Θ Iota Ι Kappa Κ Lambda Λ Mu Μ Nu Ν Xi Ξ Omicron Ο Pi Π Rho Ρ Sigma Σ Tau Τ Upsilon Υ Phi Φ Chi Χ Psi Ψ Omega Ω alpha α beta β gamma γ delta δ epsilon ε epsilon1 ϵ zeta ζ eta η theta θ theta1 ϑ iota ι kappa κ lambda λ nu ν xi ξ omicron ο pi π pi1 ϖ rho ρ rho1 ϱ sigma σ sigma1 ς tau τ upsilon υ phi φ phi1 ϕ chi χ psi ψ omega ω",
		"arrowleft ← arrowup ↑ arrowright → arrowdown ↓ arrowboth ↔ arrowdblleft ⇐ arrowdblright ⇒ arrowdblboth ⇔ infinity ∞ partialdiff ∂ summation ∑ product ∏ integral ∫ radical √ approxequal ≈ notequal ≠ lessequal ≤ greaterequal ≥ equivalence ≡ similar ∼ proportional ∝ element ∈ notelement ∉ existential ∃ universal ∀ emptyset ∅ intersection ∩ union ∪ propersubset ⊂ reflexsubset ⊆ propersuperset ⊃ reflexsuperset ⊇ logicaland ∧ logicalor ∨ nabla ∇ gradient ∇ asteriskmath ∗ dotmath ⋅ openbullet ◦ circlemultiply ⊗ circleplus ⊕ angleleft ⟨ angleright ⟩ lozenge ◊ triangleright ▷ checkmark ✓ square □ club ♣ diamond ♦ heart ♥ spade ♠ aleph ℵ weierstrass ℘ Ifraktur ℑ Rfraktur ℜ therefore ∴ perpendicular ⊥ angle ∠ congruent ≅ minute ′ second ″ prime ′ ell ℓ bardbl ‖ backslashbig \\ parenleftbig ( parenrightbig ) bracketleftbig [ bracketrightbig ]",
	} {
		for list != "" {
			key, rest, _ := strings.Cut(list, " ")
			_, n := utf8.DecodeRuneInString(rest)
			if i := strings.IndexByte(rest[n:], ' '); i >= 0 {
				glyphs[key], list = rest[:n+i], rest[n+i+1:]
			} else {
				glyphs[key], list = rest, ""
			}
		}
	}
}

// glyph returns the characters of a glyph's name, or nothing if it tells none.
func glyph(s string) string {
	if t, ok := glyphs[s]; ok {
		return t
	}
	if len(s) == 1 {
		if c := s[0] | 0x20; c >= 'a' && c <= 'z' {
			return s
		}
		return ""
	}
	if i := strings.IndexByte(s, '.'); i > 0 {
		return glyph(s[:i])
	}
	if strings.Contains(s, "_") {
		var out string
		for _, part := range strings.Split(s, "_") {
			if part != "" && len(part) < len(s) {
				out += glyph(part)
			}
		}
		return out
	}
	if hex, ok := strings.CutPrefix(s, "uni"); ok && len(hex) >= 4 {
		var out string
		for ; len(hex) >= 4; hex = hex[4:] {
			v, err := strconv.ParseUint(hex[:4], 16, 16)
			if err != nil {
				return ""
			}
			out += string(rune(v))
		}
		return out
	}
	if s[0] == 'u' && len(s) >= 5 && len(s) <= 7 {
		if v, err := strconv.ParseUint(s[1:], 16, 32); err == nil && v <= utf8.MaxRune {
			return string(rune(v))
		}
	}
	for _, a := range accents {
		if base, ok := strings.CutSuffix(s, a.suffix); ok && base != "" {
			if t := glyph(base); t != "" {
				if t == "ı" {
					t = "i"
				}
				return norm.NFC.String(t + a.mark)
			}
		}
	}
	for suffix, shift := range map[string]bool{"small": true, "oldstyle": true, "superior": true, "inferior": true} {
		if base, ok := strings.CutSuffix(s, suffix); ok && shift && base != "" {
			return strings.ToLower(glyph(base))
		}
	}
	return ""
}

// The encodings of ISO 32000-1, annex D. Below 128 they agree but for the quotes.
var standard, macRoman, winAnsi [256]string

func init() {
	for c := rune(32); c < 127; c++ {
		standard[c], macRoman[c], winAnsi[c] = string(c), string(c), string(c)
	}
	standard['\''], standard['`'] = "’", "‘"
	spread := func(t *[256]string, from int, list string) {
		for _, r := range list {
			if r != '\u2400' {
				t[from] = string(r)
			}
			from++
		}
	}
	spread(&standard, 0xA1, "¡¢£⁄¥ƒ§¤'“«‹›␀␀␀–†‡·␀¶•‚„”»…‰␀¿␀`´ˆ˜¯˘˙¨␀˚¸␀˝˛ˇ—")
	standard[0xAE], standard[0xAF] = "fi", "fl"
	spread(&standard, 0xE1, "Æ␀ª␀␀␀␀ŁØŒº␀␀␀␀␀æ␀␀␀ı␀␀łøœß")
	spread(&macRoman, 0x80, "ÄÅÇÉÑÖÜáàâäãåçéèêëíìîïñóòôöõúùûü†°¢£§•¶ß®©™´¨≠ÆØ∞±≤≥¥µ∂∑∏π∫ªºΩæø¿¡¬√ƒ≈∆«»…\u00a0ÀÃÕŒœ–—“”‘’÷◊ÿŸ⁄€‹›␀␀‡·‚„‰ÂÊÁËÈÍÎÏÌÓÔ␀ÒÚÛÙıˆ˜¯˘˙˚¸˝˛ˇ")
	macRoman[0xDE], macRoman[0xDF] = "fi", "fl"
	spread(&winAnsi, 0x80, "€•‚ƒ„…†‡ˆ‰Š‹Œ•Ž••‘’“”•–—˜™š›œ•žŸ")
	for c := rune(0xA0); c < 256; c++ {
		winAnsi[c] = string(c)
	}
	winAnsi[0xAD] = "-"
}

// symbols is the encoding of the font Symbol: Greek letters in place of Latin ones, and some signs.
func symbols(t *[256]string) {
	*t = [256]string{}
	for c := 32; c < 64; c++ {
		t[c] = string(rune(c))
	}
	greek := []rune("ΑΒΧΔΕΦΓΗΙϑΚΛΜΝΟΠΘΡΣΤΥςΩΞΨΖ")
	for i, r := range greek {
		t['A'+i] = string(r)
	}
	for i, r := range []rune("αβχδεφγηιϕκλμνοπθρστυϖωξψζ") {
		t['a'+i] = string(r)
	}
	t['['], t[']'], t['_'], t['{'], t['|'], t['}'], t['~'] = "[", "]", "_", "{", "|", "}", "∼"
	t[0xB7], t[0xB0], t[0xB1], t[0xB4], t[0xA3], t[0xB3], t[0xAE], t[0xAC] = "•", "°", "±", "×", "≤", "≥", "→", "←"
}

package keyboard

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// hit types on a keyboard the keys of a US one and returns the text. What stands in <> is typed with AltGr, and
// in [] with CapsLock on, where the firmware has changed the case of the letters.
func hit(k *Keyboard, us string) (text string) {
	alt, caps := false, false
	for _, r := range us {
		switch r {
		case '⟨', '⟩':
			alt = r == '⟨'
		case '⟦', '⟧':
			caps = r == '⟦'
		case '⏎':
			text += string(k.Flush()) + "⏎"
		default:
			text += string(k.Press(r, alt, caps))
		}
	}
	return text
}

func use(t *testing.T, name string) *Keyboard {
	t.Helper()
	l, err := Find(name)
	if err != nil {
		t.Fatalf("%s %v", name, err)
	}
	k := &Keyboard{}
	k.Use(l)
	return k
}

// TestTyped can be checked by hand with any picture of these keyboards: on the left the keys by their US names,
// on the right what is printed on them. ⟨⟩ is AltGr, ⟦⟧ CapsLock, ⏎ Enter.
func TestTyped(t *testing.T) {
	for _, c := range []struct{ layout, us, want string }{
		{"us", "Hello, world: `~\\ ⟨q⟩", "Hello, world: `~\\ q"},
		{"us-intl", "'e `a \"u ~n ^o 'c don't say \"hi\" !⟨s5⟩", "é à ü ñ ô ć don't say \"hi\"!ß€"},
		{"nl", "co:ordinatie \"e", "co:ordinatie ë"},
		{"uk", "#1 @ \" ~ \\ | ` ⟨4⟩", "£1 \" @ ¬ # ~ ` €"},
		{"de", "Zurich yu; [ ' - @ & ( ) _ =e +a", "Yurich zuö ü ä ß \" / ) = ? é à"},
		{"de", "⟨q e 7890 -]⟩", "@ € {[]} \\~"},
		{"de", "`e```  =x=⏎+e=+u", "ê^^ ´x´⏎è´ù"},
		{"de", "⟦Y; -ab⟧", "ZÖ ßab"}, // with CapsLock the firmware's letters arrive in the other case
		{"de", "⟨, . /⟩", "< > |"},
		{"de-mac", "⟨l 56789 &⟩ `~", "@ []|{} \\ <>"},
		{"de-mac", "\ue064a\ue065", "â°"}, // the extra key: on a Mac the one left of 1
		{"de", "\ue064\ue065⟨\ue064⟩ ⟦\ue064⟧", "<>| <"},
		{"us", "\ue064\ue065", "<>"},
		{"ch", "; ' [ : \" { } ]a = ⟨2 3 g [⟩", "ö ä ü é à è ! ä ^@ # ŋ ["},
		{"ch-fr", "; ' [ : \" {", "é à è ö ä ü"},
		{"fr", "azerty qwerty m ; , 1234567890 !@#$%^&*()", "qwerty azerty , m ; &é\"'(-è_çà 1234567890"},
		{"fr", "[e {i ⟨0 2 e⟩ A", "ê ï @ ~ € Q"},
		{"fr-mac", "` ~ 6 8 = \\q ⟨%⟩", "< > § ! - à ["},
		{"be", "a2567890 ⟨2 3⟩", "qé(§è!çà @ #"},
		{"ca", "/ [e ]c ⟨2⟩", "é ê ç @"},
		{"es", ";'  [  'a {e \"u = + ⟨2 1⟩", "ñ´ ` á ê ü ¡ ¿ @ |"},
		{"latam", "; [a - = ⟨q⟩", "ñ á ' ¿ @"},
		{"it", "; ' [ = \\ ⟨; ' e⟩", "ò à è ì ù @ # €"},
		{"pt", "; ' ]a \\o }e", "ç º á õ è"},
		{"br", "; [a 'o \"a / ⟨q w⟩", "ç á õ â ; / ?"},
		{"se", "[ ; ' @ $ ]u =e ⟨2 4 7⟩", "å ö ä \" ¤ ü é @ $ {"},
		{"fi", "[;'", "åöä"},
		{"no", "[ ; ' = ⟨2⟩", "å ø æ \\ @"},
		{"dk", "[ ; ' =e ⟨2 =⟩", "å æ ø é @ |"},
		{"is", "[ / = 'a", "ð þ - á"},
		{"pl", "zy ⟨a c e l n o s x z A⟩", "zy ą ć ę ł ń ó ś ź ż Ą"},
		{"cz", "1234567890 =e +n", "+ěščřžýáíé é ň"},
		{"hu", "0 - = [ ] \\ ; '", "ö ü ó ő ú ű é á"},
		{"ro", "⟨a q i s t⟩", "ă â î ș ț"},
		{"tr", "i ' I \" ⟦I ' i \"⟧ [ ; . ,", "ı i I İ I İ ı i ğ ş ç ö"},
		{"dvorak", "axje.uidchtn Msl", "aqh.vgcejdyb Mon"},
		{"us", "é´ß", "é´ß"}, // firmware that knows its keyboard
		{"de", "=é", "´é"},
	} {
		if got := hit(use(t, c.layout), c.us); got != c.want {
			t.Errorf("%s: the keys %q type %q, want %q", c.layout, c.us, got, c.want)
		}
	}
}

// Whatever the layout, each character of a US keyboard can be typed: paths, programs and passwords need them.
func TestASCII(t *testing.T) {
	for _, l := range Layouts() {
		for r := rune('!'); r <= '~'; r++ {
			if !l.types(r, levels) {
				t.Errorf("%s: no key types %c", l.Name, r)
			}
		}
	}
}

func TestLayoutsAreWhole(t *testing.T) {
	seen := map[string]bool{}
	for _, l := range Layouts() {
		for _, name := range append([]string{l.Name}, l.aliases...) {
			if seen[name] || strings.ToLower(name) != name || strings.ContainsAny(name, " :") {
				t.Errorf("the name %q", name)
			}
			seen[name] = true
		}
		for level, row := range l.typed {
			if row == nil && level > shifted {
				continue
			}
			if len(row) != keys+1 {
				t.Errorf("%s: row %d has %d keys, not %d", l.Name, level+1, len(row), keys+1)
			}
			for key, r := range row {
				if level <= shifted && key < keys && r == none {
					t.Errorf("%s: %c types nothing in row %d", l.Name, usKey(key), level+1)
				}
				if !unicode.IsPrint(r) || r == ' ' || unicode.Is(unicode.Mn, r) {
					t.Errorf("%s: row %d types %q", l.Name, level+1, r)
				}
			}
		}
	}
	for id, name := range apple {
		if !seen[name] {
			t.Errorf("Apple's %d is the layout %q, which there is not", id, name)
		}
	}
}

// Each letter with its accent is the one that Unicode composes of the two.
func TestAccents(t *testing.T) {
	combining := map[rune]rune{'ˋ': 0x300, '´': 0x301, 'ˆ': 0x302, '˜': 0x303, '¯': 0x304, '˘': 0x306, '˙': 0x307, '¨': 0x308,
		'˚': 0x30a, '˝': 0x30b, 'ˇ': 0x30c, '¸': 0x327, '˛': 0x328}
	for accent, list := range dead {
		for letter := 'A'; letter <= 'z'; letter++ {
			want := []rune(norm.NFC.String(string([]rune{letter, combining[accent]})))
			got := compose(accent, letter)
			if len(want) == 1 && want[0] < 0x180 && got != want[0] || len(want) > 1 && got != 0 {
				t.Errorf("%c on %c is %c, want %s", accent, letter, got, string(want))
			}
		}
		if len(list)%2 != 1 {
			t.Errorf("%c: a letter without its pair", accent)
		}
	}
}

func TestFind(t *testing.T) {
	if l, err := Find("DE-mac"); err != nil || l.Name != "de-mac" {
		t.Error(l, err)
	}
	if l, err := Find("at"); err != nil || l.Name != "de" {
		t.Error(l, err)
	}
	if _, err := Find("klingon"); err == nil || !strings.HasPrefix(err.Error(), "is none of the keyboard layouts, which are us, us-intl, ") {
		t.Error(err)
	}
}

func TestControlLetters(t *testing.T) {
	k := use(t, "fr")
	k.Press('[', false, false)
	if got := string([]rune{k.Letter('q'), k.Letter('a'), k.Letter(';'), k.Letter('c')}); got != "aqmc" {
		t.Errorf("%q", got)
	}
	if got := string(k.Press('e', false, false)); got != "ê" {
		t.Errorf("a combination with Ctrl has changed what the dead key before gives: %q", got)
	}
}

func TestRetype(t *testing.T) {
	for _, c := range []struct{ read, printed, text, want string }{
		{"us", "de", "&set kezboard de", "/set keyboard de"},
		{"us", "fr", ">set keyboqrd fr6,qc", "/set keyboard fr-;ac"},
		{"de", "us", "-set kezboard us", "/set keyboard us"},
		{"fr", "de", "7é§ ∞", "/2_ ∞"},
		{"us", "us", "`a~ é", "`a~ é"},
	} {
		l, _ := Find(c.printed)
		if got := use(t, c.read).Retype(c.text, l); got != c.want {
			t.Errorf("%q read as %s is %q on %s, want %q", c.text, c.read, got, c.printed, c.want)
		}
	}
}

// The layout changes while another goroutine types.
func TestSwitch(t *testing.T) {
	k := use(t, "de")
	k.Press('=', false, false) // a dead key of the old layout
	fr, _ := Find("fr")
	k.Use(fr)
	if got := hit(k, "eq"); got != "ea" {
		t.Errorf("%q", got)
	}
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for _, l := range Layouts() {
				k.Use(l)
				hit(k, "=e[]'⏎")
				k.Layout()
			}
		})
	}
	group.Wait()
	if l := (&Keyboard{}).Layout(); l.Name != "us" {
		t.Errorf("a new keyboard is %s", l.Name)
	}
}

func TestFromApple(t *testing.T) {
	for text, want := range map[string]string{
		"de:3": "de-mac", "en-GB:2": "uk-mac", "en_US:0": "us", "de_CH:19\x00": "ch-mac", "is:-21": "is", "0": "us",
		"": "", "de": "", "de:": "", "ja:16384": "", "de:3x": "", "\x00": "", "de:99999999999999999999": "",
	} {
		got := ""
		if l := FromApple([]byte(text)); l != nil {
			got = l.Name
		}
		if got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
}

func FuzzFromApple(f *testing.F) {
	f.Add([]byte("de:3"))
	f.Add([]byte("ru-RU:252\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if l := FromApple(data); l != nil && !slices.Contains(Layouts(), l) {
			t.Errorf("%q is no layout", data)
		}
	})
}

// FuzzPress checks that no key is lost: what was typed is there, letter by letter, with the accents either on
// the letters or before them, and never more than two characters a key.
func FuzzPress(f *testing.F) {
	f.Add(6, "=e+a``=x= ⏎")
	f.Add(1, "'e\"\"~~^ don't⟨'⟩")
	f.Add(12, "[[{e]⏎⏎")
	f.Fuzz(func(t *testing.T, layout int, text string) {
		l := Layouts()[uint(layout)%uint(len(Layouts()))]
		k := &Keyboard{}
		k.Use(l)
		waits := false
		alt, caps := false, false
		for _, r := range text {
			switch r {
			case '⟨', '⟩':
				alt = r == '⟨'
				continue
			case '⟦', '⟧':
				caps = r == '⟦'
				continue
			case '⏎':
				if got := k.Flush(); (len(got) == 1) != waits || len(k.Flush()) != 0 {
					t.Fatalf("Flush returns %q, an accent waits: %v", got, waits)
				}
				waits = false
				continue
			}
			key, known := l.press(r, alt, caps)
			got := k.Press(r, alt, caps)
			isDead := known && dead[key] != nil
			switch {
			case !waits && isDead:
				if len(got) != 0 {
					t.Fatalf("a dead key types %q", got)
				}
				waits = true
			case !waits:
				if len(got) != 1 || got[0] != key {
					t.Fatalf("%c types %q, want %c", r, got, key)
				}
			case len(got) == 2:
				if got[1] != key || isDead {
					t.Fatalf("%c types %q", r, got)
				}
				waits = false
			case len(got) == 1:
				waits = isDead && k.accent != 0
			default:
				t.Fatalf("%c behind an accent types %q", r, got)
			}
			if waits != (k.accent != 0) {
				t.Fatalf("an accent waits: %v", !waits)
			}
		}
	})
}

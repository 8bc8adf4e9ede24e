package tests

// All that a person can reach, with the keys that every keyboard has.

import (
	"bytes"
	"image/color"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"alphaos/drive/create"
	"alphaos/internal/vmtest"
	"alphaos/ovmf"
)

// TestWalk goes through the whole interface, from the start-up manager to the shutdown, on a keyboard of the keyboard
// controller and a small screen, and on a USB keyboard and a large one, like a Mac's. It presses letters, digits,
// the slash, Enter, Backspace, Tab, the space bar and the arrows, and nothing else, but where it tries the keys that stop an answer
// on keyboards that have them. While the machine computes it types fast, into the serial line as well.
func TestWalk(t *testing.T) {
	vmtest.NeedQEMU(t)
	for _, tt := range []struct {
		name    string
		typists []typist
		stops   []string
		config  ovmf.Config
	}{
		{"PS-2", []typist{byKeyboard, bySerial}, nil, ovmf.Config{Bus: "ahci", CPUs: 2, Width: 800, Height: 600}},
		{"USB", []typist{byKeyboard}, []string{"esc", "ctrl-c"}, ovmf.Config{Bus: "usb", CPUs: 2, USBKeyboard: true, Width: 2880, Height: 1800, MemoryMiB: 2048, Extra: []string{"-machine", "i8042=off"}}},
	} {
		t.Run(tt.name, func(t *testing.T) { walk(t, tt.name, tt.typists, tt.stops, tt.config) })
	}
}

func walk(t *testing.T, name string, typists []typist, stops []string, config ovmf.Config) {
	model, want := chatModel(t, story)
	config.Disk = vmtest.NewDrive(t, create.Options{EFI: vmtest.AlphaOS(t), Models: []string{model, talker(t)}, Config: []byte(`{"wait": 60, "setup": true}`)})
	p := vmtest.Boot(t, config)
	press := func(keys ...string) {
		t.Helper()
		if err := p.VM.SendKeys(t.Context(), keys...); err != nil {
			t.Fatal(err)
		}
	}
	// keys types at a prompt, no faster than the machine takes it: QEMU has no room for more than heldKeys, with one Shift among them.
	keys := func(text string) {
		t.Helper()
		for piece := range slices.Chunk([]byte(text), heldKeys-1) {
			if err := p.VM.SendText(t.Context(), string(piece)); err != nil {
				t.Fatal(err)
			}
			if echo := strings.TrimSuffix(string(piece), "\n"); echo != "" {
				p.Expect(echo)
			}
		}
	}
	// menu waits until one is open whose first line begins so, and returns it as it stands on the serial line.
	menu := func(title string) string {
		t.Helper()
		p.Expect("\n" + title)
		return p.Expect("Type a number from 1 to ")
	}
	// row returns the number of a menu's row.
	row := func(menu, name string) string {
		t.Helper()
		m := regexp.MustCompile(`(\d)  ` + name).FindStringSubmatch(menu)
		if m == nil {
			t.Fatalf("there is no %s in %s", name, menu)
		}
		return m[1]
	}
	// say types a line and returns what comes up to the next prompt.
	say := func(line string) string {
		t.Helper()
		keys(line + "\n")
		p.Expect("\n")
		return p.Prompt()
	}

	// The manager and the first start, with a look back.
	vmtest.Contains(t, p.Expect(vmtest.Manager), ">  1  Start AlphaOS", "5  Shut down")
	press("down", "up", "ret")
	p.Expect("Start AlphaOS\n")
	menu("First start: 1 of 3")
	press("a", "z", "backspace", "ret")
	menu("First start: 2 of 3")
	press("left")
	menu("First start: 1 of 3")
	press("down", "up", "ret")
	menu("First start: 2 of 3")
	press("ret")
	press(row(menu("First start: 3 of 3"), strings.TrimSuffix(filepath.Base(model), ".gguf")))
	p.Expect("All of this is in /settings later.")
	p.Prompt()

	// The list of commands, and what completes.
	keys("/set th")
	press("tab")
	keys("day\n")
	p.Prompt()
	ground(t, p, day)
	keys("/set par")
	press("tab")
	keys("num")
	press("tab")
	keys("p")
	press("tab")
	keys("100\n")
	vmtest.Contains(t, p.Prompt(), "Set parameter 'num_predict' to '100'")

	// The settings: a row by a word, its values by the arrows.
	keys("/sett")
	press("down", "ret") // the list has nothing else
	menu("Settings")
	press("right")
	p.Expect("Text size: small  normal  [large]  huge")
	press("left")
	p.Expect("Text size: small  [normal]  large  huge")
	press("c", "r", "e", "a", "left")
	p.Expect("Creativity: [exact]  balanced  free")
	press("ret")
	p.Prompt()

	// A chat, which is the same on every machine, and one that Enter stops.
	if got := vmtest.Answer(t, say(story)); got != want {
		t.Errorf("in the machine\n%q\nwant\n%q", got, want)
	}
	keys("/set parameter num")
	press("tab")
	keys("predict 100000\n")
	p.Prompt()
	keys(story + "\n")
	p.Expect("alpha> ")
	p.Sleep(time.Second) // before that, Enter is not meant
	press("ret")
	vmtest.Contains(t, p.Prompt(), "topped")

	vmtest.Contains(t, vmtest.Squeeze(say("/check")), "of weights, as they were loaded", "as its checksum says", "the same in both copies", "All is right.")

	// Reading back.
	vmtest.Contains(t, say("/help"), "/bye")
	scene := newScene(t, p)
	for _, key := range []string{"tab", "right", "down", "up", "spc"} {
		press(key)
		scene.changes()
	}
	p.Screenshot("reading-back-" + name + ".png")
	press("ret")
	scene.returns()
	vmtest.Contains(t, say("/show system"), "No system message is set.")

	// Another model, by its number; fast typing into its answer; and the keys that stop one where there are such keys.
	keys("/models\n")
	press(row(menu("Models"), "voluble"))
	p.Expect("Going on with voluble")
	p.Prompt()
	for _, by := range typists {
		typeIntoAnswers(t, p, by, 180)
	}
	for _, key := range stops {
		keys("Talk.\n")
		p.Expect("alpha> ")
		press(key)
		vmtest.Contains(t, p.Prompt(), "topped")
	}
	say("/set parameter num_predict 20")

	// Several conversations: one is given a title, the other deleted, and the first goes on.
	say("/new")
	say("Hello")
	keys("/conversations\n")
	list := menu("Conversations")
	for range row(list, story)[0] - '1' {
		press("down")
	}
	press("ret")
	p.Expect("Go on with it")
	p.Expect("Type a number")
	press("2")
	p.Expect("A new title for ")
	keys("an old tale\n")
	if list = menu("Conversations"); !strings.Contains(list, "an old tale") {
		t.Errorf("the title was not changed: %s", list)
	}
	press(row(list, "Hello"))
	p.Expect("Go on with it")
	p.Expect("Type a number")
	press("4")
	p.Expect("Delete it? (yes or no) ")
	keys("yes\n")
	if list = menu("Conversations"); strings.Contains(list, "Hello") {
		t.Errorf("it was not deleted: %s", list)
	}
	p.Screenshot("conversations-" + name + ".png")
	press(row(list, "an old tale"))
	p.Expect("Go on with it")
	p.Expect("Type a number")
	press("1") // Enter would still belong to the number above
	vmtest.Contains(t, p.Prompt(), "an old tale")

	vmtest.Contains(t, vmtest.Squeeze(say("/find once upon")), "in 1 conversation", "you: "+story)
	vmtest.Contains(t, say("show my documents"), "There are no documents on this drive yet")
	p.Screenshot("walk-" + name + ".png")
	keys("please shut down\n")
	p.Expect("All data saved. Goodbye.")
	p.Off()
	vmtest.CheckDrive(t, config.Disk)
}

// The grounds of the themes.
var night, day = color.RGBA{0x14, 0x18, 0x1D, 255}, color.RGBA{0xFA, 0xF9, 0xF6, 255}

// ground waits until the ground beside the conversation has a colour.
func ground(t *testing.T, p *vmtest.Person, want color.Color) {
	t.Helper()
	until(t, "the ground changes", func() bool {
		img, err := p.VM.Screen(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return same(img.At(1, img.Bounds().Dy()/2), want)
	})
}

// until waits until something holds, and fails if it never does.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(vmtest.Patience); !holds(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// scene is the screen below its title bar, with the clock, while keys change it.
type scene struct {
	t           *testing.T
	p           *vmtest.Person
	first, last []byte
}

func newScene(t *testing.T, p *vmtest.Person) *scene {
	s := &scene{t: t, p: p}
	until(t, "the screen stands still", func() bool {
		s.last, s.first = s.first, s.now()
		return bytes.Equal(s.last, s.first)
	})
	return s
}

func (s *scene) now() []byte {
	s.t.Helper()
	img, err := s.p.VM.Screen(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	var pixels []byte
	for b, y := img.Bounds(), img.Bounds().Dy()/10; y < b.Dy(); y++ {
		for x := range b.Dx() {
			r, g, b, _ := img.At(x, y).RGBA()
			pixels = append(pixels, byte(r>>8), byte(g>>8), byte(b>>8))
		}
	}
	return pixels
}

// changes waits until the screen is another and stays so, from one picture to the next.
func (s *scene) changes() {
	s.t.Helper()
	before := s.last
	until(s.t, "a key changes the screen", func() bool {
		now := s.now()
		still := bytes.Equal(now, s.last)
		s.last = now
		return still && !bytes.Equal(now, before)
	})
}

// returns waits until the screen is as it was at first.
func (s *scene) returns() {
	s.t.Helper()
	until(s.t, "the screen is as it was", func() bool { return bytes.Equal(s.now(), s.first) })
}

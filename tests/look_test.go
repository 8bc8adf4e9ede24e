package tests

import (
	"image/color"
	"reflect"
	"strings"
	"testing"
	"time"

	"alphaos/drive/create"
	"alphaos/internal/vmtest"
	"alphaos/ovmf"
)

// TestLook changes how the screen looks, chooses a command from the list and reads back, with keys that every
// keyboard has, and finds the look again after a restart.
func TestLook(t *testing.T) {
	vmtest.NeedQEMU(t)
	disk := vmtest.NewDrive(t, create.Options{EFI: vmtest.AlphaOS(t)})
	p := vmtest.Boot(t, ovmf.Config{Disk: disk})
	keys := func(text string) {
		t.Helper()
		if err := p.VM.SendText(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	press := func(names ...string) {
		t.Helper()
		for _, name := range names {
			if err := p.VM.SendKeys(t.Context(), name); err != nil {
				t.Fatal(err)
			}
		}
	}
	// becomes waits until the ground beside the conversation has a colour.
	becomes := func(want color.Color) {
		t.Helper()
		for range 600 {
			img, err := p.VM.Screen(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if same(img.At(1, img.Bounds().Dy()/2), want) {
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
		t.Errorf("the ground does not become %v", want)
	}
	// settles waits until the screen has changed and changes no more.
	var last any
	settles := func() {
		t.Helper()
		before := last
		for still := 0; still < 3; time.Sleep(time.Second) {
			img, err := p.VM.Screen(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if still++; last == before || !reflect.DeepEqual(img, last) {
				still = 0
			}
			if last == nil || !reflect.DeepEqual(img, last) {
				last = img
			}
		}
	}
	night, day := color.RGBA{0x14, 0x18, 0x1D, 255}, color.RGBA{0xFA, 0xF9, 0xF6, 255}
	p.Prompt()
	becomes(night)
	p.Greedy(60)
	p.Ask(guideQuestion)
	keys("/s")
	press("down", "down", "ret") // "/set " of the list, below "/settings"
	keys("th")
	press("tab")
	keys("day\n")
	p.Prompt()
	becomes(day)
	keys("/set text large\n")
	p.Prompt()
	settles()
	keys("/")
	press("down")
	settles()
	p.Screenshot("commands-day.png")
	press("backspace", "tab", "left", "up", "spc")
	settles()
	p.Screenshot("reading-back-day.png")
	press("ret")
	settles()
	if said := p.Say("/show system"); !strings.Contains(said, "No system message is set.") {
		t.Errorf("behind reading back the machine says %q", said)
	}
	keys("/bye\n")
	p.Expect("All data saved. Goodbye.")
	p.Off()

	p = vmtest.Boot(t, ovmf.Config{Disk: disk})
	p.Prompt()
	becomes(day)
	p.Screenshot("second-boot-day.png")
	p.Leave("/bye")
	vmtest.CheckDrive(t, disk)
}

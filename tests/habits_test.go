package tests

// Firmware that is not OVMF: what others do is done to it by tests/chain, as the file /habits
// on the drive says.

import (
	"fmt"
	"image/color"
	"math/rand"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"alphaos/drive"
	"alphaos/drive/create"
	"alphaos/internal/vmtest"
	"alphaos/ovmf"
)

// habits are together what boots in a few minutes. Of those on a line, each works beside the
// others; tests/chain/habits.go says what they are.
var habits = []string{
	"nonx,fullmap,keys-freeze,disk-64k,disk-high,disk-aligned,disk-slow,gop-pitch",
	"apple-console,mp-framework,gop-none,time-zone,scribble",
	"keys-other,mp-refuse,map,gop-mask,time-year,disk-640k",
	"apple-silent,strict,ap-raw,vectors,gop-blt,time-error,reset-returns",
	"mp-none,gop-rgbx",
	"mp-deaf,map-moves",
}

// chain builds tests/chain; flags are go build's.
func chain(t testing.TB, flags ...string) string {
	return vmtest.EFI(t, "./tests/chain", append(flags, "-tags=lean")...)
}

// withHabits returns a drive on which tests/chain gives the firmware habits and starts AlphaOS.
func withHabits(t testing.TB, names string) create.Options {
	return create.Options{EFI: chain(t), Extra: []create.Extra{
		image(t), {Path: "limine.conf", Content: []byte(limineConf(t))}, {Path: "habits", Content: []byte(names)},
	}}
}

func TestFirmwareHabits(t *testing.T) {
	vmtest.NeedQEMU(t)
	for i, names := range habits {
		t.Run(names, func(t *testing.T) {
			c := ovmf.Config{CPUs: 2}
			if i == 0 {
				c.MemoryMiB = 3072 // for disk-high: some of it is above 4 GiB
			}
			tryHabits(t, c, strings.Split(names, ","))
		})
	}
}

// TestHabitsSoak tries each habit alone, and then combinations of any on all kinds of machines. What
// ALPHAOS_HABITS names is tried in place of all that.
func TestHabitsSoak(t *testing.T) {
	vmtest.NeedQEMU(t)
	if only := os.Getenv("ALPHAOS_HABITS"); only != "" {
		tryHabits(t, ovmf.Config{CPUs: 2, MemoryMiB: 3072}, strings.Split(only, ","))
		return
	}
	if *soak == 0 {
		t.Skip("boots many times: run with -soak 100, or ALPHAOS_HABITS=nonx,fullmap to try these")
	}
	all := strings.Split(strings.Join(habits, ","), ",")
	for _, name := range all {
		t.Run(name, func(t *testing.T) { tryHabits(t, ovmf.Config{CPUs: 2, MemoryMiB: 3072}, []string{name}) })
	}
	buses := []string{"virtio", "ahci", "nvme", "usb"}
	for i := range *soak {
		r := rand.New(rand.NewSource(int64(i)))
		var some []string
		kinds := map[string]bool{} // of which there is one at a time
		for _, j := range r.Perm(len(all)) {
			kind, _, _ := strings.Cut(all[j], "-")
			switch kind {
			case "apple":
				kind = "keys"
			case "ap", "vectors": // they need processors that are started, and that come back
				kind = "mp"
			case "scribble": // it reads the memory map itself
				kind = "map"
			case "disk":
				if kind = all[j]; kind == "disk-640k" { // which is not tried where 64 are too much
					kind = "disk-64k"
				}
			}
			if !kinds[kind] && r.Intn(3) == 0 {
				kinds[kind] = true
				some = append(some, all[j])
			}
		}
		c := ovmf.Config{CPUs: 1 + r.Intn(4), Bus: buses[r.Intn(len(buses))], MemoryMiB: 3072}
		t.Run(fmt.Sprintf("%d %s %d processors %s", i+1, c.Bus, c.CPUs, strings.Join(some, ",")), func(t *testing.T) { tryHabits(t, c, some) })
	}
}

// tryHabits starts AlphaOS on firmware with habits, types on the keyboard, asks the model, and
// checks that each habit was met.
func tryHabits(t *testing.T, c ovmf.Config, names []string) {
	has := func(name string) bool { return slices.Contains(names, name) }
	model, want := chatModel(t, story)
	drive := withHabits(t, strings.Join(names, ","))
	drive.Models = []string{model}
	c.Disk = vmtest.NewDrive(t, drive)
	p := vmtest.Boot(t, c)
	p.Expect("chain: starting")
	said := p.Prompt()
	command := "/show info\n"
	if has("apple-console") || has("apple-silent") {
		vmtest.Contains(t, said, "The keyboard is read as German (Mac), as macOS does on this computer")
		command = "&show info\n" // the key where a German keyboard has the slash
	}
	if has("time-year") {
		vmtest.Contains(t, said, "Dates will be wrong: the machine's clock shows")
	}
	if err := p.VM.SendText(t.Context(), command); err != nil { // on the keyboard
		t.Fatal(err)
	}
	processors := fmt.Sprintf("%d of %[1]d in use", c.CPUs)
	if has("mp-none") {
		processors = "1 of 1 in use"
	} else if has("mp-deaf") {
		processors = fmt.Sprintf("%d of %d in use", max(c.CPUs-1, 1), c.CPUs)
	}
	keys := "Simple Text Input"
	if has("apple-silent") {
		keys = "Apple's key map"
	}
	vmtest.Contains(t, p.Expect("built with"), processors, keys)
	p.Prompt()
	p.Greedy(100)
	if got := p.Ask(story); got != want {
		t.Errorf("in the machine\n%q\nwant\n%q", got, want)
	}
	p.Screenshot("habits-" + strings.Join(names, "-") + ".png")
	if !has("gop-none") {
		checkScreen(t, p, has("gop-rgbx") || has("gop-mask"))
	}
	if has("apple-console") {
		p.TypeLine("/restart")
		vmtest.Contains(t, p.Expect("All data saved. Goodbye."), "On a Mac, hold the Option key while it starts to come back to AlphaOS")
		if code, err := p.VM.Wait(t.Context()); code != 0 || err != nil || p.VM.Reason() != "guest-reset" {
			t.Errorf("it ends with %d, %v, %s", code, err, p.VM.Reason())
		}
	} else if has("reset-returns") {
		p.TypeLine("/bye")
		p.Expect("It is safe to hold the power button now.")
		p.VM.Kill()
	} else {
		p.Leave("/bye")
	}
	vmtest.CheckDrive(t, c.Disk)
	if len(names) == 0 {
		return
	}
	_, told, _ := strings.Cut(p.VM.Output(), "chain: met ")
	told, _, _ = strings.Cut(told, ".")
	t.Logf("met %s", told)
	for _, name := range names {
		idle := c.CPUs == 1 && (strings.HasPrefix(name, "mp-") || name == "ap-raw") // there is nothing to start
		if !idle && !regexp.MustCompile(`(^| )`+name+`=[1-9]`).MatchString(told) {
			t.Errorf("the habit %s was not met: %q", name, told)
		}
	}
}

// checkScreen checks that the conversation is on the screen as it should be: there is a bar at the top and one at
// the bottom, between them the margin at the left is empty, which it is not when rows are longer than they are
// drawn, and both grounds are blue rather than red or, where the firmware was made to say that red comes first, the
// reverse.
func checkScreen(t *testing.T, p *vmtest.Person, swapped bool) {
	t.Helper()
	img, err := p.VM.Screen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	height := img.Bounds().Dy()
	bar, ground := img.At(1, 1), img.At(1, height/2)
	for _, c := range []color.Color{bar, ground} {
		if r, _, b, _ := c.RGBA(); r == b || (r > b) != swapped {
			t.Errorf("the ground is %v, red and blue swapped: %v", c, swapped)
		}
	}
	thick := 0 // of a bar
	for thick < height/4 && same(img.At(1, thick), bar) {
		thick++
	}
	if same(bar, ground) || thick < 16 || thick > height/10 {
		t.Errorf("the bar at the top is %d pixels thick, %v on %v", thick, bar, ground)
	}
	for y := range height {
		want := ground
		if y < thick || y >= height-thick {
			want = bar
		}
		for x := range 12 {
			if !same(img.At(x, y), want) {
				t.Fatalf("something is drawn in the margin at %d, %d", x, y)
			}
		}
	}
	lit := 0
	for y := range img.Bounds().Dy() {
		for x := range img.Bounds().Dx() {
			if !same(img.At(x, y), ground) {
				lit++
			}
		}
	}
	if lit < 5000 {
		t.Errorf("%d pixels are lit: want a conversation", lit)
	}
}

// TestProcessorsStop starts AlphaOS on firmware that never comes back from starting the other
// processors: the start after that does without them, and one that is asked to tries again.
func TestProcessorsStop(t *testing.T) {
	vmtest.NeedQEMU(t)
	model, _ := chatModel(t, story)
	o := withHabits(t, "mp-hang")
	o.Models = []string{model}
	disk := vmtest.NewDrive(t, o)
	config := ovmf.Config{Disk: disk, CPUs: 2}
	p := vmtest.Boot(t, config)
	p.Expect("chain: met mp-hang=1")
	p.Screenshot("processors-stop.png") // says what is being done
	p.VM.Kill()
	p = vmtest.Boot(t, config)
	vmtest.Contains(t, p.Prompt(), "This computer stopped when its other processors were being started, so AlphaOS uses one.", "cpus=2")
	vmtest.Contains(t, p.Say("/show info"), "1 of 2 in use")
	p.Leave("/bye")
	vmtest.Contains(t, string(vmtest.ReadFile(t, disk, drive.ProcessorsPath)), "EDK II")
	vmtest.CheckDrive(t, disk)
}

// TestKeyboardPulledOut types on a keyboard that firmware has beside a console whose own is dead, plugs another
// in and pulls the first out, whose memory the firmware then uses for something else, and goes on typing.
func TestKeyboardPulledOut(t *testing.T) {
	vmtest.NeedQEMU(t)
	disk := vmtest.NewDrive(t, withHabits(t, "keys-other"))
	p := vmtest.Boot(t, ovmf.Config{Disk: disk, USBKeyboard: true, Extra: []string{"-machine", "i8042=off"}})
	p.Expect("chain: starting")
	p.Prompt()
	monitor := func(command string) string {
		t.Helper()
		out, err := p.VM.Monitor(t.Context(), command)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	use := func() {
		t.Helper()
		said, end := len(p.VM.Output()), time.Now().Add(vmtest.Patience/6)
		for len(p.VM.Output()) == said { // until AlphaOS has found the keyboard
			if time.Now().After(end) {
				t.Fatal("no key arrives")
			}
			if err := p.VM.SendKeys(t.Context(), "ret"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		if err := p.VM.SendText(t.Context(), "/show info\n"); err != nil {
			t.Fatal(err)
		}
		p.Expect("Simple Text Input Ex of another keyboard")
		p.Prompt()
	}
	use()
	keyboard := "keyboard"
	for _, next := range []string{"second", "third"} {
		monitor("device_add usb-kbd,id=" + next + ",bus=xhci.0")
		for strings.Contains(monitor("info usb"), "Device 0.0") { // until the firmware has given it an address
			time.Sleep(time.Second)
		}
		p.Say("/?") // it then knows the rest too
		monitor("device_del " + keyboard)
		use()
		keyboard = next
	}
	p.Leave("/bye")
	vmtest.CheckDrive(t, disk)
}

// TestEarlyFailure starts AlphaOS on a Mac's console and without a memory map: it says in text why it
// cannot start, under the blocks of the steps that it did.
func TestEarlyFailure(t *testing.T) {
	vmtest.NeedQEMU(t)
	disk := vmtest.NewDrive(t, withHabits(t, "apple-console,map-error"))
	p := vmtest.Boot(t, ovmf.Config{Disk: disk, CPUs: 2})
	p.Expect("The program cannot start: the firmware does not tell which memory is free.")
	text := func() (lit int, blocks []color.Color) {
		img, err := p.VM.Screen(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for x := range img.Bounds().Dx() {
			for y := 32; y < img.Bounds().Dy(); y++ { // below the blocks
				if r, g, b, _ := img.At(x, y).RGBA(); r|g|b != 0 {
					lit++
				}
			}
		}
		for i := range 6 {
			blocks = append(blocks, img.At(16+24*i, 16))
		}
		return lit, blocks
	}
	for {
		lit, blocks := text()
		if lit < 500 { // the text comes after what the serial line says
			continue
		}
		white, yellow := color.RGBA{255, 255, 255, 255}, color.RGBA{255, 255, 0, 255}
		if !same(blocks[0], white) || !same(blocks[1], yellow) || !same(blocks[2], color.Black) {
			t.Errorf("the blocks are %v", blocks)
		}
		break
	}
	p.Screenshot("early-failure.png")
	p.Type("x") // it goes back to the firmware
	if _, err := p.VM.Expect(t.Context(), "chain: FAILED: the image returned"); err != nil {
		t.Error(err)
	}
}

// same reports whether two colours look the same.
func same(a, b color.Color) bool {
	r, g, bl, _ := a.RGBA()
	r2, g2, b2, _ := b.RGBA()
	return r>>8 == r2>>8 && g>>8 == g2>>8 && bl>>8 == b2>>8
}

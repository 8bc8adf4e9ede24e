package main

import (
	"bufio"
	"errors"
	"strings"
	"testing"

	"alphaos/drive/media"
)

func TestConfirm(t *testing.T) {
	stick := media.Disk{Name: "sdz", Path: "/dev/sdz", Size: 32 << 30, Bus: "USB", Model: "Ultra", Serial: "4C530001", External: true}
	inside := media.Disk{Name: "sda", Path: "/dev/sda", Size: 1 << 40, Bus: "SATA"}
	system := inside
	system.System, system.Mounts = true, []string{"/"}
	const warning = "WARNING: this will erase all data on /dev/"
	for _, c := range []struct {
		what  string
		disk  media.Disk
		o     outFlags
		input string
		err   string // none: may be erased
		asked string
	}{
		{"a stick, yes", stick, outFlags{}, "y\n", "", warning + "sdz (32 GiB, USB, Ultra, serial number 4C530001). Continue? [y/N] "},
		{"a stick, YES", stick, outFlags{}, " YES \n", "", warning},
		{"a stick, no", stick, outFlags{}, "n\n", "nothing was written", warning},
		{"a stick, Enter", stick, outFlags{}, "\n", "nothing was written", warning},
		{"a stick, nobody there", stick, outFlags{}, "", "nothing was written", warning},
		{"a stick, --yes", stick, outFlags{yes: true}, "", "", ""},
		{"inside, its name, yes", inside, outFlags{}, "sda\ny\n", "", "/dev/sda (1 TiB, SATA) is inside this computer.\nIf all data on it is to be erased all the same, type its name, sda: " + warning},
		{"inside, its name, no", inside, outFlags{}, "sda\nn\n", "nothing was written", warning},
		{"inside, another name", inside, outFlags{}, "sdb\ny\n", "that is not the name of the drive", "type its name"},
		{"inside, yes", inside, outFlags{}, "y\ny\n", "that is not the name of the drive", "type its name"},
		{"inside, --yes", inside, outFlags{yes: true}, "sda\ny\n", "is inside this computer; if it is to be erased all the same, add --name sda", ""},
		{"inside, --yes --name", inside, outFlags{yes: true, name: "sda"}, "", "", ""},
		{"inside, --yes --name of another", inside, outFlags{yes: true, name: "sdb"}, "", "add --name sda", ""},
		{"inside, --name", inside, outFlags{name: "sda"}, "y\n", "", warning},
		{"the system's", system, outFlags{}, "sda\ny\n", "holds the system that is running, is inside this computer, is mounted at /, so it cannot be erased", ""},
		{"the system's, --yes --name", system, outFlags{yes: true, name: "sda"}, "sda\ny\n", "so it cannot be erased", ""},
	} {
		var asked strings.Builder
		err := c.o.confirm(c.disk, strings.NewReader(c.input), &asked)
		if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %v, want %q", c.what, err, c.err)
		}
		if !strings.Contains(asked.String(), c.asked) || c.asked == "" && asked.Len() > 0 {
			t.Errorf("%s: asked %q, want %q", c.what, asked.String(), c.asked)
		}
		if strings.Contains(c.err, "nothing") && !errors.Is(err, errDeclined) {
			t.Errorf("%s: %v is not declined", c.what, err)
		}
	}
}

// What is to be changed asks less than what is to be erased, and no more of the system's drive.
func TestSure(t *testing.T) {
	inside := media.Disk{Name: "sda", Path: "/dev/sda", Size: 1 << 40, Bus: "SATA"}
	system := inside
	system.System = true
	for _, c := range []struct {
		what, name, input string
		disk              media.Disk
		err, asked        string
	}{
		{"a stick", "", "", media.Disk{Name: "sdz", External: true}, "", ""},
		{"inside, its name", "", "sda\n", inside, "", "/dev/sda (1 TiB, SATA) is inside this computer.\nIf something on it is to be changed all the same, type its name, sda: "},
		{"inside, nobody there", "", "", inside, "that is not the name of the drive", "type its name"},
		{"inside, --name", "sda", "", inside, "", ""},
		{"inside, --name of another", "sdb", "sda\n", inside, "if it is to be changed all the same, add --name sda", ""},
		{"the system's", "sda", "sda\n", system, "so it cannot be changed from here", ""},
	} {
		var asked strings.Builder
		q := questions{bufio.NewReader(strings.NewReader(c.input)), &asked}
		err := q.sure(c.disk, "changed", "something on it is to be changed", c.name, false)
		if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %v, want %q", c.what, err, c.err)
		}
		if !strings.Contains(asked.String(), c.asked) || c.asked == "" && asked.Len() > 0 {
			t.Errorf("%s: asked %q, want %q", c.what, asked.String(), c.asked)
		}
	}
}

func TestListDisks(t *testing.T) {
	var b strings.Builder
	err := listDisks(&b, []media.Disk{
		{Path: "/dev/loop0", Virtual: true},
		{Path: "/dev/sda", Size: 1 << 40, Bus: "SATA", Model: "Disk", System: true, Mounts: []string{"/"}, BlockSize: 512},
		{Path: "/dev/sdb", Size: 32 << 30, Bus: "USB", Model: "Ultra", External: true, ReadOnly: true, BlockSize: 4096},
		{Path: "/dev/sdc", Size: 32 << 30, Bus: "USB", Model: "Ultra", Serial: "4C530001", External: true, BlockSize: 512},
		{Path: "/dev/sdd", Size: 32 << 30, Bus: "USB", Model: "Other", External: true, BlockSize: 4096},
	})
	want := `/dev/sda  1 TiB   SATA  Disk             holds the system that is running; is inside this computer; is mounted at /
/dev/sdb  32 GiB  USB   Ultra            is write-protected; has sectors of 4096 bytes
/dev/sdc  32 GiB  USB   Ultra  4C530001  
/dev/sdd  32 GiB  USB   Other            has sectors of 4096 bytes
`
	if b.String() != want || err != nil {
		t.Errorf("%v\n%s", err, b.String())
	}
	if s := candidates([]media.Disk{{Name: "sdc", Path: "/dev/sdc", Size: 32 << 30, Bus: "USB", Model: "Ultra", External: true}}); s != "these can be taken away:\n  /dev/sdc (32 GiB, USB, Ultra)" {
		t.Errorf("%q", s)
	}
}

// A name below /dev is never made as a file.
func TestNoFileInDev(t *testing.T) {
	if _, err := driveRun("create", "/dev/no-such-drive", "--efi", "x", "--yes"); err == nil || !strings.Contains(err.Error(), "there is no drive /dev/no-such-drive") && !strings.Contains(err.Error(), "image files only") {
		t.Error(err)
	}
}

package tests

// Models on sticks that AlphaOS did not make.

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"alphaos/drive/create"
	"alphaos/fs/exfat/exfattest"
	"alphaos/internal/vmtest"
	"alphaos/ovmf"
)

// shopStick makes a stick as they are sold: one partition of an MBR, in which mkfs.exfat makes a volume.
func shopStick(t *testing.T, model string) string {
	t.Helper()
	content, err := os.ReadFile(model)
	if err != nil {
		t.Fatal(err)
	}
	const mib, size = 1 << 20, 64 << 20
	volume := filepath.Join(t.TempDir(), "volume")
	if err := errors.Join(os.WriteFile(volume, nil, 0o600), os.Truncate(volume, size)); err != nil {
		t.Fatal(err)
	}
	program(t, "mkfs.exfat", "-L", "SHOP", volume)
	f, err := os.OpenFile(volume, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	// In pieces, as on a stick that was in use for years.
	exfattest.Write(f, []exfattest.Item{{Path: "holiday.jpg", Data: []byte("no model")}, {Path: "models/" + filepath.Base(model), Data: content, Scattered: true}})
	program(t, "fsck.exfat", "-n", volume)
	stick := make([]byte, mib+size)
	if _, err := f.ReadAt(stick[mib:], 0); err != nil {
		t.Fatal(err)
	}
	copy(stick[446:], []byte{0, 0, 0, 0, 7, 0, 0, 0, 0, 8, 0, 0, 0, 0, 2, 0}) // type 7, 131072 blocks from 2048 on
	stick[510], stick[511] = 0x55, 0xAA
	name := filepath.Join(t.TempDir(), "shop.img")
	if err := os.WriteFile(name, stick, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// linuxStick makes a stick that mkfs.ext4 has formatted as a whole.
func linuxStick(t *testing.T, model string) string {
	t.Helper()
	content, err := os.ReadFile(model)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	name := filepath.Join(t.TempDir(), "linux.img")
	if err := errors.Join(os.WriteFile(filepath.Join(dir, filepath.Base(model)), content, 0o600), os.WriteFile(name, nil, 0o600), os.Truncate(name, 64<<20)); err != nil {
		t.Fatal(err)
	}
	program(t, "mkfs.ext4", "-q", "-L", "LINUX", "-d", dir, name)
	program(t, "e2fsck", "-fn", name)
	return name
}

// program runs a program of another maker, which must be content.
func program(t *testing.T, name string, args ...string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("%s is not installed (packages exfatprogs, e2fsprogs)", name)
	}
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
}

// TestOtherSticks takes models from a stick with exFAT and from one with ext4, which are only read.
func TestOtherSticks(t *testing.T) {
	vmtest.NeedQEMU(t)
	model, want := chatModel(t, story)
	sticks := map[string]string{"SHOP/models": shopStick(t, model), "LINUX": linuxStick(t, model)}
	sums := map[string]string{}
	for place, stick := range sticks {
		sums[place] = vmtest.Sum(t, stick)
	}
	disk := vmtest.NewDrive(t, create.Options{EFI: vmtest.AlphaOS(t)})
	p := vmtest.Boot(t, ovmf.Config{Disk: disk, Bus: "usb", Extra: []string{
		"-drive", "id=shop,if=none,format=raw,file=" + sticks["SHOP/models"], "-device", "usb-storage,bus=xhci.0,removable=on,drive=shop",
		"-drive", "id=linux,if=none,format=raw,file=" + sticks["LINUX"], "-device", "nvme,serial=linux,drive=linux"}})
	p.Prompt()
	name := strings.TrimSuffix(filepath.Base(model), ".gguf")
	vmtest.Contains(t, p.Say("/models all"), "SHOP/models/"+name, "LINUX/"+name)
	p.Greedy(100)
	for place := range sticks {
		vmtest.Contains(t, p.Say("/load "+place+"/"+name), "Going on with "+place+"/"+name)
		p.Say("/clear")
		if got := p.Ask(story); got != want {
			t.Errorf("with the model of %s the machine says\n%q\nwant\n%q", place, got, want)
		}
	}
	p.Leave("/bye")
	for place, stick := range sticks {
		if vmtest.Sum(t, stick) != sums[place] {
			t.Errorf("the stick %s was written", place)
		}
	}
	vmtest.CheckDrive(t, disk)
}

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"alphaos/drive"
	"alphaos/fs"
	"alphaos/fs/volume"
	"alphaos/internal/fsck"
	"alphaos/internal/petest"
)

// A person's way with an encrypted drive, each step on the image that the last one left.
func TestDrivePassphrase(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	efi := file("BOOTX64.EFI", string(petest.Application(nil)))
	one, two, three := file("one", "one two three four five\n"), file("two", "two"), file("three", "three")
	note := file("secret.md", "the treasure lies below the old oak\n")
	img := filepath.Join(dir, "drive.img")
	cheap := []string{"--memory", "65536", "--passes", "4"}
	ok := func(args ...string) string {
		t.Helper()
		out, err := driveRun(args...)
		if err != nil {
			t.Fatalf("%q: %v\n%s", args, err, out)
		}
		return out
	}
	fails := func(want string, args ...string) {
		t.Helper()
		if _, err := driveRun(args...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want one about %q", args, err, want)
		}
	}
	create := []string{"create", img, "--efi", efi, "--size", "180M", "--esp", "40M", "--system", "40M", "--journal", "1M", "--state", "1M", "--document", note, "--encrypt", "--key-memory", "65536", "--key-passes", "4"}
	fails("the minimal layout has one partition", append(create, "--layout", "minimal", "--passphrase-file", one)...)
	fails("there is no terminal", create...)
	out := ok(append(create, "--recovery", "--passphrase-file", one)...)
	recovery := regexp.MustCompile(`[0-9A-Z]{5}(-[0-9A-Z]{5}){5}`).FindString(out)
	if recovery == "" || !strings.Contains(out, "ALPHAOSDATA") {
		t.Fatalf("no recovery key in %q", out)
	}
	paper := file("paper", strings.ToLower(strings.ReplaceAll(recovery, "-", " "))+"\n")
	raw, err := os.ReadFile(img)
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"treasure lies", "SECRET", "s\x00e\x00c\x00r\x00e\x00t"} {
		if bytes.Contains(raw, []byte(word)) {
			t.Errorf("%q is on the drive as it is", word)
		}
	}
	check := func(key string) string {
		t.Helper()
		return ok("check", img, "--passphrase-file", key)
	}
	for _, key := range []string{one, paper} {
		if out := check(key); !strings.Contains(out, "is encrypted with LUKS") || !strings.Contains(out, "FAT32") || !strings.Contains(out, "All that was saved can be read.") {
			t.Errorf("check says %q", out)
		}
	}
	fails("that is not a passphrase", "check", img, "--passphrase-file", two)

	if out := ok("passphrase", "list", img); !strings.Contains(out, " 0  passphrase, argon2id") || !strings.Contains(out, " 1  recovery key, argon2id") {
		t.Errorf("list says %q", out)
	}
	ok(append([]string{"passphrase", "add", img, "--passphrase-file", paper, "--new-passphrase-file", two}, cheap...)...)
	ok(append([]string{"passphrase", "change", img, "--passphrase-file", one, "--new-passphrase-file", three}, cheap...)...)
	fails("that is not a passphrase", "passphrase", "remove", img, "--passphrase-file", one)
	ok("passphrase", "remove", img, "--passphrase-file", two)
	ok("passphrase", "remove", img, "--slot", "1", "--passphrase-file", three)
	fails("only passphrase", "passphrase", "remove", img, "--passphrase-file", three)
	check(three)
	fails("that is not a passphrase", "check", img, "--passphrase-file", paper)

	more := file("more.md", "and the key below the mat\n")
	ok("add", img, more, "--passphrase-file", three)
	fails("that is not a passphrase", "add", img, file("other.md", "x"), "--passphrase-file", file("empty", ""))

	// What others say of it.
	dev, err := fs.OpenFileDevice(img, 512, false)
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	m, err := volume.List(dev)
	if err != nil {
		t.Fatal(err)
	}
	if m.Volumes[2].TypeGUID != drive.LockedType || m.Volumes[2].Name != "ALPHAOS_DATA" {
		t.Errorf("the partition is %v %q", m.Volumes[2].TypeGUID, m.Volumes[2].Name)
	}
	d, err := drive.Open(fs.ReadOnly(dev), true)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Unlock([]byte("three")); err != nil {
		t.Fatal(err)
	}
	v, _, err := d.On(drive.JournalPath)
	if err != nil {
		t.Fatal(err)
	}
	fsck.Sound(t, v.Device)
	if _, err := exec.LookPath("cryptsetup"); err == nil {
		if out, err := exec.Command("cryptsetup", "open", "--test-passphrase", "--disable-locks", "--key-file", three, fsck.Copy(t, m.Volumes[2])).CombinedOutput(); err != nil {
			t.Errorf("cryptsetup: %v: %s", err, out)
		}
	}
}

func TestDriveEncryptAndErase(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const note = "the treasure lies below the old oak"
	efi, key, img := file("BOOTX64.EFI", string(petest.Application(nil))), file("key", "one two three four five\n"), filepath.Join(dir, "drive.img")
	ok := func(args ...string) string {
		t.Helper()
		out, err := driveRun(args...)
		if err != nil {
			t.Fatalf("%q: %v\n%s", args, err, out)
		}
		return out
	}
	ok("create", img, "--efi", efi, "--layout", "full", "--size", "200M", "--esp", "40M", "--system", "40M", "--journal", "1M", "--state", "1M", "--document", file("n.md", note))
	if out := ok("encrypt", img, "--passphrase-file", key, "--key-memory", "65536", "--key-passes", "4", "--recovery"); !strings.Contains(out, "The recovery key of this drive") || !strings.Contains(out, "is encrypted.") {
		t.Errorf("encrypt says %q", out)
	}
	raw, err := os.ReadFile(img)
	if err != nil || bytes.Contains(raw, []byte(note[:16])) {
		t.Errorf("the note is on the drive as it was, error %v", err)
	}
	if out := ok("check", img, "--passphrase-file", key); !strings.Contains(out, "All that was saved can be read.") {
		t.Errorf("check says %q", out)
	}
	dev, err := fs.OpenFileDevice(img, 512, false)
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	if m, err := volume.List(dev); err != nil || m.Volumes[2].TypeGUID != drive.LockedType {
		t.Errorf("%+v, error %v", m, err)
	}
	if _, err := driveRun("encrypt", img, "--passphrase-file", key); err == nil || !strings.Contains(err.Error(), "encrypted already") {
		t.Errorf("once more: %v", err)
	}
	if _, err := driveRun("erase", img); err == nil {
		t.Error("erased without being asked")
	}
	if out := ok("erase", img, "--yes"); !strings.Contains(out, "What opened its encrypted partition is destroyed.") || !strings.Contains(out, "200 MiB overwritten.") {
		t.Errorf("erase says %q", out)
	}
	if raw, err = os.ReadFile(img); err != nil || len(raw) != 200<<20 || len(bytes.TrimRight(raw, "\x00")) > 0 {
		t.Errorf("%d bytes, something is left, error %v", len(raw), err)
	}
}

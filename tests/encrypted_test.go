package tests

import (
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"alphaos/drive"
	"alphaos/drive/create"
	"alphaos/fs"
	"alphaos/fs/luks"
	"alphaos/fs/volume"
	"alphaos/internal/fsck"
	"alphaos/internal/vmtest"
	"alphaos/ovmf"
)

// absent fails the test if any 16 bytes of one of texts are in b.
func absent(t *testing.T, where string, b []byte, texts ...string) {
	t.Helper()
	for _, text := range texts {
		for i := 0; i+16 <= len(text); i++ {
			if at := bytes.Index(b, []byte(text[i:i+16])); at >= 0 {
				t.Errorf("%q is in %s, at %d", text[i:i+16], where, at)
				break
			}
		}
	}
}

// byMkfs gives the encrypted partition of a drive what mkfs.ext4 makes, with a file on it, in place of what it has.
func byMkfs(t *testing.T, disk, passphrase, name, content string) {
	t.Helper()
	if _, err := exec.LookPath("mke2fs"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("mke2fs is missing: tools/install.sh test installs it")
		}
		t.Skip("mke2fs is missing: tools/install.sh test installs it")
	}
	d, _ := vmtest.Drive(t, disk)
	dev, err := d.Locked().Open([]byte(passphrase))
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	from, img := filepath.Join(t.TempDir(), "from"), filepath.Join(t.TempDir(), "img")
	if err := errors.Join(os.MkdirAll(filepath.Dir(filepath.Join(from, name)), 0o755), os.WriteFile(filepath.Join(from, name), []byte(content), 0o644), os.WriteFile(img, nil, 0o600), os.Truncate(img, int64(dev.Blocks())*int64(dev.BlockSize()))); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mke2fs", "-q", "-F", "-t", "ext4", "-d", from, img).CombinedOutput(); err != nil {
		t.Fatalf("mke2fs: %v\n%s", err, out)
	}
	b, err := os.ReadFile(img)
	if err == nil {
		err = dev.WriteBlocks(0, b[:int64(dev.Blocks())*int64(dev.BlockSize())])
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestEncryptedDrive talks on a drive whose knowledge partition is LUKS2 and in it what mkfs.ext4 made, with a document: AlphaOS makes itself at
// home there. It is started again, and crashes: what was said is there again behind the passphrase, and no word of it anywhere on the drive as it
// is; and e2fsck finds it in order.
func TestEncryptedDrive(t *testing.T) {
	vmtest.NeedQEMU(t)
	program, err := os.ReadFile(vmtest.EFI(t, ".", "-tags", "provoke"))
	if err != nil {
		t.Fatal(err)
	}
	efi := t.TempDir() + "/BOOTX64.EFI"
	if err := os.WriteFile(efi, program, 0o600); err != nil {
		t.Fatal(err)
	}
	const passphrase, said, note = "five words on a train", "The violet armadillo sleeps under my bed", "the treasure lies below the old oak tree"
	recovery, err := luks.NewRecoveryKey()
	if err != nil {
		t.Fatal(err)
	}
	disk := fullDrive(t, create.Options{
		EFI: efi, Config: []byte(`{"verbose": true, "wait": 0}`), Extra: []create.Extra{{Path: "provoke", Content: []byte("panic")}},
		Encrypt: &create.Encryption{Passphrase: []byte(passphrase), Recovery: []byte(recovery), Cost: luks.Cost{Memory: 512 << 10, Passes: 4}},
	})
	byMkfs(t, disk, passphrase, "documents/note.md", note)
	const question = "Passphrase or recovery key (Enter alone starts without them): "
	config := ovmf.Config{Disk: disk, Bus: "usb"}
	p := vmtest.Boot(t, config)
	vmtest.Contains(t, p.Expect(question), "Your conversations and documents on this drive are encrypted.")
	p.TypeLine("FIVE WORDS ON A TRAIN")
	told := p.Expect(question)
	vmtest.Contains(t, told, "That is not a passphrase of this volume.", "is Caps Lock on?", "Keys are read with the firmware's layout")
	if strings.Contains(told, "FIVE") {
		t.Errorf("the passphrase was echoed: %q", told)
	}
	p.Type("five words")
	p.Screenshot("passphrase.png")
	p.TypeLine(" on a train")
	told = p.Prompt()
	vmtest.Contains(t, told, "Unlocked.", "The drive's knowledge partition had no journal: /journal/journal.log on ALPHAOSDATA was made", "journal: open")
	p.Ask(said) // answered with words that are in the program
	vmtest.Contains(t, p.Say("/search treasure"), "old oak")
	p.Leave("/bye")
	vmtest.CheckDrive(t, disk)
	inside := func() fs.BlockDevice {
		t.Helper()
		d, _ := vmtest.Drive(t, disk)
		if err := d.Unlock([]byte(passphrase)); err != nil {
			t.Fatal(err)
		}
		v, _, err := d.On(drive.JournalPath)
		if err != nil || v.Kind() != volume.Ext4 || v.Dirty() {
			t.Fatalf("after the shutdown it %s, in order %t; %v", v.Kind().Clause(), !v.Dirty(), err)
		}
		return v.Device
	}
	fsck.Sound(t, inside())

	// The recovery key opens it as well, however it is typed.
	p = vmtest.Boot(t, config)
	p.Expect(question)
	p.TypeLine(strings.ToLower(strings.ReplaceAll(recovery, "-", " ")))
	vmtest.Contains(t, p.Prompt(), "Unlocked.", "you: "+said)
	p.TypeLine("/show info")
	p.Expect("AlphaOS had to stop. ")
	p.Expect("Press R to restart, S to shut down.")
	p.Type("s")
	p.Off()

	raw, err := os.ReadFile(disk)
	if err != nil {
		t.Fatal(err)
	}
	absent(t, "the drive", raw, passphrase, recovery, said, note)
	for _, path := range []string{drive.CrashPath, drive.BootLogPath} {
		if text := string(bytes.TrimSpace(vmtest.ReadFile(t, disk, path))); len(text) < 100 {
			t.Errorf("/%s has nothing: %q", path, text)
		}
	}
	d, _ := vmtest.Drive(t, disk)
	if err := d.Unlock([]byte(passphrase)); err != nil {
		t.Fatal(err)
	}
	s, r, err := d.OpenJournal(nil)
	if err != nil || !r.Unclean || len(s.Conversation()) != 2 || s.Conversation()[0].Text != said {
		t.Errorf("the journal holds %v, %+v, %v", s.Conversation(), r, err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	fsck.Sound(t, inside())
}

// TestWipesMemory hands the machine over to the computer's own system: of the volume key, the passphrase and the words that were in
// memory nothing is there any more.
func TestWipesMemory(t *testing.T) {
	vmtest.NeedQEMU(t)
	loader, err := os.ReadFile(vmtest.EFI(t, "./tests/ownsystem"))
	if err != nil {
		t.Fatal(err)
	}
	inside := vmtest.SmallDrive(t, "", create.Extra{Path: "System/Library/CoreServices/boot.efi", Content: loader})
	const passphrase, said = "five words on a train", "The violet armadillo sleeps under my bed"
	disk := fullDrive(t, create.Options{EFI: vmtest.AlphaOS(t), Config: []byte(`{"wait": 60}`),
		Encrypt: &create.Encryption{Passphrase: []byte(passphrase), Cost: luks.Cost{Memory: 32 << 10, Passes: 1}}})
	d, _ := vmtest.Drive(t, disk)
	if err := d.Unlock([]byte(passphrase)); err != nil {
		t.Fatal(err)
	}
	s, _, err := d.OpenJournal(time.Now)
	if err == nil {
		err = errors.Join(s.Begin(), s.AddUser(said), s.End(), d.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	key := volumeKey(t, disk, passphrase)
	p := vmtest.Boot(t, ovmf.Config{Disk: disk, Bus: "usb", MemoryMiB: 512,
		Extra: []string{"-no-shutdown", "-drive", "if=none,id=inside,format=raw,file=" + inside, "-device", "ide-hd,drive=inside"}})
	p.Expect("starts without them): ")
	p.TypeLine(passphrase)
	p.Expect(vmtest.Manager)
	memory := func() []byte {
		t.Helper()
		name := t.TempDir() + "/memory"
		if out, err := p.VM.Monitor(t.Context(), `pmemsave 0 0x20000000 "`+name+`"`); err != nil || out != "" {
			t.Fatalf("%q, error %v", out, err)
		}
		b, err := os.ReadFile(name)
		if err != nil || len(b) != 512<<20 {
			t.Fatalf("%d bytes of memory, error %v", len(b), err)
		}
		return b
	}
	before := memory()
	for what, b := range map[string][]byte{"key": key[:32], "words": []byte(said)} {
		if !bytes.Contains(before, b) {
			t.Errorf("the %s are not in memory while AlphaOS runs: this test would find nothing", what)
		}
	}
	p.Type("4\n")
	p.Expect("own system: ")
	p.Expect("processors")
	after := memory()
	absent(t, "memory", after, passphrase, said, string(key))
}

// volumeKey asks cryptsetup for the key of the encrypted partition.
func volumeKey(t *testing.T, disk, passphrase string) []byte {
	t.Helper()
	if _, err := exec.LookPath("cryptsetup"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("cryptsetup is missing: tools/install.sh test installs it")
		}
		t.Skip("cryptsetup is missing: tools/install.sh test installs it")
	}
	_, volumes := vmtest.Drive(t, disk)
	file := t.TempDir() + "/passphrase"
	if err := os.WriteFile(file, []byte(passphrase), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("cryptsetup", "luksDump", "--dump-volume-key", "--disable-locks", "-q", "--key-file", file, fsck.Copy(t, volumes[2])).Output()
	if err != nil {
		t.Fatal(err)
	}
	_, dump, _ := strings.Cut(string(out), "MK dump:")
	key, err := hex.DecodeString(strings.Join(regexp.MustCompile(`\b[0-9a-f]{2}\b`).FindAllString(dump, -1), ""))
	if err != nil || len(key) != 64 {
		t.Fatalf("no key in %q, error %v", out, err)
	}
	return key
}

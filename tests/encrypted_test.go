package tests

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"alphaos/drive"
	"alphaos/drive/create"
	"alphaos/fs/luks"
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

// TestEncryptedDrive talks on an encrypted drive, starts it again, and has it crash: what was said is there again behind
// the passphrase, and no word of it anywhere on the drive as it is.
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
	noteFile := t.TempDir() + "/note.md"
	if err := os.WriteFile(noteFile, []byte(note), 0o600); err != nil {
		t.Fatal(err)
	}
	disk := fullDrive(t, create.Options{
		EFI: efi, Documents: []string{noteFile}, Config: []byte(`{"verbose": true, "wait": 0}`), Extra: []create.Extra{{Path: "provoke", Content: []byte("panic")}},
		Encrypt: &create.Encryption{Passphrase: []byte(passphrase), Recovery: []byte(recovery), Cost: luks.Cost{Memory: 512 << 10, Passes: 4}},
	})
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
	vmtest.Contains(t, told, "Unlocked.", "journal: open")
	p.Ask(said) // answered with words that are in the program
	vmtest.Contains(t, p.Say("/search treasure"), "old oak")
	p.Leave("/bye")
	vmtest.CheckDrive(t, disk)

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
	v, _, err := d.On(drive.JournalPath)
	if err != nil {
		t.Fatal(err)
	}
	if said := fsck.Says(t, fsck.Copy(t, v.Device)); len(said) > 1 { // it is marked as in use
		t.Errorf("fsck.fat says %q", said)
	}
}

// TestLockedDrive starts an encrypted drive without its passphrase: one can talk, and nothing is kept.
func TestLockedDrive(t *testing.T) {
	vmtest.NeedQEMU(t)
	disk := fullDrive(t, create.Options{EFI: vmtest.AlphaOS(t), Encrypt: &create.Encryption{Passphrase: []byte("x"), Cost: luks.Cost{Memory: 32 << 10, Passes: 1}}})
	p := vmtest.Boot(t, ovmf.Config{Disk: disk})
	p.Expect("starts without them): ")
	for range 2 {
		p.TypeLine("no")
		p.Expect("starts without them): ")
	}
	p.TypeLine("no")
	told := p.Prompt()
	vmtest.Contains(t, told, "AlphaOS starts without your conversations and documents")
	const said = "The violet armadillo sleeps under my bed"
	p.Ask(said)
	p.TypeLine("/bye")
	p.Expect("Nothing was saved in this session. Goodbye.")
	p.Off()
	raw, err := os.ReadFile(disk)
	if err != nil {
		t.Fatal(err)
	}
	absent(t, "the drive", raw, said)
}

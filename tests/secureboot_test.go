package tests

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"alphaos/drive/create"
	"alphaos/internal/petest"
	"alphaos/internal/vmtest"
	"alphaos/ovmf"
	"alphaos/tools/secureboot"
	"alphaos/uefi/authenticode"
)

// TestSecureBoot starts a machine whose firmware asks for signatures, with a drive for each way in which a program may
// have none that counts, and the signed one last: the firmware refuses one after the other, and starts that.
func TestSecureBoot(t *testing.T) {
	vmtest.NeedQEMU(t)
	firmware, err := ovmf.FindSecure()
	if err != nil {
		if os.Getenv("CI") != "" { // where all that make test installs is there
			t.Fatal(err)
		}
		t.Skip(err)
	}
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	read := func(name string) []byte {
		t.Helper()
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	write := func(name string, data []byte) string {
		t.Helper()
		if err := os.WriteFile(file(name), data, 0o600); err != nil {
			t.Fatal(err)
		}
		return file(name)
	}

	// What is refused is small, because the firmware is slow to read and hash.
	efi := write("unsigned.efi", petest.Application(bytes.Repeat([]byte{0xc3}, 0x200)))
	// Three persons with keys: the owner of the computer, one whose key was trusted and is revoked, and a stranger.
	signed := file("signed.efi")
	vmtest.Command(t, "efi", "sign", vmtest.AlphaOS(t), signed, "--keys", file("owner"))
	vmtest.Command(t, "efi", "sign", efi, file("stranger.efi"), "--keys", file("stranger"))
	vmtest.Command(t, "efi", "sign", efi, file("lost.efi"), "--keys", file("lost"))
	vmtest.Command(t, "efi", "sign", efi, file("changed.efi"), "--keys", file("owner"))
	changed := read(file("changed.efi"))
	changed[0x300] ^= 1
	keys, _, err := secureboot.OpenKeys(file("owner"), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	old, err := authenticode.Sign(append(read(efi), "an older version"...), keys.Signer, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	write("changed.efi", changed)
	write("old.efi", old)
	vars := write("vars.fd", read(firmware.Vars))
	vmtest.Command(t, "efi", "enroll", vars, "--keys", file("owner"), "--db", filepath.Join(file("lost"), "db.crt"),
		"--revoke", filepath.Join(file("lost"), "db.crt"), "--revoke", file("old.efi"))
	firmware.Vars = vars
	vmtest.Command(t, "efi", "verify", signed, "--vars", vars)

	config := ovmf.Config{Firmware: firmware}
	refused := []string{efi, file("changed.efi"), file("stranger.efi"), file("lost.efi"), file("old.efi")}
	for i, program := range append(refused, signed) {
		o := create.Options{EFI: program, Size: 64 << 20, Journal: 1 << 20, State: -1}
		if program == signed {
			o.Sign, o.Extra = keys.Signer, []create.Extra{{Path: "fonts/first.bdf", Content: []byte("a font")}}
		}
		disk := vmtest.NewDrive(t, o)
		if program == signed { // which nobody signed
			vmtest.Command(t, "drive", "add", disk, write("later.bdf", []byte("another")))
		}
		config.Extra = append(config.Extra, "-drive", fmt.Sprintf("id=d%d,if=none,format=raw,file=%s", i, disk),
			"-device", fmt.Sprintf("virtio-blk-pci,drive=d%d,bootindex=%d", i, i))
	}
	p := vmtest.Boot(t, config)
	said := p.Prompt()
	for i, program := range refused {
		if !strings.Contains(said, fmt.Sprintf(`failed to load Boot%04d "UEFI Misc Device`, i+1)) {
			t.Errorf("%s was not refused", filepath.Base(program))
		}
	}
	if n := strings.Count(said, "Access Denied"); n != len(refused) || !strings.Contains(said, fmt.Sprintf("starting Boot%04d", n+1)) {
		t.Errorf("%d programs were refused, not %d, and then the signed one started:\n%s", n, len(refused), said)
	}
	vmtest.Contains(t, p.Say("/models verify"), `is signed by "`+keys.Signer.Certificate.Subject.String()+`", by whom the program is signed, too.`,
		"/fonts/later.bdf is not listed: it was not there when the drive was signed.", "1 file is not as it was signed, 2 are: see above.")
	p.Leave("/bye")
}

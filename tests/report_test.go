package tests

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"alphaos/drive"
	"alphaos/drive/create"
	"alphaos/internal/vmtest"
	"alphaos/ovmf"
)

// reportFacts are what a report of a machine in QEMU must have, by section.
var reportFacts = map[string][]string{
	"AlphaOS":              {`built with +go1\.`, `code +[1-9][0-9.]* MB, SHA-256 begins [0-9a-f]{12}\n`, `firmware +EDK II`},
	"firmware":             {`vendor +EDK II\n`, `UEFI +2\.`, `table CRCs +as in the headers\n`, `Secure Boot +`},
	"kind of machine":      {`maker +Test Maker\n`, `product +Test Product\n`, `board +.*Test Board`, `SMBIOS +[23]\.[0-9]+, [1-9][0-9]* structures\n`},
	"protocols":            {`2 +graphics output\n`, `[1-9][0-9]* +block I/O\n`, `1 +MP services \(PI\)\n`, `none .*Apple event`},
	"configuration tables": {`table +ACPI 2\.0\n`, `table +SMBIOS`},
	"memory as found":      {`ranges +[1-9][0-9]*, in descriptors of 48 bytes`, `free +[1-9][0-9]{2} MB in`, `highest address +0x`},
	"screens":              {`screen 1 +1280x800, BGRX, 1280 pixels a row, [1-9][0-9]* bytes at 0x[1-9a-f]`, `modes .*1280x800`, `console mode +no console control\n`},
	"processors":           {`vendor +[A-Za-z]+\n`, `address bits +[1-9][0-9] physical, (48|57) linear\n`, `in use +2 of 2\n`, `firmware knows +2, of which 2 are enabled; MP services: PI\n`, `EFER +0x[0-9a-f]+ as found, NXE (true|false)\n`, `PAT +0x[0-9a-f]{16} as found\n`},
	"clock":                {`firmware's clock +2`, `time zone +`, `time stamps +[1-9][0-9.]* MHz`},
	"disks":                {`the drive +.* in blocks of 512, aligned to [0-9]+, NVMe, PciRoot\(0x0\)/Pci\(0x[0-9a-f]+,0x0\)/NVMe/HD\n`, `disk 1 +`, `volumes +[1-9]`},
	"speed of the drive":   {`reads +[1-9][0-9.]* [kMG]B/s \([0-9.]+ MB in .*, of EFI/BOOT/BOOTX64.EFI\n`, `writes +[1-9][0-9.]* [kMG]B/s \(8.39 MB in `},
	"speed of memory":      {`1 at a time +[1-9][0-9.]* [MG]B/s`, `2 at a time +[1-9][0-9.]* [MG]B/s`},
	"engine":               {`model +alphaos-guide`, `reads +([1-9][0-9.]* tokens/s|not one token in)`, `writes +[0-9.]+ tokens/s`},
	"models":               {`alphaos-guide.*built in`},
	"journal":              {`used +[0-9]+ of [1-9][0-9]* KiB\n`, `degraded +false\n`},
	"options":              {`options +report\n`},
	"log":                  {`[0-9.]+ +AlphaOS: the Go runtime is up\n`, `drive: "ALPHAOS" on PciRoot`, `journal: open`},
}

// TestReport has a machine with secrets write reports about itself, at the start and when it
// is asked: all sections are there, and the secrets are not.
func TestReport(t *testing.T) {
	vmtest.NeedQEMU(t)
	disk := vmtest.NewDrive(t, create.Options{EFI: vmtest.AlphaOS(t), Config: []byte(`{"report": true}`)})
	const uuid = "5ec2e700-5ec2-5ec2-5ec2-5ec2e75ec2e7"
	p := vmtest.Boot(t, ovmf.Config{Disk: disk, CPUs: 2, Bus: "nvme", Extra: []string{
		"-smbios", "type=1,manufacturer=Test Maker,product=Test Product,serial=SECRET1,sku=SECRET2,uuid=" + uuid,
		"-smbios", "type=2,manufacturer=Test Maker,product=Test Board,serial=SECRET3,asset=SECRET4,location=SECRET5",
		"-smbios", "type=3,serial=SECRET6,asset=SECRET7", "-smbios", "type=11,value=SECRET8",
		"-netdev", "user,id=net,restrict=on", "-device", "virtio-net-pci,netdev=net,mac=52:5e:c2:e7:5e:c2",
	}})
	told := regexp.MustCompile(`saved on the drive as /(\S+\.txt)\.`)
	names := told.FindStringSubmatch(vmtest.Squeeze(p.Prompt()))
	p.Greedy(5)
	p.Ask("My name is SECRET9.")
	p.TypeLine("/report")
	p.Expect("then send it.")
	p.Prompt()
	p.Screenshot("report.png")
	p.Leave("/bye")
	vmtest.CheckDrive(t, disk)
	if names == nil {
		t.Fatal("the start does not say where the report is")
	}
	first := names[1]
	second := strings.TrimSuffix(first, ".txt") + "-2.txt"
	if !strings.HasPrefix(first, filepath.Dir(drive.CrashPath)+"/machine-2") {
		t.Errorf("the report is %s", first)
	}
	for _, name := range []string{first, second} {
		text := strings.TrimRight(string(mtype(t, disk, name)), "\n") + "\n"
		if name == second {
			t.Log(text)
		}
		sections := map[string]string{}
		for _, part := range strings.Split(text, "\n# ")[1:] {
			title, body, _ := strings.Cut(part, "\n")
			sections[title] = body + "\n"
		}
		for title, wants := range reportFacts {
			body, ok := sections[title]
			if !ok {
				t.Errorf("%s has no section %q", name, title)
			}
			if strings.Contains(body, "failed  ") {
				t.Errorf("%s: a part of %q failed:\n%s", name, title, body)
			}
			for _, want := range wants {
				if !regexp.MustCompile(`(?m)^`+want).MatchString(body) && !regexp.MustCompile(want).MatchString(body) {
					t.Errorf("%s: section %q has no %q:\n%s", name, title, want, body)
				}
			}
		}
		_, part := vmtest.Volume(t, disk)
		for _, secret := range []string{"SECRET", uuid, "5ec2", "5EC2", "52:5e", "525EC2", part.GUID.String()} {
			if strings.Contains(text, secret) {
				t.Errorf("%s tells %q", name, secret)
			}
		}
	}
}

// mtype reads a file of a drive as mtools do.
func mtype(t *testing.T, disk, name string) []byte {
	t.Helper()
	_, part := vmtest.Volume(t, disk)
	cmd := exec.Command("mtype", "-i", disk+"@@"+strconv.FormatUint(part.First*512, 10), "::"+name)
	cmd.Env = append(os.Environ(), "MTOOLS_SKIP_CHECK=1")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("mtype %s: %v", name, err)
	}
	return out
}

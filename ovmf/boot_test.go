package ovmf_test

import (
	"context"
	"encoding/binary"
	"errors"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"alphaos/internal/petest"
	"alphaos/internal/vmtest"
	"alphaos/ovmf"
)

// The launcher is tested on a UEFI application of a hundred bytes, so that a
// failure here is the launcher's and not the program's. It says "tiny ready",
// echoes what is typed, shuts down at q and resets at r.
var tinyCode = []byte{
	0x48, 0x83, 0xec, 0x38, //                   sub   rsp, 0x38
	0x48, 0x89, 0xd3, //                         mov   rbx, rdx          system table
	0x48, 0x8d, 0x15, 0x56, 0x00, 0x00, 0x00, // lea   rdx, msg
	0x48, 0x8b, 0x4b, 0x40, //                   mov   rcx, [rbx+0x40]   ConOut
	0xff, 0x51, 0x08, //                         call  [rcx+8]           OutputString
	0x48, 0x8b, 0x4b, 0x30, //             wait: mov   rcx, [rbx+0x30]   ConIn
	0x48, 0x8d, 0x54, 0x24, 0x28, //             lea   rdx, [rsp+0x28]
	0xff, 0x51, 0x08, //                         call  [rcx+8]           ReadKeyStroke
	0x48, 0x85, 0xc0, //                         test  rax, rax
	0x75, 0xef, //                               jnz   wait
	0x0f, 0xb7, 0x44, 0x24, 0x2a, //             movzx eax, [rsp+0x2a]   UnicodeChar
	0x83, 0xf8, 0x71, //                         cmp   eax, 'q'
	0x74, 0x1f, //                               jz    quit
	0x85, 0xc0, //                               test  eax, eax
	0x74, 0xe1, //                               jz    wait
	0x83, 0xf8, 0x72, //                         cmp   eax, 'r'
	0x74, 0x12, //                               jz    reset
	0x89, 0x44, 0x24, 0x28, //                   mov   [rsp+0x28], eax
	0x48, 0x8d, 0x54, 0x24, 0x28, //             lea   rdx, [rsp+0x28]
	0x48, 0x8b, 0x4b, 0x40, //                   mov   rcx, [rbx+0x40]
	0xff, 0x51, 0x08, //                         call  [rcx+8]
	0xeb, 0xca, //                               jmp   wait
	0x31, 0xc9, //                        reset: xor   ecx, ecx          EfiResetCold
	0xeb, 0x05, //                               jmp   do
	0xb9, 0x02, 0x00, 0x00, 0x00, //       quit: mov   ecx, 2            EfiResetShutdown
	0x31, 0xd2, //                           do: xor   edx, edx
	0x45, 0x31, 0xc0, //                         xor   r8d, r8d
	0x45, 0x31, 0xc9, //                         xor   r9d, r9d
	0x48, 0x8b, 0x43, 0x58, //                   mov   rax, [rbx+0x58]   runtime services
	0xff, 0x50, 0x68, //                         call  [rax+0x68]        ResetSystem
	0xf4, //                                     hlt
}

// tinyImage writes a FAT12 floppy image with /EFI/BOOT/BOOTX64.EFI: the
// smallest medium that firmware boots.
func tinyImage(t testing.TB) string {
	t.Helper()
	const sector, rootEntries, fatSectors, sectors = 512, 224, 9, 2880
	img := make([]byte, sectors*sector)
	le := binary.LittleEndian
	copy(img, "\xeb\x3c\x90ALPHAOS ")
	le.PutUint16(img[11:], sector)
	img[13] = 1 // sectors a cluster
	le.PutUint16(img[14:], 1)
	img[16] = 2 // FATs
	le.PutUint16(img[17:], rootEntries)
	le.PutUint16(img[19:], sectors)
	img[21] = 0xf0
	le.PutUint16(img[22:], fatSectors)
	le.PutUint16(img[24:], 18)
	le.PutUint16(img[26:], 2)
	img[38] = 0x29
	copy(img[43:], "TINY       FAT12   ")
	img[510], img[511] = 0x55, 0xaa

	code := append([]byte{}, tinyCode...)
	for _, c := range utf16.Encode([]rune("tiny ready\r\n\x00")) {
		code = le.AppendUint16(code, c)
	}
	efi := petest.Application(code)
	root := (1 + 2*fatSectors) * sector
	data := root + rootEntries*32
	cluster := func(n int) []byte { return img[data+(n-2)*sector:] }
	entry := func(dir []byte, at int, name string, attr byte, first, size int) {
		e := dir[at*32:]
		copy(e, name)
		e[11] = attr
		le.PutUint16(e[26:], uint16(first))
		le.PutUint32(e[28:], uint32(size))
	}
	const dir = 0x10
	entry(img[root:], 0, "EFI        ", dir, 2, 0)
	entry(cluster(2), 0, ".          ", dir, 2, 0)
	entry(cluster(2), 1, "..         ", dir, 0, 0)
	entry(cluster(2), 2, "BOOT       ", dir, 3, 0)
	entry(cluster(3), 0, ".          ", dir, 3, 0)
	entry(cluster(3), 1, "..         ", dir, 2, 0)
	entry(cluster(3), 2, "BOOTX64 EFI", 0x20, 4, len(efi))
	copy(cluster(4), efi)
	// FAT12 entries: 0 and 1 reserved, 2 and 3 ends, 4 -> 5, 5 end.
	fat := []uint16{0xff0, 0xfff, 0xfff, 0xfff, 5, 0xfff}
	for _, base := range []int{sector, sector + fatSectors*sector} {
		for i := 0; i < len(fat); i += 2 {
			a, b := fat[i], fat[i+1]
			copy(img[base+i/2*3:], []byte{byte(a), byte(a>>8) | byte(b<<4), byte(b >> 4)})
		}
	}
	name := filepath.Join(t.TempDir(), "tiny.img")
	if err := os.WriteFile(name, img, 0o666); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestEveryBusBootsAndShutsDown(t *testing.T) {
	vmtest.NeedQEMU(t)
	for _, bus := range []string{"virtio", "ahci", "nvme", "usb"} {
		t.Run(bus, func(t *testing.T) {
			began := time.Now()
			p := vmtest.Boot(t, ovmf.Config{Disk: tinyImage(t), Bus: bus, MemoryMiB: 256})
			p.Expect("tiny ready")
			ready, _ := p.VM.SeenAt("tiny ready")
			t.Logf("from start to the program: %v", ready.Sub(began).Round(time.Millisecond))
			p.Type("q")
			p.Off()
		})
	}
}

func TestActsAsAPerson(t *testing.T) {
	vmtest.NeedQEMU(t)
	ctx := t.Context()
	p := vmtest.Boot(t, ovmf.Config{Disk: tinyImage(t), MemoryMiB: 256, Width: 800, Height: 600})
	p.Expect("tiny ready")
	p.Type("over") // r resets
	p.Expect("ove")
	vm := p.VM
	if code, err := vm.Wait(ctx); err != nil || code != 0 || vm.Reason() != "guest-reset" {
		t.Fatalf("after a reset: code %d, reason %q, %v; want 0, guest-reset", code, vm.Reason(), err)
	}
	if _, err := vm.Expect(ctx, "never said"); !errors.Is(err, ovmf.ErrExited) || !strings.Contains(err.Error(), "tiny ready") {
		t.Errorf("waiting on a machine that has ended: %v; want the reason and the last output", err)
	}

	p = vmtest.Boot(t, ovmf.Config{Disk: tinyImage(t), MemoryMiB: 256, Width: 800, Height: 600})
	p.Expect("tiny ready")
	vm = p.VM
	if err := vm.SendText(ctx, "Keys: A+b=\"c\""); err != nil {
		t.Fatal(err)
	}
	p.Expect("Keys: A+b=\"c\"")
	if err := vm.SendText(ctx, "ä"); err == nil {
		t.Error("a US keyboard typed ä")
	}
	shot := filepath.Join(t.TempDir(), "screens", "tiny.png")
	if err := vm.Screenshot(ctx, shot); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(shot)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	img, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	lit := 0
	for y := range img.Bounds().Dy() {
		for x := range img.Bounds().Dx() {
			if r, g, b, _ := img.At(x, y).RGBA(); r|g|b != 0 {
				lit++
			}
		}
	}
	if lit < 500 {
		t.Errorf("the screenshot, %v, has %d lit pixels; want some text", img.Bounds(), lit)
	}
	t.Logf("screen %v, %d lit pixels", img.Bounds(), lit)

	vm.Kill()
	if code, err := vm.Wait(ctx); err != nil || code != -1 {
		t.Errorf("after the plug was pulled: code %d, %v; want -1", code, err)
	}
	if err := vm.Type("x"); err == nil {
		t.Error("typing at a dead machine succeeded")
	}
}

func TestExpectGivesUpWithItsContext(t *testing.T) {
	vmtest.NeedQEMU(t)
	t.Setenv("ALPHAOS_SCREENS", t.TempDir())
	p := vmtest.Boot(t, ovmf.Config{Disk: tinyImage(t), MemoryMiB: 256})
	p.Expect("tiny ready")
	vm := p.VM
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := vm.Expect(short, "never said")
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("error %v; want a deadline", err)
	}
	for _, want := range []string{"never said", "tiny ready", "screenshot: "} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error lacks %q: %v", want, err)
		}
	}
	if _, err := vm.Wait(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Wait on a running machine: %v; want a deadline", err)
	}
}

func TestStartRefusesClearly(t *testing.T) {
	vmtest.NeedQEMU(t)
	empty := filepath.Join(t.TempDir(), "empty.img")
	if err := os.WriteFile(empty, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		config ovmf.Config
		want   string
	}{
		{ovmf.Config{Disk: "missing.img"}, "cannot be opened"},
		{ovmf.Config{Disk: t.TempDir()}, "is a folder"},
		{ovmf.Config{Disk: empty}, "not a drive image"},
		{ovmf.Config{Disk: tinyImage(t), Bus: "floppy"}, "use virtio, ahci, nvme, usb or usb-ssd"},
		{ovmf.Config{Disk: tinyImage(t), Bus: "ahci", BlockSize: 4096}, "no SATA disk with blocks of 4096"},
		{ovmf.Config{Disk: tinyImage(t), BlockSize: 1024}, "use 512 or 4096"},
		{ovmf.Config{Accel: "warp"}, "use kvm or tcg"},
		{ovmf.Config{Accel: "tcg", Extra: []string{"-nonsense"}}, "QEMU did not start"},
	} {
		vm, err := ovmf.Start(t.Context(), c.config)
		if err == nil {
			vm.Close()
			t.Errorf("%+v started; want an error with %q", c.config, c.want)
		} else if !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%+v: %v; want one line with %q", c.config, err, c.want)
		}
	}
}

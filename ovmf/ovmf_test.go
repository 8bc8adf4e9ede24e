package ovmf

import (
	"bufio"
	"bytes"
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

// tinyEFI wraps tinyCode in a PE32+ of one section.
func tinyEFI() []byte {
	text := append([]byte{}, tinyCode...)
	for _, c := range utf16.Encode([]rune("tiny ready\r\n\x00")) {
		text = binary.LittleEndian.AppendUint16(text, c)
	}
	le := binary.LittleEndian
	pe := make([]byte, 0x400)
	copy(pe, "MZ")
	le.PutUint32(pe[0x3c:], 0x40)
	copy(pe[0x40:], "PE\x00\x00")
	coff := pe[0x44:]
	le.PutUint16(coff[0:], 0x8664)  // Machine: x64
	le.PutUint16(coff[2:], 1)       // NumberOfSections
	le.PutUint16(coff[16:], 240)    // SizeOfOptionalHeader
	le.PutUint16(coff[18:], 0x0022) // EXECUTABLE_IMAGE | LARGE_ADDRESS_AWARE
	opt := coff[20:]
	le.PutUint16(opt[0:], 0x20b)   // PE32+
	le.PutUint32(opt[16:], 0x1000) // AddressOfEntryPoint
	le.PutUint32(opt[32:], 0x1000) // SectionAlignment
	le.PutUint32(opt[36:], 0x200)  // FileAlignment
	le.PutUint32(opt[56:], 0x2000) // SizeOfImage
	le.PutUint32(opt[60:], 0x200)  // SizeOfHeaders
	le.PutUint16(opt[68:], 10)     // Subsystem: EFI application
	le.PutUint32(opt[108:], 16)    // NumberOfRvaAndSizes
	sec := opt[240:]
	copy(sec, ".text")
	le.PutUint32(sec[8:], uint32(len(text)))
	le.PutUint32(sec[12:], 0x1000)
	le.PutUint32(sec[16:], 0x200)
	le.PutUint32(sec[20:], 0x200)
	le.PutUint32(sec[36:], 0x60000020) // code, execute, read
	copy(pe[0x200:], text)
	return pe
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

	efi := tinyEFI()
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

// needQEMU skips the test where QEMU or OVMF is missing, and returns a context
// that ends with the test.
func needQEMU(t testing.TB) context.Context {
	t.Helper()
	if testing.Short() {
		t.Skip("boots QEMU: skipped by -short")
	}
	if _, err := Program(); err != nil {
		t.Skip(err)
	}
	if _, err := Find(); err != nil {
		t.Skip(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func start(t testing.TB, ctx context.Context, c Config) *VM {
	t.Helper()
	vm, err := Start(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := vm.Close(); err != nil {
			t.Error(err)
		}
	})
	return vm
}

func TestEveryBusBootsAndShutsDown(t *testing.T) {
	ctx := needQEMU(t)
	for _, bus := range []string{"virtio", "ahci", "nvme", "usb"} {
		t.Run(bus, func(t *testing.T) {
			began := time.Now()
			vm := start(t, ctx, Config{Disk: tinyImage(t), Bus: bus, MemoryMiB: 256})
			if _, err := vm.Expect(ctx, "tiny ready"); err != nil {
				t.Fatal(err)
			}
			ready, _ := vm.SeenAt("tiny ready")
			t.Logf("from start to the program: %v", ready.Sub(began).Round(time.Millisecond))
			if err := vm.Type("q"); err != nil {
				t.Fatal(err)
			}
			code, err := vm.Wait(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if code != 0 || vm.Reason() != "guest-shutdown" {
				t.Errorf("exit code %d, reason %q; want 0, guest-shutdown", code, vm.Reason())
			}
		})
	}
}

func TestActsAsAPerson(t *testing.T) {
	ctx := needQEMU(t)
	vm := start(t, ctx, Config{Disk: tinyImage(t), MemoryMiB: 256, Width: 800, Height: 600})
	if _, err := vm.Expect(ctx, "tiny ready"); err != nil {
		t.Fatal(err)
	}
	if err := vm.Type("over"); err != nil { // r resets
		t.Fatal(err)
	}
	if _, err := vm.Expect(ctx, "ove"); err != nil {
		t.Fatal(err)
	}
	if code, err := vm.Wait(ctx); err != nil || code != 0 || vm.Reason() != "guest-reset" {
		t.Fatalf("after a reset: code %d, reason %q, %v; want 0, guest-reset", code, vm.Reason(), err)
	}
	if _, err := vm.Expect(ctx, "never said"); !errors.Is(err, errExited) || !strings.Contains(err.Error(), "tiny ready") {
		t.Errorf("waiting on a machine that has ended: %v; want the reason and the last output", err)
	}

	vm = start(t, ctx, Config{Disk: tinyImage(t), MemoryMiB: 256, Width: 800, Height: 600})
	if _, err := vm.Expect(ctx, "tiny ready"); err != nil {
		t.Fatal(err)
	}
	if err := vm.SendText(ctx, "Keys: A+b=\"c\""); err != nil {
		t.Fatal(err)
	}
	if _, err := vm.Expect(ctx, "Keys: A+b=\"c\""); err != nil {
		t.Fatal(err)
	}
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
	ctx := needQEMU(t)
	t.Setenv("ALPHAOS_SCREENS", t.TempDir())
	vm := start(t, ctx, Config{Disk: tinyImage(t), MemoryMiB: 256})
	if _, err := vm.Expect(ctx, "tiny ready"); err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
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
	ctx := needQEMU(t)
	empty := filepath.Join(t.TempDir(), "empty.img")
	if err := os.WriteFile(empty, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		config Config
		want   string
	}{
		{Config{Disk: "missing.img"}, "cannot be opened"},
		{Config{Disk: t.TempDir()}, "is a folder"},
		{Config{Disk: empty}, "not a drive image"},
		{Config{Disk: tinyImage(t), Bus: "floppy"}, "use virtio, ahci, nvme or usb"},
		{Config{Accel: "warp"}, "use kvm or tcg"},
		{Config{Accel: "tcg", Extra: []string{"-nonsense"}}, "QEMU did not start"},
	} {
		vm, err := Start(ctx, c.config)
		if err == nil {
			vm.Close()
			t.Errorf("%+v started; want an error with %q", c.config, c.want)
		} else if !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%+v: %v; want one line with %q", c.config, err, c.want)
		}
	}
}

func TestFind(t *testing.T) {
	dir := t.TempDir()
	code, vars := filepath.Join(dir, "code"), filepath.Join(dir, "vars")
	t.Setenv("ALPHAOS_OVMF_CODE", code)
	t.Setenv("ALPHAOS_OVMF_VARS", vars)
	if _, err := Find(); err == nil || !strings.Contains(err.Error(), "ALPHAOS_OVMF_CODE") {
		t.Errorf("files that do not exist: %v; want an error that names the variable", err)
	}
	for _, name := range []string{code, vars} {
		if err := os.WriteFile(name, []byte("x"), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if fw, err := Find(); err != nil || fw != (Firmware{code, vars}) {
		t.Errorf("Find() = %v, %v; want the files named", fw, err)
	}
	t.Setenv("ALPHAOS_QEMU", filepath.Join(dir, "no-qemu"))
	if _, err := Program(); !errors.Is(err, ErrNotInstalled) {
		t.Errorf("Program() without QEMU: %v; want ErrNotInstalled", err)
	}
}

func TestSerialTextIsClean(t *testing.T) {
	for _, c := range []struct{ raw, want string }{
		{"plain\r\n", "plain\n"},
		{"\x1b[2J\x1b[01;01H\x1b[=3hboot", "boot"},
		{"\x1b[1m\x1b[33mShell>\x1b[0m x", "Shell> x"},
		{"\x1b]0;title\x07a\x1b]0;t\x1b\\b", "ab"},
		{"\x1b(Bä\x1bMb", "äb"},
		{"half\x1b[", "half"},
	} {
		whole := newSerialLog(nil)
		whole.Write([]byte(c.raw))
		bytewise := newSerialLog(nil)
		for i := range len(c.raw) {
			bytewise.Write([]byte{c.raw[i]})
		}
		if got := whole.text(); got != c.want {
			t.Errorf("%q: %q, want %q", c.raw, got, c.want)
		}
		if got := bytewise.text(); got != c.want {
			t.Errorf("%q byte by byte: %q, want %q", c.raw, got, c.want)
		}
	}
}

func TestSerialMatchesInOrder(t *testing.T) {
	s := newSerialLog(nil)
	s.Write([]byte("you> hello\r\nyou> "))
	vm := &VM{serial: s, exited: make(chan struct{})}
	ctx := context.Background()
	if got, err := vm.Expect(ctx, "you> "); got != "you> " || err != nil {
		t.Fatalf("first match %q, %v", got, err)
	}
	if got, err := vm.Expect(ctx, "you> "); got != "hello\nyou> " || err != nil {
		t.Fatalf("second match %q, %v", got, err)
	}
	go s.Write([]byte("b before a"))
	if i, got, err := vm.ExpectAny(ctx, "a", "b"); i != 1 || got != "b" || err != nil {
		t.Fatalf("ExpectAny = %d, %q, %v; want what came first", i, got, err)
	}
}

func TestDecodePPM(t *testing.T) {
	good := "P6\n2 1\n255\n\x01\x02\x03\xff\x00\x00"
	img, err := decodePPM(bufio.NewReader(strings.NewReader(good)))
	if err != nil {
		t.Fatal(err)
	}
	if r, g, b, _ := img.At(0, 0).RGBA(); r>>8 != 1 || g>>8 != 2 || b>>8 != 3 {
		t.Errorf("pixel 0 is %d %d %d", r>>8, g>>8, b>>8)
	}
	for _, bad := range []string{"", "P5\n2 1\n255\n", "P6\n-1 1\n255\n", "P6\n99999 99999\n255\n", good[:len(good)-1], "P6\n1 1\n65535\nxxxxxx"} {
		if _, err := decodePPM(bufio.NewReader(strings.NewReader(bad))); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func FuzzSerialClean(f *testing.F) {
	f.Add([]byte("\x1b[2Jx\x1b]0;t\x07y"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		s := newSerialLog(nil)
		s.Write(raw)
		if clean := s.text(); strings.ContainsAny(clean, "\x1b\r\x00") || len(clean) > len(raw) {
			t.Errorf("%q cleaned to %q", raw, clean)
		}
		if !bytes.Equal(s.bytes(), raw) {
			t.Error("raw bytes changed")
		}
	})
}

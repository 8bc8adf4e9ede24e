package pe

import (
	"bytes"
	"debug/elf"
	"debug/pe"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// program builds a small program with the given go build flags and returns the ELF file.
func program(t testing.TB, source string, flags ...string) string {
	t.Helper()
	dir := t.TempDir()
	src, out := filepath.Join(dir, "main.go"), filepath.Join(dir, "main.elf")
	if err := os.WriteFile(src, []byte(source), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", append(append([]string{"build", "-o", out}, flags...), src)...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	return out
}

const hello = "package main\n\nimport _ \"alphaos/amd64\"\n\nfunc main() { println(\"hello\") }\n"

func pack(t testing.TB, elf string) []byte {
	t.Helper()
	program, err := os.ReadFile(elf)
	if err != nil {
		t.Fatal(err)
	}
	image, err := Pack(bytes.NewReader(program))
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// load puts the image in memory as firmware does, at an address of its choice, and returns
// that and the number of words it has relocated.
func load(t testing.TB, image []byte, at uint64) (memory []byte, count int) {
	t.Helper()
	f, err := pe.NewFile(bytes.NewReader(image))
	if err != nil {
		t.Fatal(err)
	}
	h := f.OptionalHeader.(*pe.OptionalHeader64)
	memory = make([]byte, h.SizeOfImage)
	var end uint32
	for _, s := range f.Sections {
		if s.VirtualAddress < end || s.VirtualAddress%0x1000 != 0 || s.VirtualAddress+s.VirtualSize > h.SizeOfImage {
			t.Errorf("section %s at %#x, %#x bytes", s.Name, s.VirtualAddress, s.VirtualSize)
		}
		end = s.VirtualAddress + s.VirtualSize
		if w, x := s.Characteristics&scnWrite != 0, s.Characteristics&scnExecute != 0; w && x {
			t.Errorf("section %s is writable and executable", s.Name)
		}
		data, err := s.Data()
		if err != nil {
			t.Fatal(err)
		}
		copy(memory[s.VirtualAddress:], data[:min(len(data), int(s.VirtualSize))])
	}
	dir := h.DataDirectory[5]
	for blocks := memory[dir.VirtualAddress:][:dir.Size]; len(blocks) > 0; {
		page, size := binary.LittleEndian.Uint32(blocks), binary.LittleEndian.Uint32(blocks[4:])
		if size%4 != 0 || size < 8 || page%0x1000 != 0 {
			t.Fatalf("relocation block of %d bytes for page %#x", size, page)
		}
		for i := uint32(8); i < size; i += 2 {
			entry := binary.LittleEndian.Uint16(blocks[i:])
			switch entry >> 12 {
			case 10:
				word := memory[page+uint32(entry&0xfff):]
				binary.LittleEndian.PutUint64(word, binary.LittleEndian.Uint64(word)+at)
				count++
			case 0:
			default:
				t.Fatalf("relocation type %d", entry>>12)
			}
		}
		blocks = blocks[size:]
	}
	return memory, count
}

func TestPackedImageIsWhatFirmwareLoads(t *testing.T) {
	name := program(t, hello, "-buildmode=pie")
	image := pack(t, name)
	if !bytes.Equal(image, pack(t, name)) {
		t.Error("the same input gave different images")
	}
	f, err := pe.NewFile(bytes.NewReader(image))
	if err != nil {
		t.Fatal(err)
	}
	h := f.OptionalHeader.(*pe.OptionalHeader64)
	if f.Machine != pe.IMAGE_FILE_MACHINE_AMD64 || f.Characteristics != 0x22 || h.Subsystem != pe.IMAGE_SUBSYSTEM_EFI_APPLICATION ||
		h.ImageBase != 0 || h.SectionAlignment != 0x1000 || h.DllCharacteristics&pe.IMAGE_DLLCHARACTERISTICS_NX_COMPAT == 0 {
		t.Errorf("headers: %+v %+v", f.FileHeader, h)
	}
	e, err := elf.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	base := e.Progs[0].Vaddr &^ 0xfff
	for _, p := range e.Progs {
		if p.Type == elf.PT_LOAD {
			base = p.Vaddr
			break
		}
	}

	const at = 0x7e000000
	memory, count := load(t, image, at)

	// And compare with the ELF, loaded by its own rules at the same address.
	want := make([]byte, h.SizeOfImage)
	for _, p := range e.Progs {
		if p.Type == elf.PT_LOAD {
			if _, err := p.ReadAt(want[p.Vaddr-base:][:p.Filesz], 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	rela, err := e.Section(".rela").Data()
	if err != nil {
		t.Fatal(err)
	}
	for r := rela; len(r) >= 24; r = r[24:] {
		binary.LittleEndian.PutUint64(want[binary.LittleEndian.Uint64(r)-base:], binary.LittleEndian.Uint64(r[16:])-base+at)
	}
	if count != len(rela)/24 || count < 1000 {
		t.Errorf("%d relocations, the ELF has %d", count, len(rela)/24)
	}
	reloc := h.DataDirectory[5].VirtualAddress
	if got, want := memory[0x1000:reloc], want[0x1000:reloc]; !bytes.Equal(got, want) {
		for i := range got {
			if got[i] != want[i] {
				t.Fatalf("the loaded image differs from the loaded ELF at %#x", i+0x1000)
			}
		}
	}
	symbols, err := e.Symbols()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range symbols {
		if s.Name == EntrySymbol && uint32(s.Value-base) != h.AddressOfEntryPoint {
			t.Errorf("entry at %#x, efiEntry is at %#x", h.AddressOfEntryPoint, s.Value-base)
		}
	}
}

// link builds hello for a fixed address.
func link(t testing.TB, address string) string {
	return program(t, hello, "-trimpath", "-ldflags=-buildid= -R 0x1000 -T "+address)
}

func packTwo(a, b string) ([]byte, error) {
	f, err := os.Open(a)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	g, err := os.Open(b)
	if err != nil {
		return nil, err
	}
	defer g.Close()
	return PackTwo(f, g)
}

// TestTwoLinks packs a program that is linked for two addresses, loads the image at a
// third and compares it with the program linked for that.
func TestTwoLinks(t *testing.T) {
	const at = 0x7e000000
	first, second := link(t, "0x401000"), link(t, "0x110401000")
	image, err := packTwo(first, second)
	if err != nil {
		t.Fatal(err)
	}
	memory, count := load(t, image, at)
	e, err := elf.Open(link(t, "0x7e001000"))
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	size := 0
	for _, p := range e.Progs {
		if p.Type != elf.PT_LOAD {
			continue
		}
		want := make([]byte, p.Memsz)
		if _, err := p.ReadAt(want[:p.Filesz], 0); err != nil {
			t.Fatal(err)
		}
		from := p.Vaddr - at
		if from == 0 {
			from, want = pageSize, want[pageSize:]
		}
		if !bytes.Equal(memory[from:][:len(want)], want) {
			t.Errorf("the loaded image differs from the program linked for its address, in the segment at %#x", p.Vaddr)
		}
		size += len(want)
	}
	if count < 1000 || size < 1<<20 {
		t.Errorf("%d relocations in %d bytes", count, size)
	}

	pie := program(t, hello, "-buildmode=pie")
	near := link(t, "0x10401000")
	other := program(t, hello+"func init() { println() }\n", "-trimpath", "-ldflags=-buildid= -R 0x1000 -T 0x110401000")
	for _, c := range []struct{ name, a, b, want string }{
		{"the wrong way round", second, first, "not above"},
		{"too near", first, near, "more than 4 GiB"},
		{"the same", first, first, "not above"},
		{"different programs", first, other, "link the same one twice"},
		{"position-independent", pie, pie, "pack it alone"},
	} {
		if _, err := packTwo(c.a, c.b); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func TestPackRefusesWhatWouldNotRun(t *testing.T) {
	for _, c := range []struct{ name, source, flag, want string }{
		{"no machine", "package main\n\nfunc main() {}\n", "-buildmode=pie", "must import alphaos/amd64"},
		{"fixed address", hello, "-buildmode=exe", "-buildmode=pie"},
		{"stripped", hello, "-ldflags=-s", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			flags := []string{c.flag}
			if c.name == "stripped" {
				flags = append(flags, "-buildmode=pie")
				c.want = "link without -s"
			}
			f, err := os.Open(program(t, c.source, flags...))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if _, err := Pack(f); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

// FuzzPack damages a packable program: whatever comes out, nothing may panic or take
// memory without bound.
func FuzzPack(f *testing.F) {
	whole, err := os.ReadFile(program(f, hello, "-buildmode=pie"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte{}, uint32(0))
	f.Add([]byte("\x7fELF\x02\x01\x01"), uint32(0))
	for _, at := range []uint32{16, 18, 24, 32, 40, 54, 56, 64, 72, 96, 104, 152, 232, 240} {
		f.Add([]byte{0xff, 0xff, 0xff, 0x7f}, at)
	}
	f.Fuzz(func(t *testing.T, patch []byte, at uint32) {
		b := bytes.Clone(whole)
		copy(b[at%uint32(len(b)):], patch)
		Pack(bytes.NewReader(b))
	})
}

// FuzzPackTwo does so with the second of two links.
func FuzzPackTwo(f *testing.F) {
	var links [2][]byte
	for i, address := range []string{"0x401000", "0x110401000"} {
		var err error
		if links[i], err = os.ReadFile(link(f, address)); err != nil {
			f.Fatal(err)
		}
	}
	f.Add([]byte{1}, uint32(0x1008))
	for _, at := range []uint32{24, 32, 54, 56, 72, 80, 96, 104} {
		f.Add([]byte{0xff, 0xff, 0xff, 0x7f}, at)
	}
	f.Fuzz(func(t *testing.T, patch []byte, at uint32) {
		b := bytes.Clone(links[1])
		copy(b[at%uint32(len(b)):], patch)
		PackTwo(bytes.NewReader(links[0]), bytes.NewReader(b))
	})
}

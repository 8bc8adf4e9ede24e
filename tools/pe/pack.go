// Package pe turns an executable built by Go into a UEFI application.
//
// The input is an ELF64 position-independent executable for x86-64 as `go build
// -buildmode=pie` links it without cgo. Its only relocations are R_X86_64_RELATIVE:
// a 64-bit word gets the load address plus an addend. The output is a PE32+ image
// (Microsoft PE format; UEFI 2.10 section 2.1.1) with the same memory layout, whose
// words hold the addends and are listed as DIR64 base relocations. ImageBase is 0, so
// that firmware always relocates and the image runs wherever it is put.
//
// A toolchain that cannot link position-independent programs, such as TamaGo, links the
// same program twice instead, for two addresses. A word in which the two differ, by exactly
// the distance, is one to relocate.
//
// The ELF's first page holds only ELF headers; the PE headers take its place, so that
// an address in the image (RVA) is the ELF's address less that of its first segment.
package pe

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sort"
	"strings"
)

const (
	pageSize      = 0x1000
	fileAlignment = 0x200

	// EntrySymbol is where firmware enters the program.
	EntrySymbol = "alphaos/amd64.efiEntry"
)

// Section characteristics (PE format, "Section Flags").
const (
	scnCode    = 0x00000020
	scnData    = 0x00000040
	scnDiscard = 0x02000000
	scnExecute = 0x20000000
	scnRead    = 0x40000000
	scnWrite   = 0x80000000
)

type section struct {
	name     string
	rva      uint32
	memory   uint32 // bytes in memory
	data     []byte // initialised part
	flags    uint32
	fileOffs uint32
}

// Pack reads an ELF from r and returns the PE32+ image. The same input gives the same
// bytes.
func Pack(r io.ReaderAt) ([]byte, error) {
	p, err := open(r)
	if err != nil {
		return nil, err
	}
	if p.file.Type != elf.ET_DYN {
		return nil, fmt.Errorf("%v is not a position-independent executable: build it with GOOS=linux GOARCH=amd64 CGO_ENABLED=0 go build -buildmode=pie", p.file.Type)
	}
	fixups, err := relocate(p.file, p.sections, p.base)
	if err != nil {
		return nil, err
	}
	return p.pack(fixups)
}

// PackTwo reads two ELFs, the same program linked for two addresses, and returns the
// PE32+ image. The distance must be above 4 GiB, so that it cannot be mistaken for half a word.
func PackTwo(a, b io.ReaderAt) ([]byte, error) {
	p, err := open(a)
	if err != nil {
		return nil, err
	}
	q, err := open(b)
	if err != nil {
		return nil, fmt.Errorf("the second program: %w", err)
	}
	if p.file.Type != elf.ET_EXEC || q.file.Type != elf.ET_EXEC {
		return nil, errors.New("a position-independent executable needs no second one: pack it alone")
	}
	fixups, err := compare(p, q)
	if err != nil {
		return nil, err
	}
	return p.pack(fixups)
}

// executable is what is packed.
type executable struct {
	file     *elf.File
	sections []*section
	base     uint64 // address of the first segment
	entry    uint64
}

func open(r io.ReaderAt) (*executable, error) {
	f, err := elf.NewFile(r)
	if err != nil {
		return nil, fmt.Errorf("not an ELF executable: %w", err)
	}
	if f.Class != elf.ELFCLASS64 || f.Machine != elf.EM_X86_64 {
		return nil, fmt.Errorf("%v %v is not an x86-64 executable", f.Class, f.Machine)
	}
	p := &executable{file: f}
	if p.entry, err = entryAddress(f); err != nil {
		return nil, err
	}
	p.sections, p.base, err = loadSegments(f)
	return p, err
}

// pack writes the image, with the words at fixups listed to be relocated.
func (p *executable) pack(fixups []uint32) ([]byte, error) {
	last := p.sections[len(p.sections)-1]
	relocRVA := align(last.rva+last.memory, pageSize)
	reloc := relocationTable(fixups)
	sections := append(p.sections, &section{
		name: ".reloc", rva: relocRVA, memory: uint32(len(reloc)), data: reloc,
		flags: scnData | scnDiscard | scnRead,
	})
	return write(sections, uint32(p.entry-p.base), relocRVA, uint32(len(reloc)))
}

func align(n, to uint32) uint32 { return (n + to - 1) &^ (to - 1) }

func entryAddress(f *elf.File) (uint64, error) {
	symbols, err := f.Symbols()
	if err != nil {
		return 0, fmt.Errorf("no symbol table, in which the entry point is found: link without -s: %w", err)
	}
	// A function that Go code calls too has a second symbol for its own ABI.
	var addr uint64
	for _, s := range symbols {
		switch s.Name {
		case EntrySymbol + ".abi0":
			return s.Value, nil
		case EntrySymbol:
			addr = s.Value
		}
	}
	if addr == 0 {
		return 0, fmt.Errorf("no symbol %s: the program must import %s", EntrySymbol, strings.TrimSuffix(EntrySymbol, ".efiEntry"))
	}
	return addr, nil
}

// loadSegments returns a section for each PT_LOAD segment and the lowest address.
// Data that ELF makes read-only after relocation stays writable: firmware has
// relocated it before the program starts, but may then protect it only in one piece.
func loadSegments(f *elf.File) ([]*section, uint64, error) {
	var loads []*elf.Prog
	for _, p := range f.Progs {
		if p.Type == elf.PT_LOAD && p.Memsz > 0 {
			loads = append(loads, p)
		}
	}
	if len(loads) == 0 {
		return nil, 0, errors.New("no loadable segments")
	}
	sort.Slice(loads, func(i, j int) bool { return loads[i].Vaddr < loads[j].Vaddr })
	base := loads[0].Vaddr
	if base%pageSize != 0 || loads[0].Filesz <= pageSize {
		return nil, 0, fmt.Errorf("first segment at %#x leaves no room for headers", base)
	}
	var sections []*section
	end := uint64(0)
	for i, p := range loads {
		if p.Vaddr < end || p.Vaddr%pageSize != 0 || p.Memsz < p.Filesz || p.Vaddr-base+p.Memsz > 1<<31 {
			return nil, 0, fmt.Errorf("segment %d at %#x overlaps, is not page-aligned or is too large", i, p.Vaddr)
		}
		end = p.Vaddr + p.Memsz
		data := make([]byte, p.Filesz)
		if _, err := p.ReadAt(data, 0); err != nil {
			return nil, 0, fmt.Errorf("segment %d: %w", i, err)
		}
		s := &section{rva: uint32(p.Vaddr - base), memory: uint32(p.Memsz), data: data}
		if i == 0 {
			s.rva, s.memory, s.data = pageSize, s.memory-pageSize, data[pageSize:]
		}
		switch {
		case p.Flags&(elf.PF_W|elf.PF_X) == elf.PF_W|elf.PF_X:
			return nil, 0, fmt.Errorf("segment %d is both writable and executable", i)
		case p.Flags&elf.PF_X != 0:
			s.name, s.flags = ".text", scnCode|scnExecute|scnRead
		case p.Flags&elf.PF_W != 0:
			s.name, s.flags = ".data", scnData|scnRead|scnWrite
		default:
			s.name, s.flags = ".rdata", scnData|scnRead
		}
		sections = append(sections, s)
	}
	return sections, base, nil
}

// relocate writes each relocation's addend in its place and returns the places,
// sorted.
func relocate(f *elf.File, sections []*section, base uint64) ([]uint32, error) {
	var fixups []uint32
	for _, rs := range f.Sections {
		if rs.Type == elf.SHT_REL && rs.Size > 0 {
			return nil, fmt.Errorf("section %s holds relocations without addends", rs.Name)
		}
		if rs.Type != elf.SHT_RELA || rs.Flags&elf.SHF_ALLOC == 0 {
			continue
		}
		data, err := rs.Data()
		if err != nil {
			return nil, fmt.Errorf("section %s: %w", rs.Name, err)
		}
		for ; len(data) >= 24; data = data[24:] {
			offset := binary.LittleEndian.Uint64(data)
			info := binary.LittleEndian.Uint64(data[8:])
			addend := binary.LittleEndian.Uint64(data[16:])
			if t := elf.R_X86_64(info & 0xffffffff); t != elf.R_X86_64_RELATIVE {
				return nil, fmt.Errorf("relocation %v at %#x: only R_X86_64_RELATIVE can be packed; build without cgo", t, offset)
			}
			rva := uint32(offset - base)
			word := wordAt(sections, rva)
			if word == nil {
				return nil, fmt.Errorf("relocation at %#x lies outside initialised data", offset)
			}
			binary.LittleEndian.PutUint64(word, addend-base)
			fixups = append(fixups, rva)
		}
	}
	sort.Slice(fixups, func(i, j int) bool { return fixups[i] < fixups[j] })
	return fixups, nil
}

// compare finds the words that hold addresses: those in which p and q differ. It writes
// each as an offset from the base, in p, and returns their places, sorted.
func compare(p, q *executable) ([]uint32, error) {
	distance := q.base - p.base
	if q.base < p.base || distance>>32 == 0 {
		return nil, fmt.Errorf("the second program is linked for %#x, which is not above %#x by more than 4 GiB", q.base, p.base)
	}
	if q.entry-q.base != p.entry-p.base || len(q.sections) != len(p.sections) {
		return nil, errNotSame
	}
	end := uint64(0)
	for _, s := range p.sections {
		end = uint64(s.rva) + uint64(s.memory)
	}
	var fixups []uint32
	for i, s := range p.sections {
		t := q.sections[i]
		if t.rva != s.rva || t.memory != s.memory || len(t.data) != len(s.data) || t.flags != s.flags {
			return nil, errNotSame
		}
		for at := 0; at+8 <= len(s.data); at += 8 {
			v, w := binary.LittleEndian.Uint64(s.data[at:]), binary.LittleEndian.Uint64(t.data[at:])
			if v == w {
				continue
			}
			if w-v != distance || v-p.base > end {
				return nil, fmt.Errorf("%w: at %#x", errNotSame, p.base+uint64(s.rva)+uint64(at))
			}
			binary.LittleEndian.PutUint64(s.data[at:], v-p.base)
			fixups = append(fixups, s.rva+uint32(at))
		}
		if rest := len(s.data) &^ 7; !bytes.Equal(s.data[rest:], t.data[rest:]) {
			return nil, errNotSame
		}
	}
	return fixups, nil
}

var errNotSame = errors.New("the two programs differ in more than addresses: link the same one twice, with -trimpath -ldflags=-buildid=")

func wordAt(sections []*section, rva uint32) []byte {
	for _, s := range sections {
		if rva >= s.rva && uint64(rva)+8 <= uint64(s.rva)+uint64(len(s.data)) {
			return s.data[rva-s.rva:][:8]
		}
	}
	return nil
}

// relocationTable is the .reloc section: one block per page, of 16-bit entries.
func relocationTable(fixups []uint32) []byte {
	const dir64 = 10
	var out []byte
	for len(fixups) > 0 {
		page := fixups[0] &^ (pageSize - 1)
		n := sort.Search(len(fixups), func(i int) bool { return fixups[i] >= page+pageSize })
		size := 8 + 2*n
		size += size & 2 // blocks are 4-byte aligned; the pad is type 0, ABSOLUTE
		block := make([]byte, size)
		binary.LittleEndian.PutUint32(block, page)
		binary.LittleEndian.PutUint32(block[4:], uint32(size))
		for i, f := range fixups[:n] {
			binary.LittleEndian.PutUint16(block[8+2*i:], dir64<<12|uint16(f-page))
		}
		out = append(out, block...)
		fixups = fixups[n:]
	}
	return out
}

// Headers of a PE32+ file, in file order (PE format).
type coffHeader struct {
	Machine              uint16
	NumberOfSections     uint16
	TimeDateStamp        uint32
	PointerToSymbolTable uint32
	NumberOfSymbols      uint32
	SizeOfOptionalHeader uint16
	Characteristics      uint16
}

type optionalHeader struct {
	Magic                     uint16
	LinkerVersion             [2]uint8
	SizeOfCode                uint32
	SizeOfInitializedData     uint32
	SizeOfUninitializedData   uint32
	AddressOfEntryPoint       uint32
	BaseOfCode                uint32
	ImageBase                 uint64
	SectionAlignment          uint32
	FileAlignment             uint32
	OperatingSystemVersion    [2]uint16
	ImageVersion              [2]uint16
	SubsystemVersion          [2]uint16
	Win32VersionValue         uint32
	SizeOfImage               uint32
	SizeOfHeaders             uint32
	CheckSum                  uint32
	Subsystem                 uint16
	DLLCharacteristics        uint16
	StackReserve, StackCommit uint64
	HeapReserve, HeapCommit   uint64
	LoaderFlags               uint32
	NumberOfRvaAndSizes       uint32
	DataDirectory             [16]struct{ VirtualAddress, Size uint32 }
}

type sectionHeader struct {
	Name                 [8]uint8
	VirtualSize          uint32
	VirtualAddress       uint32
	SizeOfRawData        uint32
	PointerToRawData     uint32
	PointerToRelocations uint32
	PointerToLinenumbers uint32
	NumberOfRelocations  uint16
	NumberOfLinenumbers  uint16
	Characteristics      uint32
}

func write(sections []*section, entry, relocRVA, relocSize uint32) ([]byte, error) {
	const (
		dosSize                 = 64
		machineAMD64            = 0x8664
		executableLargeAddress  = 0x22 // EXECUTABLE_IMAGE | LARGE_ADDRESS_AWARE
		pe32Plus                = 0x20b
		efiApplication          = 10
		highEntropyVA           = 0x20
		dynamicBase             = 0x40
		nxCompat                = 0x100
		directoryBaseRelocation = 5
	)
	headers := uint32(dosSize + 4 + binary.Size(coffHeader{}) + binary.Size(optionalHeader{}) + len(sections)*binary.Size(sectionHeader{}))
	headers = align(headers, fileAlignment)
	if headers > pageSize {
		return nil, fmt.Errorf("%d sections do not fit the headers", len(sections))
	}
	opt := optionalHeader{
		Magic: pe32Plus, AddressOfEntryPoint: entry,
		SectionAlignment: pageSize, FileAlignment: fileAlignment,
		SizeOfHeaders: headers, Subsystem: efiApplication,
		DLLCharacteristics:  highEntropyVA | dynamicBase | nxCompat,
		NumberOfRvaAndSizes: 16,
	}
	opt.DataDirectory[directoryBaseRelocation].VirtualAddress = relocRVA
	opt.DataDirectory[directoryBaseRelocation].Size = relocSize
	offset := headers
	for _, s := range sections {
		s.fileOffs = offset
		raw := align(uint32(len(s.data)), fileAlignment)
		offset += raw
		if s.flags&scnCode != 0 {
			opt.SizeOfCode += raw
			opt.BaseOfCode = s.rva
		} else {
			opt.SizeOfInitializedData += raw
		}
		opt.SizeOfImage = align(s.rva+s.memory, pageSize)
	}

	var out bytes.Buffer
	dos := make([]byte, dosSize)
	copy(dos, "MZ")
	binary.LittleEndian.PutUint32(dos[60:], dosSize) // where the PE signature is
	out.Write(dos)
	out.WriteString("PE\x00\x00")
	put := func(v any) { binary.Write(&out, binary.LittleEndian, v) } // a Buffer does not fail
	put(coffHeader{
		Machine: machineAMD64, NumberOfSections: uint16(len(sections)),
		SizeOfOptionalHeader: uint16(binary.Size(opt)), Characteristics: executableLargeAddress,
	})
	put(opt)
	for _, s := range sections {
		h := sectionHeader{
			VirtualSize: s.memory, VirtualAddress: s.rva,
			SizeOfRawData: align(uint32(len(s.data)), fileAlignment), PointerToRawData: s.fileOffs,
			Characteristics: s.flags,
		}
		copy(h.Name[:], s.name)
		put(h)
	}
	for _, s := range sections {
		out.Write(make([]byte, int(s.fileOffs)-out.Len()))
		out.Write(s.data)
	}
	out.Write(make([]byte, int(offset)-out.Len()))
	return out.Bytes(), nil
}

package amd64

import (
	"encoding/binary"
	"fmt"
	"strings"
	"unsafe"

	"alphaos/uefi"
)

// What a report tells of the processors, and of how firmware had set up the boot processor
// when it handed over.

var foundPAT, foundMTRRDefault, foundAPICBase uintptr

// noteFound remembers what the program may change. It is kernel code.
func noteFound() {
	_, _, _, d := cpuid(1, 0)
	if d&cpuidPAT != 0 {
		foundPAT = readMSR(msrPAT)
	}
	if d&cpuidMTRR != 0 {
		foundMTRRDefault = readMSR(msrMTRRDefault)
	}
	foundAPICBase = readMSR(msrAPICBase)
}

// HandOver is the state in which firmware handed over. Registers that the processor does
// not have are 0.
type HandOver struct {
	EFER, CR4, XCR0 uint64
	PAT             uint64 // IA32_PAT
	MTRRDefault     uint64 // IA32_MTRR_DEF_TYPE
	APICBase        uint64 // IA32_APIC_BASE

	MapDescriptor int    // bytes of a descriptor in the memory map
	MPServices    string // "PI", "Framework", or "none": the protocol that starts processors
	Logical       int    // processors that it knows, threads counted
	Enabled       int    // of these
}

// Found returns how firmware had set up the boot processor.
func Found() HandOver {
	if !Booted() {
		return HandOver{MPServices: "none"}
	}
	c := &bootCPU
	h := HandOver{EFER: uint64(c.fwEFER), CR4: uint64(c.fwCR4), XCR0: uint64(c.fwXCR0), PAT: uint64(foundPAT), MTRRDefault: uint64(foundMTRRDefault),
		APICBase: uint64(foundAPICBase), MapDescriptor: int(mapDescSize), MPServices: "none", Logical: int(mpTotal), Enabled: int(mpEnabled)}
	switch {
	case mpFramework:
		h.MPServices = "Framework"
	case mpServices != 0:
		h.MPServices = "PI"
	}
	return h
}

// NXE reports whether the firmware used page tables with pages that must not be executed.
func (h HandOver) NXE() bool { return h.EFER&eferNXE != 0 }

// FoundMap returns the firmware's memory map as it was when firmware handed over.
func FoundMap() []uefi.MemoryDescriptor {
	if !Booted() {
		return nil
	}
	var list []uefi.MemoryDescriptor
	for p := uintptr(0); p+mapDescSize <= mapSize; p += mapDescSize {
		list = append(list, *at[uefi.MemoryDescriptor](addrOf(&mapBuffer) + p))
	}
	return list
}

// MTRRs lists the memory type range registers in use (Intel SDM volume 3, 12.11.2), one
// text each.
func MTRRs() []string {
	if _, _, _, d := cpuid(1, 0); !Booted() || d&cpuidMTRR == 0 {
		return nil
	}
	var list []string
	for i := range readMSR(msrMTRRCap) & 0xff {
		base, mask := readMSR(msrMTRRVariable+2*i), readMSR(msrMTRRVariable+2*i+1)
		if mask>>11&1 != 0 { // valid
			list = append(list, fmt.Sprintf("base %#x, mask %#x, type %d", base&^0xfff, mask&^0xfff, base&0xff))
		}
	}
	return list
}

// Identity is what CPUID says of a processor's kind.
type Identity struct {
	Vendor, Brand           string
	Hypervisor              string // "" if there is none, or none that tells
	Family, Model, Stepping uint32
	PhysicalBits            uint32 // of an address
	LinearBits              uint32
	ThreadsPerCore          uint32 // 0: not known
	ThreadsPerPackage       uint32
}

// Identify asks the processor that it runs on.
func Identify() Identity {
	text := func(words ...uint32) string {
		var b []byte
		for _, w := range words {
			b = binary.LittleEndian.AppendUint32(b, w)
		}
		s := strings.Map(func(r rune) rune {
			if r < ' ' || r > '~' {
				return -1
			}
			return r
		}, string(b))
		return strings.Join(strings.Fields(s), " ")
	}
	most, b, c, d := cpuid(0, 0)
	id := Identity{Vendor: text(b, d, c)}
	sig, _, features, _ := cpuid(1, 0)
	id.Family, id.Model, id.Stepping = sig>>8&15, sig>>4&15, sig&15
	if id.Family == 6 || id.Family == 15 {
		id.Model |= sig >> 12 & 0xf0
	}
	if id.Family == 15 {
		id.Family += sig >> 20 & 0xff
	}
	if features>>31 != 0 {
		_, b, c, d := cpuid(0x40000000, 0)
		id.Hypervisor = text(b, c, d)
	}
	extended, _, _, _ := cpuid(0x80000000, 0)
	if extended >= 0x80000004 {
		var words []uint32
		for leaf := uint32(0x80000002); leaf <= 0x80000004; leaf++ {
			a, b, c, d := cpuid(leaf, 0)
			words = append(words, a, b, c, d)
		}
		id.Brand = text(words...)
	}
	if extended >= 0x80000008 {
		a, _, c, _ := cpuid(0x80000008, 0)
		id.PhysicalBits, id.LinearBits = a&0xff, a>>8&0xff
		if id.Vendor == "AuthenticAMD" {
			id.ThreadsPerPackage = c&0xff + 1
		}
	}
	if most >= 0xb { // extended topology: a level for threads, one for cores
		for level := uint32(0); level < 8; level++ {
			_, n, kind, _ := cpuid(0xb, level)
			switch kind >> 8 & 0xff {
			case 1:
				id.ThreadsPerCore = n & 0xffff
			case 2:
				id.ThreadsPerPackage = n & 0xffff
			default:
				return id
			}
		}
	}
	return id
}

// Code is the program's own instructions, by which builds can be told apart: nothing in them
// depends on where the program was loaded.
func Code() []byte {
	const scnExecute = 0x20000000
	if !Booted() {
		return nil
	}
	for n := uintptr(0); ; n++ {
		start, end, flags := imageSection(n)
		if end == 0 {
			return nil
		}
		if flags&scnExecute != 0 {
			return unsafe.Slice(at[byte](start), end-start)
		}
	}
}

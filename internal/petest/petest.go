// Package petest makes EFI applications for tests that need one but not what it
// does.
package petest

import "encoding/binary"

// Application returns an EFI application for x86-64 with one section, which
// holds code and begins with the first instruction. Without code it is only
// headers of an image of no size: a firmware refuses it and goes on. Specification: PE Format, sections
// "COFF File Header", "Optional Header" and "Section Table".
func Application(code []byte) []byte {
	const headers, address = 0x200, 0x1000
	le := binary.LittleEndian
	pe := make([]byte, headers, headers+len(code))
	copy(pe, "MZ")
	le.PutUint32(pe[0x3c:], 0x40)
	copy(pe[0x40:], "PE\x00\x00")
	coff := pe[0x44:]
	le.PutUint16(coff[0:], 0x8664)  // Machine: x64
	le.PutUint16(coff[2:], 1)       // NumberOfSections
	le.PutUint16(coff[16:], 240)    // SizeOfOptionalHeader
	le.PutUint16(coff[18:], 0x0022) // EXECUTABLE_IMAGE | LARGE_ADDRESS_AWARE
	opt := coff[20:]
	le.PutUint16(opt[0:], 0x20b)    // PE32+
	le.PutUint32(opt[16:], address) // AddressOfEntryPoint
	le.PutUint32(opt[32:], 0x1000)  // SectionAlignment
	le.PutUint32(opt[36:], headers) // FileAlignment
	le.PutUint32(opt[60:], headers) // SizeOfHeaders
	le.PutUint16(opt[68:], 10)      // Subsystem: EFI application
	le.PutUint32(opt[108:], 16)     // NumberOfRvaAndSizes
	if len(code) == 0 {
		return pe
	}
	le.PutUint32(opt[56:], 2*address) // SizeOfImage
	section := opt[240:]
	copy(section, ".text")
	le.PutUint32(section[8:], uint32(len(code))) // VirtualSize
	le.PutUint32(section[12:], address)
	le.PutUint32(section[16:], headers)    // SizeOfRawData
	le.PutUint32(section[20:], headers)    // PointerToRawData
	le.PutUint32(section[36:], 0x60000020) // code, execute, read
	return append(append(pe, code...), make([]byte, max(0, headers-len(code)))...)
}

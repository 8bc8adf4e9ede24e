package efi

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
)

// GUID is an EFI_GUID in its memory layout (UEFI 2.10, Appendix A): the first
// three fields little-endian, the last eight bytes in order of writing.
type GUID [16]byte

// Protocols and vendors that are used. They are variables, not constants,
// because their address is what the firmware is given.
var (
	blockIOGUID        = MustParseGUID("964e5b21-6459-11d2-8e39-00a0c969723b")
	consoleControlGUID = MustParseGUID("f42f7782-012e-4c12-9956-49f94304f721")
	devicePathGUID     = MustParseGUID("09576e91-6d3f-11d2-8e39-00a0c969723b")
	graphicsOutputGUID = MustParseGUID("9042a9de-23dc-4a38-96fb-7aded080516a")
	loadedImageGUID    = MustParseGUID("5b1b31a1-9562-11d2-8e3f-00a0c969723b")
	usbIOGUID          = MustParseGUID("2b2f68d6-0cd2-44cf-8e8b-bba20b1b5b75")
	pciIOGUID          = MustParseGUID("4cf5b200-68b8-4ca5-9eec-b23e3f50029a")
	serialIOGUID       = MustParseGUID("bb25cf6f-f1d4-11d2-9a0c-0090273fc1fd")
	textInputExGUID    = MustParseGUID("dd9e7534-7762-4698-8c14-f58517a625aa")

	// GlobalVariable is the vendor of the variables the specification
	// defines, such as BootCurrent and SecureBoot (UEFI 2.10, 3.3).
	GlobalVariable = MustParseGUID("8be4df61-93ca-11d2-aa0d-00e098032b8c")
)

// ParseGUID reads the registry format, 8-4-4-4-12 hexadecimal digits.
func ParseGUID(s string) (GUID, error) {
	var g GUID
	bad := fmt.Errorf("%q is not a GUID such as 964e5b21-6459-11d2-8e39-00a0c969723b", s)
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return g, bad
	}
	b, err := hex.DecodeString(s[:8] + s[9:13] + s[14:18] + s[19:23] + s[24:])
	if err != nil {
		return g, bad
	}
	binary.LittleEndian.PutUint32(g[0:], binary.BigEndian.Uint32(b[0:]))
	binary.LittleEndian.PutUint16(g[4:], binary.BigEndian.Uint16(b[4:]))
	binary.LittleEndian.PutUint16(g[6:], binary.BigEndian.Uint16(b[6:]))
	copy(g[8:], b[8:])
	return g, nil
}

// MustParseGUID is ParseGUID for texts in the program itself.
func MustParseGUID(s string) GUID {
	g, err := ParseGUID(s)
	if err != nil {
		panic(err)
	}
	return g
}

// String returns the registry format in lower case.
func (g GUID) String() string {
	return fmt.Sprintf("%08x-%04x-%04x-%x-%x",
		binary.LittleEndian.Uint32(g[0:]), binary.LittleEndian.Uint16(g[4:]),
		binary.LittleEndian.Uint16(g[6:]), g[8:10], g[10:])
}

package secureboot

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf16"

	"alphaos/uefi"
)

// A variable store, as OVMF and other firmware built from EDK II keep it in flash (EDK II,
// MdeModulePkg/Include/Guid/VariableFormat.h): a firmware volume's header, the store's, and variables
// one behind the other, each at a multiple of four. A variable that is changed is written anew behind the
// last, and the old one's state loses a bit.
const (
	volumeHeader   = 0x48
	storeHeader    = 28
	variableHeader = 60
	variableStart  = 0x55aa
	stateAdded     = 0x3f // the header and the data are whole
	stateInDelete  = 0x3e // it is being replaced, and holds as long as nothing else does
	storeFormatted = 0x5a
	storeHealthy   = 0xfe
)

var (
	nvDataVolume      = uefi.GUID{Data1: 0xfff12b8d, Data2: 0x7696, Data3: 0x4c8b, Data4: [8]byte{0xa9, 0x85, 0x27, 0x47, 0x07, 0x5b, 0x4f, 0x50}}
	authenticatedVars = uefi.GUID{Data1: 0xaaf32c78, Data2: 0x947b, Data3: 0x439a, Data4: [8]byte{0xa1, 0x80, 0x2e, 0x14, 0x4e, 0xc3, 0x77, 0x92}}

	secureBootEnable = Variable{"SecureBootEnable", uefi.GUID{Data1: 0xf0a30bc7, Data2: 0xaf08, Data3: 0x4556, Data4: [8]byte{0x99, 0xc4, 0x00, 0x10, 0x09, 0xc9, 0x3a, 0x44}}}
	customMode       = Variable{"CustomMode", uefi.GUID{Data1: 0xc076ec0c, Data2: 0x7028, Data3: 0x4399, Data4: [8]byte{0xa0, 0x72, 0x71, 0xee, 0x5c, 0x44, 0x8b, 0x9f}}}
)

// Store is a variable store that can be changed.
type Store struct {
	flash []byte
	size  int // of all variables with the store's header
	vars  []stored
}

type stored struct {
	Variable
	attributes uint32
	stamp      [16]byte
	fixed      [16]byte // monotonic count and index of a key, which new variables have not
	data       []byte
}

var errStore = errors.New("this is no variable store of OVMF with Secure Boot: take a copy of OVMF_VARS_4M.fd, or of OVMF_VARS.fd")

// OpenStore reads a store; flash is not changed.
func OpenStore(flash []byte) (*Store, error) {
	le := binary.LittleEndian
	if len(flash) < volumeHeader+storeHeader || !bytes.Equal(flash[16:32], guidBytes(nvDataVolume)) || string(flash[40:44]) != "_FVH" {
		return nil, errStore
	}
	header := int(le.Uint16(flash[48:]))
	if header+storeHeader > len(flash) || !bytes.Equal(flash[header:header+16], guidBytes(authenticatedVars)) {
		return nil, errStore
	}
	size := int64(le.Uint32(flash[header+16:]))
	if size < storeHeader || int64(header)+size > int64(len(flash)) || flash[header+20] != storeFormatted || flash[header+21] != storeHealthy {
		return nil, errStore
	}
	s := &Store{flash: slices.Clone(flash), size: int(size)}
	area := s.area()
	for at := 0; at+variableHeader <= len(area) && le.Uint16(area[at:]) == variableStart; {
		h := area[at:]
		name, data := int64(le.Uint32(h[36:])), int64(le.Uint32(h[40:]))
		end := int64(at) + variableHeader + name + data
		if name%2 != 0 || end > int64(len(area)) {
			return nil, fmt.Errorf("the variable store is damaged at %#x: %w", at, errStore)
		}
		if h[2] == stateAdded || h[2] == stateInDelete {
			v := stored{attributes: le.Uint32(h[4:]), stamp: [16]byte(h[16:32])}
			copy(v.fixed[:], h[8:16])
			copy(v.fixed[8:], h[32:36])
			var chars []uint16
			for c := h[variableHeader:][:name]; len(c) > 0; c = c[2:] {
				chars = append(chars, le.Uint16(c))
			}
			if n := slices.Index(chars, 0); n >= 0 {
				chars = chars[:n]
			}
			v.Variable = Variable{string(utf16.Decode(chars)), uefi.GUIDAt(h[44:])}
			v.data = slices.Clone(h[variableHeader+name:][:data])
			if i := s.index(v.Variable); i < 0 {
				s.vars = append(s.vars, v)
			} else if h[2] == stateAdded {
				s.vars[i] = v
			}
		}
		at = int(end+3) &^ 3
	}
	return s, nil
}

func (s *Store) header() int { return int(binary.LittleEndian.Uint16(s.flash[48:])) }

// area is where the variables are.
func (s *Store) area() []byte { return s.flash[s.header()+storeHeader : s.header()+s.size] }

func (s *Store) index(v Variable) int {
	return slices.IndexFunc(s.vars, func(x stored) bool { return x.Variable == v })
}

// Lists returns the signature lists of a variable; none if it is not there.
func (s *Store) Lists(v Variable) ([]List, error) {
	i := s.index(v)
	if i < 0 {
		return nil, nil
	}
	lists, err := ReadLists(s.vars[i].data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", v.Name, err)
	}
	return lists, nil
}

// SetLists gives a variable lists, as the firmware would after it has checked a signature made at a time. Without lists the variable goes.
func (s *Store) SetLists(v Variable, lists []List, at time.Time) {
	var stamp [16]byte
	at = at.UTC()
	binary.LittleEndian.PutUint16(stamp[:], uint16(at.Year()))
	stamp[2], stamp[3], stamp[4], stamp[5], stamp[6] = byte(at.Month()), byte(at.Day()), byte(at.Hour()), byte(at.Minute()), byte(at.Second())
	s.set(stored{Variable: v, attributes: signatureLists, stamp: stamp, data: WriteLists(lists)})
}

// Enable switches Secure Boot on, which takes effect when there is a PK.
func (s *Store) Enable() {
	s.set(stored{Variable: secureBootEnable, attributes: NonVolatile | BootService, data: []byte{1}})
	s.set(stored{Variable: customMode, attributes: NonVolatile | BootService, data: []byte{0}})
}

func (s *Store) set(v stored) {
	if i := s.index(v.Variable); i >= 0 {
		s.vars = slices.Delete(s.vars, i, i+1)
	}
	if len(v.data) > 0 {
		s.vars = append(s.vars, v)
	}
}

// Bytes returns the store as flash holds it, with nothing in it that was replaced.
func (s *Store) Bytes() ([]byte, error) {
	le := binary.LittleEndian
	var b []byte
	for _, v := range s.vars {
		var name []byte
		for _, c := range append(utf16.Encode([]rune(v.Name)), 0) {
			name = le.AppendUint16(name, c)
		}
		b = le.AppendUint16(b, variableStart)
		b = append(b, stateAdded, 0)
		b = le.AppendUint32(b, v.attributes)
		b = append(b, v.fixed[:8]...)
		b = append(b, v.stamp[:]...)
		b = append(b, v.fixed[8:12]...)
		b = le.AppendUint32(b, uint32(len(name)))
		b = le.AppendUint32(b, uint32(len(v.data)))
		b = append(b, guidBytes(v.Vendor)...)
		b = append(append(b, name...), v.data...)
		for len(b)%4 != 0 {
			b = append(b, 0xff)
		}
	}
	out := slices.Clone(s.flash)
	area := out[s.header()+storeHeader : s.header()+s.size]
	if len(b)+variableHeader > len(area) {
		return nil, fmt.Errorf("the variable store has room for %d bytes, and %d are needed: take a larger one, of 4 MiB firmware", len(area), len(b))
	}
	for i := range area {
		area[i] = 0xff // as erased flash is
	}
	copy(area, b)
	return out, nil
}

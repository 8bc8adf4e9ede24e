package authenticode

import (
	"cmp"
	"crypto"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// Places in a PE image that a digest must know (PE format, "Optional Header").
const (
	peOffsetAt  = 0x3c // in the DOS header
	coffSize    = 20
	checksumAt  = 64 // in the optional header
	sectionSize = 40

	// The data directory of certificates, whose address is an offset in the file.
	certificateDirectory = 4
)

// WIN_CERTIFICATE (UEFI 2.10, 32.2.4).
const (
	CertificateHeader   = 8 // bytes before what it holds
	CertificateRevision = 0x0200

	typePKCSSignedData = 0x0002
)

// layout is where in a PE image lies what is left out of its digest.
type layout struct {
	checksum  int // offset of the checksum, 4 bytes
	directory int // offset of the entry for certificates, 8 bytes
	headers   int // bytes of all headers

	sections []span // as they lie in the file
	table    span   // the certificates, at the end; size 0 if there are none
}

type span struct{ at, size int }

var errNotImage = errors.New("this is not an EFI application: sign a file such as BOOTX64.EFI")

// inspect reads an image's headers.
func inspect(image []byte) (layout, error) {
	le := binary.LittleEndian
	if len(image) < 0x40 || len(image) > 1<<30 || string(image[:2]) != "MZ" {
		return layout{}, errNotImage
	}
	pe := int64(le.Uint32(image[peOffsetAt:]))
	optional := pe + 4 + coffSize
	if optional+2 > int64(len(image)) || string(image[pe:pe+4]) != "PE\x00\x00" {
		return layout{}, errNotImage
	}
	sections := int64(le.Uint16(image[pe+4+2:]))
	size := int64(le.Uint16(image[pe+4+16:]))
	var directories int64 // offset of their number
	switch le.Uint16(image[optional:]) {
	case 0x10b:
		directories = optional + 92
	case 0x20b:
		directories = optional + 108
	default:
		return layout{}, errNotImage
	}
	entry := directories + 4 + 8*certificateDirectory
	table := optional + size
	if entry+8 > table || table+sections*sectionSize > int64(len(image)) {
		return layout{}, fmt.Errorf("the image's headers are cut short: %w", errNotImage)
	}
	if le.Uint32(image[directories:]) <= certificateDirectory {
		return layout{}, errors.New("the image has no place for a signature among its data directories: link it anew")
	}
	l := layout{checksum: int(optional + checksumAt), directory: int(entry), headers: int(le.Uint32(image[optional+60:]))}
	if int64(l.headers) < table+sections*sectionSize || l.headers > len(image) {
		return layout{}, fmt.Errorf("the image says that its headers are %d bytes, which can't be", l.headers)
	}
	l.table = span{int(le.Uint32(image[entry:])), int(le.Uint32(image[entry+4:]))}
	if l.table.size == 0 {
		l.table.at = len(image)
	}
	end := l.table.at + l.table.size
	if l.table.at < l.headers || end != len(image) {
		return layout{}, errors.New("the image's signatures don't lie at its end: it is damaged, take the file from where it came once more")
	}
	for ; sections > 0; sections, table = sections-1, table+sectionSize {
		s := span{int(le.Uint32(image[table+20:])), int(le.Uint32(image[table+16:]))}
		if s.size == 0 {
			continue
		}
		if s.at+s.size > l.table.at {
			return layout{}, errors.New("a section of the image ends behind its end: it is cut short, take the file from where it came once more")
		}
		l.sections = append(l.sections, s)
	}
	slices.SortStableFunc(l.sections, func(a, b span) int { return cmp.Compare(a.at, b.at) })
	// Tools that hash the file from end to end and those that hash sections agree only on images without gaps.
	at := l.headers
	for _, s := range l.sections {
		if s.at != at {
			return layout{}, fmt.Errorf("the image has bytes between its sections, at %#x, or sections that overlap: what its signature covers would be uncertain; link it anew", min(at, s.at))
		}
		at = s.at + s.size
	}
	return l, nil
}

// Digest returns the Authenticode digest of an image: of all of it but the checksum, the
// directory entry of the signatures, and these.
func Digest(image []byte, hash crypto.Hash) ([]byte, error) {
	l, err := inspect(image)
	if err != nil {
		return nil, err
	}
	return l.digest(image, hash), nil
}

func (l layout) digest(image []byte, hash crypto.Hash) []byte {
	h := hash.New()
	h.Write(image[:l.checksum])
	h.Write(image[l.checksum+4 : l.directory])
	h.Write(image[l.directory+8 : l.table.at])
	return h.Sum(nil)
}

// certificates returns the PKCS #7 signatures at an image's end.
func (l layout) certificates(image []byte) (found [][]byte, err error) {
	table := image[l.table.at:][:l.table.size]
	for len(table) > 0 {
		if len(table) < CertificateHeader {
			return nil, errors.New("the table of signatures ends within one: the image is damaged")
		}
		size := int(binary.LittleEndian.Uint32(table))
		kind := binary.LittleEndian.Uint16(table[6:])
		if size < CertificateHeader || size > len(table) {
			return nil, fmt.Errorf("the table of signatures has one of %d bytes, and %d are left: the image is damaged", size, len(table))
		}
		if kind == typePKCSSignedData {
			found = append(found, table[CertificateHeader:size])
		}
		table = table[min((size+7)&^7, len(table)):]
	}
	return found, nil
}

// padded returns a copy whose length is a multiple of eight, as signatures must lie.
func padded(image []byte) []byte {
	return append(append([]byte(nil), image...), make([]byte, -len(image)&7)...)
}

// attach returns the image, whose length is a multiple of eight, with one signature more.
func attach(image []byte, l layout, signature []byte) []byte {
	le := binary.LittleEndian
	out := padded(image)
	header := make([]byte, CertificateHeader)
	le.PutUint32(header, uint32(CertificateHeader+len(signature)))
	le.PutUint16(header[4:], CertificateRevision)
	le.PutUint16(header[6:], typePKCSSignedData)
	out = append(append(out, header...), signature...)
	out = append(out, make([]byte, -len(out)&7)...)
	le.PutUint32(out[l.directory:], uint32(l.table.at))
	le.PutUint32(out[l.directory+4:], uint32(len(out)-l.table.at))
	le.PutUint32(out[l.checksum:], checksum(out, l.checksum))
	return out
}

// strip returns the image without signatures.
func strip(image []byte, l layout) []byte {
	out := append([]byte(nil), image[:l.table.at]...)
	clear(out[l.directory : l.directory+8])
	clear(out[l.checksum : l.checksum+4])
	return out
}

// checksum is the PE checksum: the sum of all 16-bit words but its own, with carries
// added, and the length.
func checksum(image []byte, at int) uint32 {
	var sum uint32
	for i := 0; i < len(image); i += 2 {
		if i == at || i == at+2 {
			continue
		}
		w := uint32(image[i])
		if i+1 < len(image) {
			w |= uint32(image[i+1]) << 8
		}
		if sum += w; sum > 0xffff {
			sum = sum&0xffff + sum>>16
		}
	}
	return sum + uint32(len(image))
}

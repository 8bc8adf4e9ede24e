package secureboot

import (
	"bytes"
	"crypto"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf16"

	"github.com/google/uuid"

	"alphaos/uefi"
	"alphaos/uefi/authenticode"
)

// The types of signature lists that matter here (UEFI 2.10, 32.4.1).
var (
	SHA256 = uefi.GUID{Data1: 0xc1c41626, Data2: 0x504c, Data3: 0x4092, Data4: [8]byte{0xac, 0xa9, 0x41, 0xf9, 0x36, 0x93, 0x43, 0x28}}
	X509   = uefi.GUID{Data1: 0xa5c059a1, Data2: 0x94e4, Data3: 0x4aa7, Data4: [8]byte{0x87, 0xb5, 0xab, 0x15, 0x5c, 0x2b, 0xf0, 0x72}}

	certTypePKCS7 = uefi.GUID{Data1: 0x4aafd29d, Data2: 0x68df, Data3: 0x49ee, Data4: [8]byte{0x8a, 0xa9, 0x34, 0x7d, 0x37, 0x56, 0x65, 0xa7}}
)

// List is an EFI_SIGNATURE_LIST. All entries have the same size.
type List struct {
	Type    uefi.GUID
	Header  []byte
	Entries []Entry
}

// Entry is an EFI_SIGNATURE_DATA: who put it there, and a certificate in DER or a digest.
type Entry struct {
	Owner uefi.GUID
	Data  []byte
}

// CertificateList lists certificates, each in a list of its own, since their sizes differ.
func CertificateList(owner uuid.UUID, certificates ...*authenticode.Certificate) (lists []List) {
	for _, c := range certificates {
		lists = append(lists, List{Type: X509, Entries: []Entry{{guidOf(owner), c.Raw}}})
	}
	return lists
}

// DigestList lists the digests of images.
func DigestList(owner uuid.UUID, images ...[]byte) ([]List, error) {
	l := List{Type: SHA256}
	for _, image := range images {
		sum, err := authenticode.Digest(image, crypto.SHA256)
		if err != nil {
			return nil, err
		}
		l.Entries = append(l.Entries, Entry{guidOf(owner), sum})
	}
	if l.Entries == nil {
		return nil, nil
	}
	return []List{l}, nil
}

// Certificates returns those in lists; what can't be read is passed over.
func Certificates(lists []List) (found []*authenticode.Certificate) {
	for _, l := range lists {
		if l.Type != X509 {
			continue
		}
		for _, e := range l.Entries {
			if c, err := authenticode.ParseCertificate(e.Data); err == nil {
				found = append(found, c)
			}
		}
	}
	return found
}

const listHeader = 28

// typeEFIGUID is the type of a WIN_CERTIFICATE that says its kind by a GUID (UEFI 2.10, 32.2.4).
const typeEFIGUID = 0x0ef1

// WriteLists returns lists as a variable and an .esl file hold them.
func WriteLists(lists []List) []byte {
	le := binary.LittleEndian
	var b []byte
	for _, l := range lists {
		if len(l.Entries) == 0 {
			continue
		}
		size := 16 + len(l.Entries[0].Data)
		b = append(b, guidBytes(l.Type)...)
		b = le.AppendUint32(b, uint32(listHeader+len(l.Header)+size*len(l.Entries)))
		b = le.AppendUint32(b, uint32(len(l.Header)))
		b = le.AppendUint32(b, uint32(size))
		b = append(b, l.Header...)
		for _, e := range l.Entries {
			b = append(append(b, guidBytes(e.Owner)...), e.Data...)
		}
	}
	return b
}

var errLists = errors.New("these are no EFI signature lists, or they are cut short")

// ReadLists reads what WriteLists writes.
func ReadLists(b []byte) (lists []List, err error) {
	le := binary.LittleEndian
	for len(b) > 0 {
		if len(b) < listHeader {
			return nil, errLists
		}
		all, header, size := int64(le.Uint32(b[16:])), int64(le.Uint32(b[20:])), int64(le.Uint32(b[24:]))
		rest := all - listHeader - header
		if all > int64(len(b)) || header > all || size <= 16 || rest < 0 || rest%size != 0 {
			return nil, errLists
		}
		l := List{Type: uefi.GUIDAt(b), Header: b[listHeader:][:header:header]}
		for e := b[listHeader+header : all]; len(e) > 0; e = e[size:] {
			l.Entries = append(l.Entries, Entry{uefi.GUIDAt(e), e[16:size:size]})
		}
		lists = append(lists, l)
		b = b[all:]
	}
	return lists, nil
}

// Attributes of variables (UEFI 2.10, 8.2.1).
const (
	NonVolatile    = 0x01
	BootService    = 0x02
	Runtime        = 0x04
	Authenticated  = 0x20 // time-based
	AppendWrite    = 0x40
	signatureLists = NonVolatile | BootService | Runtime | Authenticated
)

// Variable is the name of one.
type Variable struct {
	Name   string
	Vendor uefi.GUID
}

var (
	globalVariable  = uefi.GUID{Data1: 0x8be4df61, Data2: 0x93ca, Data3: 0x11d2, Data4: [8]byte{0xaa, 0x0d, 0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c}}
	imageSecurityDB = uefi.GUID{Data1: 0xd719b2cb, Data2: 0x3d3a, Data3: 0x4596, Data4: [8]byte{0xa3, 0xbc, 0xda, 0xd0, 0x0e, 0x67, 0x65, 0x6f}}

	PK  = Variable{"PK", globalVariable}
	KEK = Variable{"KEK", globalVariable}
	DB  = Variable{"db", imageSecurityDB}
	DBX = Variable{"dbx", imageSecurityDB}
)

// Authenticate returns what a firmware in user mode takes for a variable: lists signed by key at a
// time, an EFI_VARIABLE_AUTHENTICATION_2 with the lists behind it (UEFI 2.10, 8.2.2), which .auth
// files hold. With add the lists are added to what the variable has. A firmware takes none that is older than what it has.
func Authenticate(v Variable, lists []List, key *authenticode.Key, at time.Time, add bool) ([]byte, error) {
	le := binary.LittleEndian
	at = at.UTC()
	stamp := make([]byte, 16) // EFI_TIME, of which only the date and time may be other than 0
	le.PutUint16(stamp, uint16(at.Year()))
	stamp[2], stamp[3], stamp[4], stamp[5], stamp[6] = byte(at.Month()), byte(at.Day()), byte(at.Hour()), byte(at.Minute()), byte(at.Second())
	data := WriteLists(lists)

	signature, err := authenticode.SignBare(signedText(v, stamp, data, add), key)
	if err != nil {
		return nil, fmt.Errorf("signing %s: %w", v.Name, err)
	}
	b := slices.Clone(stamp)
	b = le.AppendUint32(b, uint32(authenticode.CertificateHeader+16+len(signature)))
	b = le.AppendUint16(b, authenticode.CertificateRevision)
	b = le.AppendUint16(b, typeEFIGUID)
	b = append(b, guidBytes(certTypePKCS7)...)
	return append(append(b, signature...), data...), nil
}

// signedText is what the signature of a variable covers.
func signedText(v Variable, stamp, data []byte, add bool) []byte {
	le := binary.LittleEndian
	attributes := uint32(signatureLists)
	if add {
		attributes |= AppendWrite
	}
	var text []byte
	for _, c := range utf16.Encode([]rune(v.Name)) {
		text = le.AppendUint16(text, c)
	}
	text = append(text, guidBytes(v.Vendor)...)
	text = le.AppendUint32(text, attributes)
	text = append(text, stamp...)
	return append(text, data...)
}

// ReadAuthenticated checks what Authenticate makes, for a variable, and returns the lists and who signed them.
func ReadAuthenticated(v Variable, auth []byte, add bool) ([]List, *authenticode.Certificate, error) {
	const header = 16 + authenticode.CertificateHeader + 16
	le := binary.LittleEndian
	if len(auth) < header {
		return nil, nil, errLists
	}
	size := int64(le.Uint32(auth[16:]))
	if size < authenticode.CertificateHeader+16 || 16+size > int64(len(auth)) || le.Uint16(auth[22:]) != typeEFIGUID || !bytes.Equal(auth[24:40], guidBytes(certTypePKCS7)) {
		return nil, nil, errors.New("this is no signed variable, or it is cut short")
	}
	data := auth[16+size:]
	signer, err := authenticode.VerifyBare(signedText(v, auth[:16], data, add), auth[header:16+size])
	if err != nil {
		return nil, nil, err
	}
	lists, err := ReadLists(data)
	return lists, signer, err
}

func guidBytes(g uefi.GUID) []byte {
	var b []byte
	b = binary.LittleEndian.AppendUint32(b, g.Data1)
	b = binary.LittleEndian.AppendUint16(b, g.Data2)
	b = binary.LittleEndian.AppendUint16(b, g.Data3)
	return append(b, g.Data4[:]...)
}

func guidOf(u uuid.UUID) uefi.GUID {
	return uefi.GUID{Data1: binary.BigEndian.Uint32(u[:]), Data2: binary.BigEndian.Uint16(u[4:]), Data3: binary.BigEndian.Uint16(u[6:]), Data4: [8]byte(u[8:])}
}

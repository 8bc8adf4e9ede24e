package create

import (
	"crypto/sha256"
	"io"
	"time"

	"alphaos/drive/manifest"
	"alphaos/fs/fat"
	"alphaos/uefi/authenticode"
)

// signedFiles gathers what a manifest says of files, whose checksums are known when they were copied.
type signedFiles struct {
	made  time.Time
	files []*manifest.File
}

// record returns c, of which the checksum is found while it is copied.
func (s *signedFiles) record(name string, c fat.Content) fat.Content {
	f := &manifest.File{Name: name, Size: c.Size}
	s.files = append(s.files, f)
	return fat.Content{Size: c.Size, Open: func() (io.ReadCloser, error) {
		r, err := c.Open()
		if err != nil {
			return nil, err
		}
		return manifest.Record(r, func(sum [sha256.Size]byte) { f.SHA256 = sum }), nil
	}}
}

// contents returns those of the manifest and of its signature, which must be copied after all that is in it. How long they are is known
// before.
func (s *signedFiles) contents(by *authenticode.Key) (text, signature fat.Content, err error) {
	build := func() (text, signature []byte, err error) {
		m := &manifest.Manifest{Made: s.made.UTC().Truncate(time.Second)}
		for _, f := range s.files {
			m.Set(*f)
		}
		return m.Sign(by)
	}
	t, sig, err := build()
	part := func(size int, which func(text, signature []byte) []byte) fat.Content {
		return fat.Content{Size: int64(size), Open: func() (io.ReadCloser, error) {
			t, sig, err := build()
			if err != nil {
				return nil, err
			}
			return fat.Bytes(which(t, sig)).Open()
		}}
	}
	return part(len(t), func(text, _ []byte) []byte { return text }), part(len(sig), func(_, signature []byte) []byte { return signature }), err
}

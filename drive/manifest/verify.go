package manifest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"strings"
	"time"

	"alphaos/console"
	"alphaos/drive"
	"alphaos/fs"
	"alphaos/uefi/authenticode"
)

// Drive is what is looked at: a drive.Drive.
type Drive interface {
	iofs.FS
	Where(name string) string // in words
}

// ErrNone is returned for a drive that has no manifest.
var ErrNone = errors.New("this drive has no signed manifest; alphaos drive sign, on another computer, makes one")

// read reads a file that is not too large.
func read(d iofs.FS, name string, most int64) ([]byte, error) {
	f, err := d.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() > most {
		return nil, fmt.Errorf("it has more than %s, which is too much", console.Bytes(most))
	}
	b := make([]byte, info.Size())
	_, err = io.ReadFull(f, b)
	return b, err
}

// Read reads a drive's manifest after its signature was checked, and says whose that is.
func Read(d Drive) (*Manifest, *authenticode.Certificate, error) {
	said := func(name string, err error) error { return fmt.Errorf("%s can't be used: %w", d.Where(name), err) }
	text, err := read(d, drive.ManifestPath, maxText)
	if errors.Is(err, iofs.ErrNotExist) {
		return nil, nil, ErrNone
	}
	if err != nil {
		return nil, nil, said(drive.ManifestPath, err)
	}
	signature, err := read(d, drive.ManifestSigPath, maxSignature)
	if errors.Is(err, iofs.ErrNotExist) {
		return nil, nil, fmt.Errorf("the manifest, %s, has no signature beside it: what it says is worth nothing; have the drive signed anew", d.Where(drive.ManifestPath))
	}
	if err != nil {
		return nil, nil, said(drive.ManifestSigPath, err)
	}
	by, err := authenticode.VerifyDetached(text, signature)
	if err != nil {
		return nil, nil, fmt.Errorf("the manifest, %s, is not what was signed: %w; what it says is worth nothing: have the drive signed anew", d.Where(drive.ManifestPath), err)
	}
	m, err := Parse(text)
	if err != nil {
		return nil, nil, said(drive.ManifestPath, err)
	}
	return m, by, nil
}

// maxProgram is how many bytes of a program are read for its signature.
const maxProgram = 128 << 20

// signer returns a certificate of the one key by which the program on a drive is signed. The error says, as a clause, why there
// is none.
func signer(d Drive) (by *authenticode.Certificate, err error) {
	for _, name := range Programs {
		image, err := read(d, name, maxProgram)
		if errors.Is(err, iofs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%s can't be read: %w", d.Where(name), err)
		}
		signatures, err := authenticode.Signatures(image)
		if errors.Is(err, authenticode.ErrUnsigned) {
			return nil, fmt.Errorf("the program, %s, is not signed", d.Where(name))
		}
		if err != nil {
			return nil, fmt.Errorf("the signature of the program, %s, does not hold: %w", d.Where(name), err)
		}
		for _, s := range signatures {
			// Anybody can add a signature to a program: a second one leaves open which is the person's.
			if by != nil && !by.Key.Equal(s.Signer.Key) {
				return nil, fmt.Errorf("the program is signed by two keys, those of %q and %q", by.Subject, s.Signer.Subject)
			}
			by = s.Signer
		}
	}
	if by == nil {
		return nil, errors.New("there is no program on the drive")
	}
	return by, nil
}

// Named tells whether a certificate is the one that a person named.
type Named func(c *authenticode.Certificate) bool

// Report is what was found.
type Report struct {
	By    string // a sentence that says whose the manifest is
	Known bool   // by the key of the program, or one that was named

	Right int      // files that are what they were
	Bytes int64    // of these
	Wrong []string // a sentence for each that is not, or is missing, or is not listed
}

// Result is the last sentence about it.
func (r *Report) Result() string {
	files := fmt.Sprintf("All %d files", r.Right)
	if r.Right == 1 {
		files = "The only file"
	}
	verb := map[bool]string{true: "is", false: "are"}[r.Right == 1]
	switch {
	case len(r.Wrong) == 1:
		return fmt.Sprintf("1 file is not as it was signed, %d are: see above.", r.Right)
	case len(r.Wrong) > 0:
		return fmt.Sprintf("%d files are not as they were signed, %d are: see above.", len(r.Wrong), r.Right)
	case !r.Known:
		return fmt.Sprintf("%s, %s, %s as the manifest says; what that is worth you know when you know the key.", files, console.Bytes(r.Bytes), verb)
	}
	return fmt.Sprintf("%s, %s, %s as signed.", files, console.Bytes(r.Bytes), verb)
}

// Verify compares a drive with its manifest. The key of that must be the one that is named or, if named is nil, the one by which the
// program on the drive is signed; a manifest by another key is an error, and no file is looked at. If there is none to compare with, since
// the program is not signed, the report says so. When ctx is done, the report says what was found until then, beside the error.
func Verify(ctx context.Context, d Drive, named Named, progress func(done, total int64)) (*Report, error) {
	m, by, err := Read(d)
	if err != nil {
		return nil, err
	}
	r := &Report{}
	whose := fmt.Sprintf("The manifest of %s is signed by %q", m.Made.Format("2 January 2006"), by.Subject)
	other := fmt.Sprintf("the manifest is by another key: it is signed by %q, whose certificate has the fingerprint %s", by.Subject, by.Fingerprint())
	switch program, err := signer(d); {
	case named != nil && !named(by):
		return nil, fmt.Errorf("%s, and not by the one that you named; what it says is worth nothing", other)
	case named != nil:
		r.By, r.Known = whose+", whom you named.", true
	case errors.Is(err, fs.ErrRemoved):
		return nil, err
	case err != nil:
		r.By = fmt.Sprintf("%s, whose certificate has the fingerprint %s. Nothing on the drive vouches for that, as %s: compare it with the one that you know.", whose, by.Fingerprint(), strings.TrimSuffix(fs.Explain(err), "."))
	case !program.Key.Equal(by.Key):
		return nil, fmt.Errorf("%s, and the program on this drive by %q; what it says is worth nothing", other, program.Subject)
	default:
		r.By, r.Known = whose+", by whom the program is signed, too.", true
	}
	return r, r.compare(ctx, d, m, progress)
}

// VerifyBy is Verify with a key that is named by the fingerprint of its certificate, or by "" not at all. The beginning of it will do, in
// hexadecimal digits with colons or spaces or without.
func VerifyBy(ctx context.Context, d Drive, fingerprint string, progress func(done, total int64)) (*Report, error) {
	const least = 32 // digits, which nobody finds another key for
	digits := strings.ToLower(strings.NewReplacer(":", "", " ", "").Replace(fingerprint))
	if digits == "" {
		return Verify(ctx, d, nil, progress)
	}
	if strings.Trim(digits, "0123456789abcdef") != "" || len(digits) < least || len(digits) > 2*sha256.Size {
		return nil, fmt.Errorf("%.80q is no fingerprint: give at least the first %d of its %d digits, as alphaos drive sign or openssl x509 -fingerprint -sha256 writes them", fingerprint, least, 2*sha256.Size)
	}
	return Verify(ctx, d, func(c *authenticode.Certificate) bool {
		return strings.HasPrefix(strings.ToLower(strings.ReplaceAll(c.Fingerprint(), ":", "")), digits)
	}, progress)
}

// compare looks at the files.
func (r *Report) compare(ctx context.Context, d Drive, m *Manifest, progress func(done, total int64)) error {
	have, err := List(d)
	if err != nil {
		return err
	}
	there := map[string]File{}
	for _, f := range have {
		there[f.Name] = f
	}
	total, done := int64(0), int64(0)
	for _, f := range m.Files {
		if h, ok := there[f.Name]; ok && h.Size == f.Size {
			total += f.Size
		}
	}
	wrong := func(name, what string) {
		where := strings.Map(func(r rune) rune {
			if odd(r) {
				return '?'
			}
			return r
		}, d.Where(name))
		r.Wrong = append(r.Wrong, where+" "+what)
	}
	for _, f := range m.Files {
		h, ok := there[f.Name]
		delete(there, f.Name)
		switch {
		case !ok:
			wrong(f.Name, "is missing: it was signed, and is not on the drive.")
			continue
		case h.Size != f.Size:
			wrong(f.Name, fmt.Sprintf("is not what was signed: it has %d bytes, and had %d.", h.Size, f.Size))
			continue
		}
		before := done
		sum, err := Sum(ctx, d, f.Name, func(n int64) { done += n; progress(done, total) })
		done = before + f.Size
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, fs.ErrRemoved):
			return err
		case err != nil:
			wrong(f.Name, "can't be read: "+fs.Explain(err))
		case sum != f.SHA256:
			wrong(f.Name, "is not what was signed: something else is in it.")
		default:
			r.Right, r.Bytes = r.Right+1, r.Bytes+f.Size
		}
	}
	for _, h := range have {
		if _, ok := there[h.Name]; ok {
			wrong(h.Name, "is not listed: it was not there when the drive was signed.")
		}
	}
	return nil
}

// Make makes a manifest of a drive as it is, of which it reads all files.
func Make(ctx context.Context, d Drive, at time.Time, progress func(done, total int64)) (*Manifest, error) {
	list, err := List(d)
	if err != nil {
		return nil, err
	}
	m := &Manifest{Made: at.UTC().Truncate(time.Second)}
	total, done := int64(0), int64(0)
	for _, f := range list {
		total += f.Size
	}
	for _, f := range list {
		if f.SHA256, err = Sum(ctx, d, f.Name, func(n int64) { done += n; progress(done, total) }); err != nil {
			return nil, fmt.Errorf("%s: %w", d.Where(f.Name), err)
		}
		m.Set(f)
	}
	return m, nil
}

// Sum reads a file, tells how many bytes were read since it was last told, and returns the SHA-256.
func Sum(ctx context.Context, d iofs.FS, name string, progress func(n int64)) (sum [sha256.Size]byte, err error) {
	const piece = 4 << 20
	f, err := d.Open(name)
	if err != nil {
		return sum, err
	}
	defer f.Close()
	h, buf := sha256.New(), make([]byte, piece)
	for {
		if err := ctx.Err(); err != nil {
			return sum, err
		}
		n, err := io.ReadFull(f, buf)
		h.Write(buf[:n])
		progress(int64(n))
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return [sha256.Size]byte(h.Sum(nil)), nil
		}
		if err != nil {
			return sum, err
		}
	}
}

// Package update adds files to a drive that there is, and gives it another program. All else on it
// stays as it is, and a cut of power leaves each file as it was or as it is to be.
package update

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	iofs "io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"alphaos/drive"
	"alphaos/drive/content"
	"alphaos/drive/manifest"
	"alphaos/drive/media"
	"alphaos/fs"
	"alphaos/fs/fat"
	"alphaos/llm"
	"alphaos/uefi/authenticode"
)

// Device is what the drive is: an image or a whole disk.
type Device interface {
	fs.BlockDevice
	// Uncache makes the next reads of what was flushed come from the medium, if that can be, and
	// says how.
	Uncache() string
}

// Options say how a drive is changed.
type Options struct {
	To      string // the directory for all files, as a logical path; "": where each belongs
	Replace bool   // files that there are may get another content
	Verify  bool   // what was written is read back and compared

	// Sign signs a manifest of what is on the drive then; nil: it stays as it is. Files that a manifest by the same key has
	// are not read again, and those that were added since then stay unlisted: who signs a program has not looked at them.
	Sign *authenticode.Key
	Time time.Time // of that; zero: now

	// Unlock is called for a drive that is locked, more than once; without it, or if it leaves it so, files on the knowledge
	// partition can't be added.
	Unlock func(*drive.Drive) error

	// Progress begins a step in which total bytes are dealt with, and returns what is told
	// how many are done. It may be nil.
	Progress func(step string, total int64) func(done int64)
}

func (o Options) step(name string, total int64) func(done int64) {
	if o.Progress == nil {
		return func(int64) {}
	}
	return o.Progress(name, total)
}

// open mounts a drive, and has it unlocked.
func (o Options) open(dev fs.BlockDevice, readOnly bool) (*drive.Drive, error) {
	d, err := drive.Open(dev, readOnly)
	if err == nil && d.Locked() != nil && o.Unlock != nil {
		err = o.Unlock(d)
	}
	return d, err
}

// Result tells what was done.
type Result struct {
	Files    []File   // that were written, but for checksums
	Said     []string // of the drive, in sentences
	Free     int64    // bytes left on the volumes that were written
	Verified string   // how it was read back, to end a sentence with; "" if it was not
}

// File is a file that was written.
type File struct {
	Name  string // its logical path
	Where string // in words
	Size  int64
}

// kinds say by the ends of their names where files belong.
var kinds = map[string]string{}

func init() {
	for dir, ends := range map[string]string{
		drive.ModelsDir:    "gguf",
		drive.FontsDir:     "ttf otf ttc bdf pcf",
		drive.DocumentsDir: "md markdown txt text pdf html htm rtf csv tsv json xml docx xlsx odt ods epub tex org rst log",
	} {
		for end := range strings.FieldsSeq(ends) {
			kinds["."+end] = dir
		}
	}
}

// place returns the logical path for a file of the host.
func (o Options) place(name string) (string, error) {
	base := filepath.Base(name)
	dir := o.To
	if dir == "" {
		var ok bool
		if dir, ok = kinds[strings.ToLower(filepath.Ext(base))]; !ok {
			return "", fmt.Errorf("%s is neither a model nor a document nor a font, by its name; say where it is to go, for example --to %s", name, drive.DocumentsDir)
		}
	}
	return strings.TrimPrefix(path.Clean("/"+dir+"/"+base), "/"), nil
}

// isModel tells whether a file is one by its name, and has its checksum beside it.
func isModel(name string) bool { return strings.EqualFold(filepath.Ext(name), ".gguf") }

// Add puts files of the host on the drive dev.
func Add(dev Device, files []string, o Options) (*Result, error) {
	c, err := begin(dev, o)
	if err != nil {
		return nil, err
	}
	var models []string
	for _, name := range files {
		if isModel(name) {
			models = append(models, name)
		}
	}
	for _, name := range files {
		at, err := o.place(name)
		if err != nil {
			return nil, err
		}
		if err := c.mayWrite(at, o.Replace); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		var whole, sum fat.Content
		if isModel(name) {
			whole, sum, err = content.Model(name, models)
		} else {
			whole, err = content.File(name)
		}
		if err == nil {
			err = c.plan(at, whole, true)
		}
		if err == nil && isModel(name) {
			err = c.plan(llm.ChecksumPath(at), sum, false)
		}
		if err != nil {
			return nil, err
		}
	}
	if slices.ContainsFunc(c.files, func(f file) bool { return manifest.Covers(f.Name) }) {
		c.unsigned("What was added is not in it; it can be used all the same")
	}
	return c.do(o)
}

// unsigned says that the drive's manifest, if it has one, is not of what it holds.
func (c *change) unsigned(why string) {
	if c.has(drive.ManifestPath) {
		c.said = append(c.said, fmt.Sprintf("The drive has a signed manifest. %s; alphaos drive sign makes it anew.", why))
	}
}

// Sign gives the drive dev a manifest of all models, fonts and programs that are on it, signed by o.Sign. It reads them all.
func Sign(dev Device, o Options) (*Result, *manifest.Manifest, error) {
	c, err := begin(dev, o)
	if err != nil {
		return nil, nil, err
	}
	m, err := c.sign(o, nil)
	if err != nil {
		return nil, nil, err
	}
	r, err := c.do(o)
	return r, m, err
}

// sign plans a manifest of the drive, or, if known are files that are to be written, the drive's manifest with these: what else is
// there is not read then, and not signed.
func (c *change) sign(o Options, known map[string]manifest.File) (*manifest.Manifest, error) {
	at := o.Time
	if at.IsZero() {
		at = time.Now()
	}
	old, by, err := manifest.Read(c.d)
	m := &manifest.Manifest{Made: at.UTC().Truncate(time.Second)}
	if known != nil {
		const instead = "alphaos drive sign reads what is on the drive, and signs that"
		switch {
		case errors.Is(err, manifest.ErrNone):
			c.said = append(c.said, "What was signed lists the program only; "+instead+".")
			old = &manifest.Manifest{}
		case err != nil:
			return nil, fmt.Errorf("the signed manifest of the drive can't be kept: %w; %s", err, instead)
		case !by.Key.Equal(&o.Sign.Private.PublicKey):
			return nil, fmt.Errorf("the signed manifest of the drive is by another key, and its models are not signed unread; %s", instead)
		}
		m.Files = slices.Clone(old.Files)
		for _, f := range known {
			m.Set(f)
		}
		if slices.Equal(m.Files, old.Files) {
			return old, nil
		}
	} else {
		var tell func(done int64)
		m, err = manifest.Make(context.Background(), c.d, at, func(done, total int64) {
			if tell == nil {
				tell = o.step("Reading what is to be signed", total)
			}
			tell(done)
		})
		if err != nil {
			return nil, err
		}
	}
	text, signature, err := m.Sign(o.Sign)
	if err == nil {
		err = c.plan(drive.ManifestPath, fat.Bytes(text), true)
	}
	if err == nil {
		err = c.plan(drive.ManifestSigPath, fat.Bytes(signature), true)
	}
	return m, err
}

// ours is in each program that is AlphaOS: the name of a function of it.
var ours = []byte("alphaos/machine.(*Machine)")

// ErrSame is returned, wrapped, by Program if the drive has that program already.
var ErrSame = errors.New("the drive has this program already")

// Program gives the drive dev the program name, an EFI application: at the place from which the
// firmware starts it, or at that from which a boot manager does. The new one is written into free
// clusters, and becomes the file by one write of a sector of its directory: that is what a new name,
// a flush and its renaming over the old one are for, and needs no second name, which a cut
// could leave behind.
func Program(dev Device, name string, o Options) (*Result, error) {
	program, err := content.Program(name)
	if err != nil {
		return nil, err
	}
	want, err := read(program)
	if err != nil {
		return nil, err
	}
	if !bytes.Contains(want, ours) {
		return nil, fmt.Errorf("%s is an EFI application and not AlphaOS", name)
	}
	c, err := begin(dev, o)
	if err != nil {
		return nil, err
	}
	old := 0 // programs that are AlphaOS
	known := map[string]manifest.File{}
	put := func(at string, had []byte) error {
		known[at] = manifest.File{Name: at, Size: program.Size, SHA256: sha256.Sum256(want)}
		if bytes.Equal(had, want) {
			return nil
		}
		return c.plan(at, program, true)
	}
	for _, at := range manifest.Programs {
		had, err := iofs.ReadFile(c.d, at)
		if err != nil && !errors.Is(err, iofs.ErrNotExist) {
			return nil, err
		}
		if err != nil || !bytes.Contains(had, ours) {
			continue
		}
		old++
		if err := put(at, had); err != nil {
			return nil, err
		}
	}
	if old == 0 {
		if c.has(drive.EFIPath) {
			return nil, fmt.Errorf("/%s on the drive is not AlphaOS but perhaps a boot manager, and AlphaOS is not at /%s either, where that would find it; copy it to its place by hand", drive.EFIPath, drive.ChainedPath)
		}
		if err := put(drive.EFIPath, nil); err != nil { // it was lost
			return nil, err
		}
	}
	if o.Sign != nil {
		if _, err := c.sign(o, known); err != nil {
			return nil, err
		}
	} else if len(c.files) > 0 {
		c.unsigned("It is not of this program")
	}
	if len(c.files) == 0 {
		return nil, ErrSame
	}
	return c.do(o)
}

func read(c fat.Content) ([]byte, error) {
	r, err := c.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// change is what is to be done to a drive.
type change struct {
	dev   Device
	d     *drive.Drive
	said  []string
	files []file
	trees [len(drive.Parts)]fat.Tree // tell what names cannot be
}

type file struct {
	File
	content fat.Content
	told    bool   // in the result
	sum     []byte // SHA-256, when it was written
}

// begin mounts a drive. One that was not put in order is mended first: what is written on a damaged
// volume may damage what is there.
func begin(dev Device, o Options) (*change, error) {
	d, err := o.open(dev, false)
	if err != nil {
		return nil, err
	}
	c := &change{dev: dev, d: d}
	c.said = d.Mend(context.Background(), false, time.Now(), func(int64, int64) {}, func(string, ...any) {})
	if d.Dirty() {
		return nil, fmt.Errorf("it was not put in order when it was last used; have it mended with alphaos drive check --repair before anything is written on it")
	}
	return c, nil
}

func (c *change) has(at string) bool {
	v, name, err := c.d.On(at)
	if err == nil {
		_, err = v.Stat(name)
	}
	return err == nil
}

// mayWrite tells why a file must not be written.
func (c *change) mayWrite(at string, replace bool) error {
	_, name := c.d.Layout.At(at)
	switch {
	case slices.ContainsFunc(drive.InPlace(), func(own string) bool { return strings.EqualFold(own, name) }):
		return fmt.Errorf("/%s is a file whose place on the drive AlphaOS keeps; it cannot be replaced", name)
	case !replace && c.has(at):
		return fmt.Errorf("%s is there already; add --replace to give it this content", c.d.Where(at))
	}
	return nil
}

func (c *change) plan(at string, content fat.Content, told bool) error {
	part, name := c.d.Layout.At(at)
	if err := c.trees[part].Add(name, content); err != nil {
		return err
	}
	c.files = append(c.files, file{File{at, c.d.Where(at), content.Size}, content, told, nil})
	return nil
}

// fits tells whether there is room for the files beside those that they replace.
func (c *change) fits() error {
	need := map[*drive.Volume]int64{}
	var volumes []*drive.Volume
	for _, f := range c.files {
		v, name, err := c.d.On(f.Name)
		if err != nil {
			return err
		}
		size := v.ClusterSize()
		if need[v] == 0 {
			volumes = append(volumes, v)
			need[v] = size // for a directory that grows
		}
		need[v] += (f.Size + size - 1) / size * size
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			if _, err := v.Stat(dir); errors.Is(err, iofs.ErrNotExist) {
				need[v] += size
			}
		}
	}
	for _, v := range volumes {
		free, err := v.Free()
		if err != nil {
			return err
		}
		if need[v] > free {
			return fmt.Errorf("it does not fit: %s needed on %s, and %s free there, which is %s too little; remove something, or copy the drive to a larger one with alphaos drive clone",
				are(need[v]), v.Label(), are(free), media.FormatSize(need[v]-free))
		}
	}
	return nil
}

func are(n int64) string { return media.FormatSize(n) + " are" }

// do writes the files, and reads them back.
func (c *change) do(o Options) (*Result, error) {
	if err := c.fits(); err != nil {
		return nil, err
	}
	total := int64(0)
	for _, f := range c.files {
		total += f.Size
	}
	r := &Result{Said: c.said}
	tell, done := o.step(media.Writing, total), int64(0)
	volumes := map[*drive.Volume]bool{}
	for i := range c.files {
		f := &c.files[i]
		v, name, err := c.d.On(f.Name)
		if err != nil {
			return nil, err
		}
		volumes[v] = true
		if f.sum, err = write(v, name, f.content, func(n int64) { done += n; tell(min(done, total-1)) }); err != nil {
			return nil, fmt.Errorf("write %s: %w", f.Where, err)
		}
		if f.told {
			r.Files = append(r.Files, f.File)
		}
	}
	for v := range volumes {
		if err := v.Sync(); err != nil {
			return nil, err
		}
		free, err := v.Free()
		if err != nil {
			return nil, err
		}
		r.Free += free
	}
	tell(total)
	if !o.Verify {
		return r, nil
	}
	r.Verified = c.dev.Uncache()
	if err := c.verify(o, o.step(media.Verifying, total), total); err != nil {
		return nil, err
	}
	return r, nil
}

const copySize = 4 << 20

// write makes a file with that content, with the directories that lead there, and returns its SHA-256.
func write(v *drive.Volume, name string, c fat.Content, progress func(n int64)) ([]byte, error) {
	for i, b := range name {
		if b != '/' {
			continue
		}
		if err := v.Mkdir(name[:i]); err != nil && !errors.Is(err, iofs.ErrExist) {
			return nil, err
		}
	}
	r, err := c.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	w, err := v.Create(name)
	if err != nil {
		return nil, err
	}
	sum := sha256.New()
	n, err := move(w, io.LimitReader(r, c.Size), sum, progress)
	if err == nil && n != c.Size {
		err = errors.New("the file became shorter while it was read")
	}
	if err != nil {
		w.Discard()
		return nil, err
	}
	return sum.Sum(nil), w.Close()
}

// move copies in large pieces, which is what flash is fast at.
func move(w io.Writer, r io.Reader, sum hash.Hash, progress func(n int64)) (total int64, err error) {
	buf := make([]byte, copySize)
	for {
		n, err := io.ReadFull(r, buf)
		if n > 0 {
			sum.Write(buf[:n])
			if _, err := w.Write(buf[:n]); err != nil {
				return total, err
			}
			total += int64(n)
			progress(int64(n))
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}

// verify mounts the drive anew and compares what the files hold.
func (c *change) verify(o Options, tell func(done int64), total int64) error {
	d, err := o.open(c.dev, true)
	if err != nil {
		return fmt.Errorf("reading back: %w", err)
	}
	done := int64(0)
	for _, f := range c.files {
		r, err := d.Open(f.Name)
		if err != nil {
			return fmt.Errorf("reading back %s: %w", f.Where, err)
		}
		sum := sha256.New()
		_, err = move(io.Discard, r, sum, func(n int64) { done += n; tell(min(done, total-1)) })
		r.Close()
		if err != nil {
			return fmt.Errorf("reading back %s: %w", f.Where, err)
		}
		if !bytes.Equal(sum.Sum(nil), f.sum) {
			return fmt.Errorf("%s: %w; the drive may be worn out or smaller than it says: try again, then use another one", f.Where, media.ErrDiffers)
		}
	}
	tell(total)
	return nil
}

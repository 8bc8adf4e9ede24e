// Package create makes AlphaOS drives: a flash drive itself, or an image file that can be
// written to one or started in QEMU.
//
// The partition table comes from github.com/diskfs/go-diskfs; the FAT32 volume is
// fs/fat's own, since the library's is slow and has to be repaired afterwards (".." entries,
// FSInfo). Model files are copied straight to their place, and their checksums computed on
// the way.
//
// An image appears under its name only when it is complete. Package media writes either, reads
// it back and compares.
package create

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"alphaos/drive"
	"alphaos/drive/content"
	"alphaos/drive/manifest"
	"alphaos/drive/media"
	"alphaos/drive/picker"
	"alphaos/fs/fat"
	"alphaos/llm"
	"alphaos/uefi/authenticode"
)

// Options says what drive to make.
type Options struct {
	Out    string      // image file to make
	Disk   *media.Disk // the drive to make it on instead, if not nil; all of it is used
	Sector int64       // bytes in a sector of an image, 512 or 4096; 0: 512. A drive has its own
	Layout string      // "minimal", "full", or "": full on drives of FullFrom and more
	Size   int64       // bytes; 0: 512 MiB, in the full layout FullFrom, or what the contents need
	ESP    int64       // bytes of the full layout's EFI system partition; 0: 512 MiB, less on a small drive
	System int64       // bytes of its system partition; 0: 8 GiB, less on a small drive, or what the models need
	Models []string    // GGUF files, put into /models under their own names, each with its checksum
	EFI    string      // the EFI application, put at /EFI/BOOT/BOOTX64.EFI
	Limine string      // the folder with the boot manager that is put there instead, and starts EFI; "": none

	Documents []string // files, put into /documents under their own names

	Journal int64   // bytes preallocated for the journal; 0: DefaultJournal
	State   int64   // bytes preallocated for what a model remembers of a conversation; 0: DefaultState; negative: none
	Config  []byte  // the file of options, unchecked; nil: one without options
	Extra   []Extra // further files, put on the drive unchecked

	Sign *authenticode.Key // signs a manifest of program, models and fonts; nil: there is none

	Ext4    bool        // the knowledge partition, which only the full layout has, gets ext4 in place of FAT32
	Encrypt *Encryption // of the knowledge partition, which only the full layout has; nil: none
	Replace bool        // an existing Out may be replaced
	Verify  bool        // what was written is read back and compared

	// Progress begins a step in which total bytes are dealt with, and returns what is told
	// how many are done; it may be nil.
	Progress func(step string, total int64) func(done int64)

	// Time is the time of every file on the drive. When it is zero it is the
	// present, and the drive gets random identifiers; else the same options
	// give the same bytes.
	Time time.Time
}

// FirstStart is a file of options with which a new drive asks for keyboard, size of the text and model when it is first
// started.
var FirstStart = []byte("{\n  \"version\": 1,\n  \"setup\": true\n}\n")

// Extra is a further file to put on a drive.
type Extra struct {
	Path    string // logical, as package drive has it
	Content []byte
}

// DefaultJournal is how many bytes are preallocated for the journal.
const DefaultJournal = drive.JournalSize

// DefaultState is how many bytes are preallocated for what a model remembers of
// a conversation, on a drive of size bytes (0: the usual size).
func DefaultState(size int64) int64 {
	if size == 0 {
		size = usualSize
	}
	return drive.StateSize(size)
}

// pickerName is what a start-up picker calls the drive.
const pickerName = "AlphaOS"

// Bytes of the files that are preallocated with blank lines.
const (
	crashSize   = 64 << 10
	bootLogSize = 64 << 10

	processorsSize = 4 << 10
)

const (
	mib         = 1 << 20
	partitionAt = mib // bytes before the partition, and left free after it
	usualSize   = 512 * mib
	largestSize = 2 << 40 // what FAT32 can count in 512-byte sectors
)

// Result tells what was made.
type Result struct {
	Size    int64 // bytes in the image
	Sector  int64 // bytes in a sector
	Layout  drive.Layout
	Volumes []Volume
	Models  int
	Signed  int // files in the manifest
	Journal int64

	Verified string // how it was read back, to end a sentence with; "" if it was not
}

// Volume tells of a partition that was made.
type Volume struct {
	Label      string
	Size, Free int64 // bytes
}

// Free is how many bytes are free on all volumes.
func (r *Result) Free() (n int64) {
	for _, v := range r.Volumes {
		n += v.Free
	}
	return n
}

// Drive makes a drive image. Errors are for a person: each says what is
// wrong and what to do.
func Drive(o Options) (*Result, error) {
	out := media.Out{Image: o.Out, Disk: o.Disk, Replace: o.Replace, Verify: o.Verify, Progress: o.Progress}
	if err := out.Check(); err != nil {
		return nil, err
	}
	if d := o.Disk; d != nil {
		switch {
		case o.Size != 0:
			return nil, fmt.Errorf("a size is for images only: of %s all is used", d.Path)
		case o.Sector != 0:
			return nil, fmt.Errorf("a size of sectors is for images only: those of %s have %d bytes", d.Path, d.BlockSize)
		}
		o.Size, o.Sector = d.Size, int64(d.BlockSize)
	}
	if o.Sector == 0 {
		o.Sector = 512
	}
	if o.Sector != 512 && o.Sector != 4096 {
		return nil, fmt.Errorf("a drive with sectors of %d bytes cannot be made; 512 and 4096 are what drives have", o.Sector)
	}
	layout, err := o.layout()
	if err != nil {
		return nil, err
	}
	if o.Journal == 0 {
		o.Journal = DefaultJournal
	}
	if o.Journal < 64<<10 || o.Journal > content.MaxFile {
		return nil, fmt.Errorf("a journal of %s cannot be made; choose from 64K up to 4095M", FormatSize(o.Journal))
	}
	if o.State == 0 {
		o.State = DefaultState(o.Size)
	}
	if o.State > content.MaxFile {
		return nil, fmt.Errorf("a saved state of %s cannot be made; choose up to 4095M", FormatSize(o.State))
	}
	stamp := o.Time
	if stamp.IsZero() {
		stamp = time.Now()
	}
	files, signed, err := contents(o, layout, stamp)
	if err != nil {
		return nil, err
	}
	size, parts, err := divide(o, layout, files)
	if err != nil {
		return nil, err
	}
	disk, err := identifiers(o, size, parts)
	if err != nil {
		return nil, err
	}
	r := &Result{Size: size, Sector: o.Sector, Layout: layout, Models: len(o.Models), Signed: len(signed.files), Journal: o.Journal}
	for i := range parts {
		p := &parts[i]
		if p.ext4 {
			r.Volumes = append(r.Volumes, Volume{p.label, p.size, p.size - p.used()})
			continue
		}
		if p.volume, err = fat.Plan(&p.files.tree, p.inside(), o.Sector); err != nil {
			return nil, fmt.Errorf("%s: %w", p.label, err)
		}
		if p.encrypt == nil {
			p.volume.Hidden = p.at / o.Sector
		}
		p.volume.Label = p.label
		p.volume.Time = stamp
		p.volume.Serial = p.serial
		r.Volumes = append(r.Volumes, Volume{p.label, p.size, p.volume.Free()})
	}

	// Clusters in use come first, so what follows them can stay as it is.
	used := int64(partitionAt)
	for _, p := range parts {
		used += p.used()
	}
	whole := size
	if o.Disk != nil {
		whole = o.Disk.Size // which may not be in MiB
	}
	verified, err := out.Write(whole, used, func(w *media.Writer) error {
		if err := writeTable(w, o.Sector, disk, parts); err != nil {
			return err
		}
		for _, p := range parts {
			if p.encrypt != nil {
				if err := p.encrypt.write(w, p, o.Sector, stamp); err != nil {
					return err
				}
				continue
			}
			if p.ext4 {
				if err := p.writeExt4(p.device(w, o.Sector), stamp); err != nil {
					return err
				}
				continue
			}
			if err := p.volume.Write(w, p.at); err != nil {
				return err
			}
			if err := w.Zero(p.at, p.size-p.volume.Free()); err != nil {
				return err
			}
		}
		return w.Zero(0, partitionAt)
	})
	if err != nil {
		return nil, fmt.Errorf("make %s: %w", out.Name(), err)
	}
	r.Size, r.Verified = whole, verified
	return r, nil
}

// contents gathers what goes on each partition of the drive, and checks it. It returns what of it is signed, too.
func contents(o Options, layout drive.Layout, stamp time.Time) ([]*files, signedFiles, error) {
	files := newFiles(layout.Count())
	var err error
	signed := signedFiles{made: stamp}
	add := func(path string, c fat.Content, cerr error) {
		if err == nil {
			err = cerr
		}
		if err == nil {
			if o.Sign != nil && manifest.Covers(path) {
				c = signed.record(path, c)
			}
			part, at := layout.At(path)
			err = files[part].add(at, c)
		}
	}
	efi, efiErr := content.Program(o.EFI)
	if o.Limine == "" {
		add(drive.EFIPath, efi, efiErr)
	} else {
		manager, managerErr := limine(o.Limine)
		add(drive.EFIPath, manager, managerErr)
		add(drive.ChainedPath, efi, efiErr)
		add(drive.LiminePath, fat.Bytes([]byte(limineConf)), nil)
	}
	for i, path := range []string{drive.PickerLabel, drive.PickerLabel2x} {
		label, labelErr := picker.Label(pickerName, 1+i)
		add(path, fat.Bytes(label), labelErr)
	}
	add(drive.PickerName, fat.Bytes([]byte(pickerName)), nil)
	icon, iconErr := picker.Icon()
	add(drive.PickerIcon, fat.Bytes(icon), iconErr)
	for _, path := range layout.Dirs() {
		if part, at := layout.At(path); err == nil {
			err = files[part].addDir(at)
		}
	}
	config := o.Config
	if config == nil {
		config = []byte("{\n  \"version\": 1\n}\n")
	}
	add(drive.ConfigPath, fat.Bytes(config), nil)
	// Blank lines, to be overwritten in place.
	add(drive.CrashPath, fat.Bytes(bytes.Repeat([]byte("\n"), crashSize)), nil)
	add(drive.BootLogPath, fat.Bytes(bytes.Repeat([]byte("\n"), bootLogSize)), nil)
	add(drive.ProcessorsPath, fat.Bytes(bytes.Repeat([]byte("\n"), processorsSize)), nil)
	add(drive.JournalPath, fat.Content{Size: o.Journal}, nil)
	if o.State > 0 {
		add(drive.StatePath, fat.Content{Size: o.State}, nil)
	}
	for _, name := range o.Models {
		if err != nil { // a model is read whole to be checked
			break
		}
		m, sum, modelErr := content.Model(name, o.Models)
		path := drive.ModelsDir + "/" + filepath.Base(name)
		add(path, m, modelErr)
		add(llm.ChecksumPath(path), sum, nil)
	}
	for _, name := range o.Documents {
		c, cerr := content.File(name)
		add(drive.DocumentsDir+"/"+filepath.Base(name), c, cerr)
	}
	for _, x := range o.Extra {
		add(x.Path, fat.Bytes(x.Content), nil)
	}
	if o.Sign != nil && err == nil {
		text, signature, merr := signed.contents(o.Sign)
		add(drive.ManifestPath, text, merr)
		add(drive.ManifestSigPath, signature, merr)
	}
	return files, signed, err
}

// ParseSize reads a number of bytes such as 512M: K, M, G and T, also
// followed by B or iB, stand for powers of 1024.
func ParseSize(s string) (int64, error) {
	bad := fmt.Errorf("%q is not a size; write for example 512M or 32G", s)
	i := strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' })
	if i < 0 {
		i = len(s)
	}
	if i == 0 || i > 18 {
		return 0, bad
	}
	var n int64
	for _, c := range s[:i] {
		n = n*10 + int64(c-'0')
	}
	unit, shift := strings.ToUpper(s[i:]), 0
	if unit != "" && unit != "B" {
		shift = 10 * (1 + strings.IndexByte("KMGT", unit[0]))
		if rest := unit[1:]; shift == 0 || rest != "" && rest != "B" && rest != "IB" {
			return 0, bad
		}
	}
	if n > (1<<62)>>shift {
		return 0, bad
	}
	return n << shift, nil
}

// FormatSize writes a number of bytes for a person.
func FormatSize(n int64) string { return media.FormatSize(n) }

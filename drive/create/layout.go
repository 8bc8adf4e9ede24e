package create

// How the image is divided: sizes and identifiers of its partitions, and the table that says so.
// All begin and end on a MiB, and the last one ends a MiB before the image does.

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	iofs "io/fs"
	"path/filepath"

	"github.com/diskfs/go-diskfs/backend"
	"github.com/diskfs/go-diskfs/partition/gpt"
	"github.com/google/uuid"

	"alphaos/drive"
	"alphaos/drive/media"
	"alphaos/fs"
	"alphaos/fs/ext4"
	"alphaos/fs/fat"
	fsgpt "alphaos/fs/gpt"
	"alphaos/fs/luks"
)

// FullFrom is the size in bytes from which on a drive has the full layout, unless its maker
// wants another.
const FullFrom = 16 << 30

// Usual sizes of partitions of the full layout.
const (
	usualESP    = 512 * mib
	usualSystem = 8 << 30
)

// partition is one that is to be made.
type partition struct {
	label    string // of the volume
	name     string // of the partition
	typeGUID gpt.Type
	at, size int64 // bytes
	files    *files
	volume   *fat.Format
	ext4     bool
	sector   int64 // bytes of the drive's
	guid     uuid.UUID
	serial   uint32
	encrypt  *Encryption // nil: not encrypted
}

// inside returns the bytes of the volume.
func (p *partition) inside() int64 {
	if p.encrypt != nil {
		return p.size - luks.DataOffset
	}
	return p.size
}

// used returns the bytes of the partition that are written, but for what encrypts it.
func (p *partition) used() int64 {
	if p.ext4 {
		return p.size - p.inside() + ext4.Overhead(p.inside(), p.sector) + p.files.onExt4()
	}
	return p.size - p.volume.Free()
}

// device returns the partition on a drive that is being made.
func (p *partition) device(w *media.Writer, sector int64) fs.BlockDevice {
	return partitionDevice{w, p.at, sector, p.size / sector}
}

// layout returns the layout that is asked for.
func (o Options) layout() (drive.Layout, error) {
	layout := drive.Minimal
	if o.Layout != "" {
		var err error
		if layout, err = drive.ParseLayout(o.Layout); err != nil {
			return 0, err
		}
	} else if o.Size >= FullFrom || o.Encrypt != nil || o.Ext4 {
		layout = drive.Full
	}
	if layout != drive.Full && o.Encrypt != nil {
		return 0, errors.New("the minimal layout has one partition, which the firmware has to read, so it can't be encrypted; use --layout full")
	}
	if layout != drive.Full && o.Ext4 {
		return 0, errors.New("the minimal layout has one partition, which the firmware has to read, so it can't be ext4; use --layout full")
	}
	if layout != drive.Full && (o.ESP != 0 || o.System != 0) {
		return 0, errors.New("the minimal layout has one partition; --esp and --system are for --layout full")
	}
	return layout, nil
}

// divide returns the size of the image and its partitions, in which the files fit.
func divide(o Options, layout drive.Layout, files []*files) (size int64, parts []partition, err error) {
	if o.Size > largestSize {
		return 0, nil, fmt.Errorf("a drive of %s cannot be made; FAT32 ends at %s", FormatSize(o.Size), FormatSize(largestSize))
	}
	sizes := []int64{0}
	if layout == drive.Full {
		size, sizes, err = fullSizes(o, files)
	} else if size, err = imageSize(o.Size, o.Sector, files[0]); err == nil {
		sizes[0] = size - 2*partitionAt
	}
	if err != nil {
		return 0, nil, err
	}
	at := int64(partitionAt)
	for i, n := range sizes {
		part := drive.Part(i)
		name, label := layout.Labels(part)
		kind := gpt.Type(drive.Parts[part].TypeGUID.String())
		p := partition{label: label, name: name, typeGUID: kind, at: at, size: n, files: files[i], sector: o.Sector}
		if part == drive.Knowledge && o.Ext4 {
			p.ext4, p.typeGUID = true, gpt.Type(fsgpt.LinuxData.String())
		}
		if part == drive.Knowledge && o.Encrypt != nil {
			p.encrypt, p.typeGUID = o.Encrypt, gpt.Type(drive.LockedType.String())
		}
		parts = append(parts, p)
		at += n
	}
	return size, parts, nil
}

// smallest returns the bytes of the smallest volume, in whole MiB, that files fit in.
func smallest(files *files, sector int64) (int64, error) {
	fits := func(size int64) bool {
		_, err := fat.Plan(&files.tree, size*mib, sector)
		return err == nil
	}
	low, high := int64(1), int64(largestSize/mib)
	if !fits(high) {
		return 0, fmt.Errorf("the files are too large for a drive of %s, FAT32's limit", FormatSize(largestSize))
	}
	for low+1 < high {
		if mid := (low + high) / 2; fits(mid) {
			high = mid
		} else {
			low = mid
		}
	}
	return high * mib, nil
}

// imageSize returns the size of an image with one partition: the one asked for when the files
// fit, or one that they fit in.
func imageSize(asked, sector int64, files *files) (int64, error) {
	need, err := smallest(files, sector)
	if err != nil {
		return 0, err
	}
	need += 2 * partitionAt
	usable := asked / mib * mib
	switch {
	case asked == 0 && need <= usualSize:
		return usualSize, nil
	case asked == 0:
		return need + 64*mib, nil
	case usable < need:
		return 0, fmt.Errorf("%s is too small: the files and the file system need %s; use --size %dM or more", FormatSize(asked), FormatSize(need), need/mib)
	}
	return usable, nil
}

// fullSizes returns the sizes of an image of the full layout and of its partitions.
func fullSizes(o Options, files []*files) (size int64, sizes []int64, err error) {
	needs := make([]int64, len(files))
	for i := range files {
		if drive.Part(i) == drive.Knowledge && o.Ext4 {
			needs[i] = files[i].leastExt4(o.Sector)
		} else if needs[i], err = smallest(files[i], o.Sector); err != nil {
			return 0, nil, err
		}
	}
	if o.Encrypt != nil {
		needs[drive.Knowledge] += luks.DataOffset
	}
	size = o.Size / mib * mib
	room := cmp.Or(size, FullFrom)
	sizes = []int64{
		drive.ESP:    max(min(usualESP, room/8/mib*mib), needs[drive.ESP]),
		drive.System: max(min(usualSystem, room/2/mib*mib), needs[drive.System]),
	}
	for _, p := range []struct {
		part  drive.Part
		asked int64
		flag  string
	}{{drive.ESP, o.ESP, "--esp"}, {drive.System, o.System, "--system"}} {
		if p.asked == 0 {
			continue
		}
		if sizes[p.part] = p.asked / mib * mib; sizes[p.part] < needs[p.part] {
			return 0, nil, fmt.Errorf("%s %s is too small: the files and the file system need %s; use %s %dM or more",
				p.flag, FormatSize(p.asked), FormatSize(needs[p.part]), p.flag, needs[p.part]/mib)
		}
	}
	others := 2*partitionAt + sizes[drive.ESP] + sizes[drive.System]
	need := others + needs[drive.Knowledge]
	if size == 0 {
		size = max(FullFrom, need+64*mib)
	}
	if size > largestSize {
		return 0, nil, fmt.Errorf("the files are too large for a drive of %s, FAT32's limit", FormatSize(largestSize))
	}
	if size < need {
		return 0, nil, fmt.Errorf("%s is too small for the full layout: its partitions need %s and %s for the firmware and the system, and %s for what is known; use --size %dM or more, other sizes of --esp and --system, or --layout minimal",
			FormatSize(size), FormatSize(sizes[drive.ESP]), FormatSize(sizes[drive.System]), FormatSize(needs[drive.Knowledge]), need/mib)
	}
	return size, append(sizes, size-others), nil
}

// identifiers gives the partitions their GUIDs and volume serial numbers, and returns the disk's
// GUID. They are random (version 4, RFC 9562) unless the same options are to give the same bytes.
func identifiers(o Options, size int64, parts []partition) (disk uuid.UUID, err error) {
	id := make([]byte, 32*(1+len(parts)))
	if o.Time.IsZero() {
		if _, err := rand.Read(id); err != nil {
			return disk, err
		}
	} else {
		h := sha256.New()
		fmt.Fprintln(h, "alphaos drive", o.Time.Unix(), size, o.Journal, len(parts))
		for _, m := range o.Models {
			fmt.Fprintf(h, "%q\n", filepath.Base(m))
		}
		sum := h.Sum(nil)
		for i := 0; i < len(id); i += len(sum) {
			copy(id[i:], sum)
			next := sha256.Sum256(sum)
			sum = next[:]
		}
	}
	take := func() (g uuid.UUID, serial uint32) {
		copy(g[:], id)
		g[6] = g[6]&0x0F | 0x40
		g[8] = g[8]&0x3F | 0x80
		serial = binary.LittleEndian.Uint32(id[16:])
		id = id[32:]
		return g, serial
	}
	disk, _ = take()
	for i := range parts {
		parts[i].guid, parts[i].serial = take()
	}
	return disk, nil
}

// writeTable writes the partition table, with its copy at the end of the drive. sector is the bytes in a sector.
func writeTable(f *media.Writer, sector int64, disk uuid.UUID, parts []partition) error {
	t := gpt.Table{
		LogicalSectorSize:  int(sector),
		PhysicalSectorSize: int(sector),
		ProtectiveMBR:      true,
		GUID:               disk.String(),
	}
	for i, p := range parts {
		first, sectors := uint64(p.at/sector), uint64(p.size/sector)
		t.Partitions = append(t.Partitions, &gpt.Partition{
			Index: i + 1, // left out, it would be refused
			Start: first,
			End:   first + sectors - 1,
			Size:  sectors * uint64(sector),
			Type:  p.typeGUID,
			Name:  p.name,
			GUID:  p.guid.String(),
		})
	}
	if err := t.Write(struct{ backend.WritableFile }{tableFile{f}}, f.Size()); err != nil {
		return fmt.Errorf("partition table: %w", err)
	}
	// It leaves the MBR's cylinder fields zero; UEFI 2.10 section 5.2.3 says
	// what they are.
	if _, err := f.WriteAt([]byte{0x00, 0x02, 0x00}, 447); err != nil {
		return err
	}
	_, err := f.WriteAt([]byte{0xFF, 0xFF, 0xFF}, 451)
	return err
}

// tableFile is what the library takes for a file, of which it only calls WriteAt, and Sync
// after each time unless that is hidden.
type tableFile struct{ *media.Writer }

func (tableFile) Stat() (iofs.FileInfo, error) { return nil, errors.ErrUnsupported }
func (tableFile) Read([]byte) (int, error)     { return 0, errors.ErrUnsupported }
func (tableFile) Close() error                 { return nil }

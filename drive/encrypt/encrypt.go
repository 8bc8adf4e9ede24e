// Package encrypt encrypts the knowledge partition of a drive where it lies. However often the power goes meanwhile, it goes
// on where it was, and no byte is at any time only in a place that is being written.
//
// The header of LUKS, 16 MiB, has to be where the volume begins, so all of the volume moves up by that. First it is made to end
// earlier, by twice the header and a MiB for records. The header is made at the end, where room is now; the
// volume is encrypted piece by piece, the last piece first, each to its new place one header's length further on, whose
// old content has been moved before; and when the first piece has left its place, the header is copied there and the one at the end is
// overwritten:
//
//	volume, shortened                          | free
//	volume, its first part |    hole  | encrypted        | header | records
//	header | encrypted                                            | random
//
// A record says from where on all has been moved. It is written, twice, when what it says was flushed and read back, after each 16
// MiB: a batch of that size writes only where what the last record knows as moved was. The volume's boot sector and its
// backup, which are kept beside the records, have a mark instead from before the first move until the header takes
// their place, so nobody mounts what is half encrypted.
package encrypt

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"alphaos/drive"
	"alphaos/fs"
	"alphaos/fs/fat"
	"alphaos/fs/luks"
	volumes "alphaos/fs/volume"
)

const mib = 1 << 20

// Options say how a partition is encrypted.
type Options struct {
	Passphrase []byte // the one that it gets or, of one that was begun, has
	Recovery   []byte // a recovery key that it gets as well; nil: none
	Cost       luks.Cost
	Header     int64 // bytes before the data, whole MiB; 0: luks.DataOffset

	Progress func(done, total int64) // in bytes; may be nil
}

// ErrDone is returned for a partition that is encrypted already.
var ErrDone = errors.New("it is encrypted already")

// job is a partition that is being encrypted.
type job struct {
	dev            fs.BlockDevice
	block          int64
	header, length int64 // bytes: of the header, of the shortened volume
	records, end   int64 // where they are, up to the end of the partition; the header is kept right before

	seq  uint64
	done int64  // all of the volume from here on has been moved
	boot []byte // the boot sector and its backup
}

// Partition encrypts the FAT32 volume on dev, or goes on with that. The volume must be in order and mounted nowhere.
func Partition(dev fs.BlockDevice, o Options) error {
	o.Header = cmp.Or(o.Header, luks.DataOffset)
	block := int64(dev.BlockSize())
	size := int64(dev.Blocks()) * block / mib * mib
	j := &job{dev: dev, block: block, header: o.Header, records: size - mib, end: int64(dev.Blocks()) * block, length: size - 2*o.Header - mib}
	if j.length < 33*mib {
		return fmt.Errorf("the partition is too small to be encrypted: that takes %d MiB beside what is on it", (2*o.Header+mib)>>20)
	}
	begun, err := j.read()
	if err != nil { // an older record would have what was moved since be encrypted twice
		return err
	}
	marked, err := drive.EncryptingAt(dev)
	if err != nil {
		return err
	}
	if v, err := luks.Read(dev); err == nil && !marked {
		if !begun {
			return ErrDone
		}
		// Before the header at the end goes, the one at the beginning has to be whole.
		in, err := v.Unlock(o.Passphrase)
		if err != nil {
			kept, kerr := luks.Read(j.aside())
			if kerr == nil {
				in, kerr = kept.Unlock(o.Passphrase)
			}
			if kerr != nil {
				return err
			}
			in.Close()
			if err := j.place(); err != nil {
				return err
			}
			return j.forget()
		}
		in.Close()
		if err := v.Repair(); err != nil { // the copying of the header was cut short
			return err
		}
		return j.forget()
	}
	var inside *luks.Device
	switch {
	case marked && !begun:
		return errors.New("encrypting it was begun, and what was noted about that can't be read: nothing is changed; ask whoever knows LUKS before anything is written to it")
	case marked:
		v, err := luks.Read(j.aside())
		if err != nil {
			return err
		}
		if inside, err = v.Unlock(o.Passphrase); err != nil {
			return err
		}
	default:
		if inside, err = j.begin(o); err != nil {
			return err
		}
	}
	defer inside.Close()
	if err := j.mark(); err != nil {
		return err
	}
	for j.done > 0 {
		if o.Progress != nil {
			o.Progress(j.length-j.done, j.length)
		}
		if err := j.batch(inside); err != nil {
			return err
		}
	}
	if o.Progress != nil {
		o.Progress(j.length, j.length)
	}
	if err := j.place(); err != nil {
		return err
	}
	return j.forget()
}

// Begun tells whether encrypting dev was begun and is not at its end: the passphrase is the one that was given then.
func Begun(dev fs.BlockDevice) bool {
	marked, err := drive.EncryptingAt(dev)
	return err == nil && marked
}

// begin shortens the volume and makes the header and the first record.
func (j *job) begin(o Options) (*luks.Device, error) {
	if kind, err := volumes.Identify(j.dev); err == nil && kind == volumes.Ext4 {
		return nil, errors.New("it is ext4, which is not encrypted where it lies: on Linux, shrink it by 32 MiB with resize2fs and use cryptsetup reencrypt --encrypt --type luks2 --reduce-device-size 32M; or make a new drive with alphaos drive create --encrypt --filesystem ext4 and copy the files")
	}
	if err := fat.Shrink(j.dev, j.length); err != nil {
		return nil, err
	}
	// What is there is no secret, but random bytes don't tell which keyslots are in use.
	if err := j.scramble(j.records-j.header, j.end); err != nil {
		return nil, err
	}
	v, inside, err := luks.Format(j.aside(), o.Passphrase, luks.Options{Label: drive.Parts[drive.Knowledge].Label, Cost: o.Cost, Offset: j.header})
	if err != nil {
		return nil, err
	}
	if o.Recovery != nil {
		if err := v.Add(o.Passphrase, o.Recovery, o.Cost, true); err != nil {
			inside.Close()
			return nil, err
		}
	}
	j.boot = make([]byte, 2*j.block)
	for i, at := range []int64{0, drive.BackupSector} {
		if err = j.dev.ReadBlocks(uint64(at), j.boot[int64(i)*j.block:][:j.block]); err != nil {
			break
		}
	}
	j.done, j.seq = j.length, 0
	if err == nil {
		err = j.note()
	}
	if err == nil {
		err = j.note() // both places have one
	}
	if err != nil {
		inside.Close()
		return nil, err
	}
	return inside, nil
}

// batch moves the piece of the volume before done.
func (j *job) batch(inside *luks.Device) error {
	from := max(j.done-j.header, 0)
	b := make([]byte, j.done-from)
	if err := j.dev.ReadBlocks(uint64(from/j.block), b); err != nil {
		return err
	}
	if from == 0 { // without the mark
		copy(b, j.boot[:j.block])
		copy(b[drive.BackupSector*j.block:], j.boot[j.block:])
	}
	if err := write(inside, from, b); err != nil {
		return err
	}
	j.done = from
	if err := j.note(); err != nil {
		return err
	}
	return j.note() // both places have one
}

// place copies the header to where the volume begins, the block that makes it one last.
func (j *job) place() error {
	b := make([]byte, j.header)
	if err := j.dev.ReadBlocks(uint64((j.records-j.header)/j.block), b); err != nil {
		return err
	}
	const first = 4096 // of which LUKS has the beginning
	if err := write(j.dev, first, b[first:]); err != nil {
		return err
	}
	return write(j.dev, 0, b[:first])
}

// forget overwrites the records and the header at the end, whose keyslots would open the volume for ever.
//
// The boot sectors go first: a record that is half overwritten is none any more, and would keep the other half for ever.
func (j *job) forget() error {
	clear(j.boot)
	for range 2 {
		if err := j.note(); err != nil {
			return err
		}
	}
	if err := j.scramble(j.records-j.header, j.records); err != nil {
		return err
	}
	return j.scramble(j.records, j.end)
}

// scramble overwrites all up to end with random bytes.
func (j *job) scramble(at, end int64) error {
	for ; at < end; at += mib {
		b := make([]byte, min(mib, end-at))
		if _, err := rand.Read(b); err != nil {
			return err
		}
		if err := write(j.dev, at, b); err != nil {
			return err
		}
	}
	return nil
}

// write writes b at a byte, has it flushed and reads it back.
func write(dev fs.BlockDevice, at int64, b []byte) error {
	lba := uint64(at / int64(dev.BlockSize()))
	if err := dev.WriteBlocks(lba, b); err != nil {
		return err
	}
	if err := dev.Flush(); err != nil {
		return err
	}
	got := make([]byte, len(b))
	if err := dev.ReadBlocks(lba, got); err != nil {
		return err
	}
	if !bytes.Equal(got, b) {
		return fmt.Errorf("what was written at byte %d is not what was read back: %w", at, fs.ErrIO)
	}
	return nil
}

// mark marks both boot sectors, the backup first: while the other one is whole, it counts.
func (j *job) mark() error {
	b := make([]byte, j.block)
	copy(b, drive.Encrypting)
	for _, at := range []int64{drive.BackupSector, 0} {
		if err := write(j.dev, at*j.block, b); err != nil {
			return err
		}
	}
	return nil
}

// A record: magic, number, done, length, header, the two boot sectors, SHA-256 of all that. They are written in two places in turn.
const (
	recordMagic = "ALPHALK1"
	recordHead  = 48
	recordRoom  = 64 << 10
)

// note writes the next record.
func (j *job) note() error {
	j.seq++
	b := make([]byte, recordRoom)
	copy(b, recordMagic)
	for i, n := range []uint64{j.seq, uint64(j.done), uint64(j.length), uint64(j.header)} {
		binary.LittleEndian.PutUint64(b[8+8*i:], n)
	}
	n := recordHead + copy(b[recordHead:], j.boot)
	sum := sha256.Sum256(b[:n])
	copy(b[n:], sum[:])
	return write(j.dev, j.records+int64(j.seq%2)*recordRoom, b)
}

// read takes the last whole record, if there is one.
func (j *job) read() (found bool, err error) {
	for i := range int64(2) {
		b := make([]byte, recordRoom)
		if err := j.dev.ReadBlocks(uint64((j.records+i*recordRoom)/j.block), b); err != nil {
			return false, err
		}
		n := recordHead + 2*j.block
		sum := sha256.Sum256(b[:n])
		at := func(i int) int64 { return int64(binary.LittleEndian.Uint64(b[8+8*i:])) }
		if string(b[:8]) != recordMagic || !bytes.Equal(sum[:], b[n:][:len(sum)]) || at(2) != j.length || at(3) != j.header ||
			at(1) < 0 || at(1) > j.length || at(1)%j.block != 0 {
			continue
		}
		if seq := uint64(at(0)); !found || seq > j.seq {
			found, j.seq, j.done, j.boot = true, seq, at(1), b[recordHead:n]
		}
	}
	return found, nil
}

// aside returns the partition with the header where it is kept meanwhile.
func (j *job) aside() fs.BlockDevice {
	return aside{j.dev, uint64(j.header / j.block), uint64((j.records - j.header) / j.block)}
}

type aside struct {
	fs.BlockDevice
	blocks, kept uint64 // of the header; where it is
}

func (a aside) each(lba uint64, p []byte, f func(lba uint64, p []byte) error) error {
	if err := fs.CheckRequest(a, lba, p); err != nil {
		return err
	}
	if lba < a.blocks {
		n := min(uint64(len(p)), (a.blocks-lba)*uint64(a.BlockSize()))
		if err := f(a.kept+lba, p[:n]); err != nil {
			return err
		}
		p, lba = p[n:], a.blocks
	}
	if len(p) == 0 {
		return nil
	}
	return f(lba, p)
}

func (a aside) ReadBlocks(lba uint64, p []byte) error {
	return a.each(lba, p, a.BlockDevice.ReadBlocks)
}

func (a aside) WriteBlocks(lba uint64, p []byte) error {
	return a.each(lba, p, a.BlockDevice.WriteBlocks)
}

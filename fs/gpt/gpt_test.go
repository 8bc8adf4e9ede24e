package gpt

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"alphaos/fs"
	"alphaos/fs/fstest"
)

type part struct {
	first, last uint64
	name        string
}

// build makes a medium with a GUID partition table written from the
// specification, not by Read's own ideas.
func build(blockSize int, blocks uint64, parts ...part) fstest.Device {
	le := binary.LittleEndian
	b := make([]byte, blocks*uint64(blockSize))
	bs := uint64(blockSize)
	entries := make([]byte, 128*128)
	for i, p := range parts {
		e := entries[i*128:]
		copy(e, EFISystem[:])
		e[16] = byte(i + 1)
		le.PutUint64(e[32:], p.first)
		le.PutUint64(e[40:], p.last)
		for j, u := range utf16.Encode([]rune(p.name)) {
			le.PutUint16(e[56+2*j:], u)
		}
	}
	n := (uint64(len(entries)) + bs - 1) / bs
	header := func(my, other, at uint64) {
		h := b[my*bs:][:bs]
		copy(h, "EFI PART")
		le.PutUint32(h[8:], 0x10000)
		le.PutUint32(h[12:], 92)
		le.PutUint64(h[24:], my)
		le.PutUint64(h[32:], other)
		le.PutUint64(h[40:], 2+n)
		le.PutUint64(h[48:], blocks-2-n)
		h[56] = 0xD1
		le.PutUint64(h[72:], at)
		le.PutUint32(h[80:], 128)
		le.PutUint32(h[84:], 128)
		le.PutUint32(h[88:], crc32.ChecksumIEEE(entries))
		le.PutUint32(h[16:], crc32.ChecksumIEEE(h[:92]))
		copy(b[at*bs:], entries)
	}
	header(1, blocks-1, 2)
	header(blocks-1, 1, blocks-1-n)
	b[510], b[511] = 0x55, 0xAA
	b[446+4] = 0xEE
	le.PutUint32(b[446+8:], 1)
	le.PutUint32(b[446+12:], uint32(blocks-1))
	return fstest.NewDevice(b, blockSize)
}

// reseal recomputes the checksums of the header in block lba.
func reseal(d fstest.Device, lba uint64) {
	le := binary.LittleEndian
	b, bs := d.Bytes(), uint64(d.BlockSize())
	h := b[lba*bs:]
	if at, n := le.Uint64(h[72:]), uint64(le.Uint32(h[80:]))*uint64(le.Uint32(h[84:])); at < d.Blocks() && n < uint64(len(b))-at*bs {
		le.PutUint32(h[88:], crc32.ChecksumIEEE(b[at*bs:][:n]))
	}
	le.PutUint32(h[16:], 0)
	le.PutUint32(h[16:], crc32.ChecksumIEEE(h[:92]))
}

func TestRead(t *testing.T) {
	for _, bs := range []int{512, 4096} {
		d := build(bs, 256, part{64, 99, "ALPHAOS_ESP"}, part{100, 200, "Größe 😀"})
		tab, err := Read(d)
		if err != nil {
			t.Fatal(err)
		}
		if n := d.Reads(); n != 1 {
			t.Errorf("%d requests for an intact table, want 1", n)
		}
		if tab.Damage != nil || len(tab.Partitions) != 2 {
			t.Fatalf("got %+v", tab)
		}
		p := tab.Partitions[1]
		if p.Index != 2 || p.First != 100 || p.Last != 200 || p.Blocks() != 101 || p.Name != "Größe 😀" || p.TypeGUID != EFISystem {
			t.Errorf("partition 2 is %+v", p)
		}
	}
}

func TestReadBackup(t *testing.T) {
	ok := func(t *testing.T, d fstest.Device, damage string) {
		t.Helper()
		tab, err := Read(d)
		if err != nil {
			t.Fatal(err)
		}
		if len(tab.Partitions) != 1 || tab.Partitions[0].Name != "one" {
			t.Errorf("got %+v", tab)
		}
		if tab.Damage == nil || !strings.Contains(tab.Damage.Error(), damage) {
			t.Errorf("damage %v, want something about %q", tab.Damage, damage)
		}
	}
	for _, c := range []struct {
		name, damage string
		spoil        func(b []byte)
	}{
		{"signature", "no header", func(b []byte) { b[512] = 'X' }},
		{"header", "checksum of its header", func(b []byte) { b[512+40]++ }},
		{"entries", "checksum of its entries", func(b []byte) { b[1024]++ }},
		{"erased", "no header", func(b []byte) { clear(b[512:1024]) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := build(512, 128, part{50, 60, "one"})
			c.spoil(d.Bytes())
			ok(t, d, c.damage)
		})
	}
	t.Run("unreadable", func(t *testing.T) {
		d := build(512, 128, part{50, 60, "one"})
		d.MakeUnreadable(512, 1024)
		ok(t, d, fstest.ErrUnreadable.Error())
	})
	t.Run("copied to a larger medium", func(t *testing.T) {
		small := build(512, 128, part{50, 60, "one"})
		b := make([]byte, 512*512)
		copy(b, small.Bytes())
		b[1024]++
		d := fstest.NewDevice(b, 512)
		ok(t, d, "entries")
		if tab, _ := Read(d); len(tab.Notes()) != 2 {
			t.Errorf("notes %q", tab.Notes())
		}
	})
	t.Run("both", func(t *testing.T) {
		d := build(512, 128, part{50, 60, "one"})
		d.Bytes()[512+40]++
		d.Bytes()[127*512+40]++
		if _, err := Read(d); err == nil || !strings.Contains(err.Error(), "both copies") {
			t.Errorf("error %v", err)
		}
	})
}

func TestReadRefuses(t *testing.T) {
	le := binary.LittleEndian
	for _, c := range []struct {
		name, want string
		change     func(h, entries []byte)
	}{
		{"revision", "revision", func(h, e []byte) { h[10] = 9 }},
		{"my block", "belongs in block", func(h, e []byte) { h[24] = 9 }},
		{"usable", "larger medium", func(h, e []byte) { le.PutUint64(h[48:], 1<<40) }},
		{"usable from the header on", "blocks 1 to", func(h, e []byte) { le.PutUint64(h[40:], 1) }},
		{"usable backwards", "blocks 99 to", func(h, e []byte) { le.PutUint64(h[40:], 99) }},
		{"entry size 0", "0 bytes", func(h, e []byte) { le.PutUint32(h[84:], 0) }},
		{"entry size 129", "129 bytes", func(h, e []byte) { le.PutUint32(h[84:], 129) }},
		{"entry count", "entries of", func(h, e []byte) { le.PutUint32(h[80:], 1<<31) }},
		{"no entries", "0 entries", func(h, e []byte) { le.PutUint32(h[80:], 0) }},
		{"entries far", "said to be at", func(h, e []byte) { le.PutUint64(h[72:], 1<<62) }},
		{"entries at end", "said to be at", func(h, e []byte) { le.PutUint64(h[72:], 120) }},
		{"first after last", "partition 1", func(h, e []byte) { le.PutUint64(e[32:], 70) }},
		{"in the header", "partition 1", func(h, e []byte) { le.PutUint64(e[32:], 1) }},
		{"beyond the end", "partition 1", func(h, e []byte) { le.PutUint64(e[40:], 1<<50) }},
		{"overlap", "overlap", func(h, e []byte) { le.PutUint64(e[40:], 61) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := build(512, 128, part{50, 60, "one"}, part{61, 69, "two"})
			b := d.Bytes()
			c.change(b[512:], b[1024:])
			reseal(d, 1)
			clear(b[127*512:])
			_, err := Read(d)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one about %q", err, c.want)
			}
			if errors.Is(err, ErrNotGPT) {
				t.Error("a damaged table was called none")
			}
		})
	}
	for name, d := range map[string]fstest.Device{
		"empty":   fstest.NewDevice(nil, 512),
		"zeros":   fstest.NewDevice(make([]byte, 64*512), 512),
		"1 block": fstest.NewDevice(make([]byte, 512), 512),
	} {
		if _, err := Read(d); !errors.Is(err, ErrNotGPT) {
			t.Errorf("%s: %v, want ErrNotGPT", name, err)
		}
	}
}

func TestGUID(t *testing.T) {
	const s = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
	if EFISystem.String() != s || EFISystem[0] != 0x28 {
		t.Errorf("%s, first byte %#x", EFISystem, EFISystem[0])
	}
	for _, bad := range []string{"", s[1:], s + "0", strings.ReplaceAll(s, "-", "_"), strings.ReplaceAll(s, "C", "G")} {
		if _, err := ParseGUID(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

// TestSgdisk reads tables written by sgdisk.
func TestSgdisk(t *testing.T) {
	sgdisk, err := exec.LookPath("sgdisk")
	if err != nil {
		t.Skip("sgdisk is not installed (package gdisk)")
	}
	name := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(name, make([]byte, 8<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(sgdisk, "-n", "1:2048:4095", "-t", "1:ef00", "-c", "1:Ä disk", "-n", "5:6144:0", "-t", "5:0700",
		"-u", "5:11111111-2222-3333-4444-555555555555", "-U", "AAAAAAAA-BBBB-CCCC-DDDD-EEEEEEEEEEEE", name).CombinedOutput()
	if err != nil {
		t.Fatalf("sgdisk: %v\n%s", err, out)
	}
	d, err := fs.OpenFileDevice(name, 512, false)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	tab, err := Read(d)
	if err != nil {
		t.Fatal(err)
	}
	if tab.Damage != nil || tab.DiskGUID.String() != "AAAAAAAA-BBBB-CCCC-DDDD-EEEEEEEEEEEE" || len(tab.Partitions) != 2 {
		t.Fatalf("got %+v", tab)
	}
	if p := tab.Partitions[0]; p.Index != 1 || p.First != 2048 || p.Last != 4095 || p.TypeGUID != EFISystem || p.Name != "Ä disk" {
		t.Errorf("partition 1 is %+v", p)
	}
	// sgdisk ends a last partition on an alignment boundary or at the last usable block.
	if p := tab.Partitions[1]; p.Index != 5 || p.First != 6144 || p.Last > 16384-34 || p.TypeGUID != BasicData || p.GUID.String() != "11111111-2222-3333-4444-555555555555" {
		t.Errorf("partition 5 is %+v", p)
	}
}

func FuzzRead(f *testing.F) {
	small := build(512, 70, part{34, 36, "x"})
	f.Add(small.Bytes(), false)
	f.Add(build(4096, 14, part{6, 7, "y"}).Bytes(), true)
	bad := build(512, 70, part{34, 36, "x"})
	bad.Bytes()[512+40]++
	f.Add(bad.Bytes(), false)
	f.Add(append(make([]byte, 512), small.Bytes()[512:]...), false)
	f.Fuzz(func(t *testing.T, data []byte, large bool) {
		bs := 512
		if large {
			bs = 4096
		}
		d := fstest.NewDevice(slices.Clone(data), bs)
		if d.Blocks() > 1 {
			// Without right checksums nothing behind them is ever reached.
			if d.Blocks() > 2 {
				reseal(d, 1)
			}
			reseal(d, d.Blocks()-1)
		}
		tab, err := Read(d)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("error has more than one line: %q", err)
			}
			if _, err := Mend(d); err == nil { // it was there, and unprotected
				if _, err := Read(d); err != nil {
					t.Errorf("after mending: %v", err)
				}
			}
			return
		}
		for _, p := range tab.Partitions {
			if p.First == 0 || p.First > p.Last || p.Last >= d.Blocks() {
				t.Errorf("partition %+v on a medium of %d blocks", p, d.Blocks())
			}
		}
		before := slices.Clone(tab.Partitions)
		if _, err := Mend(d); err != nil {
			return
		}
		if tab, err = Read(d); err != nil || len(tab.Notes()) != 0 || !slices.Equal(tab.Partitions, before) {
			t.Errorf("after mending: %+v, error %v", tab, err)
		}
		if did, err := Mend(d); err != nil || did != nil {
			t.Errorf("mending again: %q, error %v", did, err)
		}
	})
}

package gpt

import (
	"bytes"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"alphaos/fs"
	"alphaos/fs/fstest"
)

// larger returns a medium of blocks blocks onto which d was copied.
func larger(d fstest.Device, blocks int) fstest.Device {
	b := make([]byte, blocks*d.BlockSize())
	copy(b, d.Bytes())
	return fstest.NewDevice(b, d.BlockSize())
}

func TestMend(t *testing.T) {
	const anew, backup, size = "beginning of the drive was written", "end of the drive was written", "protective MBR"
	for _, c := range []struct {
		name string
		make func(block int) fstest.Device
		note string
		did  []string
	}{
		{"sound", func(bs int) fstest.Device { return build(bs, 256, part{64, 99, "one"}) }, "", nil},
		{"copied to a larger medium", func(bs int) fstest.Device {
			return larger(build(bs, 256, part{64, 99, "one"}), 1000)
		}, "larger than its partition table says", []string{backup, anew, size}},
		{"a little larger", func(bs int) fstest.Device {
			return larger(build(bs, 256, part{64, 99, "one"}), 258)
		}, "larger than its partition table says", []string{backup, anew, size}},
		{"larger, and the entries are damaged", func(bs int) fstest.Device {
			d := larger(build(bs, 256, part{64, 99, "one"}), 258)
			d.Bytes()[2*bs]++
			return d
		}, "damaged", []string{anew, backup, size}},
		{"no backup", func(bs int) fstest.Device {
			d := build(bs, 256, part{64, 99, "one"})
			clear(d.Bytes()[255*bs:])
			return d
		}, "", []string{backup}},
		{"another backup", func(bs int) fstest.Device {
			d := build(bs, 256, part{64, 99, "one"})
			copy(d.Bytes()[200*bs:], build(bs, 256, part{100, 120, "two"}).Bytes()[200*bs:])
			return d
		}, "", []string{backup}},
		{"no primary", func(bs int) fstest.Device {
			d := build(bs, 256, part{64, 99, "one"})
			clear(d.Bytes()[bs : 3*bs])
			return d
		}, "damaged", []string{anew}},
		{"cut", func(bs int) fstest.Device {
			d := build(bs, 256, part{64, 99, "one"}) // nothing but the backup is beyond its end
			for _, lba := range []uint64{1, 255} {
				binary.LittleEndian.PutUint64(d.Bytes()[lba*uint64(bs)+48:], 150)
				reseal(d, lba)
			}
			return fstest.NewDevice(d.Bytes()[:250*bs], bs)
		}, "smaller than its partition table says", []string{backup, anew, size}},
	} {
		for _, bs := range []int{512, 4096} {
			t.Run(c.name, func(t *testing.T) {
				d := c.make(bs)
				before, err := Read(d)
				if err != nil {
					t.Fatal(err)
				}
				if notes := strings.Join(before.Notes(), " "); !strings.Contains(notes, c.note) || (c.note == "") != (notes == "") {
					t.Errorf("notes %q, want one about %q", notes, c.note)
				}
				found, err := Check(d)
				if err != nil || (len(found) == 0) != (c.did == nil) || !strings.Contains(strings.Join(found, " "), c.note) {
					t.Errorf("found %q, error %v", found, err)
				}
				did, err := Mend(d)
				if err != nil || !slices.EqualFunc(did, c.did, strings.Contains) {
					t.Errorf("did %q, want %q; error %v", did, c.did, err)
				}
				checkMended(t, d, before)

				// Whenever the power goes, the table is still there, and can be mended.
				for cut := 0; ; cut++ {
					d := c.make(bs)
					d.CutAfter(cut)
					_, err := Mend(d)
					if d.PowerOn(); err == nil {
						if cut < 4*len(c.did) { // entries and header, and a flush of each
							t.Errorf("%d cuts", cut)
						}
						break
					}
					after, err := Read(d)
					if err != nil || !slices.Equal(after.Partitions, before.Partitions) {
						t.Fatalf("cut after %d writes: %+v, error %v", cut, after, err)
					}
					if _, err := Mend(d); err != nil {
						t.Fatalf("cut after %d writes: %v", cut, err)
					}
					checkMended(t, d, before)
				}
			})
		}
	}
}

// checkMended holds a medium against what the specification says of a sound table.
func checkMended(t *testing.T, d fstest.Device, before *Table) {
	t.Helper()
	if found, err := Check(d); len(found) != 0 || err != nil {
		t.Errorf("mended, and yet %q, error %v", found, err)
	}
	after, err := Read(d)
	if err != nil || len(after.Notes()) != 0 || !slices.Equal(after.Partitions, before.Partitions) || after.DiskGUID != before.DiskGUID {
		t.Fatalf("%+v, error %v", after, err)
	}
	le, b, bs := binary.LittleEndian, d.Bytes(), d.BlockSize()
	last := int(d.Blocks()) - 1
	h, alt := b[bs:], b[last*bs:]
	n := (16<<10 + bs - 1) / bs
	if le.Uint64(h[32:]) != uint64(last) || le.Uint64(alt[32:]) != 1 || int(le.Uint64(h[48:])) > last-n-1 || le.Uint64(alt[72:]) != uint64(last-n) {
		t.Errorf("backup in %d with entries at %d, last usable block %d of %d", le.Uint64(h[32:]), le.Uint64(alt[72:]), le.Uint64(h[48:]), last)
	}
	if !bytes.Equal(h[40:72], alt[40:72]) || !bytes.Equal(h[80:92], alt[80:92]) || !bytes.Equal(b[2*bs:][:16<<10], b[(last-n)*bs:][:16<<10]) {
		t.Error("the copies differ")
	}
	if backup, err := readTable(d, uint64(last), nil); err != nil || !slices.Equal(backup.Partitions, before.Partitions) {
		t.Errorf("backup: %+v, error %v", backup, err)
	}
	if n := le.Uint32(b[446+12:]); int(n) != last {
		t.Errorf("the protective MBR is for %d blocks, want %d", n, last)
	}
}

func TestMendRefuses(t *testing.T) {
	d := build(512, 256, part{64, 222, "one"})
	small := fstest.NewDevice(d.Bytes()[:240*512], 512)
	before := bytes.Clone(small.Bytes())
	if did, err := Mend(small); err == nil || !strings.Contains(err.Error(), "partition 1 reaches to block 222") || did != nil {
		t.Errorf("did %q, error %v", did, err)
	}
	if !bytes.Equal(small.Bytes(), before) {
		t.Error("something was written")
	}
	// No partitions, and usable blocks where the backup belongs.
	d = build(512, 256)
	binary.LittleEndian.PutUint64(d.Bytes()[512+40:], 225)
	binary.LittleEndian.PutUint64(d.Bytes()[512+48:], 225)
	reseal(d, 1)
	if did, err := Mend(d); err == nil || !strings.Contains(err.Error(), "no room") || did != nil {
		t.Errorf("did %q, error %v", did, err)
	}
	if _, err := Mend(fstest.NewDevice(make([]byte, 1<<20), 512)); err == nil {
		t.Error("a medium without a table was mended")
	}
}

// TestMendUnprotected mends tables that nobody finds, as the protective MBR is lost, and leaves alone
// what else looks so.
func TestMendUnprotected(t *testing.T) {
	for _, bs := range []int{512, 4096} {
		sound, err := Read(build(bs, 256, part{64, 99, "one"}))
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			name   string
			spoil  func(b []byte)
			blocks int
			found  []string // nil: it is left alone
		}{
			{"no MBR", func(b []byte) { clear(b[:bs]) }, 256, []string{"no protective MBR"}},
			{"no signature", func(b []byte) { b[510] = 0 }, 256, []string{"no protective MBR"}},
			{"beginning in a wrong block", func(b []byte) { b[446+8] = 0 }, 256, []string{"no protective MBR"}},
			{"no MBR, and copied", func(b []byte) { clear(b[:bs]) }, 300, []string{"larger than", "no protective MBR"}},
			{"no MBR and no primary", func(b []byte) { clear(b[:20*bs]) }, 256, []string{"damaged", "no protective MBR"}},
			{"another MBR", func(b []byte) { b[446+4] = 0x0C }, 256, nil},
			{"a boot sector", func(b []byte) { clear(b[:20*bs]); copy(b, "\xEB\x58\x90") }, 256, nil},
			{"something in block 1", func(b []byte) { clear(b[:20*bs]); b[bs] = 1 }, 256, nil},
			{"no backup either", func(b []byte) { clear(b[:20*bs]); clear(b[255*bs:]) }, 256, nil},
		} {
			d := larger(build(bs, 256, part{64, 99, "one"}), c.blocks)
			c.spoil(d.Bytes())
			before := bytes.Clone(d.Bytes())
			found, err := Check(d)
			if (err == nil) != (c.found != nil) || !slices.EqualFunc(found, c.found, strings.Contains) {
				t.Errorf("%s: found %q, error %v", c.name, found, err)
			}
			if !bytes.Equal(before, d.Bytes()) {
				t.Errorf("%s: Check has written", c.name)
			}
			did, err := Mend(d)
			if c.found == nil {
				if err == nil || !bytes.Equal(before, d.Bytes()) {
					t.Errorf("%s: did %q, error %v", c.name, did, err)
				}
				continue
			}
			if err != nil || !strings.Contains(strings.Join(did, " "), "protective MBR was written anew") {
				t.Errorf("%s: did %q, error %v", c.name, did, err)
			}
			checkMended(t, d, sound)
		}
	}
}

// A hybrid MBR is somebody's work, of which nothing is changed.
func TestMendHybrid(t *testing.T) {
	d := larger(build(512, 256, part{64, 99, "one"}), 500)
	entry(d.Bytes(), 0, 1, 0x0C, 64, 36)
	before := bytes.Clone(d.Bytes()[:512])
	if did, err := Mend(d); err != nil || len(did) != 2 || !bytes.Equal(d.Bytes()[:512], before) {
		t.Errorf("did %q, error %v", did, err)
	}
}

// entry puts a partition into entry i of the table in block lba.
func entry(b []byte, lba, i int, kind byte, first, count uint32) {
	e := b[lba*512+446+16*i:]
	e[4] = kind
	binary.LittleEndian.PutUint32(e[8:], first)
	binary.LittleEndian.PutUint32(e[12:], count)
	b[lba*512+510], b[lba*512+511] = 0x55, 0xAA
}

// TestMendSgdisk has sgdisk, parted and sfdisk judge what was mended.
func TestMendSgdisk(t *testing.T) {
	sgdisk, err := exec.LookPath("sgdisk")
	if err != nil {
		t.Skip("sgdisk is not installed (package gdisk)")
	}
	name := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(name, make([]byte, 8<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(program string, args ...string) string {
		out, err := exec.Command(program, append(args, name)...).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", program, err, out)
		}
		return string(out)
	}
	run(sgdisk, "-n", "1:2048:4095", "-t", "1:ef00", "-c", "1:one", "-n", "3:6144:0", "-t", "3:0700")
	if err := os.Truncate(name, 20<<20); err != nil {
		t.Fatal(err)
	}
	if out := run(sgdisk, "-v"); strings.Contains(out, "No problems found") {
		t.Errorf("sgdisk finds nothing to mend:\n%s", out)
	}
	d, err := fs.OpenFileDevice(name, 512, true)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if did, err := Mend(d); err != nil || len(did) != 3 {
		t.Errorf("did %q, error %v", did, err)
	}
	if out := run(sgdisk, "-v"); !strings.Contains(out, "No problems found") {
		t.Errorf("sgdisk:\n%s", out)
	}
	if out := run(sgdisk, "-p"); !strings.Contains(out, "last usable sector is 40926") || !strings.Contains(out, "one") {
		t.Errorf("sgdisk:\n%s", out)
	}
	if parted, err := exec.LookPath("parted"); err == nil {
		out, err := exec.Command(parted, "-s", name, "unit", "s", "print").CombinedOutput()
		if err != nil || strings.Contains(string(out), "Warning") || !strings.Contains(string(out), "2048s") {
			t.Errorf("parted: %v\n%s", err, out)
		}
	}
	if sfdisk, err := exec.LookPath("sfdisk"); err == nil {
		out, err := exec.Command(sfdisk, "--verify", name).CombinedOutput()
		if err != nil || !strings.Contains(string(out), "No errors detected") {
			t.Errorf("sfdisk: %v\n%s", err, out)
		}
	}
}

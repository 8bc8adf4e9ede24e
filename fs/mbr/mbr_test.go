package mbr

import (
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"alphaos/fs/fstest"
)

// put puts a partition into entry i of the table in block lba.
func put(b []byte, lba, i int, kind byte, first, count uint32) {
	e := b[lba*512+446+16*i:]
	e[4] = kind
	binary.LittleEndian.PutUint32(e[8:], first)
	binary.LittleEndian.PutUint32(e[12:], count)
	b[lba*512+510], b[lba*512+511] = 0x55, 0xAA
}

func partitions(b []byte) []Partition { return Partitions(fstest.NewDevice(b, 512), b[:512]) }

func TestPrimary(t *testing.T) {
	b := make([]byte, 64*512)
	put(b, 0, 0, 0x83, 2, 3)
	put(b, 0, 1, 0x1C, 8, 200) // beyond the end
	put(b, 0, 2, 0xEF, 100, 8) // not on the medium
	put(b, 0, 3, 0x07, 0, 8)   // the table's own block
	if got, want := partitions(b), []Partition{{1, 0x83, 2, 3}, {2, 0x1C, 8, 200}}; !slices.Equal(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	b[446] = 0x7F // no status
	b[462] = 0x80 // active
	if got := partitions(b); len(got) != 1 || got[0].Index != 2 {
		t.Errorf("%+v", got)
	}
	b[510] = 0
	if got := partitions(b); got != nil || Entries(b[:511]) != nil {
		t.Errorf("%+v", got)
	}
}

func TestLogical(t *testing.T) {
	chain := func() []byte {
		b := make([]byte, 256*512)
		put(b, 0, 0, 0x0C, 8, 20)
		put(b, 0, 1, 0x0F, 40, 200)
		put(b, 40, 0, 0x0B, 8, 30) // at 48
		put(b, 40, 1, 0x05, 60, 40)
		put(b, 100, 0, 0x83, 4, 30) // at 104
		put(b, 100, 1, 0x05, 100, 40)
		put(b, 140, 0, 0x07, 4, 30) // at 144
		return b
	}
	for _, c := range []struct {
		name  string
		spoil func(b []byte)
		want  []uint64 // first blocks
	}{
		{"sound", func([]byte) {}, []uint64{8, 48, 104, 144}},
		{"link to the first", func(b []byte) { put(b, 100, 1, 0x05, 0, 40) }, []uint64{8, 48, 104}},
		{"link to itself", func(b []byte) { put(b, 40, 1, 0x05, 0, 40) }, []uint64{8, 48}},
		{"link out of the partition", func(b []byte) { put(b, 40, 1, 0x05, 1<<31, 40) }, []uint64{8, 48}},
		{"link out of the medium", func(b []byte) { put(b, 0, 1, 0x0F, 40, 1<<31); put(b, 40, 1, 0x05, 1<<30, 40) }, []uint64{8, 48}},
		{"partition out of the medium", func(b []byte) { put(b, 0, 1, 0x0F, 40, 1<<31); put(b, 40, 0, 0x0B, 1<<30, 40) }, []uint64{8, 104, 144}},
		{"no first table", func(b []byte) { b[40*512+510] = 0 }, []uint64{8}},
		{"no second table", func(b []byte) { b[100*512+510] = 0 }, []uint64{8, 48}},
		{"of Linux", func(b []byte) { put(b, 0, 1, 0x85, 40, 200) }, []uint64{8, 48, 104, 144}},
	} {
		b := chain()
		c.spoil(b)
		got := partitions(b)
		var first []uint64
		for i, p := range got {
			first = append(first, p.First)
			if i > 0 && p.Index < firstLogical {
				t.Errorf("%s: the logical partition has the number %d", c.name, p.Index)
			}
		}
		if !slices.Equal(first, c.want) {
			t.Errorf("%s: partitions at %d, want %d", c.name, first, c.want)
		}
	}
	// A chain without end.
	b := make([]byte, 4096*512)
	put(b, 0, 0, 0x05, 1, 4000)
	for i := range uint32(3000) {
		put(b, int(i)+1, 0, 0x0B, 1, 1)
		put(b, int(i)+1, 1, 0x05, i+1, 1)
	}
	d := fstest.NewDevice(b, 512)
	if list := Partitions(d, b[:512]); len(list) > 200 || d.Reads() > 400 {
		t.Errorf("a long chain: %d partitions", len(list))
	}
}

// TestSfdisk reads tables that sfdisk and parted have written.
func TestSfdisk(t *testing.T) {
	check := func(name string, want []Partition) {
		t.Helper()
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := partitions(b); !slices.Equal(got, want) {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
	image := func() string {
		name := filepath.Join(t.TempDir(), "image")
		if err := os.WriteFile(name, make([]byte, 4<<20), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	tried := false
	if sfdisk, err := exec.LookPath("sfdisk"); err == nil {
		tried = true
		name := image()
		cmd := exec.Command(sfdisk, name)
		cmd.Stdin = strings.NewReader("label: dos\nstart=64,size=100,type=c,bootable\nstart=200,size=100,type=1b\nstart=400,size=7000,type=f\nstart=500,size=100,type=7\nstart=700,size=300,type=83\nstart=1100,size=6000,type=ef\n")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("sfdisk: %v\n%s", err, out)
		}
		check(name, []Partition{{1, 0x0C, 64, 100}, {2, 0x1B, 200, 100}, {5, 0x07, 500, 100}, {6, 0x83, 700, 300}, {7, 0xEF, 1100, 6000}})
	}
	if parted, err := exec.LookPath("parted"); err == nil {
		tried = true
		name := image()
		out, err := exec.Command(parted, "-s", "-a", "none", name, "unit", "s", "mklabel", "msdos", "mkpart", "primary", "fat32", "64", "163",
			"mkpart", "extended", "400", "7399", "mkpart", "logical", "ntfs", "500", "599", "mkpart", "logical", "ext2", "700", "999").CombinedOutput()
		if err != nil {
			t.Fatalf("parted: %v\n%s", err, out)
		}
		check(name, []Partition{{1, 0x0C, 64, 100}, {5, 0x07, 500, 100}, {6, 0x83, 700, 300}})
	}
	if !tried {
		t.Skip("neither sfdisk (package fdisk) nor parted is installed")
	}
}

// Whatever a table says, its partitions begin on the medium and looking for them ends.
func FuzzPartitions(f *testing.F) {
	b := make([]byte, 64*512)
	put(b, 0, 0, 0x07, 2, 8)
	put(b, 0, 1, 0x0F, 20, 40)
	put(b, 20, 0, 0x0B, 2, 8)
	put(b, 20, 1, 0x05, 10, 8)
	put(b, 30, 1, 0x05, 10, 8)
	f.Add(b, false)
	f.Add(b, true)
	f.Fuzz(func(t *testing.T, data []byte, large bool) {
		bs := 512
		if large {
			bs = 4096
		}
		if len(data) < bs {
			return
		}
		d := fstest.NewDevice(data, bs)
		seen := map[int]bool{}
		for _, p := range Partitions(d, data[:bs]) {
			if p.First == 0 || p.First >= d.Blocks() || p.Blocks == 0 || seen[p.Index] || p.Extended() {
				t.Errorf("partition %+v on a medium of %d blocks", p, d.Blocks())
			}
			seen[p.Index] = true
		}
		if n := d.Reads(); n > 1000 {
			t.Errorf("%d requests", n)
		}
	})
}

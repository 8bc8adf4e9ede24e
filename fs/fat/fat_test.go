package fat

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	iofstest "testing/fstest"
	"time"

	"alphaos/fs"
	"alphaos/fs/fstest"
	"alphaos/fs/readfs"
)

func TestSample(t *testing.T) {
	for _, c := range []struct{ sector, perCluster, copies int }{{512, 1, 2}, {512, 8, 2}, {4096, 1, 1}, {1024, 2, 2}} {
		v := sample(c.sector, c.perCluster, c.copies).mount(t)
		if v.Label() != "ALPHAOS" {
			t.Errorf("label %q", v.Label())
		}
		if err := iofstest.TestFS(v, "FRAGMENT.BIN", "MODELS/stories 😀 260K.gguf", "MODELS/EMPTY", "MODELS/JOURNAL.LOG"); err != nil {
			t.Error(err)
		}
		fi, err := v.Stat("models/storie~1.ggu")
		if err != nil {
			t.Fatal(err)
		}
		want := time.Date(2026, 3, 1, 12, 34, 56, 0, time.UTC)
		if fi.Name() != "stories 😀 260K.gguf" || !fi.ModTime().Equal(want) || fi.Mode() != 0o444 || fi.Size() != int64(c.sector)+1 {
			t.Errorf("got %v", fi)
		}
		for name, want := range map[string]error{
			"none": iofs.ErrNotExist, "MODELS/none": iofs.ErrNotExist, "FRAGMENT.BIN/x": iofs.ErrNotExist,
			"": iofs.ErrInvalid, "/MODELS": iofs.ErrInvalid, "MODELS/../x": iofs.ErrInvalid,
		} {
			if _, err := v.Open(name); !errors.Is(err, want) {
				t.Errorf("Open(%q): %v, want %v", name, err, want)
			}
		}
		if _, err := v.ReadFile("MODELS"); !errors.Is(err, readfs.ErrIsDir) {
			t.Errorf("ReadFile of a directory: %v", err)
		}
		if _, err := v.ReadDir("FRAGMENT.BIN"); !errors.Is(err, readfs.ErrNotDir) {
			t.Errorf("ReadDir of a file: %v", err)
		}
	}
}

// TestReadAt compares reads at every kind of offset and length with the
// content, over files in one piece and in many.
func TestReadAt(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, c := range []struct{ sector, perCluster, block int }{{512, 1, 512}, {512, 8, 512}, {4096, 1, 4096}, {512, 64, 512}, {512, 2, 4096}} {
		m := newImage(c.sector, c.perCluster, 600, 2)
		cluster := c.sector * c.perCluster
		clusters := make([]uint32, 590)
		for i := range clusters {
			clusters[i] = uint32(i + 3)
		}
		// Swap pieces so that some runs are long and some short.
		for range 20 {
			i, j, n := r.IntN(500), r.IntN(500), 1+r.IntN(60)
			for k := range n {
				clusters[i+k], clusters[j+k] = clusters[j+k], clusters[i+k]
			}
		}
		want := m.file(2, "FILE       ", 590*cluster-37, clusters...)
		v, err := Mount(fstest.NewDevice(m.b, c.block))
		if err != nil {
			t.Fatal(err)
		}
		f, err := v.Open("FILE")
		if err != nil {
			t.Fatal(err)
		}
		ra := f.(io.ReaderAt)
		for range 500 {
			off := r.IntN(len(want) + 10)
			n := r.IntN(1 << r.IntN(20))
			if r.IntN(2) == 0 {
				off &^= 511
			}
			if r.IntN(2) == 0 {
				n &^= 511
			}
			p := make([]byte, n)
			got, err := ra.ReadAt(p, int64(off))
			exp := want[min(off, len(want)):min(off+n, len(want))]
			if !bytes.Equal(p[:got], exp) {
				t.Fatalf("ReadAt(%d bytes, %d) gave %d bytes, not the %d there are", n, off, got, len(exp))
			}
			if eof := got < n || off >= len(want); err != nil && err != io.EOF || got < n && err == nil || err == io.EOF && !eof {
				t.Fatalf("ReadAt(%d bytes, %d) = %d, %v", n, off, got, err)
			}
		}
		// Sequential reads in pieces of all sizes, with seeks between.
		s := f.(io.ReadSeeker)
		at := 0
		for range 300 {
			if r.IntN(20) == 0 {
				at = r.IntN(len(want))
				if _, err := s.Seek(int64(at), io.SeekStart); err != nil {
					t.Fatal(err)
				}
			}
			p := make([]byte, 1+r.IntN(1<<r.IntN(19)))
			n, err := s.Read(p)
			if !bytes.Equal(p[:n], want[at:at+n]) || n == 0 && err != io.EOF || err != nil && err != io.EOF {
				t.Fatalf("Read(%d bytes) at %d = %d, %v", len(p), at, n, err)
			}
			at += n
		}
	}
}

// watch remembers the buffers a device was asked to fill.
type watch struct {
	fs.BlockDevice
	reads [][]byte
}

func (w *watch) ReadBlocks(lba uint64, p []byte) error {
	w.reads = append(w.reads, p)
	return w.BlockDevice.ReadBlocks(lba, p)
}

// TestRequests pins down how many requests things take, and that large ones
// go straight into the caller's buffer.
func TestRequests(t *testing.T) {
	const clusters = 33 << 20 / 512
	m := newImage(512, 1, clusters+10, 2)
	var cs []uint32
	for i := range clusters {
		cs = append(cs, uint32(i+4))
	}
	m.dir(2, "MODELS     ", 3)
	want := m.file(3, "BIG     GUF", 33<<20, cs...)
	w := &watch{BlockDevice: m.device()}
	v, err := Mount(w)
	if err != nil {
		t.Fatal(err)
	}
	if len(w.reads) != 3 { // boot sector, FAT, root
		t.Errorf("Mount took %d requests, want 3", len(w.reads))
	}
	w.reads = nil
	f, err := v.Open("MODELS/BIG.GUF")
	if err != nil {
		t.Fatal(err)
	}
	// The directory, and 264 KiB of FAT of which the first 64 are known.
	if len(w.reads) != 2 {
		t.Errorf("Open took %d requests, want 2", len(w.reads))
	}
	w.reads = nil
	p := make([]byte, 33<<20)
	if n, err := f.(io.ReaderAt).ReadAt(p[:8<<20], 1<<20); n != 8<<20 || err != nil || !bytes.Equal(p[:n], want[1<<20:9<<20]) {
		t.Fatalf("ReadAt: %d bytes, error %v", n, err)
	}
	if len(w.reads) != 1 || &w.reads[0][0] != &p[0] || len(w.reads[0]) != 8<<20 {
		t.Errorf("8 MiB took %d requests or were not read into place", len(w.reads))
	}
	// Unaligned at both ends: one block at each end is bounced.
	w.reads = nil
	if n, err := f.(io.ReaderAt).ReadAt(p[:4<<20], 100); n != 4<<20 || err != nil || !bytes.Equal(p[:n], want[100:100+4<<20]) {
		t.Fatalf("ReadAt: %d bytes, error %v", n, err)
	}
	if len(w.reads) != 3 || &w.reads[1][0] != &p[412] || len(w.reads[1]) != 4<<20-512 {
		t.Errorf("4 unaligned MiB took %d requests or were not read into place", len(w.reads))
	}
	// A small unaligned read is one request.
	w.reads = nil
	if n, err := f.(io.ReaderAt).ReadAt(p[:5000], 100); n != 5000 || err != nil || len(w.reads) != 1 {
		t.Errorf("5000 bytes took %d requests: %d, %v", len(w.reads), n, err)
	}
	w.reads = nil
	got, err := iofs.ReadFile(v, "models/big.guf")
	if err != nil || !bytes.Equal(got, want) || len(w.reads) != 5 {
		t.Errorf("ReadFile of 33 MiB took %d requests, error %v", len(w.reads), err)
	}
	// Small sequential reads are gathered.
	w.reads = nil
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, io.LimitReader(f, 1<<20), make([]byte, 1000))
	if n != 1<<20 || err != nil || len(w.reads) > 9 {
		t.Errorf("copying 1 MiB in small pieces took %d requests: %d, %v", len(w.reads), n, err)
	}
}

// TestLongChain follows the chains of the largest files in few requests and
// reads their ends, over a device that makes them up.
func TestLongChain(t *testing.T) {
	for _, size := range []int64{2 << 30, 1<<32 - 1} {
		clusters := uint32((size + 4095) / 4096)
		d := &chainDevice{image: newImage(512, 8, 10, 1), last: 3 + clusters - 1}
		le := binary.LittleEndian
		table := (clusters+100)*4/512 + 1
		total := 8 + table + (clusters+50)*8
		le.PutUint32(d.image.b[32:], total)
		le.PutUint32(d.image.b[36:], table)
		d.table, d.blocks, d.dataAt = 8, uint64(total), uint64(8+table)
		d.image.add(2, "BIG     GUF", "", 0x20, 3, int(size))
		d.root = slices.Clone(d.image.data(2))
		v, err := Mount(d)
		if err != nil {
			t.Fatal(err)
		}
		d.requests = 0
		f, err := v.Open("big.guf")
		if err != nil {
			t.Fatal(err)
		}
		if limit := 1 + int(table*512)>>20 + 1; d.requests > limit {
			t.Errorf("following a chain of %d clusters took %d requests, want %d at most", clusters, d.requests, limit)
		}
		if runs, err := v.Extents("big.guf"); err != nil || len(runs) != 1 || runs[0].Count != uint64(clusters)*uint64(v.cluster)/512 {
			t.Errorf("%v runs, %v", runs, err)
		}
		if _, err := v.ReadFile("big.guf"); err == nil || !strings.Contains(err.Error(), "only be read in parts") {
			t.Errorf("reading %d bytes as a whole: %v", size, err)
		}
		off := (size - 600) &^ 511
		p := make([]byte, 2000)
		n, err := f.(io.ReaderAt).ReadAt(p, off)
		if want := d.dataAt + 8 + uint64(off/512); n != int(size-off) || err != io.EOF || le.Uint64(p) != want {
			t.Errorf("reading the end gave %d bytes of block %d, want %d of %d; error %v", n, le.Uint64(p), size-off, want, err)
		}
	}
}

// chainDevice is a large volume with one file in one piece, from cluster 3
// to last. Each block of the file begins with its number.
type chainDevice struct {
	image                 *image
	root                  []byte
	table, dataAt, blocks uint64
	last                  uint32
	next                  func(c uint32) uint32 // cluster behind c; nil: c+1
	requests, most        int                   // most bytes of the FAT that may be read; 0: any
}

func (d *chainDevice) BlockSize() int                   { return 512 }
func (d *chainDevice) Blocks() uint64                   { return d.blocks }
func (d *chainDevice) WriteBlocks(uint64, []byte) error { return errors.New("read-only") }
func (d *chainDevice) Flush() error                     { return nil }
func (d *chainDevice) ReadBlocks(lba uint64, p []byte) error {
	d.requests++
	if d.most > 0 {
		if d.most -= len(p); d.most <= 0 {
			return errors.New("enough was read")
		}
	}
	for ; len(p) > 0; lba, p = lba+1, p[512:] {
		b := p[:512]
		clear(b)
		switch {
		case lba < d.table:
			copy(b, d.image.b[lba*512:])
		case lba < d.dataAt:
			for i := range 128 {
				c := uint32(lba-d.table)*128 + uint32(i)
				next := c + 1
				switch {
				case c == 2 || c == d.last:
					next = 0x0FFFFFFF
				case d.next != nil:
					next = d.next(c)
				}
				binary.LittleEndian.PutUint32(b[4*i:], next)
			}
		case lba < d.dataAt+8:
			copy(b, d.root[(lba-d.dataAt)*512:])
		default:
			binary.LittleEndian.PutUint64(b, lba)
		}
	}
	return nil
}

// A chain that leads from one end of a large FAT to the other and back is given up before all
// of that has been read again and again.
func TestHostileChain(t *testing.T) {
	const clusters, table = 32 << 20, 128 << 20 / 512
	d := &chainDevice{image: newImage(512, 1, 10, 1), last: clusters + 2}
	le := binary.LittleEndian
	le.PutUint32(d.image.b[32:], 8+table+clusters-4)
	le.PutUint32(d.image.b[36:], table)
	d.table, d.dataAt = 8, 8+table
	d.blocks = d.dataAt + clusters - 4
	d.image.add(2, "BIG     GUF", "", 0x20, 3, 1<<32-1)
	d.root = append(slices.Clone(d.image.data(2)), make([]byte, 8*512)...)
	d.next = func(c uint32) uint32 { // every other time to the neighbouring chunk, so that it seems to go on
		jump := uint32(chunkEntries)
		if c/chunkEntries%2 == 1 {
			jump = 17 * chunkEntries
		}
		return 3 + (c-2+jump)%(clusters-100)
	}
	v, err := Mount(d)
	if err != nil {
		t.Fatal(err)
	}
	d.most = 3 << 30
	if _, err := v.Open("big.guf"); err == nil || !strings.Contains(err.Error(), "too many pieces") {
		t.Error(err)
	}
}

func TestSecondFAT(t *testing.T) {
	read := func(t *testing.T, m *image, d fstest.Device, ok bool) {
		t.Helper()
		v, err := Mount(d)
		if err == nil {
			var b []byte
			b, err = v.ReadFile("FRAGMENT.BIN")
			if err == nil && !bytes.Equal(b[512:1024], m.data(5)) {
				t.Error("wrong content")
			}
		}
		if (err == nil) != ok {
			t.Errorf("error %v, want success: %v", err, ok)
		}
	}
	unreadable := func(m *image, n int) fstest.Device {
		d := m.device()
		d.MakeUnreadable(int64(m.tableAt(n)), int64(m.tableAt(n)+m.table*m.sector))
		return d
	}
	m := sample(512, 1, 2)
	read(t, m, unreadable(m, 0), true)
	read(t, m, unreadable(m, 1), true)
	m.set(0, 5, 0) // the first FAT has lost the chain
	read(t, m, m.device(), true)
	m.set(1, 9, 0) // and the second too
	read(t, m, m.device(), false)

	m = sample(512, 1, 1)
	read(t, m, unreadable(m, 0), false)

	// Mirroring off, FAT 2 in use: the first is not even looked at.
	m = sample(512, 1, 2)
	m.b[40] = 0x81
	for c := range uint32(40) {
		m.set(0, c, 0)
	}
	read(t, m, m.device(), true)
	read(t, m, unreadable(m, 1), false)
}

func TestBackupBootSector(t *testing.T) {
	for _, sector := range []int{512, 4096} {
		m := sample(sector, 1, 2)
		clear(m.b[:512])
		if v := m.mount(t); v.Label() != "ALPHAOS" {
			t.Errorf("label %q", v.Label())
		}
		m = sample(sector, 1, 2)
		d := m.device()
		d.MakeUnreadable(0, 1)
		if _, err := Mount(d); err != nil {
			t.Error(err)
		}
		// A backup left by an earlier file system does not count.
		m = sample(sector, 1, 2)
		clear(m.b[:512])
		m.set(-1, 0, 0)
		if _, err := Mount(m.device()); !errors.Is(err, ErrNotFAT32) {
			t.Errorf("error %v, want ErrNotFAT32", err)
		}
	}
}

func TestNames(t *testing.T) {
	m := newImage(512, 8, 10, 1)
	m.add(2, "PLAIN   TXT", "", 0x20, 0, 0)
	m.add(2, "LOWER   TXT", "", 0x20, 0, 0)[12] = 0x18
	m.add(2, "BASE    TXT", "", 0x20, 0, 0)[12] = 0x08
	m.add(2, "\x05TYPE      ", "", 0x20, 0, 0) // 0xE5 is σ in code page 437
	m.add(2, "\x90T\x90        ", "", 0x20, 0, 0)
	m.add(2, "A/B     C\\D", "", 0x20, 0, 0)
	m.add(2, "DELETED    ", "", 0x20, 0, 0)[0] = 0xE5
	m.add(2, "UNICOD~1   ", "日本語 😀 Ünïcode", 0x20, 0, 0)
	m.add(2, "THIRTE~1   ", "exactly13char", 0x20, 0, 0)
	m.add(2, "SUM     BAD", "checksum does not match", 0x20, 0, 0)[0] = 'Z'
	m.add(2, "SLASH      ", "a/b", 0x20, 0, 0)
	m.add(2, "DOTS       ", "..", 0x20, 0, 0)
	m.add(2, "CONTROL    ", "a\nb", 0x20, 0, 0)
	m.add(2, "LABEL      ", "", 0x08, 0, 0)
	long := strings.Repeat("ÿ", 255)
	m.add(2, "LONG       ", long, 0x20, 0, 0)
	m.add(2, "DUP1       ", "Same Name", 0x20, 0, 0)
	m.add(2, "DUP2       ", "same name", 0x20, 0, 0)
	// A long name whose middle part is missing.
	m.add(2, "MISSING    ", "three parts of a long name, of them two", 0x20, 0, 0)
	d := m.data(2)
	i := bytes.Index(d, []byte("MISSING")) / 32
	copy(d[32*(i-2):], d[32*(i-1):32*(i+1)])
	clear(d[32*i:][:32])
	v := m.mount(t)
	want := []string{"PLAIN.TXT", "lower.txt", "base.TXT", "σTYPE", "ÉTÉ", "A_B.C_D", "日本語 😀 Ünïcode", "exactly13char",
		"ZUM.BAD", "SLASH", "DOTS", "CONTROL", long, "Same Name", "MISSING"}
	lists(t, v, want)
	if v.Label() != "LABEL" {
		t.Errorf("label %q", v.Label())
	}
	for _, name := range []string{"été", "日本語 😀 ÜNÏCODE", strings.Repeat("Ÿ", 255), "unicod~1", "SAME NAME"} {
		if _, err := v.Stat(name); err != nil {
			t.Error(err)
		}
	}
}

// lists checks that the root has the files want, and that each can be opened by
// the name it is listed under.
func lists(t *testing.T, v *FS, want []string) {
	t.Helper()
	list, err := v.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range list {
		got = append(got, e.Name())
		if _, err := v.Open(e.Name()); err != nil {
			t.Error(err)
		}
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// Names that no system should have written are those a person sees elsewhere,
// and every file can be opened by the name it is listed under.
func TestUnusualNames(t *testing.T) {
	m := newImage(512, 8, 10, 1)
	for i, name := range []string{"space.gguf ", "dot.gguf.", "both.gguf . .", "mac\uf028", "mac.gguf\uf029", "what\uf025 \uf020a\uf022b\uf020.gguf", "back\uf026slash",
		"taken.gguf ", "taken.gguf", "  lead.gguf", "in ner .gguf", " ", "...", "\uf028\uf029", "not\uf02a\uf01f"} {
		m.add(2, fmt.Sprintf("F%-10d", i), name, 0x20, 0, 0)
	}
	v := m.mount(t)
	want := []string{"space.gguf", "dot.gguf", "both.gguf", "mac", "mac.gguf", `what? "a:b".gguf`, "back\uf026slash",
		"taken.gguf ", "taken.gguf", "  lead.gguf", "in ner .gguf", " ", "...", "\uf028\uf029", "not\uf02a\uf01f"}
	lists(t, v, want)
}

// TestDamaged has one sentence for everything that can be wrong.
func TestDamaged(t *testing.T) {
	le := binary.LittleEndian
	const file = "FRAGMENT.BIN"
	for _, c := range []struct {
		name, want string
		spoil      func(m *image)
	}{
		{"no signature", "no boot sector", func(m *image) { m.b[510] = 0; m.set(-1, 0, 0) }},
		{"exFAT", "is exFAT; AlphaOS reads FAT32", func(m *image) { copy(m.b[3:], "EXFAT   ") }},
		{"NTFS", "is NTFS; AlphaOS reads FAT32", func(m *image) { copy(m.b[3:], "NTFS    ") }},
		{"FAT16", "FAT12 or FAT16", func(m *image) { m.b[22] = 9 }},
		{"root entries", "FAT12 or FAT16", func(m *image) { m.b[18], m.b[36] = 2, 0 }},
		{"sector size", "513 bytes in a sector", func(m *image) { m.b[11] = 1 }},
		{"sector size 0", "0 bytes in a sector", func(m *image) { m.b[12] = 0 }},
		{"cluster size", "3 sectors in a cluster", func(m *image) { m.b[13] = 3 }},
		{"reserved", "reserves no sector", func(m *image) { m.b[14] = 0 }},
		{"no FAT", "no FAT", func(m *image) { m.b[16] = 0 }},
		{"FAT length 0", "no room for data", func(m *image) { m.b[36] = 0 }},
		{"FAT length", "no room for data", func(m *image) { le.PutUint32(m.b[36:], 1<<31) }},
		{"far too large", "holds only", func(m *image) { le.PutUint32(m.b[32:], 1<<31); le.PutUint32(m.b[36:], 1<<20) }},
		{"file beyond the end", "it reaches to cluster 12, and the partition or medium, or the FAT, ends after 11", func(m *image) { m.b = m.b[:m.tableAt(2)+10*512] }},
		{"sectors 0", "no room for data", func(m *image) { le.PutUint32(m.b[32:], 0) }},
		{"root cluster", "root directory is in cluster 77", func(m *image) { m.b[44] = 77 }},
		{"root cluster 1", "root directory is in cluster 1", func(m *image) { m.b[44] = 1 }},
		{"root chain", "root directory: directory: its chain", func(m *image) { m.set(-1, 2, 0) }},
		{"root loop", "too long or has no end", func(m *image) { m.set(-1, 2, 38); m.set(-1, 38, 2) }},
		{"free cluster", "cluster 0, which does not exist", func(m *image) { m.set(-1, 9, 0) }},
		{"far cluster", "cluster 1234567, which does not exist", func(m *image) { m.set(-1, 9, 1234567) }},
		{"cluster after last", "cluster 42, which does not exist", func(m *image) { m.set(-1, 9, 42) }},
		{"bad cluster", "a bad cluster", func(m *image) { m.set(-1, 9, 0x0FFFFFF7) }},
		{"short chain", "ends after 2 of 3 clusters", func(m *image) { m.set(-1, 5, 0x0FFFFFFF) }},
		{"loop", "returns to itself", func(m *image) { m.set(-1, 5, 9) }},
		{"loop of one", "returns to itself", func(m *image) { m.set(-1, 9, 9) }},
		{"size", "more than the volume holds", func(m *image) { le.PutUint32(m.data(2)[32+28:], 1<<32-1) }},
		{"first cluster", "cluster 0, which does not exist", func(m *image) { m.data(2)[32+26] = 0 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := sample(512, 1, 2)
			m.b[6*512+510] = 0 // no backup
			if _, err := m.mount(t).ReadFile(file); err != nil {
				t.Fatal(err)
			}
			c.spoil(m)
			v, err := Mount(m.device())
			if err == nil {
				_, err = v.Open(file)
			}
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %q, want one line about %q", err, c.want)
			}
		})
	}
	if _, err := Mount(fstest.NewDevice(nil, 512)); err == nil {
		t.Error("an empty medium was mounted")
	}
}

// TestOdd mounts what Linux and EDK2 do, whatever the specification says. The
// files are there, and what is odd is told.
func TestOdd(t *testing.T) {
	le := binary.LittleEndian
	total := func(m *image) uint32 { return le.Uint32(m.b[32:]) }
	for _, c := range []struct {
		name, note string
		spoil      func(m *image)
	}{
		{"sound", "", func(*image) {}},
		{"longer than the medium", "ends after", func(m *image) { le.PutUint32(m.b[32:], total(m)+8) }},
		{"far longer", "ends after", func(m *image) { le.PutUint32(m.b[32:], 1<<31) }},
		{"medium cut", "ends after", func(m *image) { m.b = m.b[:len(m.b)-4096-512] }},
		{"few entries", "has entries for only 126", func(m *image) { // a sector of them
			const sectors = 8 + 2 + 134
			m.b = append(m.b, make([]byte, sectors*512-len(m.b))...)
			le.PutUint32(m.b[32:], sectors)
		}},
		{"16-bit count", "", func(m *image) { le.PutUint16(m.b[19:], uint16(total(m))); le.PutUint32(m.b[32:], 0) }},
		{"both counts", "", func(m *image) { le.PutUint16(m.b[19:], uint16(total(m))) }},
		{"labelled FAT16", "", func(m *image) { copy(m.b[82:], "FAT16   "); copy(m.b[54:], "FAT12   ") }},
		{"media", "", func(m *image) { m.b[21] = 0 }},
		{"no jump", "", func(m *image) { clear(m.b[:11]) }},
		{"no signature", "55 AA", func(m *image) { m.b[510], m.b[511] = 0, 0 }},
		{"version", "unknown version 0x1", func(m *image) { m.b[42] = 1 }},
		{"active FAT", "FAT 8 is in use", func(m *image) { m.b[40] = 0x87 }},
		{"no FSInfo", "", func(m *image) { le.PutUint16(m.b[48:], 0xFFFF) }},
		{"FSInfo elsewhere", "", func(m *image) { le.PutUint16(m.b[48:], 700) }},
		{"no backup", "", func(m *image) { le.PutUint16(m.b[50:], 0); clear(m.b[6*512:][:512]) }},
		{"dirty", "", func(m *image) { m.b[65] = 3; m.set(-1, 1, 0x03FFFFFF) }},
		{"hidden sectors, drive, geometry", "", func(m *image) { clear(m.b[24:32]); m.b[64] = 7 }},
		{"reserved fields", "", func(m *image) { m.b[41] = 0xFF; copy(m.b[52:64], "whatever it is") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := sample(512, 1, 2)
			want, err := m.mount(t).ReadFile("FRAGMENT.BIN")
			if err != nil {
				t.Fatal(err)
			}
			c.spoil(m)
			v := m.mount(t)
			got, err := v.ReadFile("FRAGMENT.BIN")
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("the file holds something else, error %v", err)
			}
			notes := v.Notes()
			if (len(notes) == 0) != (c.note == "") || c.note != "" && !strings.Contains(notes[0], c.note) {
				t.Errorf("notes %q, want one about %q", notes, c.note)
			}
		})
	}
	// Room for a fixed root directory, as on FAT16, comes before the data.
	m := sample(512, 1, 2)
	at := m.tableAt(2)
	m.b = slices.Insert(m.b, at, make([]byte, 1024)...)
	le.PutUint16(m.b[17:], 32)
	le.PutUint32(m.b[32:], total(m)+2)
	if _, err := m.mount(t).ReadFile("MODELS/JOURNAL.LOG"); err != nil {
		t.Error(err)
	}
	// 128 sectors in a cluster, one FAT.
	if _, err := sample(512, 128, 1).mount(t).ReadFile("FRAGMENT.BIN"); err != nil {
		t.Error(err)
	}
}

// TestCases mounts volumes that were once refused, if they lie beside the
// repository.
func TestCases(t *testing.T) {
	if b, err := os.ReadFile("../../../shared/cases/names/names.img"); err == nil {
		v, err := Mount(fstest.NewDevice(b, 512))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"space.gguf", "dot.gguf", "pua.gguf", "col:on.gguf", "  lead.gguf", "UPPER.GGUF", "quote“s.gguf"} {
			if b, err := v.ReadFile("models/" + name); err != nil || len(b) == 0 {
				t.Errorf("%s: %d bytes, %v", name, len(b), err)
			}
		}
	}
	b, err := os.ReadFile("../../../shared/cases/fs-longer-than-medium/larger-than-medium.img")
	if err != nil {
		t.Skip("no images in ../shared/cases beside the repository")
	}
	v, err := Mount(fstest.NewDevice(b, 512))
	if err != nil {
		t.Fatal(err)
	}
	if len(v.Notes()) != 1 || !strings.Contains(v.Notes()[0], "ends after") {
		t.Errorf("notes %q", v.Notes())
	}
	files := 0
	err = iofs.WalkDir(v, ".", func(path string, d iofs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files++
			_, err = v.ReadFile(path)
		}
		return err
	})
	if err != nil || files == 0 {
		t.Errorf("%d files, %v", files, err)
	}
}

func TestFAT16(t *testing.T) {
	needs(t, "mkfs.fat")
	for _, bits := range []string{"12", "16"} {
		img := filepath.Join(t.TempDir(), "image")
		if err := os.WriteFile(img, make([]byte, 16<<20), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("mkfs.fat", "-F", bits, img).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		d, err := fs.OpenFileDevice(img, 512, false)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		if _, err := Mount(d); !errors.Is(err, ErrNotFAT32) || !strings.Contains(err.Error(), "FAT16") {
			t.Errorf("FAT%s: %v", bits, err)
		}
	}
}

// What is known of directories stays within a bound.
func TestManyDirectories(t *testing.T) {
	defer func(n int) { keepOwners = n }(keepOwners)
	keepOwners = 3
	m := sample(512, 1, 2)
	m.dir(2, "ONE        ", 35)
	m.dir(2, "TWO        ", 36)
	v := m.mount(t)
	for dir, ok := range map[string]bool{"MODELS": true, "ONE": true} {
		if _, err := v.ReadDir(dir); (err == nil) != ok {
			t.Errorf("%s: %v", dir, err)
		}
	}
	if _, err := v.ReadDir("TWO"); err == nil || !strings.Contains(err.Error(), "more than 3 clusters") {
		t.Error(err)
	}
}

// TestDirectoryKnots has directories that lead to each other; a walk must
// end and each must be reached once.
func TestDirectoryKnots(t *testing.T) {
	for _, c := range []struct {
		name string
		tie  func(m *image)
	}{
		{"root in itself", func(m *image) { m.add(2, "KNOT       ", "", 0x10, 2, 0) }},
		{"parent", func(m *image) { m.add(3, "KNOT       ", "", 0x10, 2, 0) }},
		{"itself", func(m *image) { m.add(3, "KNOT       ", "", 0x10, 3, 0) }},
		{"two ways", func(m *image) { m.add(2, "KNOT       ", "", 0x10, 3, 0) }},
		{"shared tail", func(m *image) {
			m.add(2, "KNOT       ", "", 0x10, 35, 0)
			m.set(-1, 35, 3)
		}},
		{"two names", func(m *image) {
			m.add(2, "KNOT       ", "", 0x10, 35, 0)
			m.add(2, "KNOT2      ", "", 0x10, 35, 0)
			m.chain(35)
		}},
		{"every name", func(m *image) {
			for i := range 8 {
				m.add(3, fmt.Sprintf("KNOT%d      ", i), "", 0x10, 3, 0)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := sample(512, 2, 2)
			c.tie(m)
			v := m.mount(t)
			steps, refused := 0, 0
			err := iofs.WalkDir(v, ".", func(path string, d iofs.DirEntry, err error) error {
				if steps++; steps > 1000 {
					return errors.New("no end")
				}
				if err != nil {
					if !strings.Contains(err.Error(), "shares clusters") {
						t.Error(err)
					}
					refused++
				}
				return nil
			})
			if err != nil || refused == 0 {
				t.Errorf("walk: %v, refused %d", err, refused)
			}
			if _, err := v.Open("FRAGMENT.BIN"); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestDeepDirectories(t *testing.T) {
	m := newImage(512, 1, 100, 1)
	for c := uint32(2); c < 90; c++ {
		m.dir(c, "D          ", c+1)
	}
	v := m.mount(t)
	if _, err := v.Open(strings.Repeat("D/", maxDepth-1) + "D"); err != nil {
		t.Error(err)
	}
	if _, err := v.Open(strings.Repeat("D/", maxDepth) + "D"); err == nil || !strings.Contains(err.Error(), "levels deep") {
		t.Errorf("error %v", err)
	}
}

func TestExtents(t *testing.T) {
	for _, c := range []struct{ sector, perCluster int }{{512, 1}, {512, 8}, {4096, 1}} {
		m := sample(c.sector, c.perCluster, 2)
		d := m.device()
		v, err := Mount(d)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"MODELS/JOURNAL.LOG", "FRAGMENT.BIN", "MODELS/EMPTY"} {
			want, err := v.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			list, err := v.Extents(name)
			if err != nil {
				t.Fatal(err)
			}
			var got []byte
			for _, x := range list {
				p := make([]byte, x.Count*uint64(d.BlockSize()))
				if err := d.ReadBlocks(x.First, p); err != nil {
					t.Fatal(err)
				}
				got = append(got, p...)
			}
			if len(got)-len(want) >= d.BlockSize() || !bytes.Equal(got[:len(want)], want) {
				t.Errorf("%s: the blocks hold something else", name)
			}
		}
		if list, _ := v.Extents("MODELS/JOURNAL.LOG"); len(list) != 2 {
			t.Errorf("%d extents, want 2", len(list))
		}
		if _, err := v.Extents("MODELS"); !errors.Is(err, readfs.ErrIsDir) {
			t.Errorf("extents of a directory: %v", err)
		}
	}
}

// TestConcurrent reads from many goroutines, each walking into caches that
// the others fill.
func TestConcurrent(t *testing.T) {
	v := sample(512, 1, 2).mount(t)
	want, err := sample(512, 1, 2).mount(t).ReadFile("FRAGMENT.BIN")
	if err != nil {
		t.Fatal(err)
	}
	shared, err := v.Open("FRAGMENT.BIN")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	for g := range 8 {
		go func() {
			for i := range 200 {
				off := (g*31 + i*17) % len(want)
				p := make([]byte, 300)
				n, err := shared.(io.ReaderAt).ReadAt(p, int64(off))
				if !bytes.Equal(p[:n], want[off:off+n]) || err != nil && err != io.EOF {
					done <- fmt.Errorf("ReadAt %d: %d, %v", off, n, err)
					return
				}
				if b, err := v.ReadFile("fragment.bin"); err != nil || !bytes.Equal(b, want) {
					done <- fmt.Errorf("ReadFile: %v", err)
					return
				}
				if _, err := v.ReadDir("MODELS"); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range 8 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestReadErrors(t *testing.T) {
	m := sample(512, 1, 2)
	d := m.device()
	v, err := Mount(d)
	if err != nil {
		t.Fatal(err)
	}
	f, err := v.Open("FRAGMENT.BIN")
	if err != nil {
		t.Fatal(err)
	}
	bad := fstest.ErrUnreadable
	at := int64(m.tableAt(2) + (5-2)*512) // cluster 5, the middle one
	d.MakeUnreadable(at, at+512)
	p := make([]byte, 1500)
	if n, err := f.(io.ReaderAt).ReadAt(p, 0); n != 512 || !errors.Is(err, bad) {
		t.Errorf("ReadAt = %d, %v", n, err)
	}
	if n, err := io.ReadFull(f, p[:100]); n != 100 || err != nil {
		t.Errorf("Read before the bad block = %d, %v", n, err)
	}
	if n, err := io.ReadAll(f); len(n) != 412 || !errors.Is(err, bad) {
		t.Errorf("ReadAll = %d, %v", len(n), err)
	}
	if _, err := v.ReadFile("FRAGMENT.BIN"); !errors.Is(err, bad) {
		t.Errorf("ReadFile: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if _, err := f.Read(p); !errors.Is(err, iofs.ErrClosed) {
		t.Errorf("Read after Close: %v", err)
	}
	if err := f.Close(); !errors.Is(err, iofs.ErrClosed) {
		t.Errorf("second Close: %v", err)
	}
}

func TestInPlace(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, c := range []struct{ sector, perCluster, block int }{{512, 1, 512}, {512, 64, 512}, {4096, 1, 4096}, {512, 16, 4096}} {
		m := newImage(c.sector, c.perCluster, 100, 2)
		m.dir(2, "DATA       ", 3)
		cluster := c.sector * c.perCluster
		cs := []uint32{10, 11, 12, 50, 51, 30, 31, 32, 33, 90}
		want := m.file(3, "JOURNAL LOG", len(cs)*cluster-9, cs...)
		outside := slices.Clone(m.b)
		v, err := Mount(fstest.NewDevice(m.b, c.block))
		if err != nil {
			t.Fatal(err)
		}
		f, err := v.OpenInPlace("data/journal.log")
		if err != nil {
			t.Fatal(err)
		}
		if f.Size() != int64(len(want)) {
			t.Fatalf("size %d, want %d", f.Size(), len(want))
		}
		for range 300 {
			off := r.IntN(len(want) + 1)
			n := min(r.IntN(1<<r.IntN(18)), len(want)-off)
			p := make([]byte, n)
			for i := range p {
				p[i] = byte(r.Uint32())
			}
			if got, err := f.WriteAt(p, int64(off)); got != n || err != nil {
				t.Fatalf("WriteAt(%d bytes, %d) = %d, %v", n, off, got, err)
			}
			copy(want[off:], p)
		}
		got := make([]byte, len(want))
		if _, err := f.ReadAt(got, 0); err != nil || !bytes.Equal(got, want) {
			t.Errorf("the file does not hold what was written, error %v", err)
		}
		if err := f.Sync(); err != nil {
			t.Error(err)
		}
		// Everything but the file's bytes is as before.
		for _, bytesOf := range []*image{m, {b: outside, sector: m.sector, perCluster: m.perCluster, reserved: m.reserved, table: m.table, copies: m.copies, clusters: m.clusters}} {
			left := len(want)
			for _, c := range cs {
				d := bytesOf.data(c)
				clear(d[:min(len(d), left)])
				left -= min(len(d), left)
			}
		}
		if !bytes.Equal(m.b, outside) {
			t.Error("something beside the file was changed")
		}
		for _, c := range []struct{ off, n int64 }{{f.Size(), 1}, {f.Size() - 1, 2}, {f.Size() + 1, 0}, {-1, 1}, {1 << 62, 1}} {
			if n, err := f.WriteAt(make([]byte, c.n), c.off); n != 0 || !errors.Is(err, fs.ErrFull) {
				t.Errorf("WriteAt(%d bytes, %d) = %d, %v; want fs.ErrFull", c.n, c.off, n, err)
			}
		}
		if n, err := f.WriteAt(nil, f.Size()); n != 0 || err != nil {
			t.Errorf("empty write at the end: %v", err)
		}
	}
}

func TestInPlaceRefuses(t *testing.T) {
	m := sample(512, 1, 2)
	m.add(2, "READONLY   ", "", 0x21, 0, 0)
	v := m.mount(t)
	for name, want := range map[string]error{"none": iofs.ErrNotExist, "MODELS": readfs.ErrIsDir, "READONLY": iofs.ErrPermission, "..": iofs.ErrInvalid} {
		if _, err := v.OpenInPlace(name); !errors.Is(err, want) {
			t.Errorf("OpenInPlace(%q): %v, want %v", name, err, want)
		}
	}
}

// TestInPlaceCut cuts the power after each block of a write: before the cut
// there is the new content, after it the old, and nothing else changed.
func TestInPlaceCut(t *testing.T) {
	fresh := func() (*image, []byte) {
		m := sample(512, 1, 2)
		m.data(2) // keep the layout of sample
		var b []byte
		for _, c := range []uint32{25, 26, 30, 31} {
			b = append(b, m.data(c)...)
		}
		return m, b
	}
	p := bytes.Repeat([]byte{0xAB}, 1500)
	for cut := range 5 {
		m, want := fresh()
		d := m.device()
		v, err := Mount(d)
		if err != nil {
			t.Fatal(err)
		}
		f, err := v.OpenInPlace("MODELS/JOURNAL.LOG")
		if err != nil {
			t.Fatal(err)
		}
		d.CutAfter(cut + 1)
		_, err = f.WriteAt(p, 300)
		if (err == nil) != (cut == 4) || err != nil && !errors.Is(err, fstest.ErrPowerCut) {
			t.Errorf("cut after %d: %v", cut, err)
		}
		copy(want[300:max(300, cut*512)], p)
		if cut == 4 {
			copy(want[300:], p)
		}
		d.PowerOn()
		got, err := m.mount(t).ReadFile("MODELS/JOURNAL.LOG")
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("cut after %d: the file holds something else, error %v", cut, err)
		}
	}
}

// FuzzVolume mounts whatever bytes there are, walks through it and reads.
func FuzzVolume(f *testing.F) {
	f.Add(sample(512, 1, 2).b, false)
	f.Add(sample(512, 1, 1).b, false)
	f.Add(sample(512, 1, 1).b, true)
	knot := sample(512, 1, 2)
	knot.add(3, "KNOT       ", "", 0x10, 2, 0)
	knot.set(-1, 9, 9)
	f.Add(knot.b, false)
	backup := sample(512, 1, 2)
	clear(backup.b[:512])
	f.Add(backup.b, false)
	long := sample(512, 1, 2)
	f.Add(long.b[:len(long.b)-3000], false)
	f.Fuzz(func(t *testing.T, data []byte, large bool) {
		block := 512
		if large {
			block = 4096
		}
		check := func(err error) {
			if err != nil && strings.Contains(err.Error(), "\n") {
				t.Errorf("error has more than one line: %q", err)
			}
		}
		d := fstest.NewDevice(slices.Clone(data), block)
		v, err := Mount(d)
		if check(err); err != nil {
			return
		}
		steps := 0
		err = iofs.WalkDir(v, ".", func(path string, e iofs.DirEntry, err error) error {
			// Each directory entry is met at most once, and refused at most once.
			if steps++; steps > 2*len(data)/32+10 {
				t.Fatalf("the walk through %d bytes has no end", len(data))
			}
			if check(err); err != nil || e.IsDir() {
				return nil
			}
			if !iofs.ValidPath(path) {
				t.Errorf("path %q is not valid", path)
			}
			b, err := v.ReadFile(path)
			check(err)
			g, err2 := v.Open(path)
			if (err == nil) != (err2 == nil) {
				t.Errorf("%q: ReadFile %v, Open %v", path, err, err2)
			}
			if err2 != nil {
				return nil
			}
			defer g.Close()
			if len(b) > len(data) {
				t.Errorf("%q has %d bytes on a medium of %d", path, len(b), len(data))
			}
			p := make([]byte, 700)
			n, err := g.(io.ReaderAt).ReadAt(p, int64(len(b)/3))
			if !bytes.Equal(p[:n], b[len(b)/3:][:n]) {
				t.Errorf("%q: ReadAt and ReadFile differ", path)
			}
			check(err)
			if w, err := v.OpenInPlace(path); err == nil && len(b) > 2 {
				if _, err := w.WriteAt(b[1:2], 1); err != nil {
					t.Errorf("%q: %v", path, err)
				}
			}
			return nil
		})
		check(err)
		if !bytes.Equal(d.Bytes(), data[:len(d.Bytes())]) {
			t.Error("writing back what was read changed the medium")
		}
	})
}

// FuzzDirectory reads any bytes as a directory.
func FuzzDirectory(f *testing.F) {
	m := sample(512, 2, 1)
	f.Add(m.data(2))
	f.Add(m.data(3))
	f.Fuzz(func(t *testing.T, data []byte) {
		d := parseDir(data, 2)
		if len(d.entries) > len(data)/32 {
			t.Errorf("%d entries in %d bytes", len(d.entries), len(data))
		}
		for i, e := range d.entries {
			if !iofs.ValidPath(e.name) || strings.ContainsAny(e.name, "/\\") || e.name == "." {
				t.Errorf("name %q", e.name)
			}
			if j, ok := d.byName[fold(e.name)]; !ok || j != i {
				t.Errorf("%q is entry %d but found as %d", e.name, i, j)
			}
			if i > 0 && d.entries[i-1].name >= e.name {
				t.Errorf("%q comes before %q", d.entries[i-1].name, e.name)
			}
		}
	})
}

// BenchmarkRead reads a file of 256 MiB from an image file in requests of 4
// MiB: the blocks of the device itself, the file in one piece, and the file
// in pieces of 1 MiB and of one cluster of 4 KiB.
func BenchmarkRead(b *testing.B) {
	const size, cluster = 256 << 20, 4096
	const n = size / cluster
	m := newImage(512, 8, 2*n+200, 2)
	layout := func(piece int) []uint32 {
		cs := make([]uint32, n)
		for i := range cs {
			cs[i] = uint32(100 + i)
			if piece < n {
				cs[i] = uint32(100 + i/piece*2*piece + i%piece)
			}
		}
		return cs
	}
	m.add(2, "WHOLE      ", "", 0x20, 100, size)
	m.add(2, "MIB        ", "", 0x20, 100, size)
	m.add(2, "CLUSTER    ", "", 0x20, 100, size)
	img := filepath.Join(b.TempDir(), "image")
	buf := make([]byte, 4<<20)
	for i, c := range []struct {
		name  string
		piece int
	}{{"WHOLE", n}, {"MIB", 1 << 20 / cluster}, {"CLUSTER", 1}} {
		var f iofs.File
		var dev *fs.FileDevice
		b.Run(c.name, func(b *testing.B) {
			if f == nil {
				m.chain(layout(c.piece)...)
				if err := os.WriteFile(img, m.b, 0o600); err != nil {
					b.Fatal(err)
				}
				var err error
				if dev, err = fs.OpenFileDevice(img, 512, false); err != nil {
					b.Fatal(err)
				}
				v, err := Mount(dev)
				if err != nil {
					b.Fatal(err)
				}
				if f, err = v.Open(c.name); err != nil {
					b.Fatal(err)
				}
			}
			b.SetBytes(size)
			for b.Loop() {
				for off := int64(0); off < size; off += int64(len(buf)) {
					if _, err := f.(io.ReaderAt).ReadAt(buf, off); err != nil && err != io.EOF {
						b.Fatal(err)
					}
				}
			}
		})
		if i == 0 && dev != nil {
			b.Run("device", func(b *testing.B) {
				b.SetBytes(size)
				for b.Loop() {
					for lba := uint64(3000); lba < 3000+size/512; lba += uint64(len(buf) / 512) {
						if err := dev.ReadBlocks(lba, buf); err != nil {
							b.Fatal(err)
						}
					}
				}
			})
		}
		if dev != nil {
			dev.Close()
		}
	}
}

// BenchmarkOpen mounts a volume and opens a file of 256 MiB on it.
func BenchmarkOpen(b *testing.B) {
	const size, cluster = 256 << 20, 4096
	m := newImage(512, 8, size/cluster+10, 2)
	var cs []uint32
	for i := range size / cluster {
		cs = append(cs, uint32(3+i))
	}
	m.add(2, "BIG        ", "", 0x20, 3, size)
	m.chain(cs...)
	d := m.device()
	for b.Loop() {
		v, err := Mount(d)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := v.Open("BIG"); err != nil {
			b.Fatal(err)
		}
	}
}

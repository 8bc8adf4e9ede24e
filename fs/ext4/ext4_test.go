package ext4

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"alphaos/fs"
	"alphaos/fs/fstest"
	"alphaos/fs/readfs"
)

// watch remembers the buffers that a device was asked to fill.
type watch struct {
	fs.BlockDevice
	reads [][]byte
}

func (w *watch) ReadBlocks(lba uint64, p []byte) error {
	w.reads = append(w.reads, p)
	return w.BlockDevice.ReadBlocks(lba, p)
}

// TestIndex looks names up in directories with hash trees, of each kind of hash, and counts the
// blocks that it takes.
func TestIndex(t *testing.T) {
	needs(t, "mke2fs", "e2fsck", "tune2fs", "debugfs")
	outer, src := t, t.TempDir()
	write(t, filepath.Join(src, "file"), []byte("content"))
	if err := os.Mkdir(filepath.Join(src, "many"), 0o755); err != nil {
		t.Fatal(err)
	}
	var names []string
	for i := range 2500 {
		name := fmt.Sprintf("%05d %s", i, strings.Repeat("ü", 90+i%20))
		if i%3 == 0 {
			name = fmt.Sprint(i)
		}
		if err := os.Link(filepath.Join(src, "file"), filepath.Join(src, "many", name)); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	made := map[string]string{}
	for _, c := range []struct{ hash, flags, mkfs string }{
		{"half_md4", "1", "-t ext4 -b 1024"},
		{"half_md4", "2", "-t ext4 -b 1024"},
		{"tea", "1", "-t ext4 -b 1024"},
		{"tea", "2", "-t ext4 -b 4096"},
		{"legacy", "1", "-t ext3 -b 1024"},
		{"legacy", "2", "-t ext4 -b 1024"},
	} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			if made[c.mkfs] == "" {
				made[c.mkfs] = mkfs(outer, 16<<20, src, strings.Fields(c.mkfs)...)
			}
			img := copyFile(t, made[c.mkfs])
			program(t, "", nil, "tune2fs", "-E", "hash_alg="+c.hash, img)
			debugfs(t, img, "ssv flags "+c.flags)
			repair(t, img, "-D")
			dev := open(t, img, 512)
			v := mount(t, dev)
			dir := must(v.resolve("test", "many", true))
			if !v.indexed(dir) || dir.size < 1<<18 {
				t.Fatalf("the directory has no index or only %d bytes", dir.size)
			}
			for i, name := range names {
				e, err := v.findIndexed(dir, []byte(name))
				if err != nil {
					t.Fatalf("%q: %v", name, err)
				}
				if i%50 > 0 {
					continue
				}
				if f, err := v.findLinear(dir, name); err != nil || e != f {
					t.Fatalf("%q: %+v by the index, %+v without, %v", name, e, f, err)
				}
			}
			for _, name := range []string{"", "none", "05999", names[1] + "x"} {
				if _, err := v.findIndexed(dir, []byte(name)); err != iofs.ErrNotExist {
					t.Errorf("%q: %v", name, err)
				}
			}
			for range 50 {
				name := names[rand.IntN(len(names))]
				v := mount(t, dev)
				if b, err := v.ReadFile("many/" + name); err != nil || string(b) != "content" {
					t.Errorf("%q: %q, %v", name, b, err)
				}
				if n := len(v.owner); n > 1+4 { // of the root directory, and of this
					t.Errorf("looking up %q took %d blocks of directories", name, n)
				}
			}
		})
	}
}

// TestFragments has debugfs write files into what is left of a volume between others.
func TestFragments(t *testing.T) {
	needs(t, "mke2fs", "e2fsck", "debugfs")
	for _, args := range []string{"-t ext4 -b 1024", "-t ext4 -b 1024 -O ^metadata_csum,^64bit", "-t ext4 -b 1024 -O ^extent,^64bit", "-t ext2 -b 1024", "-t ext2 -b 4096"} {
		t.Run(args, func(t *testing.T) {
			src, out := t.TempDir(), t.TempDir()
			block := 1024
			if strings.HasSuffix(args, "4096") {
				block = 4096
			}
			for i := range 2000 {
				write(t, filepath.Join(src, fmt.Sprintf("small/%d", i)), fill(uint64(i), block))
			}
			write(t, filepath.Join(src, "big"), fill(1, 800*block+77))
			// A hole at the beginning, one between blocks, one at the end.
			sparse := filepath.Join(src, "sparse")
			write(t, sparse, nil)
			f, err := os.OpenFile(sparse, os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			for i := range 300 {
				if _, err := f.WriteAt(fill(uint64(i), block), int64(block)*(20+int64(i)*7)); err != nil {
					t.Fatal(err)
				}
			}
			if err := errors.Join(f.Truncate(int64(block)*4000), f.Close()); err != nil {
				t.Fatal(err)
			}
			img := mkfs(t, int64(block)*10<<10, filepath.Join(src, "small"), append(strings.Fields(args), "-N", "2500", "-m", "0")...)
			var commands []string
			for i := 0; i < 2000; i += 2 {
				commands = append(commands, fmt.Sprintf("rm %d", i))
			}
			commands = append(commands, fmt.Sprintf("write %s/big big", src), fmt.Sprintf("write %s sparse", sparse))
			if !strings.Contains(args, "ext2") && !strings.Contains(args, "^extent") {
				commands = append(commands, fmt.Sprintf("write %s aside", sparse), "fallocate aside 0 6000")
			}
			debugfs(t, img, commands...)
			check(t, img)
			debugfs(t, img, fmt.Sprintf("rdump / %s", out))
			v := mount(t, open(t, img, 512))
			same(t, v, out)
			big := must(v.resolve("test", "big", true))
			pieces := 0
			for off := int64(0); off < big.size; pieces++ {
				_, n, err := (content{v, big, big.size}).piece(off, big.size-off)
				if err != nil {
					t.Fatal(err)
				}
				off += n
			}
			if pieces < 300 {
				t.Errorf("the file is in only %d pieces", pieces)
			}
			if big.flags&flagExtents != 0 {
				if x, _ := parseExtentNode(big.map_[:]); x.depth < 2 {
					t.Errorf("the tree has only %d levels", x.depth)
				}
			}
		})
	}
}

// A file may be longer than 4 GiB.
func TestLargeFile(t *testing.T) {
	needs(t, "mke2fs")
	src := t.TempDir()
	name := filepath.Join(src, "large")
	write(t, name, fill(1, 100000))
	f := must(os.OpenFile(name, os.O_RDWR, 0))
	defer f.Close()
	const size = 6<<30 + 77
	must(f.WriteAt(fill(2, 500000), 5<<30-100000))
	must(f.WriteAt(fill(3, 500000), size-500000))
	for _, args := range []string{"-t ext4", "-t ext2 -b 4096"} {
		v := mount(t, open(t, mkfs(t, 32<<20, src, strings.Fields(args)...), 512))
		g := must(v.Open("large"))
		if i, err := g.Stat(); err != nil || i.Size() != size {
			t.Fatal(i, err)
		}
		compare(t, "large", g.(io.ReaderAt), f, size)
		compare(t, "large", io.NewSectionReader(g.(io.ReaderAt), 5<<30-200000, 700000), io.NewSectionReader(f, 5<<30-200000, 700000), 700000)
		if _, err := v.ReadFile("large"); err == nil || !strings.Contains(err.Error(), "only be read in parts") {
			t.Errorf("%s: ReadFile: %v", args, err)
		}
	}
}

func TestTimes(t *testing.T) {
	needs(t, "mke2fs", "debugfs")
	src := t.TempDir()
	write(t, filepath.Join(src, "file"), nil)
	img := mkfs(t, 8<<20, src, "-t", "ext4")
	for _, c := range []struct {
		low, extra string
		want       time.Time
	}{
		{"@0x65920080", "0x1d6f3454", time.Unix(0x65920080, 123456789)},
		{"@0x65920080", "0x1d6f3455", time.Unix(0x65920080+1<<32, 123456789)},
		{"@0xffffffff", "0", time.Unix(-1, 0)},
		{"@0x80000000", "1", time.Unix(1<<31, 0)},
		{"@0x7fffffff", "0xee6b27ff", time.Unix(3<<32+1<<31-1, 999999999)},
		{"@0x10", "0xee6b2800", time.Unix(16, 0)}, // more than a second of nanoseconds
	} {
		debugfs(t, img, "sif file mtime "+c.low, "sif file mtime_extra "+c.extra)
		i, err := mount(t, open(t, img, 512)).Stat("file")
		if err != nil || !i.ModTime().Equal(c.want) {
			t.Errorf("%s and %s: %v, %v; want %v", c.low, c.extra, i, err, c.want.UTC())
		}
	}
}

// damage mounts an image in which some bytes are changed, and opens a file.
func damage(data []byte, name string, do func(b []byte)) (*FS, error) {
	b := slices.Clone(data)
	do(b)
	v, err := Mount(fstest.NewDevice(b, 512))
	if err != nil {
		return nil, err
	}
	_, err = v.ReadFile(name)
	return v, err
}

// Whatever metadata do not match their checksum, an error says so.
func TestChecksums(t *testing.T) {
	needs(t, "mke2fs", "e2fsck", "debugfs")
	src := t.TempDir()
	for i := range 300 {
		write(t, filepath.Join(src, fmt.Sprintf("many/%d", i)), fill(uint64(i), 10))
	}
	write(t, filepath.Join(src, "file"), fill(1, 300000))
	for _, args := range []string{"-t ext4 -b 1024 -g 1024", "-t ext4 -b 1024 -g 1024 -O metadata_csum_seed -I 128"} {
		img := mkfs(t, 6<<20, src, strings.Fields(args)...)
		var commands []string
		for i := range 300 {
			commands = append(commands, fmt.Sprintf("punch file %d %d", 2*i, 2*i)) // every second block
		}
		debugfs(t, img, commands...)
		repair(t, img, "-D")
		data := must(os.ReadFile(img))
		v := mount(t, open(t, img, 512))
		n := must(v.resolve("test", "file", true))
		table := int(must(v.inodeTable(0)))
		x := must(parseExtentNode(n.map_[:]))
		dir := must(v.resolve("test", "many", true))
		if x.depth == 0 || !v.indexed(dir) {
			t.Fatal("no extent tree or no index")
		}
		block := func(dir *inode, i uint64) int { return int(must(v.locate(dir, i)).first) * 1024 }
		for _, c := range []struct {
			what, name string
			at         int
		}{
			{"the inode", "file", table*1024 + (int(n.number)-1)*int(v.inodeSize) + 4},
			{"the inode's end", "file", table*1024 + int(n.number)*int(v.inodeSize) - 1},
			{"the extent tree", "file", int(x.child(0))*1024 + 20},
			{"the directory's index", "many/1", block(dir, 0) + 0x28},
			{"the root directory", "file", block(must(v.root()), 0) + 20},
		} {
			if _, err := damage(data, c.name, func([]byte) {}); err != nil {
				t.Fatal(err)
			}
			_, err := damage(data, c.name, func(b []byte) { b[c.at] ^= 4 })
			if err == nil || !strings.Contains(err.Error(), "does not match its checksum: "+remedy) {
				t.Errorf("%s, %s: %v", args, c.what, err)
			}
		}
		leaf := must(v.find(dir, "1")).at
		if _, err := damage(data, "many/1", func(b []byte) { b[block(dir, uint64(leaf/1024))+1000] ^= 4 }); err == nil || !strings.Contains(err.Error(), "checksum") {
			t.Errorf("%s, a leaf: %v", args, err)
		}
		// Descriptors have backups; without these it is an error.
		v2, err := damage(data, "file", func(b []byte) { b[2048+8] ^= 4 })
		if err != nil || len(v2.Notes()) != 1 || !strings.Contains(v2.Notes()[0], "backups of them") {
			t.Errorf("%s, descriptor: %v, %v", args, v2, err)
		}
		_, err = damage(data, "file", func(b []byte) {
			for _, at := range v.descriptorsAt(0) {
				b[at*1024+8] ^= 4
			}
		})
		if err == nil || !strings.Contains(err.Error(), "does not match its checksum") {
			t.Errorf("%s, all descriptors: %v", args, err)
		}
	}
	img := mkfs(t, 6<<20, src, "-t", "ext4", "-O", "^metadata_csum,uninit_bg", "-b", "1024", "-g", "1024")
	v, err := damage(must(os.ReadFile(img)), "file", func(b []byte) { b[2048+8] ^= 4 })
	if err != nil || len(v.Notes()) != 1 {
		t.Errorf("descriptor with the older checksum: %v, %v", v, err)
	}
}

// A superblock that is damaged, unreadable or gone is found elsewhere.
func TestBackupSuperblock(t *testing.T) {
	needs(t, "mke2fs")
	src := t.TempDir()
	write(t, filepath.Join(src, "file"), fill(1, 30000))
	for _, args := range []string{"-t ext4 -b 1024", "-t ext4 -b 2048", "-t ext4 -b 4096", "-t ext2 -b 1024", "-t ext4 -b 1024 -O sparse_super2"} {
		mib := int64(20)
		if strings.Contains(args, "2048") {
			mib = 70
		} else if strings.Contains(args, "4096") {
			mib = 300
		}
		img := mkfs(t, mib<<20, src, strings.Fields(args)...)
		f := must(os.OpenFile(img, os.O_RDWR, 0))
		defer f.Close()
		head := make([]byte, 2048)
		must(f.ReadAt(head, 0))
		sums := mount(t, open(t, img, 512)).is(roMetadataSum)
		for what, do := range map[string]func(b []byte){
			"zeros":    func(b []byte) { clear(b[1024:2048]) },
			"junk":     func(b []byte) { copy(b[1024:], fill(3, 1024)) },
			"nonsense": func(b []byte) { b[1024+0x18] = 99 },
			"checksum": func(b []byte) { b[1024+0x3FC] ^= 1 },
		} {
			if what == "checksum" && !sums {
				continue
			}
			b := slices.Clone(head)
			do(b)
			must(f.WriteAt(b, 0))
			v, err := Mount(open(t, img, 512))
			if err != nil {
				t.Errorf("%s, %s: %v", args, what, err)
				continue
			}
			if got, err := v.ReadFile("file"); err != nil || !bytes.Equal(got, fill(1, 30000)) || v.Label() != "TESTLABEL" {
				t.Errorf("%s, %s: %v", args, what, err)
			}
			if n := v.Notes(); len(n) != 1 || !strings.Contains(n[0], "superblock is damaged") {
				t.Errorf("%s, %s: notes %q", args, what, n)
			}
		}
		must(f.WriteAt(head, 0))
		if mib > 20 {
			continue
		}
		data := must(os.ReadFile(img))
		d := fstest.NewDevice(slices.Clone(data), 512)
		d.MakeUnreadable(1024, 1025)
		if _, err := mount(t, d).ReadFile("file"); err != nil {
			t.Error(err)
		}
		// What a volume was before it was formatted as something else does not count.
		for what, do := range map[string]func(b []byte){
			"boot sector": func(b []byte) { clear(b[:4096]); b[510], b[511] = 0x55, 0xAA },
			"no root":     func(b []byte) { clear(b[:300<<10]) },
			"all":         func(b []byte) { clear(b) },
		} {
			if _, err := damage(data, "file", do); !errors.Is(err, ErrNotExt4) {
				t.Errorf("%s, %s: %v, want ErrNotExt4", args, what, err)
			}
		}
	}
}

// Features that are not read are named in one sentence.
func TestRefused(t *testing.T) {
	needs(t, "mke2fs", "debugfs")
	src := t.TempDir()
	write(t, filepath.Join(src, "file"), fill(1, 3000))
	for args, want := range map[string]string{
		"-t ext4 -O inline_data":           "(inline_data); copy its files to one made with mkfs.ext4 -O ^inline_data",
		"-t ext4 -O casefold":              "(casefold);",
		"-t ext4 -O casefold,inline_data":  "(inline_data, casefold); copy its files to one made with mkfs.ext4 -O ^inline_data,^casefold",
		"-b 4096 -O journal_dev":           "journal_dev",
		"-t ext4 -E encoding=utf8 -I 1024": "(casefold);",
	} {
		from := src
		if strings.Contains(args, "journal_dev") {
			from = ""
		}
		img := mkfs(t, 16<<20, from, strings.Fields(args)...)
		if _, err := Mount(open(t, img, 512)); err == nil || !strings.Contains(err.Error(), want) || errors.Is(err, ErrNotExt4) {
			t.Errorf("%s: %v, want %q", args, err, want)
		}
	}
	img := mkfs(t, 8<<20, src, "-t", "ext4", "-O", "^metadata_csum")
	data := must(os.ReadFile(img))
	for bit, want := range map[uint32]string{
		0x1:        "(compression);",
		0x1000:     "(dirdata);",
		0x800:      "(an unknown one, incompat 0x800); copy its files to one made with mkfs.ext4",
		0x80000000: "(an unknown one, incompat 0x80000000);",
	} {
		_, err := damage(data, "file", func(b []byte) {
			le := binary.LittleEndian
			le.PutUint32(b[superAt+0x60:], le.Uint32(b[superAt+0x60:])|bit)
		})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("incompat %#x: %v, want %q", bit, err, want)
		}
	}
	// Single files.
	img = mkfs(t, 8<<20, src, "-t", "ext4", "-O", "encrypt")
	debugfs(t, img, "mkdir folder", "mknod pipe p", "symlink link file", "sif file flags 0x80800", "sif folder flags 0x80800", "sif link flags 0x800")
	v := mount(t, open(t, img, 512))
	for _, name := range []string{"file", "folder", "link"} {
		if _, err := v.Open(name); err == nil || !strings.Contains(err.Error(), "encrypted by ext4") {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := v.Lstat(name); err != nil {
			t.Error(err)
		}
	}
	if _, err := v.Open("pipe"); err == nil || !strings.Contains(err.Error(), "only Linux") {
		t.Error(err)
	}
	if _, err := v.Open("folder/x"); err == nil || !strings.Contains(err.Error(), "encrypted by ext4") {
		t.Error(err)
	}
}

func TestErrors(t *testing.T) {
	v := sample(t, "ext4")
	for name, want := range map[string]error{
		"none": iofs.ErrNotExist, "many/none": iofs.ErrNotExist, "file/x": iofs.ErrNotExist, "links/nowhere": iofs.ErrNotExist,
		"": iofs.ErrInvalid, "/file": iofs.ErrInvalid, "many/../file": iofs.ErrInvalid,
	} {
		if _, err := v.Open(name); !errors.Is(err, want) {
			t.Errorf("Open(%q): %v, want %v", name, err, want)
		}
	}
	if _, err := v.ReadFile("many"); !errors.Is(err, readfs.ErrIsDir) {
		t.Errorf("ReadFile of a directory: %v", err)
	}
	if _, err := v.ReadDir("file"); !errors.Is(err, readfs.ErrNotDir) {
		t.Errorf("ReadDir of a file: %v", err)
	}
	if _, err := v.ReadLink("file"); !errors.Is(err, iofs.ErrInvalid) {
		t.Errorf("ReadLink of a file: %v", err)
	}
	if _, err := v.Stat("links/circle"); err == nil || !strings.Contains(err.Error(), "in a circle") {
		t.Errorf("a link to itself: %v", err)
	}
	f := must(v.Open("file"))
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if _, err := f.Read(make([]byte, 1)); !errors.Is(err, iofs.ErrClosed) {
		t.Error(err)
	}
	if _, err := f.(io.ReaderAt).ReadAt(make([]byte, 1), 0); !errors.Is(err, iofs.ErrClosed) {
		t.Error(err)
	}
}

// Directories that lead to each other: a walk must end and each be reached once.
func TestKnots(t *testing.T) {
	needs(t, "mke2fs", "debugfs")
	for what, commands := range map[string][]string{
		"root in itself": {"ln . knot"},
		"in itself":      {"ln a/b a/b/knot"},
		"parent":         {"ln a a/b/knot"},
		"two ways":       {"ln a/b knot"},
		"two names":      {"ln a/b a/knot"},
		"deleted file":   {"mkdir c", "sif c links_count 0"},
		"own inode":      {"ln <8> knot"},
	} {
		img := mkfs(t, 8<<20, "", "-t", "ext4")
		debugfs(t, img, append([]string{"mkdir a", "mkdir a/b", "mkdir a/b/c", "symlink a/b/d /"}, commands...)...)
		v := mount(t, open(t, img, 512))
		steps, refused := 0, 0
		err := iofs.WalkDir(v, ".", func(path string, d iofs.DirEntry, err error) error {
			if steps++; steps > 100 {
				return errors.New("no end")
			}
			if err != nil {
				refused++
			} else if _, err := d.Info(); err != nil {
				refused++
			}
			return nil
		})
		if err != nil || refused == 0 {
			t.Errorf("%s: %v, %d refused", what, err, refused)
		}
	}
}

// device holds blocks that a test made, for files without a volume.
func device(t *testing.T, blocks map[uint64][]byte) *FS {
	t.Helper()
	const block, total = 1024, 5000
	b := make([]byte, block*total)
	for i := range total {
		binary.LittleEndian.PutUint64(b[block*i:], uint64(i))
	}
	for at, x := range blocks {
		clear(b[block*at:][:block])
		copy(b[block*at:], x)
	}
	vol, err := readfs.New(fstest.NewDevice(b, 512))
	if err != nil {
		t.Fatal(err)
	}
	v := &FS{vol: vol, sector: 512, chunks: map[int64][]byte{}, origin: map[uint32]position{}, owner: map[uint64]position{}}
	v.block, v.blocks = block, total
	return v
}

// node makes a node of an extent tree. An entry is the file's block and, in a leaf, how many,
// and where it leads.
func node(depth, most int, entries ...[3]uint64) []byte {
	le := binary.LittleEndian
	b := le.AppendUint16(nil, extentMagic)
	b = le.AppendUint16(b, uint16(len(entries)))
	b = le.AppendUint16(b, uint16(most))
	b = le.AppendUint16(b, uint16(depth))
	b = append(b, 0, 0, 0, 0)
	for _, e := range entries {
		b = le.AppendUint32(b, uint32(e[0]))
		if depth == 0 {
			b = le.AppendUint16(b, uint16(e[1]))
			b = le.AppendUint16(b, uint16(e[2]>>32))
			b = le.AppendUint32(b, uint32(e[2]))
		} else {
			b = le.AppendUint32(b, uint32(e[2]))
			b = le.AppendUint16(b, uint16(e[2]>>32))
			b = append(b, 0, 0)
		}
	}
	return b
}

func TestExtentTree(t *testing.T) {
	file := func(root []byte) *inode {
		n := &inode{mode: modeFile, flags: flagExtents, size: 1 << 40}
		copy(n.map_[:], root)
		return n
	}
	type e = [3]uint64
	// Five levels below the root.
	v := device(t, map[uint64][]byte{
		10: node(4, 84, e{0, 0, 11}, e{1000, 0, 16}),
		11: node(3, 84, e{0, 0, 12}),
		12: node(2, 84, e{0, 0, 13}),
		13: node(1, 84, e{0, 0, 14}, e{500, 0, 15}),
		14: node(0, 84, e{0, 5, 100}, e{5, 5, 105}, e{20, 10, 200}, e{30, 1<<15 + 7, 300}),
		15: node(0, 84, e{600, 4, 400}),
		16: node(3, 84, e{1000, 0, 17}),
		17: node(2, 84, e{1000, 0, 18}),
		18: node(1, 84, e{1000, 0, 19}),
		19: node(0, 84, e{1000, 1000, 1000}),
		20: node(4, 84, e{0, 0, 20}),
		21: node(0, 84),
	})
	n := file(node(5, 4, e{0, 0, 10}))
	for _, c := range []struct{ block, first, count uint64 }{
		{0, 100, 5}, {4, 104, 1}, {5, 105, 5}, {10, 0, 10}, {20, 200, 10}, {29, 209, 1}, {30, 0, 7}, {36, 0, 1}, {37, 0, 463},
		{499, 0, 1}, {500, 0, 100}, {600, 400, 4}, {604, 0, 396}, {1000, 1000, 1000}, {1999, 1999, 1}, {2000, 0, 1<<32 - 2000}, {1<<32 - 1, 0, 1},
	} {
		if r, err := v.locate(n, c.block); err != nil || r != (run{c.first, c.count}) {
			t.Errorf("block %d is in %v, %v; want %v", c.block, r, err, run{c.first, c.count})
		}
	}
	// Neighbours are read at once, whatever extents they are in.
	if at, count, err := (content{v, n, n.size}).piece(1024, 1<<20); at != 101*1024 || count != 9*1024 || err != nil {
		t.Errorf("%d bytes at %d, %v", count, at, err)
	}
	for what, root := range map[string][]byte{
		"too deep":           node(6, 4, e{0, 0, 10}),
		"leads to itself":    node(5, 4, e{0, 0, 20}),
		"wrong level":        node(2, 4, e{0, 0, 14}),
		"no node":            node(1, 4, e{0, 0, 30}),
		"no magic":           make([]byte, 60),
		"too many":           node(0, 400, e{0, 1, 100}),
		"beyond":             node(0, 4, e{0, 1, 5000}),
		"end beyond":         node(0, 4, e{0, 100, 4950}),
		"far beyond":         node(0, 4, e{0, 1, 1<<48 - 1}),
		"child beyond":       node(1, 4, e{0, 0, 1<<48 - 1}),
		"overlap":            node(0, 4, e{0, 10, 100}, e{5, 10, 200}),
		"out of order":       node(0, 4, e{0, 10, 100}, e{0, 10, 200}),
		"reaches over limit": node(0, 4, e{0, 10, 100}, e{1<<32 - 1, 10, 200}),
	} {
		found := false
		for _, block := range []uint64{0, 7, 1<<32 - 1} {
			_, err := v.locate(file(root), block)
			found = found || err != nil && strings.Contains(err.Error(), remedy)
		}
		if !found {
			t.Errorf("%s is no error", what)
		}
	}
	if r, err := v.locate(file(node(1, 4, e{0, 0, 21})), 3); err != nil || r != (run{0, 1<<32 - 3}) {
		t.Errorf("an empty leaf: %v, %v", r, err)
	}
}

func TestBlockMap(t *testing.T) {
	le := binary.LittleEndian
	numbers := func(n ...uint32) (b []byte) {
		for _, x := range n {
			b = le.AppendUint32(b, x)
		}
		return b
	}
	v := device(t, map[uint64][]byte{
		20: numbers(200, 201, 203, 0, 0, 204),
		21: numbers(0, 22),
		22: numbers(300, 301),
		23: numbers(24), 24: numbers(25), 25: numbers(400),
		26: numbers(6000),
	})
	n := &inode{mode: modeFile, size: 1 << 40}
	copy(n.map_[:], numbers(100, 101, 102, 0, 0, 0, 0, 110, 111, 0, 113, 112, 20, 21, 23))
	const single, double = 12 + 256, 12 + 256 + 256*256
	for _, c := range []struct{ block, first, count uint64 }{
		{0, 100, 3}, {1, 101, 2}, {3, 0, 4}, {7, 110, 2}, {10, 113, 1}, {11, 112, 1},
		{12, 200, 2}, {14, 203, 1}, {15, 0, 2}, {17, 204, 1}, {18, 0, 250},
		{single, 0, 256}, {single + 100, 0, 156}, {single + 256, 300, 2}, {single + 258, 0, 254}, {single + 512, 0, 256},
		{double, 400, 1}, {double + 1, 0, 255}, {double + 256, 0, 256}, {double + 65536, 0, 65536},
	} {
		if r, err := v.locate(n, c.block); err != nil || r != (run{c.first, c.count}) {
			t.Errorf("block %d is in %v, %v; want %v", c.block, r, err, run{c.first, c.count})
		}
	}
	copy(n.map_[:], numbers(9000, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 26, 1<<31))
	for _, block := range []uint64{0, 12, single, double + 256*256*256} {
		if _, err := v.locate(n, block); err == nil || !strings.Contains(err.Error(), remedy) {
			t.Errorf("block %d: %v", block, err)
		}
	}
}

// TestRequests pins down how many requests things take, and that large ones go straight into
// the caller's buffer.
func TestRequests(t *testing.T) {
	needs(t, "mke2fs")
	src := t.TempDir()
	want := fill(5, 33<<20)
	write(t, filepath.Join(src, "models/big.gguf"), want)
	img := mkfs(t, 300<<20, src, "-t", "ext4", "-b", "4096", "-G", "4")
	w := &watch{BlockDevice: open(t, img, 512)}
	v := mount(t, w)
	if len(w.reads) > 4 {
		t.Errorf("Mount took %d requests", len(w.reads))
	}
	w.reads = nil
	f := must(v.Open("models/big.gguf"))
	if len(w.reads) > 4 {
		t.Errorf("Open took %d requests", len(w.reads))
	}
	w.reads = nil
	p := make([]byte, 33<<20)
	if n, err := f.(io.ReaderAt).ReadAt(p[:8<<20], 1<<20); n != 8<<20 || err != nil || !bytes.Equal(p[:n], want[1<<20:9<<20]) {
		t.Fatalf("ReadAt: %d bytes, %v", n, err)
	}
	if len(w.reads) != 1 || &w.reads[0][0] != &p[0] || len(w.reads[0]) != 8<<20 {
		t.Errorf("8 MiB took %d requests or were not read into place", len(w.reads))
	}
	w.reads = nil
	if n, err := f.(io.ReaderAt).ReadAt(p[:4<<20], 100); n != 4<<20 || err != nil || !bytes.Equal(p[:n], want[100:100+4<<20]) {
		t.Fatalf("ReadAt: %d bytes, %v", n, err)
	}
	if len(w.reads) != 3 || &w.reads[1][0] != &p[412] {
		t.Errorf("4 unaligned MiB took %d requests or were not read into place", len(w.reads))
	}
	w.reads = nil
	if n, err := f.(io.ReaderAt).ReadAt(p[:5000], 20<<20+100); n != 5000 || err != nil || len(w.reads) != 1 {
		t.Errorf("5000 bytes took %d requests: %d, %v", len(w.reads), n, err)
	}
	w.reads = nil
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, io.LimitReader(f, 1<<20), make([]byte, 1000))
	if n != 1<<20 || err != nil || len(w.reads) > 9 {
		t.Errorf("copying 1 MiB in small pieces took %d requests: %d, %v", len(w.reads), n, err)
	}
}

// A block that cannot be read does not take its neighbours along.
func TestReadErrors(t *testing.T) {
	data := samples(t, "ext4")
	v := must(Mount(fstest.NewDevice(slices.Clone(data), 512)))
	n := must(v.resolve("test", "file", true))
	at := int64(must(v.locate(n, 1)).first) * v.block
	d := fstest.NewDevice(slices.Clone(data), 512)
	d.MakeUnreadable(at, at+v.block)
	v = mount(t, d)
	f := must(v.Open("file"))
	p := make([]byte, 3000)
	if n, err := f.(io.ReaderAt).ReadAt(p, 0); int64(n) != v.block || !errors.Is(err, fstest.ErrUnreadable) {
		t.Errorf("ReadAt = %d, %v", n, err)
	}
	if _, err := v.ReadFile("file"); !errors.Is(err, fstest.ErrUnreadable) {
		t.Error(err)
	}
	if _, err := v.ReadFile("many/7"); err != nil {
		t.Error(err)
	}
	// A medium that ends early says so.
	short := mount(t, fstest.NewDevice(data[:at], 512))
	if n := short.Notes(); !slices.ContainsFunc(n, func(s string) bool { return strings.Contains(s, "ends after") }) {
		t.Errorf("notes %q", n)
	}
	if _, err := short.ReadFile("file"); !errors.Is(err, fs.ErrOutOfRange) {
		t.Error(err)
	}
}

func TestConcurrent(t *testing.T) {
	v := sample(t, "ext4")
	want := must(sample(t, "ext4").ReadFile("file"))
	shared := must(v.Open("file"))
	done := make(chan error)
	for g := range 8 {
		go func() {
			for i := range 100 {
				off := (g*31 + i*17) % len(want)
				p := make([]byte, 300)
				n, err := shared.(io.ReaderAt).ReadAt(p, int64(off))
				if !bytes.Equal(p[:n], want[off:off+n]) || err != nil && err != io.EOF {
					done <- fmt.Errorf("ReadAt %d: %d, %v", off, n, err)
					return
				}
				if b, err := v.ReadFile("file"); err != nil || !bytes.Equal(b, want) {
					done <- fmt.Errorf("ReadFile: %v", err)
					return
				}
				if _, err := v.ReadDir("many"); err != nil {
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

// What is known of directories stays within a bound.
func TestManyDirectories(t *testing.T) {
	needs(t, "mke2fs")
	defer func(n int) { keepOwners = n }(keepOwners)
	keepOwners = 3
	src := t.TempDir()
	for _, dir := range []string{"a", "b", "c", "d"} {
		write(t, filepath.Join(src, dir, "file"), fill(1, 10))
	}
	v := mount(t, open(t, mkfs(t, 8<<20, src, "-t", "ext4", "-b", "1024"), 512))
	for _, dir := range []string{"a", "b"} {
		if _, err := v.ReadDir(dir); err != nil {
			t.Error(err)
		}
	}
	if _, err := v.ReadDir("c"); err == nil || !strings.Contains(err.Error(), "more than 3 blocks") {
		t.Error(err)
	}
}

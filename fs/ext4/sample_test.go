package ext4

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	iofs "io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"alphaos/fs/fstest"
)

// Small volumes in testdata, for where e2fsprogs is not installed and for fuzzing. They were
// made by e2fsprogs with go test ./fs/ext4 -run MakeSamples -make.

var makeSamples = flag.Bool("make", false, "make the volumes in testdata anew")

// sampleKinds are the volumes, by name, and how mke2fs was called.
var sampleKinds = map[string]string{
	"ext4":  "-t ext4 -b 1024 -N 300",                                // all checksums, what is in the journal waits
	"plain": "-t ext4 -b 1024 -N 64 -O ^metadata_csum,^resize_inode", // likewise, without checksums
	"ext2":  "-t ext2 -b 1024 -N 64 -O ^resize_inode",
}

// sampleFiles returns what is on a volume: first without what is in its journal, then with it.
func sampleFiles(kind string) (before, after map[string][]byte) {
	before = map[string][]byte{
		"file":     fill(1, 30000),
		"empty":    {},
		"old":      fill(2, 3000),
		"größe 日本": fill(3, 10),
	}
	many := 20
	if kind == "ext4" {
		many = 200
	}
	for i := range many {
		before[fmt.Sprintf("many/%d", i)] = fill(uint64(i), i%10)
	}
	after = maps.Clone(before)
	if kind != "ext2" {
		delete(after, "old")
		after["new/er"] = append(slices.Clone(journalMagic), fill(4, 5000)...)
	}
	return before, after
}

func TestMakeSamples(t *testing.T) {
	if !*makeSamples {
		t.Skip("only with -make")
	}
	for kind, args := range sampleKinds {
		src, news := t.TempDir(), t.TempDir()
		before, after := sampleFiles(kind)
		for name, b := range before {
			write(t, filepath.Join(src, name), b)
		}
		size := int64(2500 << 10)
		if kind == "ext2" {
			size = 256 << 10
		}
		img := mkfs(t, size, src, strings.Fields(args)...)
		commands := []string{"mkdir links", "symlink links/file ../file", "symlink links/nowhere nothing", "symlink links/circle circle", "symlink links/long " + strings.Repeat("./", 40) + "../file", "sif file mtime_extra 0x1d6f3454"}
		if kind == "ext2" {
			commands = commands[:len(commands)-1]
		}
		for i := range 10 { // every second block a hole, so that there is a tree
			commands = append(commands, fmt.Sprintf("punch file %d %d", 2*i, 2*i))
		}
		debugfs(t, img, commands...)
		if kind == "ext4" {
			repair(t, img, "-D")
		}
		check(t, img)
		if kind != "ext2" {
			write(t, filepath.Join(news, "er"), after["new/er"])
			next := copyFile(t, img)
			debugfs(t, next, "rm old", "mkdir new", fmt.Sprintf("write %s/er new/er", news))
			script := append([]string{"jo -c -v 3"}, journalled(t, img, next, 1024)...)
			debugfs(t, img, append(script, "jc")...)
		}
		var packed bytes.Buffer
		z, _ := gzip.NewWriterLevel(&packed, gzip.BestCompression)
		z.Write(must(os.ReadFile(img)))
		z.Close()
		write(t, "testdata/"+kind+".img.gz", packed.Bytes())
	}
}

// samples returns the bytes of a volume in testdata.
func samples(t testing.TB, kind string) []byte {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(must(os.ReadFile("testdata/" + kind + ".img.gz"))))
	if err != nil {
		t.Fatal(err)
	}
	return must(io.ReadAll(z))
}

func sample(t testing.TB, kind string) *FS {
	t.Helper()
	return mount(t, fstest.NewDevice(samples(t, kind), 512))
}

func TestSamples(t *testing.T) {
	for kind := range sampleKinds {
		for _, block := range []int{512, 4096} {
			v := mount(t, fstest.NewDevice(samples(t, kind), block))
			_, files := sampleFiles(kind)
			for i := range 10 {
				clear(files["file"][2*i*1024:][:1024])
			}
			for name, want := range files {
				if got, err := v.ReadFile(name); err != nil || !bytes.Equal(got, want) {
					t.Errorf("%s: %s holds %d other bytes, %v", kind, name, len(got), err)
				}
			}
			for _, link := range []string{"links/file", "links/long"} {
				if got, err := v.ReadFile(link); err != nil || !bytes.Equal(got, files["file"]) {
					t.Errorf("%s: %s: %v", kind, link, err)
				}
			}
			found := 0
			err := iofs.WalkDir(v, ".", func(path string, d iofs.DirEntry, err error) error {
				if err == nil && d.Type() == 0 {
					found++
				}
				return err
			})
			if err != nil || found != len(files) {
				t.Errorf("%s has %d files, want %d; %v", kind, found, len(files), err)
			}
			if waits := len(v.Notes()) == 1 && strings.Contains(v.Notes()[0], "not unmounted cleanly"); waits != (kind != "ext2") {
				t.Errorf("%s: notes %q", kind, v.Notes())
			}
			if i, err := v.Stat("file"); kind == "ext4" && (err != nil || i.ModTime().Nanosecond() != 123456789) {
				t.Errorf("%s: file is of %v, %v", kind, i.ModTime(), err)
			}
			if kind == "ext4" && !v.indexed(must(v.resolve("test", "many", true))) {
				t.Error("there is no index")
			}
		}
	}
}

// patch changes an image: a place of three bytes, and a byte, for each four bytes.
func patch(b, patches []byte) {
	for ; len(patches) >= 4; patches = patches[4:] {
		b[int(binary.LittleEndian.Uint32(append(slices.Clone(patches[:3]), 0)))%len(b)] = patches[3]
	}
}

// FuzzVolume changes bytes of a volume, mounts what there is then, walks through it and reads.
func FuzzVolume(f *testing.F) {
	kinds := slices.Sorted(maps.Keys(sampleKinds))
	images := map[string][]byte{}
	for i, kind := range kinds {
		images[kind] = samples(f, kind)
		f.Add(byte(i), []byte{})
		le := binary.LittleEndian
		at := func(place int, value byte) []byte { return append(le.AppendUint32(nil, uint32(place))[:3], value) }
		f.Add(byte(i), at(superAt+0x18, 6))                                                              // 64 KiB blocks
		f.Add(byte(i), at(superAt+0x38, 0))                                                              // no superblock
		f.Add(byte(i), slices.Concat(at(superAt+0x20, 1), at(superAt+0x21, 0)))                          // groups of one block
		f.Add(byte(i), slices.Concat(at(superAt+4, 0xFF), at(superAt+7, 0xFF), at(superAt+0x151, 0xFF))) // absurdly many blocks
		v := must(Mount(fstest.NewDevice(slices.Clone(images[kind]), 512)))
		table := int(must(v.inodeTable(0))) * 1024
		for _, name := range []string{"file", "many", ".", "links/long"} {
			n := must(v.resolve("test", name, false))
			inode := table + int(n.number-1)*int(v.inodeSize)
			f.Add(byte(i), slices.Concat(at(inode+0x6C, 0xFF), at(inode+6, 0xFF))) // absurdly long
			for j := range 12 {
				f.Add(byte(i), at(inode+0x28+j, 0xFF))
			}
			if r, err := v.locate(n, 1); err == nil && r.first != 0 {
				for j := range 12 {
					f.Add(byte(i), at(int(r.first)*1024+j, 0xFF))
				}
			}
		}
		if j, err := v.openJournal(); err == nil {
			for block := range uint32(4) {
				for k := range 48 {
					f.Add(byte(i), at(int(must(j.at(block)))*1024+k, 0xFF))
				}
			}
		}
	}
	f.Fuzz(func(t *testing.T, kind byte, patches []byte) {
		data := slices.Clone(images[kinds[int(kind)%len(kinds)]])
		patch(data, patches)
		exercise(t, data)
	})
}

// exercise mounts what may be a volume, walks through it and reads.
func exercise(t *testing.T, data []byte) {
	check := func(err error) {
		t.Helper()
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("error has more than one line: %q", err)
		}
	}
	v, err := Mount(fstest.NewDevice(data, 512))
	if check(err); err != nil {
		return
	}
	steps := 0
	left := int64(64 << 20) // bytes to read: sparse files may be large
	err = iofs.WalkDir(v, ".", func(path string, e iofs.DirEntry, err error) error {
		// Each directory entry is met at most once, and refused at most once.
		if steps++; steps > 2*len(data)/12+10 {
			t.Fatalf("the walk through %d bytes has no end", len(data))
		}
		if check(err); err != nil || e.IsDir() {
			return nil
		}
		if !iofs.ValidPath(path) {
			t.Errorf("path %q is not valid", path)
		}
		i, err := v.Stat(path)
		if check(err); err != nil || i.IsDir() {
			return nil
		}
		g, err := v.Open(path)
		if check(err); err != nil {
			return nil
		}
		defer g.Close()
		if left -= i.Size(); left > 0 && i.Size() < int64(len(data)) {
			b, err := v.ReadFile(path)
			check(err)
			p := make([]byte, 700)
			n, err2 := g.(io.ReaderAt).ReadAt(p, i.Size()/3)
			if check(err2); err == nil && !bytes.Equal(p[:n], b[i.Size()/3:][:n]) {
				t.Errorf("%q: ReadAt and ReadFile differ", path)
			}
			return nil
		}
		p := make([]byte, 70000)
		for _, off := range []int64{0, i.Size() / 2, max(0, i.Size()-1000)} {
			_, err := g.(io.ReaderAt).ReadAt(p, off)
			check(err)
		}
		return nil
	})
	check(err)
}

// FuzzDirectory takes any bytes as a block of a directory.
func FuzzDirectory(f *testing.F) {
	v := sample(f, "plain")
	for _, name := range []string{".", "many"} {
		f.Add(must(v.dirBlock(must(v.resolve("test", name, true)), 0)))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		before := -1
		v.entries(b, func(inode uint32, kind byte, name []byte, at int) bool {
			if at <= before || inode == 0 || len(name) == 0 || at+8+len(name) > len(b) {
				t.Errorf("inode %d, %q at %d", inode, name, at)
			}
			if s := shown(name); !iofs.ValidPath(s) && s != ".." || strings.Contains(s, "/") {
				t.Errorf("name %q", s)
			}
			before = at
			return true
		})
	})
}

// FuzzSuperblock takes any bytes as a superblock.
func FuzzSuperblock(f *testing.F) {
	for kind := range sampleKinds {
		f.Add(samples(f, kind)[superAt:][:superSize])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < superSize {
			return
		}
		b = b[:superSize]
		binary.LittleEndian.PutUint32(b[0x3FC:], crc32c(^uint32(0), b[:0x3FC]))
		s, err := parseSuper(b)
		if err != nil || s.incompat&incompatDevice != 0 {
			return
		}
		for _, group := range []uint64{0, s.groups / 2, s.groups - 1} {
			for _, at := range s.descriptorsAt(group / uint64(s.block/s.descSize)) {
				if at == 0 || at > 1<<62/uint64(s.block) {
					t.Errorf("descriptors of group %d are in block %d of %d", group, at, s.blocks)
				}
			}
		}
	})
}

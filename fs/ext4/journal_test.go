package ext4

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"alphaos/fs"
	"alphaos/fs/fstest"
)

// copyFile copies an image and returns the copy's name.
func copyFile(t testing.TB, img string) string {
	t.Helper()
	b, err := os.ReadFile(img)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "copy")
	write(t, name, b)
	return name
}

// journalled puts into the journal of img what makes it next, in transactions of some blocks,
// and leaves the blocks themselves as they are. It returns debugfs commands.
func journalled(t testing.TB, img, next string, block int) (commands []string) {
	t.Helper()
	a, err := os.ReadFile(img)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(next)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var numbers []string
	var data []byte
	end := func() {
		if numbers != nil {
			name := filepath.Join(dir, fmt.Sprint(len(commands)))
			write(t, name, data)
			commands = append(commands, fmt.Sprintf("jw -b %s %s", strings.Join(numbers, ","), name))
			numbers, data = nil, nil
		}
	}
	for at := 0; at < len(a); at += block {
		if x := b[at:][:block]; !bytes.Equal(a[at:][:block], x) {
			if numbers = append(numbers, fmt.Sprint(at/block)); len(numbers) > 40 {
				data = append(data, x...)
				end()
				continue
			}
			data = append(data, x...)
		}
	}
	end()
	if commands == nil {
		t.Fatal("the images do not differ")
	}
	return commands
}

// alike compares files of two volumes by name.
func alike(t *testing.T, v, w *FS, names ...string) {
	t.Helper()
	for _, name := range names {
		want, werr := w.ReadFile(name)
		got, err := v.ReadFile(name)
		if !bytes.Equal(got, want) || (err == nil) != (werr == nil) {
			t.Errorf("%s holds %d other bytes, %v; want %d, %v", name, len(got), err, len(want), werr)
		}
	}
}

func TestJournal(t *testing.T) {
	needs(t, "mke2fs", "e2fsck", "debugfs")
	src := t.TempDir()
	for i := range 200 {
		write(t, filepath.Join(src, fmt.Sprintf("many/%d", i)), fill(uint64(i), 100))
	}
	write(t, filepath.Join(src, "old"), fill(1, 30000))
	write(t, filepath.Join(src, "stays"), fill(2, 30000))
	news := t.TempDir()
	content := fill(3, 500000)
	for at := 0; at < len(content); at += 1024 {
		copy(content[at:], journalMagic) // which has to be escaped in the journal
		content[at+5] = 0
	}
	write(t, filepath.Join(news, "new"), content)
	for _, mkfsArgs := range []string{"-t ext4 -b 1024", "-t ext4 -b 4096", "-t ext4 -b 1024 -O ^64bit", "-t ext4 -O ^metadata_csum", "-t ext3 -b 1024"} {
		for _, jo := range []string{"jo", "jo -c -v 2", "jo -c -v 3"} {
			t.Run(mkfsArgs+" "+jo, func(t *testing.T) {
				img := mkfs(t, 24<<20, src, strings.Fields(mkfsArgs)...)
				block := int(mount(t, open(t, img, 512)).block)
				// What is to be there after the journal was replayed.
				next := copyFile(t, img)
				commands := []string{"rm old", fmt.Sprintf("write %s/new new", news), "mkdir folder", "ln stays folder/again", "sif stays mtime 20200102030405"}
				for i := range 150 {
					commands = append(commands, fmt.Sprintf("write %s/many/%d many/new%d", src, i, i))
				}
				debugfs(t, next, commands...)
				want := mount(t, open(t, next, 512))
				names := []string{"old", "new", "stays", "folder/again", "many/new149", "many/1", "many/199"}

				// A copy of a block of "stays" that is revoked, one that is not, and a
				// transaction that was not committed.
				root := mount(t, open(t, img, 512))
				stays, err := root.resolve("test", "stays", true)
				if err != nil {
					t.Fatal(err)
				}
				r, err := root.locate(stays, 0)
				if err != nil {
					t.Fatal(err)
				}
				junk := filepath.Join(t.TempDir(), "junk")
				write(t, junk, fill(9, block))
				script := []string{jo}
				// Without metadata_csum debugfs makes the journal's first kind of checksum, and
				// that wrongly for revoke blocks.
				if jo == "jo" || root.is(roMetadataSum) {
					script = append(script, fmt.Sprintf("jw -b %d %s", r.first, junk), fmt.Sprintf("jw -r %d", r.first))
				}
				script = append(script, journalled(t, img, next, block)...)
				script = append(script, fmt.Sprintf("jw -b %d %s", r.first+1, junk), fmt.Sprintf("jw -c -b %d %s", r.first+2, junk), "jc")
				debugfs(t, img, script...)

				before, err := os.ReadFile(img)
				if err != nil {
					t.Fatal(err)
				}
				v := mount(t, open(t, img, 512))
				if n := v.Notes(); len(n) != 1 || !strings.Contains(n[0], "not unmounted cleanly") {
					t.Errorf("notes %q", n)
				}
				changed := slices.Clone(must(want.ReadFile("stays")))
				copy(changed[block:], must(os.ReadFile(junk)))
				if got, err := v.ReadFile("stays"); err != nil || !bytes.Equal(got, changed) {
					t.Errorf("stays: %v", err)
				}
				names = slices.DeleteFunc(names, func(s string) bool { return s == "stays" || s == "folder/again" })
				alike(t, v, want, names...)
				if got, err := v.ReadFile("new"); err != nil || !bytes.Equal(got, content) {
					t.Errorf("new: %v", err)
				}
				if after, _ := os.ReadFile(img); !bytes.Equal(before, after) {
					t.Error("the image was changed")
				}

				// The same by e2fsck, read by debugfs.
				repair(t, img)
				out := t.TempDir()
				debugfs(t, img, fmt.Sprintf("rdump / %s", out))
				same(t, v, out)
				w := mount(t, open(t, img, 512))
				if len(w.Notes()) > 0 || len(w.replayed) > 0 {
					t.Errorf("after e2fsck: notes %q", w.Notes())
				}
				same(t, w, out)
			})
		}
	}
}

func must[T any](x T, err error) T {
	if err != nil {
		panic(err)
	}
	return x
}

// A journal whose blocks do not match their checksums is refused, unless it ends there, or it is its superblock and the rest tells enough.
func TestJournalChecksums(t *testing.T) {
	needs(t, "mke2fs", "debugfs")
	src := t.TempDir()
	write(t, filepath.Join(src, "file"), fill(1, 3000))
	junk := filepath.Join(t.TempDir(), "junk")
	write(t, junk, fill(9, 1024))
	for _, version := range []string{"2", "3"} {
		img := mkfs(t, 8<<20, src, "-t", "ext4", "-b", "1024")
		v := mount(t, open(t, img, 512))
		file, err := v.resolve("test", "file", true)
		if err != nil {
			t.Fatal(err)
		}
		r := must(v.locate(file, 0))
		n := must(v.readInode(8))
		debugfs(t, img, "jo -c -v "+version, fmt.Sprintf("jw -b %d %s", r.first, junk), fmt.Sprintf("jw -r %d", r.first+1), fmt.Sprintf("jw -b %d %s", r.first+2, junk), "jc")
		data := must(os.ReadFile(img))
		// Superblock, descriptor, copy, commit; revoke, commit; descriptor, copy, commit.
		for block, want := range []string{"", "transaction", "copy of block", "transaction", "transaction", "transaction", "transaction", "copy of block", "transaction", ""} {
			b := slices.Clone(data)
			at := int(must(v.locate(n, uint64(block))).first) * 1024
			b[at+13] ^= 1 // of a commit block only the first 60 bytes count
			if block == 0 {
				b[at+0x40] ^= 1
				if want = ""; version == "2" { // which no kernel has written for long
					want = "copy of block"
				}
			}
			_, err := Mount(fstest.NewDevice(b, 512))
			if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "e2fsck")) {
				t.Errorf("version %s, block %d: %v, want %q", version, block, err, want)
			}
		}
	}
}

// The ring of blocks may say anything.
func TestJournalRing(t *testing.T) {
	needs(t, "mke2fs", "debugfs")
	src := t.TempDir()
	write(t, filepath.Join(src, "file"), fill(1, 3000))
	junk := filepath.Join(t.TempDir(), "junk")
	write(t, junk, fill(9, 1024))
	img := mkfs(t, 8<<20, src, "-t", "ext4", "-b", "1024", "-O", "^metadata_csum")
	v := mount(t, open(t, img, 512))
	n := must(v.readInode(8))
	file := must(v.resolve("test", "file", true))
	debugfs(t, img, "jo", fmt.Sprintf("jw -b %d %s", must(v.locate(file, 0)).first, junk), "jc")
	data := must(os.ReadFile(img))
	at := func(block uint64) int { return int(must(v.locate(n, block)).first) * 1024 }
	be := binary.BigEndian
	for _, c := range []struct {
		name string
		do   func(b []byte)
		want string
	}{
		{"unchanged", func([]byte) {}, ""},
		{"only descriptors", func(b []byte) {
			for i := uint64(1); i < 1024; i++ {
				copy(b[at(i):], b[at(1):][:16])
				be.PutUint16(b[at(i)+18:], tagLast|tagSameUUID)
			}
		}, ""},
		{"only commits", func(b []byte) {
			for i := uint64(1); i < 1024; i++ {
				copy(b[at(i):], b[at(3):][:1024])
				be.PutUint32(b[at(i)+8:], be.Uint32(b[at(0)+0x18:])+uint32(i)-1)
			}
		}, ""},
		{"begins at its end", func(b []byte) {
			copy(b[at(1023):][:1024], b[at(1):])
			copy(b[at(1):], b[at(2):][:1024])
			copy(b[at(2):], b[at(3):][:1024])
			be.PutUint32(b[at(0)+0x1C:], 1023)
		}, ""},
		{"begins behind its end", func(b []byte) { be.PutUint32(b[at(0)+0x1C:], 1024) }, "the first transaction in block 1024"},
		{"too long", func(b []byte) { be.PutUint32(b[at(0)+0x10:], 1<<20) }, "claims 1048576 blocks"},
		{"longer than the volume", func(b []byte) {
			be.PutUint32(b[at(0)+0x10:], 1<<20)
			binary.LittleEndian.PutUint32(b[int(must(v.inodeTable(0)))*1024+7*int(v.inodeSize)+4:], 1<<30)
		}, "claims 1048576 blocks"},
		{"begins at itself", func(b []byte) { be.PutUint32(b[at(0)+0x14:], 0) }, "claims"},
		{"other blocks", func(b []byte) { be.PutUint32(b[at(0)+0xC:], 4096) }, "blocks of 4096 bytes"},
		{"unknown feature", func(b []byte) { be.PutUint32(b[at(0)+0x28:], 0x40) }, "unknown features, 0x40"},
		{"not there", func(b []byte) { clear(b[at(0):][:1024]) }, ""}, // the ring tells enough
		{"block beyond the volume", func(b []byte) { be.PutUint32(b[at(1)+12:], 1<<30) }, "copy of block 1073741824"},
		{"on another drive", func(b []byte) { clear(b[superAt+0xE0:][:4]) }, "on another drive"},
	} {
		b := slices.Clone(data)
		c.do(b)
		v, err := Mount(fstest.NewDevice(b, 512))
		if c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) || c.want == "" && err != nil {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
		if c.name == "begins at its end" || c.name == "not there" || c.name == "unchanged" {
			if got, err := v.ReadFile("file"); err != nil || !bytes.Equal(got[:1024], fill(9, 1024)) {
				t.Errorf("%s: the file is not from the journal, %v", c.name, err)
			}
		}
	}
	// A block that the superblock does not count yet, since the volume grew, is taken.
	grown := append(slices.Clone(data), make([]byte, 1<<20)...)
	be.PutUint32(grown[at(1)+12:], uint32(v.blocks))
	if w, err := Mount(fstest.NewDevice(grown, 512)); err != nil || len(w.replayed) != 1 {
		t.Errorf("a block of a volume that grew: %v", err)
	}
	// More than fits in memory is refused.
	defer func(n int) { maxReplayed = n }(maxReplayed)
	maxReplayed = 100
	full := slices.Clone(data)
	for i := uint64(1); i < 1024; i++ {
		copy(full[at(i):], full[at(1):][:12])
		be.PutUint32(full[at(i)+4:], journalRevoke)
	}
	if _, err := Mount(fstest.NewDevice(full, 512)); !errors.Is(err, errTooMany) {
		t.Errorf("a ring of revoke blocks: %v", err)
	}
	// The journal's own inode is damaged, but the superblock knows where it is.
	b := slices.Clone(data)
	table := must(v.inodeTable(0))
	clear(b[int(table)*1024+7*int(v.inodeSize):][:v.inodeSize])
	v, err := Mount(fstest.NewDevice(b, 512))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := v.ReadFile("file"); err != nil || !bytes.Equal(got[:1024], fill(9, 1024)) {
		t.Errorf("the file is not from the journal, %v", err)
	}
}

// The power goes when the ring is used anew: the journal's superblock is torn, and the first use's transactions, of which all is in its place, are
// followed by a later one without an end. None of them is brought back.
func TestJournalTornUsedAnew(t *testing.T) {
	t.Run("without its end", func(t *testing.T) { usedAnew(t, false, 0, 0) })
	t.Run("without its beginning", func(t *testing.T) { usedAnew(t, true, 0, 0) })
	t.Run("after a Linux that leaves a head", func(t *testing.T) { usedAnew(t, true, 100, 0) })
	t.Run("with junk for a head", func(t *testing.T) { usedAnew(t, true, 0, ^uint32(0)) })
}

// usedAnew has the superblock's head be what Linux left there before, and a tear over it.
func usedAnew(t *testing.T, beginning bool, before, tear uint32) {
	d := made(t, 24, rand.New(rand.NewPCG(1, 2)), "-b", "1024")
	v := mounted(t, d)
	be := binary.BigEndian
	head := d.Bytes()[must(must(v.openJournal()).at(0))*1024+0x58:][:4]
	be.PutUint32(head, before) // mke2fs has no checksum there
	for i := range 8 {
		if err := v.WriteFile(fmt.Sprint("old ", i), bytes.Repeat([]byte("old"), 9000)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(v.Sync(), v.WriteFile("old 7", []byte("new")), v.Sync(), v.Remove("old 6")); err != nil {
		t.Fatal(err)
	}
	j := must(v.openJournal())
	commits := map[uint32]uint32{} // where, by number
	last := uint32(0)
	for block := j.first; block < j.end; block++ {
		b := must(j.read(block))
		if bytes.Equal(b[:4], journalMagic) {
			if n := be.Uint32(b[8:]); be.Uint32(b[4:]) == journalCommit {
				commits[n] = block
				last = max(last, n)
			}
		}
	}
	if len(commits) < 4 {
		t.Fatalf("it is not what this test says: %v", commits)
	}
	clear(d.Bytes()[must(j.at(commits[last]))*1024:][:1024])
	if beginning {
		clear(d.Bytes()[must(j.at(j.first))*1024:][:1024])
	}
	d.Bytes()[must(j.at(0))*1024+0xFC] ^= 1
	d.Bytes()[must(j.at(0))*1024+0x18] ^= 1
	be.PutUint32(head, be.Uint32(head)^tear)
	v = mounted(t, d)
	if b, err := v.ReadFile("old 7"); err != nil || string(b) != "new" {
		t.Errorf("%.9q, %v", b, err)
	}
	if b, err := v.ReadFile("old 6"); err != nil || len(b) != 27000 {
		t.Errorf("a change without an end: %d bytes, %v", len(b), err)
	}
	if err := errors.Join(v.WriteFile("h", nil), v.Sync()); err != nil {
		t.Fatal(err)
	}
	judged(t, d, false)
}

// The journal's superblock is torn while a Linux since 6.4 uses the ring, which goes on where the last use ended (jbd2_mark_journal_empty writes the head,
// journal_reset begins there): the first block is of an earlier use then, and does not tell that nothing in the ring is needed.
func TestJournalTornGoesOn(t *testing.T) {
	d := made(t, 24, rand.New(rand.NewPCG(1, 2)), "-b", "1024")
	v := mounted(t, d)
	be := binary.BigEndian
	super := d.Bytes()[must(must(v.openJournal()).at(0))*1024:][:1024]
	goOn := func(head uint32) {
		if err := v.touch(); err != nil {
			t.Fatal(err)
		}
		v.log.head = head
		v.log.next++ // Linux leaves out a number, too
		if err := v.log.mark(head); err != nil {
			t.Fatal(err)
		}
		be.PutUint32(super[0x58:], head)
	}
	if err := errors.Join(v.WriteFile("gone", []byte("old")), v.WriteFile("f", []byte("older")), v.Sync()); err != nil {
		t.Fatal(err)
	}
	// One use comes round, with copies in the first blocks, and the next one ends over the descriptor of these.
	end := v.log.end
	goOn(end - 3)
	if err := errors.Join(v.WriteFile("f", []byte("old")), v.Sync()); err != nil {
		t.Fatal(err)
	}
	goOn(end - 40)
	if err := errors.Join(v.WriteFile("f", []byte("new")), v.Remove("gone")); err != nil {
		t.Fatal(err)
	}
	for v.log.head > v.log.first && v.log.head+2 <= end {
		if err := v.log.stop(); err != nil {
			t.Fatal(err)
		}
	}
	if b := must(v.log.read(v.log.first)); v.log.head != v.log.first && v.log.head != end-1 || bytes.Equal(b[:4], journalMagic) {
		t.Fatalf("it is not what this test says: it ends at %d of %d", v.log.head, end)
	}
	super[0xFC] ^= 1
	super[0x18] ^= 1
	v = mounted(t, d)
	if b, err := v.ReadFile("f"); err != nil || string(b) != "new" {
		t.Errorf("%q, %v", b, err)
	}
	if b, err := v.ReadFile("gone"); err == nil {
		t.Errorf("a file that was removed: %q", b)
	}
	if err := errors.Join(v.WriteFile("h", nil), v.Sync()); err != nil {
		t.Fatal(err)
	}
	judged(t, d, false)
}

// The journal's superblock is torn while the ring has what a kernel wrote, whose descriptors have zeros in place of the journal's identity:
// wherever the tear is, what was committed is there, also for others, and nothing comes back from before the volume was last mounted.
func TestJournalTorn(t *testing.T) {
	for _, options := range []string{"metadata_csum,64bit", "metadata_csum,^64bit,metadata_csum_seed"} {
		d := made(t, 24, rand.New(rand.NewPCG(1, 2)), "-b", "1024", "-O", options)
		be := binary.BigEndian
		v := mounted(t, d)
		if err := errors.Join(v.WriteFile("f", []byte("first")), v.Sync()); err != nil {
			t.Fatal(err)
		}
		ring := must(v.openJournal())
		at := must(ring.at(0)) * 1024
		old := slices.Clone(d.Bytes()[at:][:1024]) // nothing waits
		v = mounted(t, d)
		if err := errors.Join(v.WriteFile("f", []byte("second")), v.WriteFile("g", bytes.Repeat([]byte("g"), 100<<10)), v.Remove("g"), v.WriteFile("f", []byte("third"))); err != nil {
			t.Fatal(err)
		}
		j := must(v.openJournal())
		for block := j.first; block < j.end; block++ {
			b := d.Bytes()[must(j.at(block))*1024:][:1024]
			if bytes.Equal(b[:4], journalMagic) && be.Uint32(b[4:]) == journalDescriptor {
				clear(b[28:44])
				be.PutUint32(b[1020:], crc32cHole(j.seed, b, 1020, 4))
			}
		}
		whole := slices.Clone(d.Bytes())
		if string(must(mounted(t, d).ReadFile("f"))) != "third" {
			t.Fatal("it is not what this test says")
		}
		r := rand.New(rand.NewPCG(3, 4))
		for n := 0; n < 2*0x110; n += 3 {
			copy(d.Bytes(), whole)
			torn := d.Bytes()[at:][:1024]
			if k := n / 2; n%2 == 0 { // a part of the new one over the old one
				copy(torn[k:], old[k:])
			} else { // junk in a block of a cipher
				for i := range 16 {
					torn[k&^15+i] = byte(r.Uint32())
				}
			}
			agrees := crc32cHole(^uint32(0), torn, 0xFC, 4) == be.Uint32(torn[0xFC:])
			v, err := Mount(must(fs.NewFileDevice(d, d.Size(), 512)))
			if err != nil {
				t.Fatalf("%s, %d: %v", options, n, err)
			}
			want := "third"
			if agrees && be.Uint32(torn[0x1C:]) == 0 { // it is the old one, and the volume's own superblock says that something waits: not by a tear
				continue
			}
			if b, err := v.ReadFile("f"); err != nil || string(b) != want {
				t.Fatalf("%s, %d: %q, %v", options, n, b, err)
			}
			if n%37 == 0 {
				if err := errors.Join(v.WriteFile("h", nil), v.Sync()); err != nil {
					t.Fatal(err)
				}
				judged(t, d, false)
			}
		}
		// What can't be told is said in one sentence, and nothing is taken.
		for why, spoil := range map[string]func(b []byte){
			"it may have fast commits": func(b []byte) {
				s := b[superAt:][:superSize]
				binary.LittleEndian.PutUint32(s[0x5C:], v.compat|compatFast)
				v.sealSuper(s)
			},
			"none of the transactions in it matches its checksum": func(b []byte) {
				for block := j.first; block < j.end; block++ {
					b[must(j.at(block))*1024+20] ^= 1
				}
			},
		} {
			copy(d.Bytes(), whole)
			clear(d.Bytes()[at:][:1024])
			spoil(d.Bytes())
			if _, err := Mount(must(fs.NewFileDevice(d, d.Size(), 512))); err == nil || !strings.Contains(err.Error(), "e2fsck. What is in it is not used without that, since "+why) {
				t.Errorf("%s: %v", why, err)
			}
		}
	}
}

// Linux, told nojournal_checksum, writes a journal without checksums on a volume that has them, and leaves the last one of its superblock: that is not torn.
func TestJournalWithoutChecksums(t *testing.T) {
	d := made(t, 24, rand.New(rand.NewPCG(1, 2)), "-b", "1024")
	v := mounted(t, d)
	if err := errors.Join(v.WriteFile("f", []byte("with")), v.Sync(), v.WriteFile("f", []byte("with them"))); err != nil {
		t.Fatal(err)
	}
	v.log.features &^= journalSum3
	if err := errors.Join(v.checkpoint(), v.WriteFile("f", []byte("without"))); err != nil {
		t.Fatal(err)
	}
	s := d.Bytes()[must(v.log.at(0))*1024:][:1024]
	if binary.BigEndian.Uint32(s[0x28:])&journalSum3 != 0 || binary.BigEndian.Uint32(s[0xFC:]) == 0 {
		t.Fatal("it is not what the test is about")
	}
	judged(t, d, true)
	v = mounted(t, d)
	if b, err := v.ReadFile("f"); err != nil || string(b) != "without" {
		t.Errorf("%q, %v", b, err)
	}
	if err := errors.Join(v.WriteFile("g", nil), v.Sync()); err != nil {
		t.Error(err)
	}
	judged(t, d, false)
}

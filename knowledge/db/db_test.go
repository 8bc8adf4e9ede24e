package db

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"
)

// memory is a Folder of files in memory.
type memory struct {
	files   map[string]*memoryFile
	written int
	full    bool // nothing can be written
}

type memoryFile struct {
	folder *memory
	data   []byte
	there  bool
}

func newMemory() *memory { return &memory{files: map[string]*memoryFile{}} }

func (m *memory) Exists(name string) (bool, error) {
	f := m.files[name]
	return f != nil && f.there, nil
}

func (m *memory) Open(name string, create bool) (File, error) {
	if ok, _ := m.Exists(name); ok {
		return m.files[name], nil
	}
	if !create {
		return nil, fs.ErrNotExist
	}
	m.files[name] = &memoryFile{folder: m}
	return m.files[name], nil
}

func (m *memory) Remove(name string) error {
	delete(m.files, name)
	return nil
}

func (m *memory) Rename(from, to string) error {
	m.files[to] = m.files[from]
	delete(m.files, from)
	return nil
}

var errFull = errors.New("the drive is full")

func (f *memoryFile) ReadAt(p []byte, off int64) (int, error) {
	return bytes.NewReader(f.data).ReadAt(p, off)
}

func (f *memoryFile) WriteAt(p []byte, off int64) (int, error) {
	if f.folder.full {
		return 0, errFull
	}
	f.folder.written += len(p)
	if n := int(off) + len(p); n > len(f.data) {
		f.data = append(f.data, make([]byte, n-len(f.data))...)
	}
	return copy(f.data[off:], p), nil
}

func (f *memoryFile) Truncate(size int64) error {
	if f.folder.full {
		return errFull
	}
	if n := int(size) - len(f.data); n > 0 {
		f.data = append(f.data, make([]byte, n)...)
	}
	f.data = f.data[:size]
	return nil
}

func (f *memoryFile) Size() int64 { return int64(len(f.data)) }

func (f *memoryFile) Sync() error {
	f.there = true
	return nil
}

func (f *memoryFile) Close() error { return nil }

// drive is what there is to be kept.
type drive struct {
	list     []Conversation
	said     map[int][]Message
	set      map[string]string
	deleting bool
	shelf    []Document
	chunks   map[string][]Chunk
	facts    []Fact
	asked    int // how often for messages
}

func (d *drive) Conversations() []Conversation { return append([]Conversation(nil), d.list...) }
func (d *drive) Settings() map[string]string   { return d.set }
func (d *drive) Deleting() bool                { return d.deleting }
func (d *drive) Messages(id int) ([]Message, bool) {
	d.asked++
	return d.said[id], true
}
func (d *drive) Documents() ([]Document, bool) { return append([]Document(nil), d.shelf...), true }
func (d *drive) Facts() []Fact                 { return append([]Fact(nil), d.facts...) }
func (d *drive) Chunks(name string) iter.Seq[Chunk] {
	return func(yield func(Chunk) bool) {
		for _, c := range d.chunks[name] {
			if !yield(c) {
				return
			}
		}
	}
}

var start = time.Date(2026, 11, 22, 10, 11, 12, 0, time.UTC)

// say adds messages to a conversation, which it may begin.
func (d *drive) say(id int, texts ...string) {
	at := -1
	for i, c := range d.list {
		if c.ID == id {
			at = i
		}
	}
	if at < 0 {
		at = len(d.list)
		d.list = append(d.list, Conversation{ID: id, Title: "about " + texts[0], Started: start.Add(time.Duration(id) * time.Hour)})
	}
	for _, text := range texts {
		n := len(d.said[id])
		m := Message{Role: "user", Text: text, Time: d.list[at].Started.Add(time.Duration(n) * time.Minute)}
		if n%2 == 1 {
			m.Role, m.Model = "assistant", "guide"
		}
		d.said[id] = append(d.said[id], m)
		d.list[at].Updated, d.list[at].Messages = m.Time, n+1
	}
}

// forget takes away a conversation.
func (d *drive) forget(id int) {
	for i, c := range d.list {
		if c.ID == id {
			d.list = append(d.list[:i], d.list[i+1:]...)
			break
		}
	}
	delete(d.said, id)
}

// write puts a document on the shelf.
func (d *drive) write(name string, texts ...string) {
	d.remove(name)
	doc := Document{Name: name, Title: name, Language: "English", Size: int64(len(strings.Join(texts, ""))), Modified: start, Chunks: len(texts), Model: "mini"}
	doc.Hash[0] = byte(len(texts))
	at := 0
	d.chunks[name] = nil
	for i, text := range texts {
		d.chunks[name] = append(d.chunks[name], Chunk{Locator: fmt.Sprintf("page %d", i+1), Page: i + 1, Text: text, Start: at, End: at + len(text), Vector: []int8{1, -2, int8(i)}, Scale: 0.5})
		at += len(text)
	}
	d.shelf = append(d.shelf, doc)
}

func (d *drive) remove(name string) {
	for i, doc := range d.shelf {
		if doc.Name == name {
			d.shelf = append(d.shelf[:i], d.shelf[i+1:]...)
			break
		}
	}
	delete(d.chunks, name)
}

func newDrive() *drive {
	return &drive{said: map[int][]Message{}, set: map[string]string{"theme": "night"}, chunks: map[string][]Chunk{}}
}

// sample has something in every table.
func sample() *drive {
	d := newDrive()
	d.say(1, "When is the boiler's service due?", "In March, as the **manual** says.")
	d.say(2, "Wo steht die Straße?", "Ich weiß nicht.", "schade", "Ja.")
	d.write("manual.pdf", "Boiler service is due in March.", "Call the plumber for a boiler leak.", "The code is XC23.")
	d.write("empty.pdf")
	d.shelf[len(d.shelf)-1].Note = "it has no text"
	d.facts = []Fact{{1, "My sister's birthday is on 3 May.", start}}
	return d
}

func keeper(f Folder, d *drive) *Keeper { return &Keeper{Folder: f, Talk: d, Shelf: d, Facts: d} }

// keep brings a database up to date.
func keep(t testing.TB, k *Keeper) (note string) {
	t.Helper()
	note, err := k.Keep(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return note
}

// same compares a database with what it should have.
func same(t testing.TB, f Folder, d *drive) {
	t.Helper()
	s, err := openSession(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if err := s.guard(func() error { return s.check(t.Context()) }); err != nil {
		t.Fatal(err)
	}
	if v, err := s.number("PRAGMA auto_vacuum"); v != 2 || err != nil {
		t.Fatalf("auto_vacuum is %d, %v", v, err)
	}
	var has known
	if err := has.load(s); err != nil {
		t.Fatal(err)
	}
	has.loose = false
	if now := keeper(f, d).look(); has.differs(now) {
		t.Fatalf("the database has\n%+v, not\n%+v", has, now)
	}
	for _, c := range d.list {
		i := 0
		err := s.each("SELECT position, role, text, time, model, partial FROM messages WHERE conversation = ? ORDER BY position", func(row *sqlite3.Stmt) error {
			m := d.said[c.ID][i]
			got := Message{row.ColumnText(1), row.ColumnText(2), parse(row.ColumnText(3)), row.ColumnText(4), row.ColumnBool(5)}
			if i++; row.ColumnInt(0) != i || got != m {
				return fmt.Errorf("message %d is %+v, not %+v", i, got, m)
			}
			return nil
		}, c.ID)
		if err != nil || i != len(d.said[c.ID]) {
			t.Fatalf("conversation %d has %d messages, not %d: %v", c.ID, i, len(d.said[c.ID]), err)
		}
	}
	for _, doc := range d.shelf {
		i := 0
		err := s.each("SELECT k.position, locator, page, text, start_byte, end_byte, scale, vector FROM documents d JOIN chunks k ON k.document = d.id LEFT JOIN embeddings e ON e.chunk = k.id WHERE d.name = ? ORDER BY k.position", func(row *sqlite3.Stmt) error {
			c := d.chunks[doc.Name][i]
			vector := row.ColumnRawBlob(7)
			if i++; row.ColumnInt(0) != i || row.ColumnText(1) != c.Locator || row.ColumnInt(2) != c.Page || row.ColumnText(3) != c.Text || row.ColumnInt(4) != c.Start || row.ColumnInt(5) != c.End ||
				float32(row.ColumnFloat(6)) != c.Scale || len(vector) != 3 || int8(vector[1]) != -2 || int8(vector[2]) != c.Vector[2] {
				return fmt.Errorf("chunk %d of %s is %q", i, doc.Name, row.ColumnText(3))
			}
			return nil
		}, doc.Name)
		if err != nil || i != len(d.chunks[doc.Name]) {
			t.Fatalf("%s has %d chunks, not %d: %v", doc.Name, i, len(d.chunks[doc.Name]), err)
		}
	}
	for _, index := range []string{"messages_fts", "chunks_fts"} { // compared with what it indexes
		if err := s.put("INSERT INTO " + index + " (" + index + ", rank) VALUES ('integrity-check', 1)"); err != nil {
			t.Fatalf("%s: %v", index, err)
		}
	}
}

func TestKeep(t *testing.T) {
	f, d := newMemory(), sample()
	k := keeper(f, d)
	if note := keep(t, k); note != "" {
		t.Errorf("it says %q", note)
	}
	same(t, f, d)
	// What has not changed is not read again, and the file not opened.
	asked, written := d.asked, f.written
	keep(t, k)
	if d.asked != asked || f.written != written {
		t.Errorf("%d questions and %d bytes for nothing", d.asked-asked, f.written-written)
	}
	steps := []func(){
		func() { d.say(2, "noch etwas", "Ja?") },
		func() { d.say(3, "a new one") },
		func() { d.list[0].Title = "The boiler" },
		func() { // /retry
			d.said[2][5].Text, d.said[2][5].Time = "Nein!", d.said[2][5].Time.Add(time.Hour)
			d.list[1].Updated = d.said[2][5].Time
		},
		func() { // /forget
			d.said[2] = d.said[2][:2]
			d.list[1].Updated, d.list[1].Messages, d.deleting = d.said[2][1].Time, 2, true
		},
		func() { d.forget(1) },
		func() { d.write("manual.pdf", "It was written anew.") },
		func() { d.remove("empty.pdf") },
		func() { d.set = map[string]string{"theme": "day", "text": "large"} },
		func() { d.facts = append(d.facts, Fact{2, "I drink tea.", start}) },
		func() { d.facts = d.facts[1:] },
		func() { d.say(4, "\xff is no UTF-8, \x00 no end") },
	}
	for i, step := range steps {
		step()
		if i%2 == 0 { // the next session
			k = keeper(f, d)
		}
		keep(t, k)
		if i == len(steps)-1 {
			d.said[4][0].Text = "\ufffd is no UTF-8, \ufffd no end"
			d.list[len(d.list)-1].Title = "about " + d.said[4][0].Text
		}
		same(t, f, d)
	}
	if _, ok := f.files[journalName]; ok {
		t.Error("the journal stays")
	}
}

// Sources that are not known yet leave what there is.
func TestKeepWithout(t *testing.T) {
	f, d := newMemory(), sample()
	keep(t, keeper(f, d))
	keep(t, &Keeper{Folder: f})
	keep(t, &Keeper{Folder: f, Talk: d})
	same(t, f, d)
}

func TestKeepStops(t *testing.T) {
	f, d := newMemory(), newDrive()
	for i := range 12 {
		d.write(fmt.Sprintf("%d.txt", i), strings.Repeat("some words ", 1000), strings.Repeat("other words ", 2000), "end")
		d.say(i+1, strings.Repeat("long ", 5000), "short", strings.Repeat("again ", 7000))
	}
	k, keeps := keeper(f, d), 0
	for ; ; keeps++ {
		if keeps == 10000 {
			t.Fatal("it never ends")
		}
		ctx := &ending{Context: t.Context(), left: 1 + keeps/4}
		if note, err := k.Keep(ctx); note != "" || err != nil {
			t.Fatalf("after %d: %q %v", keeps, note, err)
		}
		if f.files[journalName] != nil {
			t.Fatal("what was given up left a journal")
		}
		if ctx.left > 0 {
			break
		}
		if keeps%7 == 0 {
			k = keeper(f, d)
		}
	}
	same(t, f, d)
	t.Logf("%d times", keeps)
}

// ending is a context that ends when it was asked so often.
type ending struct {
	context.Context
	left int
}

func (e *ending) Err() error {
	if e.left--; e.left <= 0 {
		return context.Canceled
	}
	return nil
}

// Everything that docs/knowledge-db.md says can be asked is asked of SQLite as it comes with other systems.
func TestStock(t *testing.T) {
	if _, err := exec.LookPath("sqlite3"); err != nil {
		t.Skip("sqlite3 is not installed: tools/install.sh test does it")
	}
	f, d := newMemory(), sample()
	k := keeper(f, d)
	keep(t, k)
	d.say(1, "And the boiler of my sister?")
	d.forget(2)
	keep(t, k)
	file := filepath.Join(t.TempDir(), Name)
	if err := os.WriteFile(file, f.files[Name].data, 0o666); err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile("../../docs/knowledge-db.md")
	if err != nil {
		t.Fatal(err)
	}
	wants := []string{"1|about When is the boiler's service due?|3|2026-11-22 ", "user|When is the boiler's", "When is the [boiler]'s", "[Boiler] [service] is due", "manual.pdf|page 2", "empty.pdf|it has no text",
		"2026-11|3|guide", "mini|3|3", "My sister's birthday is on 3 May.\ntheme|night", "ok"}
	blocks := regexp.MustCompile("(?s)```sql\n(.*?)```").FindAllSubmatch(doc, -1)
	if len(blocks) != len(wants) {
		t.Fatalf("the documentation has %d queries, this test %d", len(blocks), len(wants))
	}
	for i, b := range blocks {
		out, err := exec.Command("sqlite3", file, string(b[1])).CombinedOutput()
		if err != nil || !strings.Contains(string(out), wants[i]) {
			t.Errorf("%s gives %s (%v), not %s", b[1], out, err, wants[i])
		}
	}
	for _, index := range []string{"messages_fts", "chunks_fts"} {
		if out, err := exec.Command("sqlite3", file, "INSERT INTO "+index+"("+index+", rank) VALUES('integrity-check', 1)").CombinedOutput(); err != nil {
			t.Errorf("%s: %s %v", index, out, err)
		}
	}
}

// What is deleted is nowhere in the file any more, neither its text nor its words in the index.
func TestDeletedIsGone(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	word := func() string {
		b := make([]byte, 3+r.IntN(6))
		for i := range b {
			b[i] = byte('a' + r.IntN(26))
		}
		return string(b)
	}
	text := func(words int) string {
		var list []string
		for range words {
			list = append(list, word())
		}
		return strings.Join(list, " ")
	}
	f, d := newMemory(), newDrive()
	k := keeper(f, d)
	secret := func(i int) string { return fmt.Sprintf("qzx%04dqzx", i) } // no word has both a q and a digit
	for i := 1; i <= 60; i++ {
		for range 1 + r.IntN(6) {
			d.say(i, text(1+r.IntN(100)), text(r.IntN(400))+" "+secret(i))
		}
		var texts []string
		for range r.IntN(10) {
			texts = append(texts, text(200)+" "+secret(1000+i))
		}
		d.write(fmt.Sprintf("%d.txt", i), texts...)
		if i%5 == 0 {
			keep(t, k)
		}
		if i%9 == 0 { // a cut that changes nothing for what was final
			k = keeper(f, d)
			k.Unclean = true
		}
	}
	keep(t, k)
	for _, i := range r.Perm(60)[:50] {
		d.forget(i + 1)
		d.remove(fmt.Sprintf("%d.txt", i+1))
		if r.IntN(5) == 0 {
			keep(t, k)
		}
	}
	keep(t, k)
	same(t, f, d)
	for i := 1; i <= 60; i++ {
		for _, s := range []string{secret(i), secret(1000 + i)} {
			want := d.said[i] != nil && s == secret(i) || len(d.chunks[fmt.Sprintf("%d.txt", i)]) > 0 && s != secret(i)
			// In an index a word lies behind what it shares with the one before.
			if got := bytes.Contains(f.files[Name].data, []byte(s)) || bytes.Contains(f.files[Name].data, []byte(s[3:])); got != want {
				t.Errorf("%s is in the file: %v", s, got)
			}
		}
	}
	if len(f.files) != 1 {
		t.Errorf("there are files besides: %v", f.files)
	}
	t.Logf("with a sixth left the file has %d KB", f.files[Name].Size()>>10)
}

// Two thousand messages and a thousand documents: one more of each costs no more than it has.
func TestIncremental(t *testing.T) {
	f, d := newMemory(), newDrive()
	for i := range 2000 {
		d.say(1+i/100, fmt.Sprintf("message %d of %d words, said to see how long it takes: %s", i, i%7, strings.Repeat("and more ", i%30)))
	}
	for i := range 1000 {
		var texts []string
		for k := range 8 {
			texts = append(texts, fmt.Sprintf("passage %d of document %d. %s", k, i, strings.Repeat("some of its text ", 50)))
		}
		d.write(fmt.Sprintf("folder/%d.txt", i), texts...)
	}
	k := keeper(f, d)
	began := time.Now()
	keep(t, k)
	whole, size := f.written, f.files[Name].Size()
	t.Logf("all: %v, %d KB written for %d KB", time.Since(began).Round(time.Millisecond), whole>>10, size>>10)
	same(t, f, d)
	for i, step := range []func(){
		func() { d.say(20, "one more") },
		func() { d.write("folder/7.txt", "changed") },
		func() { d.write("new.txt", "new") },
	} {
		step()
		k, written := keeper(f, d), f.written // the next session
		began := time.Now()
		keep(t, k)
		if n := f.written - written; n > 400<<10 {
			t.Errorf("step %d wrote %d KB", i, n>>10)
		} else {
			t.Logf("step %d: %v, %d KB written", i, time.Since(began).Round(time.Millisecond), n>>10)
		}
	}
	same(t, f, d)
}

func TestFull(t *testing.T) {
	f, d := newMemory(), sample()
	f.full = true
	k := keeper(f, d)
	if note, err := k.Keep(t.Context()); !errors.Is(err, errFull) || note != "" {
		t.Fatalf("%q %v", note, err)
	}
	f.full = false
	keep(t, k)
	same(t, f, d)
	d.say(1, "more")
	f.full = true
	if note, err := k.Keep(t.Context()); !errors.Is(err, errFull) || note != "" {
		t.Fatalf("%q %v", note, err)
	}
	f.full = false
	if note := keep(t, k); note != "" {
		t.Errorf("it says %q", note)
	}
	same(t, f, d)
}

// damaged has a database made anew from what there is in its place.
func damaged(t testing.TB, d *drive, files map[string][]byte, wants ...string) {
	t.Helper()
	f := newMemory()
	for name, b := range files {
		f.files[name] = &memoryFile{f, bytes.Clone(b), true}
	}
	k := keeper(f, d)
	k.Unclean = true
	note := keep(t, k)
	same(t, f, d)
	ok := len(wants) == 0
	for _, w := range wants {
		ok = ok || w == "" && note == "" || w != "" && strings.Contains(note, w)
	}
	if !ok {
		t.Errorf("it says %q", note)
	}
	if strings.Contains(note, otherName) {
		if got := f.files[otherName]; got == nil || !bytes.Equal(got.data, files[Name]) {
			t.Error("the other file is gone")
		}
	} else if f.files[otherName] != nil {
		t.Error("a file was moved without a word")
	}
}

func TestDamaged(t *testing.T) {
	f, d := newMemory(), sample()
	keep(t, keeper(f, d))
	good := f.files[Name].data
	used := len(bytes.TrimRight(good, "\x00"))
	const anew = "was damaged and is made anew"
	with := func(f func(b []byte) []byte) map[string][]byte { return map[string][]byte{Name: f(bytes.Clone(good))} }
	damaged(t, d, with(func(b []byte) []byte { return b }), "")
	damaged(t, d, with(func(b []byte) []byte { return nil }), "")
	damaged(t, d, with(func(b []byte) []byte { return make([]byte, len(b)) }), "")
	damaged(t, d, with(func(b []byte) []byte { clear(b[:pageSize]); return b }), anew)
	damaged(t, d, with(func(b []byte) []byte { return b[:used/2] }), anew)
	damaged(t, d, with(func(b []byte) []byte { return b[:pageSize] }), anew)
	damaged(t, d, with(func(b []byte) []byte { return b[:50] }), anew)
	damaged(t, d, with(func(b []byte) []byte { clear(b[:100]); return b }), anew)
	damaged(t, d, with(func(b []byte) []byte { clear(b[pageSize:]); return b }), anew)
	damaged(t, d, with(func(b []byte) []byte { b[63]++; return b }), anew) // the version
	damaged(t, d, with(func(b []byte) []byte { b[20] = 0; return b }), anew)
	damaged(t, d, with(func(b []byte) []byte { b[bytes.Index(b, []byte("Ich weiß"))]++; return b }), anew)
	damaged(t, d, map[string][]byte{Name: []byte("Shopping: milk, bread")}, otherName)
	damaged(t, d, map[string][]byte{Name: bytes.Repeat([]byte{0xff, 0xd8}, 5000)}, otherName)
	damaged(t, d, map[string][]byte{Name: good, journalName: []byte("no journal")}, "")
	r := rand.New(rand.NewPCG(3, 4))
	for range 40 {
		damaged(t, d, with(func(b []byte) []byte {
			for range 1 + r.IntN(3) {
				b[r.IntN(used)] ^= 1 << r.IntN(8)
			}
			return b
		}), anew, "", otherName)
	}
	// Another program's database, and no place to move it to.
	f = newMemory()
	s := &Keeper{Folder: f, Talk: d}
	f.files[Name] = &memoryFile{f, []byte("milk"), true}
	f.files[otherName] = &memoryFile{f, []byte("bread"), true}
	if _, err := s.Keep(t.Context()); !errors.Is(err, ErrOther) || string(f.files[Name].data) != "milk" {
		t.Errorf("%v, %q", err, f.files[Name].data)
	}
}

// FuzzDatabase opens anything as a database and its journal: it is used or made anew, and right afterwards.
func FuzzDatabase(f *testing.F) {
	m, d := newMemory(), sample()
	keep(f, keeper(m, d))
	good := m.files[Name].data
	good = good[:(len(bytes.TrimRight(good, "\x00"))+pageSize-1)/pageSize*pageSize]
	f.Add(0, []byte{}, []byte{})
	f.Add(24, []byte{0xff, 0xff}, []byte{})
	f.Add(pageSize, make([]byte, 2*pageSize), []byte{0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7, 0, 0, 0, 1, 1, 2, 3, 4, 0, 0, 0, 9, 0, 0, 16, 0, 0, 0, 16, 0})
	f.Fuzz(func(t *testing.T, at int, b, journal []byte) {
		if len(b) > len(good) || len(journal) > 1<<16 {
			return
		}
		data := bytes.Clone(good)
		if at < 0 || at > len(data)-len(b) {
			data = b
		} else {
			copy(data[at:], b)
		}
		files := map[string][]byte{Name: data}
		if len(journal) > 0 {
			files[journalName] = journal
		}
		damaged(t, d, files)
	})
}

// disc is an io/fs.FS of the folder's files.
type disc struct{ *memory }

func (m disc) Open(name string) (fs.File, error) {
	if f := m.files[name]; f != nil && f.there {
		return &opened{f, 0, name}, nil
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

type opened struct {
	*memoryFile
	at   int64
	name string
}

func (o *opened) Read(p []byte) (n int, err error) {
	n, err = o.ReadAt(p, o.at)
	o.at += int64(n)
	return n, err
}
func (o *opened) Stat() (fs.FileInfo, error) { return o, nil }
func (o *opened) Name() string               { return o.name }
func (o *opened) Mode() fs.FileMode          { return 0o444 }
func (o *opened) ModTime() time.Time         { return start }
func (o *opened) IsDir() bool                { return false }
func (o *opened) Sys() any                   { return nil }

func TestCheck(t *testing.T) {
	f, d := newMemory(), sample()
	if h, err := Check(t.Context(), disc{f}, Name); err != nil || h != (Health{Missing: true}) {
		t.Errorf("%+v %v", h, err)
	}
	k := keeper(f, d)
	keep(t, k)
	want := Health{Documents: 2, Chunks: 3, Said: 2, Messages: 6}
	check := func(want Health) {
		t.Helper()
		before := map[string][]byte{}
		for name, x := range f.files {
			before[name] = bytes.Clone(x.data)
		}
		h, err := Check(t.Context(), disc{f}, Name)
		if got := h; err != nil || got != want && !(want.Wrong != "" && strings.Contains(h.Wrong, want.Wrong)) {
			t.Errorf("%+v %v, not %+v", h, err, want)
		}
		for name, x := range f.files {
			if !bytes.Equal(x.data, before[name]) {
				t.Errorf("%s was changed", name)
			}
		}
	}
	check(want)
	// In the middle of a change: the journal is there, and some pages of the database are new.
	d.say(1, strings.Repeat("more ", 3000))
	f2 := &cutting{memory: f}
	k.Folder = f2
	f2.left = 3
	if _, err := k.Keep(t.Context()); !errors.Is(err, io.ErrClosedPipe) {
		t.Fatal(err)
	}
	want.Cut = true
	check(want)
	f.files[Name].data[bytes.Index(f.files[Name].data, []byte("Boiler service"))] ^= 1
	check(Health{Cut: true, Wrong: "damaged"})
	f.files[Name].data = []byte("no database")
	delete(f.files, journalName)
	check(Health{Wrong: "not AlphaOS's own"})
}

// cutting is a folder whose power is cut after so many writes to the database.
type cutting struct {
	*memory
	left int
}

func (c *cutting) Open(name string, create bool) (File, error) {
	f, err := c.memory.Open(name, create)
	if err != nil || name != Name {
		return f, err
	}
	return &cuttingFile{f.(*memoryFile), c}, nil
}

type cuttingFile struct {
	*memoryFile
	c *cutting
}

func (f *cuttingFile) WriteAt(p []byte, off int64) (int, error) {
	if f.c.left--; f.c.left < 0 {
		return 0, io.ErrClosedPipe
	}
	return f.memoryFile.WriteAt(p, off)
}

package database

import (
	"bytes"
	"context"
	"errors"
	iofs "io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	testfs "testing/fstest"
	"time"

	"alphaos/drive"
	"alphaos/fs/fat"
	"alphaos/fs/fstest"
	"alphaos/knowledge"
	"alphaos/knowledge/db"
	"alphaos/store"
)

// device is a medium in memory.
type device struct{ fstest.Device }

func (device) ReadOnly() bool { return false }
func (device) String() string { return "a drive in memory" }

// newDrive is a drive of one partition, with the journal and the folders that it needs.
func newDrive(t *testing.T) device {
	var tree fat.Tree
	must(t, tree.Add(drive.JournalPath, fat.Content{Size: 256 << 10}))
	const size = 40 << 20
	f, err := os.Create(filepath.Join(t.TempDir(), "volume"))
	must(t, err)
	defer f.Close()
	must(t, f.Truncate(size))
	plan, err := fat.Plan(&tree, size, 512)
	must(t, err)
	must(t, plan.Write(f, 0))
	b := make([]byte, size)
	_, err = f.ReadAt(b, 0)
	must(t, err)
	return device{fstest.NewDevice(b, 512)}
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, dev device) (*drive.Drive, *store.Store) {
	d, err := drive.Mount(dev)
	must(t, err)
	s, _, err := d.OpenJournal(time.Now)
	must(t, err)
	return d, s
}

func say(t *testing.T, s *store.Store, question, answer string) {
	t.Helper()
	must(t, s.AddUser(question))
	a := s.BeginAnswer()
	must(t, a.Write(answer), a.End(store.Stats{Model: "guide.gguf", Tokens: 3}, false))
}

// ones is a model for embeddings.
type ones struct{}

func (ones) EmbedTexts(_ context.Context, texts []string) ([][]float32, error) {
	list := make([][]float32, len(texts))
	for i := range list {
		list[i] = []float32{1, 0, 0}
	}
	return list, nil
}

// What the journal and the library say is in the database, for the sqlite3 of any computer; what is deleted is not on the volume any more, once the
// journal is compacted.
func TestDatabase(t *testing.T) {
	dev := newDrive(t)
	d, s := open(t, dev)
	say(t, s, "Where is the key?", "Below the pot.")
	must(t, s.NewConversation())
	say(t, s, "What grows in shade? A quagga.", "Ferns, says the quagga.")
	must(t, s.Set("theme", "day"), s.Set("text", "large"), s.Set("text", ""))
	at := time.Date(2026, 11, 22, 10, 11, 12, 0, time.UTC)
	now := func() time.Time { return at }
	documents := testfs.MapFS{"boiler.md": {Data: []byte("# Boiler\n\n## Service\nThe pump was replaced in May.\n"), ModTime: at}}
	library := &knowledge.Keeper{Documents: documents, Embedder: func(context.Context) (knowledge.Embedder, string, func(), error) {
		return ones{}, "ones", func() {}, nil
	}}
	k := On(d, s, library, false, now)
	keep := func() {
		t.Helper()
		if note, err := k.Keep(t.Context()); note != "" || err != nil {
			t.Fatal(note, err)
		}
	}
	keep()
	if info, err := iofs.Stat(d, drive.DatabasePath); err != nil || !info.ModTime().Equal(at) {
		t.Errorf("%v, %v", info, err)
	}
	ask := func(sql, want string) {
		t.Helper()
		if _, err := exec.LookPath("sqlite3"); err != nil {
			t.Skip("sqlite3 is not installed: tools/install.sh test does it")
		}
		b, err := iofs.ReadFile(d, drive.DatabasePath)
		must(t, err)
		file := filepath.Join(t.TempDir(), db.Name)
		must(t, os.WriteFile(file, b, 0o666))
		out, err := exec.Command("sqlite3", file, "PRAGMA integrity_check; "+sql).CombinedOutput()
		if got := string(out); err != nil || got != "ok\n"+want {
			t.Errorf("%s says %q, not %q, %v", sql, got, want, err)
		}
	}
	const all = "SELECT c.title, role, text, model, partial FROM messages m JOIN conversations c ON c.id = m.conversation ORDER BY c.id, position; SELECT * FROM settings"
	ask(all, "Where is the key?|user|Where is the key?||0\nWhere is the key?|assistant|Below the pot.|guide|0\n"+
		"What grows in shade? A quagga.|user|What grows in shade? A quagga.||0\nWhat grows in shade? A quagga.|assistant|Ferns, says the quagga.|guide|0\ntheme|day\n")
	ask("SELECT count(*) FROM documents; SELECT count(*) FROM facts", "0\n0\n") // nobody has read them yet
	fact, err := s.Remember("the key is below the pot")
	must(t, err)
	must(t, library.Keep(t.Context(), nil))
	keep()
	const shelf = "SELECT name, title, language, size, d.model, locator, trim(substr(text, -30), char(10)), length(vector) FROM documents d JOIN chunks k ON k.document = d.id JOIN embeddings e ON e.chunk = k.id; SELECT text FROM facts"
	ask(shelf, "boiler.md|Boiler|English|51|ones|Boiler › Service, line 1|The pump was replaced in May.|3\nthe key is below the pot\n")
	delete(documents, "boiler.md")
	library.Again()
	must(t, library.Keep(t.Context(), nil), s.Unremember(fact.ID))
	keep()
	ask("SELECT count(*) FROM documents; SELECT count(*) FROM chunks; SELECT count(*) FROM facts", "0\n0\n0\n")
	quagga := func() bool {
		b := make([]byte, int(dev.Blocks())*dev.BlockSize())
		must(t, dev.ReadBlocks(0, b))
		return bytes.Contains(b, []byte("quagga"))
	}
	if !quagga() {
		t.Error("it is not where it should be")
	}
	must(t, s.Delete(2))
	keep()
	must(t, s.Compact(t.Context()), s.End())
	if quagga() {
		t.Error("what was deleted is still on the volume")
	}
	ask("SELECT count(*) FROM messages; SELECT count(*) FROM messages_fts WHERE messages_fts MATCH 'quagga'", "2\n0\n")
	h, err := Check(t.Context(), d)
	if want := (db.Health{Said: 1, Messages: 2}); err != nil || h != want {
		t.Errorf("%+v %v", h, err)
	}
	for _, name := range db.Names[1:] {
		if ok, err := (folder{d, now}).Exists(name); ok || err != nil {
			t.Errorf("%s is there, %v", name, err)
		}
	}
	must(t, d.Close())
	report, err := fat.Check(dev, fat.CheckOptions{})
	for _, p := range report.Problems {
		if strings.Contains(p.Path, "data") {
			t.Error(p)
		}
	}
	must(t, err)
}

// All files of the database are on one partition, beside each other.
func TestPlaces(t *testing.T) {
	for _, name := range db.Names {
		full := drive.Full.Where("data/" + name)
		if want := "/" + name + " on ALPHAOSDATA"; full != want {
			t.Errorf("%s is at %s", name, full)
		}
	}
}

package knowledge

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

// disk has documents and an index.
type disk struct {
	files fstest.MapFS
	index []byte
	saves int
	full  bool
}

func (d *disk) keeper() *Keeper {
	return &Keeper{Documents: d.files,
		Open: func() (fs.File, error) {
			if d.index == nil {
				return nil, fs.ErrNotExist
			}
			return fstest.MapFS{"index": {Data: d.index}}.Open("index")
		},
		Save: func(write func(io.Writer) error) error {
			var b bytes.Buffer
			if err := write(&b); err != nil {
				return err
			}
			if d.full {
				return errors.New("the drive is full")
			}
			d.index, d.saves = b.Bytes(), d.saves+1
			return nil
		}}
}

func manyFiles(n int) fstest.MapFS {
	files := fstest.MapFS{}
	for i := range n {
		files[fmt.Sprintf("n%02d.txt", i)] = &fstest.MapFile{Data: fmt.Appendf(nil, "The number of this file is %d and it is about pumps.", i), ModTime: time.Unix(1700000000, 0)}
	}
	return files
}

// Whenever the power goes away or the person wants something else, what was read and saved is not read again, and in the end
// all is there.
func TestKeeperGoesOn(t *testing.T) {
	for stop := 1; stop < 25; stop++ {
		d := &disk{files: manyFiles(20)}
		k := d.keeper()
		ctx, cancel := context.WithCancel(t.Context())
		read := 0
		err := k.Keep(ctx, func(Change) {
			if read++; read == stop {
				cancel()
			}
		})
		if stopped := errors.Is(err, context.Canceled); stopped != (stop <= 20) {
			t.Fatalf("stopped after %d: %v", stop, err)
		}
		// The session goes on …
		if err := k.Keep(t.Context(), func(Change) { read++ }); err != nil || read != 20 {
			t.Fatalf("stopped after %d: %d read, %v", stop, read, err)
		}
		// … or the power went away, at the latest moment at which something was saved.
		l, err := d.keeper().Library(t.Context())
		if n, _ := l.Documents(); err != nil || n != 20 {
			t.Fatalf("%d documents, %v", n, err)
		}
	}
	// What is saved in the middle counts.
	d := &disk{files: manyFiles(20)}
	k := d.keeper()
	k.took = 0
	ctx, cancel := context.WithCancel(t.Context())
	n := 0
	k.Library(ctx)
	if err := k.Keep(ctx, func(Change) {
		if n++; n == 10 {
			k.saved = k.saved.Add(-2 * saveEvery) // a minute has gone by
		}
		if n == 15 {
			cancel()
		}
	}); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	cancel()
	n = 0
	if err := d.keeper().Keep(t.Context(), func(Change) { n++ }); err != nil || n != 10 {
		t.Errorf("after a cut %d documents are read, of which 10 were saved; %v", n, err)
	}
}

func TestKeeperIndex(t *testing.T) {
	d := &disk{files: manyFiles(3)}
	k := d.keeper()
	if err := k.Keep(t.Context(), nil); err != nil || d.saves != 1 {
		t.Fatal(err, d.saves)
	}
	if err := k.Keep(t.Context(), nil); err != nil || d.saves != 1 {
		t.Errorf("nothing changed, and yet: %v, %d", err, d.saves)
	}
	d.files["new.txt"] = &fstest.MapFile{Data: []byte("A zebra.")}
	if k.Keep(t.Context(), nil); d.saves != 1 {
		t.Error("files are looked at without being asked to")
	}
	k.Again()
	if err := k.Keep(t.Context(), nil); err != nil || d.saves != 2 {
		t.Error(err, d.saves)
	}
	for i := 0; i < len(d.index); i += 7 {
		bad := &disk{files: d.files, index: bytes.Clone(d.index)}
		bad.index[i] ^= 0x55
		k := bad.keeper()
		if err := k.Keep(t.Context(), nil); !errors.Is(err, ErrRebuilt) {
			t.Fatalf("byte %d is damaged: %v", i, err)
		}
		l, err := k.Library(t.Context())
		if p := search(t, l, "zebra", 1); err != nil || len(p) != 1 || bad.saves != 1 {
			t.Fatalf("byte %d is damaged: %v, %v", i, p, err)
		}
	}
	// A drive that takes no index is no reason not to find things.
	full := &disk{files: d.files, full: true}
	k = full.keeper()
	if err := k.Keep(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "full") {
		t.Error(err)
	}
	l, _ := k.Library(t.Context())
	if p := search(t, l, "zebra", 1); len(p) != 1 {
		t.Errorf("%+v", p)
	}
	// Nobody who has no documents gets an index; who takes them all away has an empty one.
	none := &disk{files: fstest.MapFS{}}
	if err := none.keeper().Keep(t.Context(), nil); err != nil || none.saves != 0 {
		t.Error(err, none.saves)
	}
	none.index = d.index
	k = none.keeper()
	if err := k.Keep(t.Context(), nil); err != nil || none.saves != 1 {
		t.Error(err, none.saves)
	}
	if l, _ := k.Library(t.Context()); len(l.Catalogue("")) != 0 {
		t.Error("documents that are gone are known")
	}
}

// Words first, then meaning; the model gives its memory back.
func TestKeeperEmbeds(t *testing.T) {
	d := &disk{files: manyFiles(40)}
	k := d.keeper()
	loaded, released := 0, 0
	k.Embedder = func(context.Context) (Embedder, string, func(), error) {
		l := k.library
		if n, _ := l.Documents(); n != 40 {
			t.Errorf("the model is loaded when %d documents were read", n)
		}
		loaded++
		return &toy{}, "toy", func() { released++ }, nil
	}
	if err := k.Read(t.Context(), nil); err != nil || loaded != 0 {
		t.Fatal(err, loaded)
	}
	ctx, cancel := context.WithCancel(t.Context())
	left := 0
	if err := k.Keep(ctx, func(c Change) { left = c.Left; cancel() }); !errors.Is(err, context.Canceled) || left != 40-batch {
		t.Fatal(err, left)
	}
	k.Rest()
	if err := k.Keep(t.Context(), nil); err != nil || loaded != 2 || released != 1 {
		t.Fatal(err, loaded, released)
	}
	l, _ := k.Library(t.Context())
	if l.vectors.held != 40 {
		t.Errorf("%d vectors", l.vectors.held)
	}
	// The next start has them, without the model.
	again, err := d.keeper().Library(t.Context())
	if err != nil || again.vectors.held != 40 || again.model != "toy" {
		t.Errorf("%d vectors of %s, %v", again.vectors.held, again.model, err)
	}
}

// On a computer with little memory the library stays small, and says so.
func TestKeeperBound(t *testing.T) {
	d := &disk{files: fstest.MapFS{}}
	text := prose(30000)
	for i := range 10 {
		d.files[fmt.Sprintf("n%d.txt", i)] = &fstest.MapFile{Data: []byte(text)}
	}
	k := d.keeper()
	k.Bound = 5 * need(len(text), len(text)/900, 0)
	if err := k.Keep(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	l, _ := k.Library(t.Context())
	read, refused := 0, 0
	for _, e := range l.Catalogue("") {
		switch {
		case e.Passages > 0:
			read++
		case e.Note == ErrNoRoom.Error():
			refused++
		}
	}
	if read < 4 || read+refused != 10 || l.Memory() > k.Bound {
		t.Errorf("%d were read, %d were not; %d bytes of %d", read, refused, l.Memory(), k.Bound)
	}
	// Elsewhere all are read.
	k = d.keeper()
	if err := k.Keep(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if l, _ := k.Library(t.Context()); len(search(t, l, strings.Fields(text)[3], 10)) != 10 {
		t.Error("they are not read on another computer")
	}
}

func TestSearchWithin(t *testing.T) {
	for _, e := range []Embedder{nil, &toy{}} {
		l := home(t, e)
		for _, q := range []string{"descale the machine", "error E19"} {
			p, err := l.Search(t.Context(), q, 5, "manual-mark3.md")
			if err != nil || len(p) == 0 {
				t.Errorf("%s: %v, %v", q, p, err)
			}
			for _, p := range p {
				if p.Document != "manual-mark3.md" {
					t.Errorf("%s: found in %s", q, p.Document)
				}
			}
		}
	}
}

func TestExcerpt(t *testing.T) {
	text := strings.Repeat("a few words of no meaning, ", 40) + "the pump and the seal of the boiler" + strings.Repeat(", and so on with more words", 40)
	at := strings.Index(text, "pump")
	from, to := Excerpt(text, [][2]int{{2, 5}, {at, at + 4}, {at + 13, at + 17}}, 200)
	if got := text[from:to]; len(got) > 200 || !strings.Contains(got, "the pump and the seal") || text[from-1] != ' ' {
		t.Errorf("%q", got)
	}
	if from, to := Excerpt("short", nil, 200); from != 0 || to != 5 {
		t.Error(from, to)
	}
	dense := strings.Repeat("水泵和密封圈", 100)
	from, to = Excerpt(dense, [][2]int{{900, 906}}, 200)
	if !strings.Contains("水泵和密封圈水泵和密封圈", dense[from:from+3]) || to-from > 210 {
		t.Errorf("%d, %d: %q", from, to, dense[from:to])
	}
}

package database

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	iofs "io/fs"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"alphaos/archive"
	"alphaos/drive"
	"alphaos/fs"
	"alphaos/fs/ext4"
	"alphaos/fs/fstest"
	"alphaos/fs/gpt"
	"alphaos/internal/fsck"
	"alphaos/knowledge"
	"alphaos/store"
)

var (
	cuts     = flag.Int("cuts", 30, "how many cuts of power TestCuts simulates")
	seedFlag = flag.Uint64("seed", 0, "the seed of the first drive that TestCuts simulates; 0: any")
)

// all is what is on a drive, but for what is made of it.
type all struct {
	talks     [][]string // conversations in the order in which they began: what was said
	at        int        // the one that goes on, in talks; one that is empty is new, or deleted
	titles    map[int]string
	facts     []string
	setting   string
	documents map[string]string
}

func (a all) clone() all {
	b := a
	b.talks = nil
	for _, t := range a.talks {
		b.talks = append(b.talks, slices.Clone(t))
	}
	b.titles, b.facts, b.documents = maps.Clone(a.titles), slices.Clone(a.facts), maps.Clone(a.documents)
	return b
}

// String is the same for two that nobody can tell apart.
func (a all) String() string {
	var b strings.Builder
	for i, t := range a.talks {
		if len(t) > 0 {
			fmt.Fprintf(&b, "%v %q: %q\n", i == a.at, a.titles[i], t)
		}
	}
	fmt.Fprintf(&b, "facts %q\nsetting %q\n", a.facts, a.setting)
	for _, name := range slices.Sorted(maps.Keys(a.documents)) {
		fmt.Fprintf(&b, "%s %q\n", name, a.documents[name])
	}
	return b.String()
}

// life is a drive that is used, and whose power is cut.
type life struct {
	t    *testing.T
	r    *rand.Rand
	disk *fstest.Disk
	dev  drive.Device
	esp  drive.Device // beside dev, unless all is on that
	now  time.Time

	is      all             // what was acknowledged
	perhaps []all           // what it may be instead, since something was begun
	dead    map[string]bool // words that were deleted
	words   int             // that were given out
	cuts    int
	remade  int // how often the database was made anew

	d       *drive.Drive
	s       *store.Store
	library *knowledge.Keeper
	files   *archive.Keeper
	backups *archive.Backups
	keep    func() error // the database
}

func (l *life) clock() time.Time {
	l.now = l.now.Add(2 * time.Second) // FAT knows no less
	return l.now
}

// word is one that was never said, too long to be in a checksum by chance.
func (l *life) word() string {
	l.words++
	return fmt.Sprintf("w%09dq", l.words)
}

// open is what a start does, up to the prompt.
func (l *life) open() {
	l.t.Helper()
	d, err := drive.Mount(l.dev)
	if l.esp != nil {
		d, err = drive.Mount(l.esp, drive.Partition{Device: l.dev, TypeGUID: gpt.LinuxData, Name: drive.Parts[drive.Knowledge].Label})
	}
	if err != nil {
		l.t.Fatal(err)
	}
	s, rec, err := d.OpenJournal(l.clock)
	if err != nil {
		l.t.Fatal(err)
	}
	d.Mend(context.Background(), rec.Unclean, l.clock(), func(int64, int64) {}, func(string, ...any) {})
	if len(rec.Holes) > 0 || rec.Unread > 0 {
		l.t.Errorf("%+v", rec)
	}
	l.d, l.s = d, s
	l.library = &knowledge.Keeper{Documents: d.Documents(), Bound: 8 << 20,
		Open: func() (iofs.File, error) { return d.Open(drive.IndexPath) },
		Save: func(write func(io.Writer) error) error { return d.SaveIndex(l.clock(), write) }}
	l.files = &archive.Keeper{Store: s, Folder: d.Conversations(), Unclean: rec.Unclean, Zone: func() *time.Location { return time.UTC }}
	l.backups = &archive.Backups{Store: s, Folder: d.Backups(), Now: l.clock}
	base := On(d, s, l.library, rec.Unclean, l.clock)
	l.keep = func() error {
		note, err := base.Keep(context.Background())
		if strings.Contains(note, "made anew") {
			l.remade++
		} else if note != "" {
			l.t.Error(note)
		}
		return err
	}
}

// try does something that makes of what there is one of these, the last of them when it is done.
func (l *life) try(do func() error, becomes ...all) error {
	l.perhaps = becomes
	err := do()
	if err == nil && len(becomes) > 0 {
		l.is = becomes[len(becomes)-1]
	}
	if err == nil {
		l.perhaps = nil
	}
	return err
}

// with is what there is after a change.
func (l *life) with(change func(*all)) all {
	a := l.is.clone()
	change(&a)
	return a
}

func (l *life) say() error {
	question := l.word() + strings.Repeat(" why", l.r.IntN(200))
	asked := l.with(func(a *all) { a.talks[a.at] = append(a.talks[a.at], question) })
	if err := l.try(func() error { return l.s.AddUser(question) }, asked); err != nil {
		return err
	}
	answer := l.s.BeginAnswer()
	text := ""
	for range 1 + l.r.IntN(3) {
		piece := l.word() + strings.Repeat(" because", l.r.IntN(100)) + " "
		before := l.is
		text += piece
		longer := l.with(func(a *all) {
			if t := a.talks[a.at]; len(text) > len(piece) {
				t[len(t)-1] = text
			} else {
				a.talks[a.at] = append(t, text)
			}
		})
		if err := l.try(func() error { return errors.Join(answer.Write(piece), answer.Flush()) }, before, longer); err != nil {
			return err
		}
	}
	return l.try(func() error { return answer.End(store.Stats{Model: "small"}, false) }, l.is)
}

// some picks a conversation in which something was said, by its place in talks.
func (l *life) some() (at, id int, ok bool) {
	var list []int
	for i, t := range l.is.talks {
		if len(t) > 0 {
			list = append(list, i)
		}
	}
	if len(list) == 0 {
		return 0, 0, false
	}
	n := l.r.IntN(len(list))
	return list[n], l.s.Conversations()[n].ID, true
}

// buried notes that the words of a text are deleted.
func (l *life) buried(text string) {
	for _, w := range strings.Fields(text) {
		if strings.HasPrefix(w, "w") && strings.HasSuffix(w, "q") {
			l.dead[w] = true
		}
	}
}

// step does something.
func (l *life) step() error {
	fresh := func(a *all) {
		if len(a.talks[a.at]) > 0 {
			a.talks, a.at = append(a.talks, nil), len(a.talks)
		}
	}
	switch l.r.IntN(16) {
	case 0:
		return l.try(l.s.NewConversation, l.with(fresh))
	case 1:
		if at, id, ok := l.some(); ok {
			return l.try(func() error { return l.s.GoOn(id) }, l.with(func(a *all) { a.at = at }))
		}
	case 2:
		if at, id, ok := l.some(); ok {
			gone := strings.Join(l.is.talks[at], " ") + " " + l.is.titles[at]
			err := l.try(func() error { return l.s.Delete(id) }, l.with(func(a *all) {
				if at == a.at {
					fresh(a)
				}
				a.talks[at] = nil
				delete(a.titles, at)
			}))
			if err == nil {
				l.buried(gone)
			}
			return err
		}
	case 3:
		if at, id, ok := l.some(); ok {
			title := l.word()
			return l.try(func() error { return l.s.Rename(id, title) }, l.with(func(a *all) { a.titles[at] = title }))
		}
	case 4:
		fact := l.word() + " is so"
		return l.try(func() error { _, err := l.s.Remember(fact); return err }, l.with(func(a *all) { a.facts = append(a.facts, fact) }))
	case 5:
		if n := len(l.is.facts); n > 0 {
			i := l.r.IntN(n)
			gone := l.is.facts[i]
			err := l.try(func() error { return l.s.Unremember(l.s.Facts()[i].ID) }, l.with(func(a *all) { a.facts = slices.Delete(a.facts, i, i+1) }))
			if err == nil {
				l.buried(gone)
			}
			return err
		}
	case 6:
		value := l.word()
		return l.try(func() error { return l.s.Set("theme", value) }, l.with(func(a *all) { a.setting = value }))
	case 7, 8:
		name := fmt.Sprintf("%d.txt", l.r.IntN(6))
		text := l.word() + strings.Repeat(fmt.Sprintf(" of the pump and of %s.\n", l.word()), l.r.IntN(300))
		return l.try(func() error { _, err := l.d.SaveDocument(l.clock(), name, []byte(text), true); return err },
			l.with(func(a *all) { a.documents[name] = text }))
	case 9:
		if names := slices.Sorted(maps.Keys(l.is.documents)); len(names) > 0 {
			name := names[l.r.IntN(len(names))]
			return l.try(func() error {
				v, at, err := l.d.On(path.Join(drive.DocumentsDir, name))
				return errors.Join(err, v.Remove(at))
			}, l.with(func(a *all) { delete(a.documents, name) }))
		}
	case 10:
		l.library.Again()
		return l.library.Keep(context.Background(), nil)
	case 11:
		return l.keep()
	case 12:
		return l.files.Keep(context.Background())
	case 13:
		if len(l.s.Conversations()) > 0 {
			_, err := l.backups.Make(func() error { return nil }, func(int64) {})
			return err
		}
	case 14:
		return l.remove()
	}
	return l.say()
}

// remove takes off the drive what was deleted, as a spare moment does.
func (l *life) remove() error {
	if err := l.keep(); err != nil {
		return err
	}
	if err := l.s.Compact(context.Background()); err != nil {
		return err
	}
	if _, err := l.backups.Purge(func() error { return nil }); err != nil {
		return err
	}
	return l.files.Keep(context.Background())
}

// found is what a drive says.
func (l *life) found() all {
	a := all{at: -1, titles: map[int]string{}, documents: map[string]string{}, setting: l.s.Setting("theme")}
	now := l.s.Current().ID
	for i, c := range l.s.Conversations() {
		var said []string
		for _, m := range l.s.Messages(c.ID) {
			said = append(said, m.Text)
		}
		a.talks = append(a.talks, said)
		if c.ID == now {
			a.at = i
		}
		if !strings.HasPrefix(said[0], c.Title) && !strings.HasSuffix(c.Title, "…") {
			a.titles[i] = c.Title
		}
	}
	for _, f := range l.s.Facts() {
		a.facts = append(a.facts, f.Text)
	}
	entries, err := iofs.ReadDir(l.d, drive.DocumentsDir)
	if err != nil && !errors.Is(err, iofs.ErrNotExist) {
		l.t.Error(err)
	}
	for _, e := range entries {
		b, err := iofs.ReadFile(l.d, path.Join(drive.DocumentsDir, e.Name()))
		if err != nil {
			l.t.Error(err)
		}
		a.documents[e.Name()] = string(b)
	}
	return a
}

// recover starts after a cut, and looks at everything.
func (l *life) recover() {
	t := l.t
	l.disk.PowerOn()
	l.open()
	got := l.found().String()
	i := slices.IndexFunc(append([]all{l.is}, l.perhaps...), func(a all) bool { return a.String() == got })
	if i < 0 {
		t.Errorf("it has\n%.4000s\nand not\n%.4000s\nnor %d others, the last\n%.4000s", got, l.is, len(l.perhaps), l.perhaps)
		return
	}
	if i > 0 {
		old := l.is
		l.is = l.perhaps[i-1]
		for at, talk := range old.talks { // deleted, though that was not acknowledged
			if len(talk) > 0 && len(l.is.talks[at]) == 0 {
				l.buried(strings.Join(talk, " ") + " " + old.titles[at])
			}
		}
		for _, f := range old.facts {
			if !slices.Contains(l.is.facts, f) {
				l.buried(f)
			}
		}
	}
	if len(l.s.Conversations()) == 0 || l.s.Current().ID == 0 { // the current one is empty: whichever that is
		if len(l.is.talks[l.is.at]) > 0 {
			t.Error("another conversation goes on")
		}
	}
	l.perhaps = nil
	must(t, l.s.Begin())

	// What is made of it is made right.
	if err := l.library.Keep(t.Context(), nil); err != nil && !errors.Is(err, knowledge.ErrRebuilt) {
		t.Error(err)
	}
	library, ok := l.library.Known()
	if !ok {
		t.Fatal("the documents are not known")
	}
	if n, _ := library.Documents(); n != len(l.is.documents) {
		t.Errorf("%d documents are known of %d", n, len(l.is.documents))
	}
	for name, text := range l.is.documents {
		word, _, _ := strings.Cut(text, " ")
		hits, err := library.Search(t.Context(), word, 3)
		if err != nil || len(hits) == 0 || hits[0].Document != name {
			t.Errorf("%s of %s is not found: %v, %v", word, name, hits, err)
		}
	}
	must(t, l.remove())
	health, err := Check(t.Context(), l.d)
	messages, talks := 0, 0
	for _, talk := range l.is.talks {
		if messages += len(talk); len(talk) > 0 {
			talks++
		}
	}
	if err != nil || health.Wrong != "" || health.Missing || health.Said != talks || health.Messages != messages || health.Documents != len(l.is.documents) {
		t.Errorf("the database: %+v, %v; there are %d conversations, %d messages, %d documents", health, err, talks, messages, len(l.is.documents))
	}
	files, err := l.d.Conversations().Files()
	if err != nil || len(files) != talks {
		t.Errorf("%d conversations have %d files, %v", talks, len(files), err)
	}
	backups, err := l.backups.List()
	if err != nil {
		t.Error(err)
	}
	for _, b := range backups {
		if b.Broken != nil {
			t.Errorf("backup %s: %v", b.Name, b.Broken)
			continue
		}
		l.restores(b.Name)
	}
	l.gone()
}

// restores looks at what a backup has: nothing that was deleted.
func (l *life) restores(name string) {
	in, err := l.d.Backups().Open(name)
	must(l.t, err)
	defer in.Close()
	z, err := archive.Unpack(in)
	must(l.t, err)
	defer z.Close()
	s, err := store.OpenBackup(z, l.clock)
	if err != nil {
		l.t.Errorf("backup %s: %v", name, err)
		return
	}
	for _, c := range s.Conversations() {
		for _, m := range s.Messages(c.ID) {
			if word, _, _ := strings.Cut(m.Text, " "); l.dead[word] {
				l.t.Errorf("backup %s has %s, which was deleted", name, word)
			}
		}
	}
}

// gone looks for words of what was deleted in all files that could have them.
func (l *life) gone() {
	if l.s.Deleted() {
		l.t.Error("what was deleted is still there")
	}
	v, at, err := l.d.On(drive.ConversationDir)
	must(l.t, err)
	_, backups, _ := l.d.On(drive.BackupDir)
	_, index, _ := l.d.On(drive.IndexPath)
	err = iofs.WalkDir(v, path.Dir(at), func(name string, e iofs.DirEntry, err error) error {
		if err != nil || e.IsDir() || strings.HasPrefix(name, backups) || name == index {
			return err
		}
		b, err := v.ReadFile(name)
		for _, w := range bytes.FieldsFunc(b, func(r rune) bool { return !(r >= '0' && r <= '9' || r == 'w' || r == 'q') }) {
			if l.dead[string(w)] {
				i := bytes.Index(b, w)
				l.t.Errorf("%s has %s at %d, which was deleted: %q", name, w, i, b[max(0, i-60):min(len(b), i+60)])
				break
			}
		}
		return err
	})
	if err != nil {
		l.t.Error(err)
	}
}

// tortured is a drive in memory whose power may be cut.
type tortured struct {
	fs.BlockDevice
}

func (tortured) ReadOnly() bool { return false }
func (tortured) String() string { return "a drive in memory" }

// TestCuts lives with drives on which conversations, facts, documents, their index, the database, files of conversations and backups
// are changed, on FAT32 and on ext4, and cuts the power at any write and flush; media write in order or not. After each
// cut a start finds all that was acknowledged, nothing that was not said, and nothing that was deleted; the database is sound and has the same; backups
// can be read; what was deleted is off the drive; and fsck.fat or e2fsck finds nothing after our repair, in a sample.
func TestCuts(t *testing.T) {
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	base := newDrive(t)
	empty := make([]byte, int(base.Blocks())*base.BlockSize())
	must(t, base.ReadBlocks(0, empty))
	linux := fstest.NewDevice(make([]byte, 40<<20), 512)
	must(t, ext4.Format{}.Write(linux))
	v, err := ext4.Mount(linux)
	must(t, err)
	must(t, v.Mkdir("journal"), v.WriteFile("journal/journal.log", make([]byte, 256<<10)), v.Sync())
	done, remade, lives := 0, 0, 0
	for ; done < *cuts && !t.Failed(); seed++ {
		var l *life
		if seed/6%2 == 0 { // for each of what seeds choose
			l = born(t, seed, empty, nil)
		} else {
			l = born(t, seed, linux.Bytes(), newDrive(t))
		}
		for range 12 {
			if done+l.cuts >= *cuts || t.Failed() {
				break
			}
			l.session()
		}
		done, remade, lives = done+l.cuts, remade+l.remade, lives+1
		if t.Failed() {
			t.Fatalf("seed %d, cut %d", seed, l.cuts)
		}
	}
	t.Logf("%d drives, %d cuts; the database was made anew %d times", lives, done, remade)
}

func born(t *testing.T, seed uint64, empty []byte, esp drive.Device) *life {
	r := rand.New(rand.NewPCG(seed, 7))
	l := &life{t: t, r: r, now: time.Date(2026, 11, 29, 10, 0, 0, 0, time.UTC), dead: map[string]bool{},
		is: all{talks: [][]string{nil}, titles: map[int]string{}, documents: map[string]string{}}}
	l.disk = fstest.New(int64(len(empty)), []int{512, 4096}[seed%2], 0, r)
	copy(l.disk.Bytes(), empty)
	l.disk.InOrder = seed%3 == 0
	// Sectors are written whole, as fs/fat asks for: of a name that is torn the short one may stay, with a file of zeros. Torn sectors are for the
	// torture of the journal and that of the database.
	l.disk.Tear = []fstest.Tear{fstest.TearOld, fstest.TearNew}[r.IntN(2)]
	l.esp = esp
	dev, err := fs.NewFileDevice(l.disk, l.disk.Size(), 512)
	must(t, err)
	l.dev = tortured{dev}
	l.open()
	must(t, l.s.Begin())
	return l
}

// session uses the drive until the power is cut, and recovers.
func (l *life) session() {
	l.disk.CutAfter(1 + l.r.IntN(400<<l.r.IntN(4)))
	for {
		err := l.step()
		switch {
		case l.disk.Off():
			l.cuts++
			l.recover()
			if l.cuts%10 == 1 {
				must(l.t, l.d.Close())
				fsck.Sound(l.t, l.dev)
			}
			return
		case err != nil && (errors.Is(err, store.ErrFull) || errors.Is(err, fs.ErrNoRoom)):
			l.disk.CutAfter(0)
		case err != nil:
			l.t.Error(err)
			return
		}
	}
}

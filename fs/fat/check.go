package fat

// Check: what is wrong with a volume, and its repair.
//
// Everything is judged by what a reader of any system would make of it, which is also what
// fsck.fat asks for: each cluster has one owner; each chain is as long as its file; names can be
// told apart; the FATs, the boot sectors and the counts agree. What has to give way is never the
// content of another file: a chain that runs into another's clusters ends before them, and
// clusters that nobody has become free, or files of their own.
//
// It goes from the root down, each directory once, so that it ends whatever the volume says.
// Memory: two bits for each cluster, one directory, the names of those still to be looked at,
// and FS's caches. Without Repair it does the same over a copy in memory of what it would
// write, so that both find the same. A repair that is cut short leaves a volume that is
// marked as in use; the next one does the rest.
//
// The clusters of protected files, such as a journal that is written where it lies, are left
// to them, and those of the directories on the way to them to these: other files that claim them
// are cut, and when they do not suffice for the file that is said, and nothing changed.

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	iofs "io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"alphaos/fs"
)

// What all checks of volumes have in common.
type (
	CheckOptions = fs.CheckOptions
	Report       = fs.Report
	Problem      = fs.Problem
	Kind         = fs.ProblemKind
)

// The kinds of problems.
const (
	Mark   = fs.Mark
	Lost   = fs.Lost
	Damage = fs.Damage
)

const (
	mostProblems = 1000
	mostOverlay  = 64 << 20 // bytes that would be written
	mostSaved    = 9999     // files of lost clusters
)

// MaxFile is how many bytes a file can have.
const MaxFile = 1<<32 - 1

// Check looks at the whole volume and mends it if that is asked for. The volume must not be
// mounted for changes meanwhile. The error tells why it could not be done: the medium failed,
// or there is no FAT32 volume.
func Check(dev fs.BlockDevice, o CheckOptions) (Report, error) {
	if o.Watch != nil {
		dev = seen{dev, o.Watch}
	}
	if !o.Repair {
		dev = &overlay{BlockDevice: dev, blocks: map[uint64][]byte{}}
	}
	c, err := newChecker(dev, o)
	if err != nil {
		return Report{}, err
	}
	err = c.run()
	if errors.Is(err, errTooMuch) {
		c.r.More++
		err = nil
	}
	if err != nil {
		err = fmt.Errorf("the check could not be ended: %w", err)
	}
	return c.r, err
}

// Check is the package's Check for a volume that is mounted, when no file is open but those
// that are pinned: these are protected, too, and can be used as before.
func (v *FS) Check(o CheckOptions) (Report, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.writers)+len(v.held)+len(v.reserved) > 0 {
		return Report{}, errors.New("the volume cannot be checked while files on it are open")
	}
	o.Protect = slices.Clone(o.Protect)
	for _, p := range v.pins {
		o.Protect = append(o.Protect, p.path)
	}
	r, err := Check(v.dev, o)
	if !o.Repair {
		return r, err
	}
	clear(v.tables)
	v.forget()
	was, dirty := v.geometry, v.wasDirty
	v.state = state{}
	rerr := v.readBoot()
	if rerr != nil {
		v.geometry = was
	} else {
		rerr = v.begin()
	}
	if rerr != nil {
		v.wasDirty = dirty
	}
	return r, errors.Join(err, rerr)
}

// forget drops what is known of directories.
func (v *FS) forget() {
	clear(v.dirs)
	clear(v.origin)
	clear(v.owner)
	v.entries = 0
}

// seen is a device of which somebody wants to know how it is used.
type seen struct {
	fs.BlockDevice
	watch func(bytes int) error
}

func (w seen) ReadBlocks(lba uint64, p []byte) error {
	if err := w.watch(len(p)); err != nil {
		return err
	}
	return w.BlockDevice.ReadBlocks(lba, p)
}

func (w seen) WriteBlocks(lba uint64, p []byte) error {
	if err := w.watch(len(p)); err != nil {
		return err
	}
	return w.BlockDevice.WriteBlocks(lba, p)
}

// overlay keeps what is written in memory.
type overlay struct {
	fs.BlockDevice
	blocks map[uint64][]byte
}

var errTooMuch = errors.New("more is wrong than fits in memory")

func (o *overlay) ReadBlocks(lba uint64, p []byte) error {
	err := o.BlockDevice.ReadBlocks(lba, p)
	if len(o.blocks) == 0 {
		return err
	}
	for size := o.BlockSize(); len(p) > 0; lba, p = lba+1, p[size:] {
		if b, ok := o.blocks[lba]; ok {
			copy(p, b)
		} else if err != nil {
			if err := o.BlockDevice.ReadBlocks(lba, p[:size]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (o *overlay) WriteBlocks(lba uint64, p []byte) error {
	if err := fs.CheckRequest(o, lba, p); err != nil {
		return err
	}
	for size := o.BlockSize(); len(p) > 0; lba, p = lba+1, p[size:] {
		if len(o.blocks)*size > mostOverlay {
			return errTooMuch
		}
		o.blocks[lba] = bytes.Clone(p[:size])
	}
	return nil
}

func (o *overlay) Flush() error { return nil }

// bitmap has a bit for each cluster.
type bitmap []uint64

func (b bitmap) has(c uint32) bool { return b[c/64]>>(c%64)&1 != 0 }
func (b bitmap) set(c uint32)      { b[c/64] |= 1 << (c % 64) }
func (b bitmap) unset(c uint32)    { b[c/64] &^= 1 << (c % 64) }

func (b bitmap) setRuns(runs []run) {
	for _, r := range runs {
		for x := r.first; x < r.first+r.count; x++ {
			b.set(x)
		}
	}
}

type checker struct {
	v *FS
	o CheckOptions
	r Report

	owned   bitmap          // clusters that have an owner
	heads   bitmap          // the first ones of files; later, those that lost ones lead to
	guarded map[origin]bool // protected files
	ways    map[uint32]bool // directories that lead to them, by first cluster
	guard   bitmap          // the clusters of these files; nil if there are none
	way     bitmap          // and of these directories
	placed  int             // protected files whose clusters are known
	keep    bool            // lost clusters are left as they are
	marked  bool
	label   []byte // in the root
	todo    []*checkDir
	quick   bool // only one FAT is looked at

	differ int    // entries of the FATs
	marks  bool   // they do in the mark
	unread []bool // FATs that cannot be read as a whole
}

// checkDir is a directory still to be looked at.
type checkDir struct {
	name          string
	up            *checkDir // nil for the root
	first, parent uint32
	runs          []run
}

// path returns the path of something in d; of one that no reader would follow, the end.
func (d *checkDir) path(name string) string {
	for n := 0; d.up != nil; n, d = n+1, d.up {
		if n == maxDepth {
			return ".../" + name
		}
		name = path.Join(d.name, name)
	}
	return "/" + name
}

func newChecker(dev fs.BlockDevice, o CheckOptions) (*checker, error) {
	v, err := open(dev)
	if err != nil {
		return nil, err
	}
	if err := v.preferBackup(); err != nil {
		return nil, err
	}
	n := v.last/64 + 1
	c := &checker{v: v, o: o, owned: make(bitmap, n), heads: make(bitmap, n), guarded: map[origin]bool{}, ways: map[uint32]bool{}}
	c.r.Clusters = int64(v.last) - 1
	if !o.Time.IsZero() {
		v.Clock = func() time.Time { return o.Time }
	}
	return c, nil
}

// preferBackup takes the volume for what the backup of the boot sector says, if that is sound and says
// something else than a boot sector with oddities.
func (v *FS) preferBackup() error {
	if v.fromBackup || len(v.geometry.notes) == 0 && v.info != 0 && v.backup != 0 {
		return nil
	}
	boot, backup := make([]byte, 512), make([]byte, 512)
	if err := v.readAt(0, boot); err != nil {
		return err
	}
	const from, to = 11, 64 // the fields that describe the volume
	g, ok := v.backupBoot(backup)
	if ok && len(g.notes) == 0 && g.info != 0 && g.backup != 0 && !bytes.Equal(boot[from:to], backup[from:to]) {
		v.geometry, v.fromBackup = g, true
	}
	return nil
}

// problem notes what is wrong and is being mended.
func (c *checker) problem(kind Kind, path, remedy, what string, args ...any) error {
	c.note(Problem{Kind: kind, Path: path, What: fmt.Sprintf(what, args...), Remedy: remedy, Mended: c.o.Repair})
	if c.marked {
		return nil
	}
	c.marked = true
	if err := c.v.mark(true); err != nil {
		return err
	}
	return c.v.dev.Flush()
}

func (c *checker) note(p Problem) {
	if len(c.r.Problems) == mostProblems {
		c.r.More++
		return
	}
	c.r.Problems = append(c.r.Problems, p)
}

func (c *checker) run() error {
	v := c.v
	if v.short {
		c.note(Problem{Kind: Damage, What: "it is said to be longer than its partition or medium; if the drive was copied, the copy is incomplete. Nothing is checked or mended, since files may only seem to be cut"})
		return nil
	}
	if v.mirrored && v.copies > 1 {
		var err error
		if c.differ, c.marks, err = c.compare(-1); err != nil {
			return err
		}
		if slices.Contains(c.unread, true) { // until it has been written again
			v.active, v.mirrored = max(slices.Index(c.unread, false), 0), false
		}
	}
	one, err := v.tableEntry(1)
	if err != nil {
		return err
	}
	if v.fromBackup {
		if err := c.restoreBoot(); err != nil {
			return err
		}
	}
	if v.inUse || one&cleanShutdown == 0 {
		if err := c.problem(Mark, "", "the mark is taken away", "it was not put in order when it was last used"); err != nil {
			return err
		}
	}
	steps := []func() error{c.tables, c.guardFiles, c.tree, c.lost, c.info, c.boot}
	if c.quick {
		steps = []func() error{c.guardFiles, c.tree, c.lost}
	}
	for _, f := range steps {
		if err := f(); errors.Is(err, errUndecided) {
			return nil
		} else if err != nil {
			return err
		}
	}
	if c.quick || !c.marked {
		return nil
	}
	if err := v.dev.Flush(); err != nil {
		return err
	}
	if err := v.mark(false); err != nil {
		return err
	}
	return v.dev.Flush()
}

// restoreBoot writes the boot sector from its backup.
func (c *checker) restoreBoot() error {
	b := make([]byte, 512)
	if err := c.v.readAt(6*c.v.sector, b); err != nil {
		return err
	}
	b[bootDirty] |= 1 // the rest is still to be checked
	if err := c.v.writeAt(0, b); err != nil {
		return err
	}
	c.v.fromBackup, c.v.inUse = false, false
	return c.problem(Damage, "", "it is restored from its backup", "the boot sector is damaged")
}

// place returns the entry and the clusters of a protected file; the entry also if these cannot be found.
func (c *checker) place(name string) (e entry, runs []run, err error) {
	if e, err = c.v.lookup("check", name); err == nil && !e.isDir() {
		runs, err = c.v.fileRuns(e)
	}
	return e, runs, err
}

// guardFiles finds the clusters of the protected files.
func (c *checker) guardFiles() error {
	v := c.v
	for _, name := range c.o.Protect {
		e, runs, err := c.place(name)
		if errors.Is(err, iofs.ErrNotExist) {
			continue
		}
		if err != nil {
			c.keep = true
			c.note(Problem{Kind: Damage, Path: name, What: fmt.Sprintf("it is to be protected, and its place cannot be found: %v. What nobody has stays as it is", reason(err))})
			if e.name != "" {
				c.guarded[e.origin] = true
			}
			continue
		}
		c.guarded[e.origin] = true
		c.placed++
		if c.guard == nil {
			c.guard, c.way = make(bitmap, len(c.owned)), make(bitmap, len(c.owned))
		}
		for up := path.Dir(name); up != "."; up = path.Dir(up) {
			d, err := v.lookup("check", up)
			if err != nil {
				return err
			}
			c.ways[d.first] = true
			more, err := v.loadDir(d.first, d.origin)
			if err != nil {
				return err
			}
			c.way.setRuns(more.runs)
		}
		c.guard.setRuns(runs)
	}
	v.forget()
	return nil
}

// reason is an error without its path.
func reason(err error) error {
	var p *iofs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// tables makes the FATs agree, as the best of them is, and puts their first entries right.
func (c *checker) tables() error {
	v := c.v
	if c.marks && !c.marked {
		if err := c.problem(Mark, "", "the mark is taken away", "one FAT says that it was not put in order when it was last used"); err != nil {
			return err
		}
	}
	if n := slices.Index(c.unread, true); n >= 0 || c.differ > 0 {
		best, placed, err := c.bestTable()
		if err != nil {
			return err
		}
		if all := c.findable(); placed < all {
			c.note(Problem{Kind: Damage, What: c.differences() + ", and each has the place of a protected file that the other has not, so nothing is mended"})
			return errUndecided
		}
		what := c.differences()
		if n >= 0 {
			what = fmt.Sprintf("FAT %d cannot be read as a whole", n+1)
		}
		if err := c.problem(Lost, "", fmt.Sprintf("all are made as FAT %d is", best+1), "%s", what); err != nil {
			return err
		}
		if _, _, err := c.compare(best); err != nil {
			return err
		}
		v.active, v.mirrored = 0, true
		clear(v.tables)
	} else if c.marks { // also in the bits of that entry that are nobody's
		if _, _, err := c.compare(v.active); err != nil {
			return err
		}
		clear(v.tables)
	}
	want := uint32(0x0FFFFF00) | uint32(v.media)
	if first, err := v.tableEntry(0); err != nil {
		return err
	} else if first != want {
		if err := c.problem(Mark, "", "it is set", "the FAT does not begin with the medium's kind"); err != nil {
			return err
		}
		if err := v.setEntry(0, want); err != nil {
			return err
		}
	}
	return nil
}

// differences says in how many entries the FATs differ.
func (c *checker) differences() string {
	if c.differ == 1 {
		return "its FATs differ in one entry"
	}
	return fmt.Sprintf("its FATs differ in %d entries", c.differ)
}

// compare returns in how many entries the FATs differ from the active one, and whether they do
// in the mark; if best is one of them, the others are made as it is.
func (c *checker) compare(best int) (differ int, marks bool, err error) {
	v := c.v
	from := max(best, 0)
	if best < 0 {
		from = v.active
	}
	size := (int64(v.last) + 1) * 4
	a, b := make([]byte, 1<<20), make([]byte, 1<<20)
	if best < 0 {
		c.unread = make([]bool, v.copies)
	}
	for off := int64(0); off < size; off += int64(len(a)) {
		n := min(size-off, int64(len(a)))
		whole := min((n+v.block-1)&^(v.block-1), v.tableLen-off) // so that no block is read first
		aerr := v.readAt(v.tableAt+int64(from)*v.tableLen+off, a[:whole])
		if aerr != nil && best >= 0 {
			return 0, false, aerr
		}
		if aerr != nil {
			c.unread[from] = true
		}
		for other := range v.copies {
			at := v.tableAt + int64(other)*v.tableLen + off
			if other == from {
				continue
			}
			err := v.readAt(at, b[:whole])
			if best < 0 && (err != nil || aerr != nil) {
				c.unread[other] = c.unread[other] || err != nil
				continue
			}
			if err == nil && bytes.Equal(a[:n], b[:n]) {
				continue
			}
			for i := int64(0); i < n; i += 4 {
				if !bytes.Equal(a[i:i+4], b[i:i+4]) {
					if mark := off == 0 && i == 4; mark {
						marks = true
					} else {
						differ++
					}
				}
			}
			if best < 0 {
				continue
			}
			if err := v.writeAt(at, a[:whole]); err != nil {
				return 0, false, err
			}
		}
	}
	return differ, marks, nil
}

// errUndecided ends a check: by no FAT alone all protected files are there.
var errUndecided = errors.New("the FATs cannot be made the same")

// findable returns how many of the protected files are found by one FAT or another.
func (c *checker) findable() (n int) {
	for _, name := range c.o.Protect {
		if _, _, err := c.place(name); err == nil {
			n++
		}
	}
	c.v.forget() // they may lie elsewhere in the FAT that is chosen
	return n
}

// bestTable returns the FAT by which the most protected files are found, the most else is there and the least
// is wrong with it, and how many of those it finds; the one in use, if none is better.
func (c *checker) bestTable() (best, placed int, err error) {
	type verdict struct{ table, placed, there, damage int }
	var list []verdict
	for n := range c.v.copies {
		o := c.o
		o.Repair, o.SaveLost = false, false
		try, err := newChecker(&overlay{BlockDevice: c.v.dev, blocks: map[uint64][]byte{}}, o)
		if err != nil {
			return 0, 0, err
		}
		try.v.active, try.v.mirrored, try.quick = n, false, true
		if err := try.run(); err != nil {
			continue
		}
		v := verdict{n, try.placed, try.r.Files + try.r.Dirs, try.r.More}
		for _, p := range try.r.Problems {
			if p.Kind == Damage {
				v.damage++
			}
		}
		list = append(list, v)
	}
	if len(list) == 0 {
		return c.v.active, 0, nil
	}
	first := slices.MinFunc(list, func(a, b verdict) int {
		return cmp.Or(cmp.Compare(b.placed, a.placed), cmp.Compare(a.damage-a.there, b.damage-b.there))
	})
	return first.table, first.placed, nil
}

// A link is where a chain that was followed ends.
type link struct {
	n    uint32 // clusters that are its own
	last uint32 // of these
	why  string // it does not go on; "" if it ends as it should
	over bool   // it would go on
	head bool   // it ends because another file begins there
	runs []run  // for directories
}

// follow takes the clusters of a chain for one owner: at most most. Those in the bitmap mine,
// c.guard or c.way, are kept for it.
func (c *checker) follow(first uint32, most int64, mine bitmap, runs bool) (l link, err error) {
	v := c.v
	kept := func(x uint32) bool {
		whose := c.guard
		if !whose.has(x) {
			whose = c.way
		}
		return whose.has(x) && (mine == nil || &mine[0] != &whose[0])
	}
	for x := first; ; {
		if int64(l.n) == most {
			l.over = true
			return l, nil
		}
		var next uint32
		switch {
		case x < 2 || x > v.last:
			l.why = fmt.Sprintf("leads to cluster %d, which does not exist", x)
		case c.owned.has(x):
			l.why, l.head = "leads to clusters of another", c.heads.has(x)
		case c.guard != nil && kept(x):
			l.why = "leads to clusters of a protected file"
		default:
			if next, err = v.tableEntry(x); err != nil {
				return l, err
			}
			switch {
			case next == 0:
				l.why = "leads to a free cluster"
			case next == entryBad:
				l.why = "leads to a bad cluster"
			}
		}
		if l.why != "" {
			return l, nil
		}
		c.owned.set(x)
		if l.n == 0 {
			c.heads.set(x)
		}
		l.n, l.last = l.n+1, x
		if runs {
			l.runs = appendRun(l.runs, run{first: x, count: 1})
		}
		if next >= entryEnd {
			return l, nil
		}
		x = next
	}
}

// cut ends a chain where follow did.
func (c *checker) cut(l link) error {
	if l.n == 0 || l.why == "" && !l.over {
		return nil
	}
	return c.v.setEntry(l.last, endOfChain)
}

// tree looks at all directories.
func (c *checker) tree() error {
	v := c.v
	if next, err := v.tableEntry(v.root); err != nil {
		return err
	} else if next == 0 || next == entryBad {
		if err := c.problem(Damage, "/", "it gets its first cluster back", "the root directory is in a cluster that is not taken"); err != nil {
			return err
		}
		if err := v.setEntry(v.root, endOfChain); err != nil {
			return err
		}
	}
	if c.guard != nil && c.guard.has(v.root) {
		c.guard.unset(v.root)
	}
	l, err := c.follow(v.root, c.mostDir(), nil, true)
	if err != nil {
		return err
	}
	if l.why != "" || l.over {
		if err := c.problem(Damage, "/", "it ends before that", "the root directory %s", l.words()); err != nil {
			return err
		}
		if err := c.cut(l); err != nil {
			return err
		}
	}
	c.todo = append(c.todo, &checkDir{first: v.root, parent: v.root, runs: l.runs})
	for len(c.todo) > 0 {
		d := c.todo[len(c.todo)-1]
		c.todo = c.todo[:len(c.todo)-1]
		if err := c.dir(d); err != nil {
			return err
		}
		d.runs = nil // what is below d keeps d
	}
	return nil
}

func (c *checker) mostDir() int64 { return max(maxDirBytes/c.v.cluster, 1) }

func (l link) words() string {
	if l.why == "" {
		return "is longer than it can be"
	}
	return l.why
}

// dir looks at a directory, and puts those in it on the list.
func (c *checker) dir(d *checkDir) error {
	v := c.v
	x := extent{v, d.runs, int64(clustersIn(d.runs)) * v.cluster}
	was := make([]byte, x.size)
	if _, err := x.readAt(was, 0); err != nil {
		return fmt.Errorf("%s: %w", d.path(""), err)
	}
	k := &checkedDir{checker: c, checkDir: d, b: bytes.Clone(was), long: -1,
		short: map[[11]byte]bool{}, names: map[string]bool{}, all: map[[11]byte]bool{}}
	c.r.Dirs++
	if err := k.look(); err != nil {
		return err
	}
	for off := 0; off < len(was); off += atomicSize {
		if bytes.Equal(was[off:off+atomicSize], k.b[off:off+atomicSize]) {
			continue
		}
		at, _ := x.piece(int64(off))
		if err := v.writeAt(at, k.b[off:off+atomicSize]); err != nil {
			return err
		}
	}
	return nil
}

// checkedDir is the directory that is being looked at.
type checkedDir struct {
	*checker
	*checkDir
	b     []byte
	long  int // where the entries of a long name began; -1: there is none
	name  longName
	short map[[11]byte]bool // names that were met
	names map[string]bool   // folded
	all   map[[11]byte]bool // short names of all entries
	last  int               // number of the last name made up
}

func (k *checkedDir) isRoot() bool { return k.first == k.v.root }

func (k *checkedDir) problem(kind Kind, name, remedy, what string, args ...any) error {
	return k.checker.problem(kind, k.path(name), remedy, what, args...)
}

func (k *checkedDir) look() error {
	at := 0
	if !k.isRoot() {
		if err := k.dots(); err != nil {
			return err
		}
		at = 2 * entrySize
	}
	for off := 0; off < len(k.b) && k.b[off] != 0; off += entrySize {
		if r := k.b[off:]; r[0] != deleted && r[11]&attrMask != attrLong {
			k.all[[11]byte(r)] = true
		}
	}
	for off := at; off < len(k.b); off += entrySize {
		r := k.b[off:][:entrySize]
		attr := r[11] & attrMask
		var err error
		switch {
		case r[0] == 0:
			if err := k.endLong(off); err != nil {
				return err
			}
			return k.behind(off)
		case r[0] == deleted:
			err = k.endLong(off)
		case attr == attrLong:
			err = k.longPart(off, r)
		case attr&attrVolume != 0:
			if err = k.endLong(off); err == nil {
				err = k.volume(r, attr)
			}
		default:
			err = k.entry(off, r)
		}
		if err != nil {
			return err
		}
	}
	return k.endLong(len(k.b))
}

// behind clears what looks like entries behind the end of the directory.
func (k *checkedDir) behind(end int) error {
	for off := end; off < len(k.b); off += entrySize {
		if k.b[off] != 0 && k.b[off] != deleted {
			clear(k.b[end:])
			return k.problem(Damage, "", "they are cleared", "there are entries behind the end of the directory")
		}
	}
	return nil
}

// dots puts the entries of a directory for itself and its parent right.
func (k *checkedDir) dots() error {
	up := k.v.asParent(k.parent)
	for i, want := range []struct {
		name  string
		first uint32
	}{{".", k.first}, {"..", up}} {
		off := i * entrySize
		r := k.b[off:][:entrySize]
		short := pack(want.name, "")
		right := [11]byte(r) == short
		if right && r[11]&attrDir != 0 && r[11]&attrVolume == 0 && firstIn(r) == want.first && binary.LittleEndian.Uint32(r[28:]) == 0 {
			continue
		}
		if err := k.problem(Damage, "", "it is put right", "its entry %q is wrong or missing", want.name); err != nil {
			return err
		}
		if !right && r[0] != 0 && r[0] != deleted && r[0] != '.' && r[11]&attrMask != attrLong {
			k.moveDown(r)
		}
		if r[0] == 0 { // all behind it means nothing
			clear(k.b[off:])
		}
		copy(r, appendEntry(nil, short, attrDir, want.first, 0, k.v.Clock()))
	}
	return nil
}

// moveDown gives an entry another place, if there is one.
func (k *checkedDir) moveDown(r []byte) {
	end := false
	for off := 2 * entrySize; off < len(k.b); off += entrySize {
		end = end || k.b[off] == 0
		if end || k.b[off] == deleted {
			copy(k.b[off:], r)
			if next := off + entrySize; end && next < len(k.b) {
				k.b[next] = 0
			}
			return
		}
	}
}

// longPart looks at an entry of a long name.
func (k *checkedDir) longPart(off int, r []byte) error {
	if r[0]&0x40 != 0 {
		if err := k.endLong(off); err != nil {
			return err
		}
	}
	if k.long < 0 {
		k.long = off
	}
	if r[0]&0x3F == 0 || r[11] != attrLong {
		k.name = longName{}
	} else {
		k.name.add(r)
	}
	if k.name.n == 0 {
		return k.endLong(off + entrySize)
	}
	if r[12] != 0 || r[26] != 0 || r[27] != 0 {
		r[12], r[26], r[27] = 0, 0, 0
		return k.problem(Mark, "", "they are cleared", "there is something in unused bytes of a long name")
	}
	return nil
}

// endLong removes entries of a long name that belong to no file; end is where they end.
func (k *checkedDir) endLong(end int) error {
	from := k.long
	k.long, k.name = -1, longName{}
	if from < 0 {
		return nil
	}
	for off := from; off < end; off += entrySize {
		k.b[off] = deleted
	}
	return k.problem(Damage, "", "it is removed", "a part of a long name belongs to no file")
}

// volume looks at a label.
func (k *checkedDir) volume(r []byte, attr byte) error {
	if k.isRoot() && k.label == nil && attr&attrDir == 0 && validLabel(r[:11]) {
		k.checker.label = bytes.Clone(r[:11])
		if firstIn(r) != 0 || binary.LittleEndian.Uint32(r[28:]) != 0 {
			setFirst(r, 0)
			setSize(r, 0)
			return k.problem(Mark, "", "they are cleared", "the volume's label has clusters")
		}
		return nil
	}
	r[0] = deleted
	return k.problem(Damage, "", "it is removed", "there is an entry like that of a volume label")
}

func validLabel(b []byte) bool {
	for i, c := range b {
		if badLabelChar(c) && !(i == 0 && c == 0x05) {
			return false
		}
	}
	return b[0] != ' '
}

func firstIn(r []byte) uint32 {
	le := binary.LittleEndian
	return (uint32(le.Uint16(r[20:]))<<16 | uint32(le.Uint16(r[26:]))) & entryMask
}

// entry looks at the entry of a file or directory.
func (k *checkedDir) entry(off int, r []byte) error {
	long := k.name.end(r[:11])
	if k.long >= 0 && long == "" {
		if err := k.endLong(off); err != nil {
			return err
		}
	}
	begin := k.long
	k.long, k.name = -1, longName{}
	name := long
	if long == "" {
		name = shortName(r)
	}
	if err := k.named(off, begin, r, &name); err != nil || r[0] == deleted {
		return err
	}
	var mine bitmap
	guarded := k.guarded[origin{k.first, off}]
	if guarded {
		mine = k.guard
	}
	// With its long name goes all that there is.
	remove := func() {
		for ; begin >= 0 && begin < off; begin += entrySize {
			k.b[begin] = deleted
		}
		r[0] = deleted
	}
	size := int64(binary.LittleEndian.Uint32(r[28:]))
	first := firstIn(r)
	if r[11]&attrDir != 0 {
		return k.subdir(name, r, first, size, remove)
	}
	k.r.Files++
	need := (size + k.v.cluster - 1) / k.v.cluster
	var l link
	var err error
	if first != 0 {
		if l, err = k.follow(first, need, mine, false); err != nil {
			return err
		}
	}
	have := min(size, int64(l.n)*k.v.cluster)
	if have == size && l.why == "" && !l.over {
		return nil
	}
	if guarded && have < size {
		k.note(Problem{Kind: Damage, Path: k.path(name), What: "its clusters are not those that it should have. It is protected, and left as it is"})
		k.keep = true
		return nil
	}
	switch {
	case l.head && l.n == 0:
		k.r.Files--
		remove()
		return k.problem(Damage, name, "this name is removed", "its content has another name, too")
	case have == size && l.over:
		what, kind := "it has more clusters than it needs", Lost
		if size == 0 {
			what, kind = "it is empty and has clusters", Damage
		}
		if size == 0 {
			setFirst(r, 0)
		}
		if err := k.problem(kind, name, "the others are taken from it", "%s", what); err != nil {
			return err
		}
		return k.cut(l)
	}
	if l.why == "" {
		l.why = "ends too early"
	}
	setSize(r, have)
	if l.n == 0 {
		setFirst(r, 0)
	}
	if err := k.problem(Damage, name, fmt.Sprintf("it is cut to %d of %d bytes", have, size), "its chain of clusters %s", l.why); err != nil {
		return err
	}
	if l.why == "ends too early" {
		return nil
	}
	return k.cut(l)
}

// named looks at the name of an entry: one that nobody could have, or that another one has, is
// changed.
func (k *checkedDir) named(off, begin int, r []byte, name *string) error {
	short := [11]byte(r)
	if short == pack(".", "") || short == pack("..", "") {
		r[0] = deleted
		for o := begin; o >= 0 && o < off; o += entrySize {
			k.b[o] = deleted
		}
		return k.problem(Damage, "", "it is removed", "there is an entry %q where none belongs", strings.TrimSpace(string(short[:])))
	}
	if badShort(short) || k.short[short] {
		remedy, what := "it gets another", "its short name is one that cannot be"
		if k.short[short] {
			what = "another has the same short name"
		}
		for {
			k.last++
			copy(short[:], fmt.Sprintf("FSCK%04dREC", k.last))
			if !k.all[short] {
				break
			}
		}
		k.all[short] = true
		copy(r, short[:])
		r[12] = 0
		for o := begin; o >= 0 && o < off; o += entrySize {
			k.b[o+13] = Checksum(short)
		}
		if err := k.problem(Damage, *name, remedy, "%s", what); err != nil {
			return err
		}
		if begin < 0 {
			*name = shortName(r)
		}
	}
	k.short[short] = true
	if k.names[fold(*name)] && begin >= 0 {
		for o := begin; o < off; o += entrySize {
			k.b[o] = deleted
		}
		was := *name
		*name = shortName(r)
		if err := k.problem(Damage, was, "this one is called "+*name, "another has the same name"); err != nil {
			return err
		}
	}
	k.names[fold(*name)] = true
	return nil
}

func badShort(short [11]byte) bool {
	for i, c := range short {
		if c < ' ' && !(i == 0 && c == 0x05) || c == 0x7F || strings.IndexByte("*?<>|\"\\/:.", c) >= 0 {
			return true
		}
	}
	return short[0] == ' '
}

// subdir looks at the entry of a directory.
func (k *checkedDir) subdir(name string, r []byte, first uint32, size int64, remove func()) error {
	if size != 0 {
		setSize(r, 0)
		if err := k.problem(Mark, name, "it has none", "a directory has no size"); err != nil {
			return err
		}
	}
	var mine bitmap
	if k.ways[first] {
		mine = k.way
	}
	l, err := k.follow(first, k.mostDir(), mine, true)
	if err != nil {
		return err
	}
	if l.n == 0 {
		remove()
		if l.head {
			return k.problem(Damage, name, "this name is removed", "the directory has another name, too")
		}
		return k.problem(Damage, name, "it is removed", "the directory's chain of clusters %s", l.words())
	}
	if l.why != "" || l.over {
		if err := k.problem(Damage, name, "it ends before that", "the directory's chain of clusters %s", l.words()); err != nil {
			return err
		}
		if err := k.cut(l); err != nil {
			return err
		}
	}
	k.todo = append(k.todo, &checkDir{name, k.checkDir, first, k.first, l.runs})
	return nil
}

// lost finds the clusters that are taken and that nobody has.
func (c *checker) lost() error {
	v := c.v
	c.heads = nil
	each := func(f func(x, next uint32) error) error {
		return v.eachEntry(func(x, next uint32) error {
			if next == 0 || next == entryBad || c.owned.has(x) || c.keep && c.guard != nil && c.guard.has(x) {
				return nil
			}
			return f(x, next)
		})
	}
	n := int64(0)
	if err := each(func(x, next uint32) error { n++; return nil }); err != nil {
		return err
	}
	c.r.Freed = n
	remedy := "they are free again"
	switch {
	case n == 0:
	case c.quick:
		return nil
	case c.keep:
		c.note(Problem{Kind: Lost, What: fmt.Sprintf("%d clusters belong to no file", n)})
	default:
		if c.o.SaveLost {
			remedy = "they are files FSCKnnnn.REC"
		}
		if err := c.problem(Lost, "", remedy, "%d clusters belong to no file", n); err != nil {
			return err
		}
		if err := v.dev.Flush(); err != nil { // what led to them is gone
			return err
		}
		var chains []lostChain
		if c.o.SaveLost {
			var err error
			if chains, err = c.chains(each); err != nil {
				return err
			}
		}
		if err := c.free(each); err != nil {
			return err
		}
		if err := v.dev.Flush(); err != nil {
			return err
		}
		if err := c.save(chains); err != nil {
			return err
		}
	}
	return nil
}

// free frees lost clusters, neighbours in one go.
func (c *checker) free(each func(func(x, next uint32) error) error) error {
	var r run
	put := func() error {
		if r.count == 0 {
			return nil
		}
		err := c.v.setEntries(r.first, r.count, func(uint32) uint32 { return 0 })
		r = run{}
		return err
	}
	err := each(func(x, next uint32) error {
		if r.count > 0 && r.first+r.count == x && r.count < chunkEntries {
			r.count++
			return nil
		}
		err := put()
		r = run{first: x, count: 1}
		return err
	})
	if err != nil {
		return err
	}
	return put()
}

type lostChain struct{ first, n uint32 }

// chains takes lost clusters as the content of files, from those on that no other leads to.
func (c *checker) chains(each func(func(x, next uint32) error) error) (list []lostChain, err error) {
	v := c.v
	led := make(bitmap, len(c.owned))
	c.heads = make(bitmap, len(c.owned))
	err = each(func(x, next uint32) error {
		if next >= 2 && next <= v.last && next != x {
			led.set(next)
		}
		return nil
	})
	for _, rings := range []bool{false, true} { // at last, those that lead to each other
		if err != nil {
			return nil, err
		}
		err = each(func(x, next uint32) error {
			if !rings && led.has(x) || len(list) == mostSaved {
				return nil
			}
			l, err := c.follow(x, MaxFile/v.cluster, nil, false)
			if err != nil {
				return err
			}
			if l.n > 0 {
				list = append(list, lostChain{x, l.n})
			}
			return c.cut(l)
		})
	}
	return list, err
}

// save gives chains entries in the root.
func (c *checker) save(chains []lostChain) error {
	v := c.v
	number := 0
	for _, l := range chains {
		root, err := v.loadDir(v.root, origin{})
		if err != nil {
			return err
		}
		var name string
		for {
			name = fmt.Sprintf("FSCK%04d.REC", number)
			number++
			if _, ok := root.byName[fold(name)]; !ok {
				break
			}
		}
		size := min(int64(l.n)*v.cluster, MaxFile)
		err = v.put(root, name, appendEntry(nil, [11]byte{}, attrFile, l.first, uint32(size), v.Clock()))
		if errors.Is(err, errDirFull) || errors.Is(err, fs.ErrNoRoom) {
			c.note(Problem{Kind: Lost, Path: "/" + name, What: "there is no room in the root directory for this and more files of lost clusters; check again to have them freed"})
			return nil
		}
		if err != nil {
			return err
		}
		c.r.Saved++
		c.r.Files++
	}
	return nil
}

// info counts what is free, and puts FSInfo right.
func (c *checker) info() error {
	v := c.v
	c.r.Free, c.r.Bad = 0, 0
	err := v.eachEntry(func(_, next uint32) error {
		switch next {
		case 0:
			c.r.Free++
		case entryBad:
			c.r.Bad++
		}
		return nil
	})
	if err != nil {
		return err
	}
	if v.info == 0 {
		return nil
	}
	le := binary.LittleEndian
	b, ok := v.readInfo()
	free, next := le.Uint32(b[infoFree:]), le.Uint32(b[infoNext:])
	what := ""
	switch {
	case !ok:
		what = "the sector that counts free clusters is damaged"
		b = make([]byte, 512)
		copy(b, infoLead)
		copy(b[484:], infoMid)
		copy(b[508:], infoTail)
		next = unknownCount
	case free == unknownCount && c.r.Free != int64(free):
		what = "it does not know how many clusters are free"
	case int64(free) != c.r.Free:
		what = fmt.Sprintf("it is said to have %d free clusters", free)
	}
	if next < 2 || next > v.last {
		next = unknownCount
	}
	if what == "" {
		return nil
	}
	if err := c.problem(Mark, "", fmt.Sprintf("they are %d", c.r.Free), "%s", what); err != nil {
		return err
	}
	le.PutUint32(b[infoFree:], uint32(c.r.Free))
	le.PutUint32(b[infoNext:], next)
	return v.writeAt(v.info, b)
}

// boot makes the labels agree, and the backup of the boot sector as that is.
func (c *checker) boot() error {
	v := c.v
	b := make([]byte, 512)
	if err := v.readAt(0, b); err != nil {
		return err
	}
	if b[510] != 0x55 || b[511] != 0xAA {
		b[510], b[511] = 0x55, 0xAA
		if err := c.problem(Mark, "", "it does", "its boot sector does not end in 55 AA"); err != nil {
			return err
		}
		if err := v.writeAt(0, b); err != nil {
			return err
		}
	}
	if v.claimed > v.last { // readers go no further anyway
		b[bootDirty] |= 1
		binary.LittleEndian.PutUint16(b[19:], 0)
		binary.LittleEndian.PutUint32(b[32:], uint32((v.dataAt+(int64(v.last)-1)*v.cluster)/v.sector))
		if err := c.problem(Mark, "", "it is said to be so much shorter", "its FAT has no entries for its last %d clusters", v.claimed-v.last); err != nil {
			return err
		}
		if err := v.writeAt(0, b); err != nil {
			return err
		}
	}
	none := []byte("NO NAME    ")
	if b[66] != 0x29 && c.label != nil { // the mark that serial number, label and type follow
		b[66] = 0x29
		copy(b[71:], none)
		copy(b[82:], typeName)
	}
	if b[66] == 0x29 {
		was := bytes.Clone(b[71:82])
		want := c.label
		if want == nil {
			want = none
		}
		if c.label == nil && validLabel(was) && !bytes.Equal(was, none) {
			root, err := v.loadDir(v.root, origin{})
			if err != nil {
				return err
			}
			if err := c.problem(Mark, "", "it gets it", "its label is not in the root directory"); err != nil {
				return err
			}
			err = v.putRaw(root, appendEntry(nil, [11]byte(was), attrVolume, 0, 0, v.Clock()))
			if err == nil {
				want = was
			} else if !errors.Is(err, errDirFull) && !errors.Is(err, fs.ErrNoRoom) {
				return err
			}
			if err := c.info(); err != nil { // if that took a cluster
				return err
			}
		}
		if !bytes.Equal(was, want) {
			if err := c.problem(Mark, "", "they are made the same", "its label in the boot sector and that in the root directory differ"); err != nil {
				return err
			}
			copy(b[71:], want)
			b[bootDirty] |= 1
			if err := v.writeAt(0, b); err != nil {
				return err
			}
			if err := v.dev.Flush(); err != nil {
				return err
			}
		}
	}
	if v.backup == 0 {
		return nil
	}
	b[bootDirty] &^= 1
	copied := make([]byte, 512)
	if err := v.readAt(v.backup, copied); err == nil && bytes.Equal(b, copied) {
		return nil
	}
	if err := c.problem(Mark, "", "it is written again", "the backup of the boot sector differs from it"); err != nil {
		return err
	}
	return v.writeAt(v.backup, b)
}

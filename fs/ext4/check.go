package ext4

// Check: what is wrong with a volume. What a cut of power leaves is in the journal, and mended with that; all else is told, and left to e2fsck,
// which knows more ways to go on than can be right to take unasked.

import (
	"errors"
	"fmt"
	"path"

	"alphaos/fs"
)

const (
	mostProblems = 100
	mostDeep     = 1000 // levels of directories
)

// errTooMuch ends a check that has found enough.
var errTooMuch = errors.New("too many problems")

// checker is a check under way.
type checker struct {
	v     *FS
	o     fs.CheckOptions
	r     fs.Report
	owned map[uint64][]byte // by group: a bit for each block that a file or directory has
	seen  map[uint32]bool   // inodes that have several names
}

// Check looks at all directories and files, with their checksums, and whether each block belongs to one of them and is marked as used. With o.Repair it
// has the journal's changes copied to their places. Files may be open in place, but not be written otherwise.
func (v *FS) Check(o fs.CheckOptions) (fs.Report, error) {
	v.big.Lock()
	defer v.big.Unlock()
	if len(v.writers) > 0 {
		return fs.Report{}, errors.New("the volume cannot be checked while files on it are open")
	}
	c := &checker{v: v, o: o, owned: map[uint64][]byte{}, seen: map[uint32]bool{}}
	c.r.Unit, c.r.Clusters = "blocks", int64(v.blocks)
	err := c.run()
	if errors.Is(err, errTooMuch) {
		c.r.More++
		err = nil
	}
	if err != nil {
		err = fmt.Errorf("the check could not be ended: %w", err)
	}
	return c.r, err
}

func (c *checker) look(bytes int64) error {
	if c.o.Watch == nil {
		return nil
	}
	return c.o.Watch(int(bytes))
}

// found notes a problem.
func (c *checker) found(p fs.Problem) error {
	if len(c.r.Problems) == mostProblems {
		return errTooMuch
	}
	if p.Kind == fs.Damage {
		p.Remedy = "e2fsck -f on a computer with Linux"
	}
	c.r.Problems = append(c.r.Problems, p)
	return nil
}

func (c *checker) run() error {
	v := c.v
	if v.waiting || v.broken != nil || v.inUse {
		waited := v.waiting || v.broken != nil
		p := fs.Problem{Kind: fs.Mark, What: "it was not put in order when it was last used", Remedy: "what waits in its journal is copied to its place"}
		if c.o.Repair && v.Writable() == nil {
			if err := v.sync(); err != nil {
				return err
			}
			p.Mended = true
		}
		if waited {
			if err := c.found(p); err != nil {
				return err
			}
		}
	}
	if v.state&2 != 0 {
		if err := c.found(fs.Problem{Kind: fs.Damage, What: "errors were found on it when it was last used"}); err != nil {
			return err
		}
	}
	switch {
	case v.blocks > uint64(v.vol.Size()/v.block):
		return c.found(fs.Problem{Kind: fs.Damage, What: "it is said to be longer than its partition or medium; if the drive was copied, the copy is incomplete. Nothing else is checked"})
	case int64(v.perGroup) > 8*v.block:
		return c.found(fs.Problem{Kind: fs.Damage, What: fmt.Sprintf("it claims %d blocks in a group", v.perGroup)})
	}
	v.newWays()
	root, err := v.root()
	if err != nil {
		return err
	}
	if err := c.own("/", root); err != nil {
		return err
	}
	if err := c.dir("/", root, 1); err != nil {
		return err
	}
	return c.groups()
}

// dir looks at what is below a directory. Each is reached once (enter), so that it ends.
func (c *checker) dir(name string, d *inode, depth int) error {
	if depth > mostDeep {
		return c.found(fs.Problem{Kind: fs.Damage, Path: name, What: fmt.Sprintf("directories more than %d levels deep are not checked", mostDeep)})
	}
	c.r.Dirs++
	list, err := c.v.list(d)
	if err != nil {
		return c.found(fs.Problem{Kind: fs.Damage, Path: name, What: reason(err)})
	}
	for _, e := range list {
		e := e.(dirEntry)
		at := path.Join(name, e.name)
		if err := c.look(c.v.inodeSize); err != nil {
			return err
		}
		n, err := c.v.enter(d, e.entry)
		if err != nil {
			if err := c.found(fs.Problem{Kind: fs.Damage, Path: at, What: reason(err)}); err != nil {
				return err
			}
			continue
		}
		if !n.isDir() {
			c.r.Files++
			if n.links > 1 {
				if c.seen[n.number] {
					continue
				}
				c.seen[n.number] = true
			}
		}
		if err := c.own(at, n); err != nil {
			return err
		}
		if n.isDir() {
			if err := c.look(n.size); err != nil {
				return err
			}
			if err := c.dir(at, n, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// own notes which blocks a file or directory has.
func (c *checker) own(name string, n *inode) error {
	v := c.v
	if n.mode&modeType != modeFile && !n.isDir() || n.flags&flagExtents == 0 || n.flags&flagInline != 0 { // those without extents are only read
		return nil
	}
	list, nodes, err := v.extentsOf(n)
	if err != nil {
		return c.found(fs.Problem{Kind: fs.Damage, Path: name, What: reason(err)})
	}
	for _, at := range nodes {
		list = append(list, extent{count: 1, first: at})
	}
	twice := false
	for _, e := range list {
		if err := c.look(0); err != nil { // nothing is read, but there may be many
			return err
		}
		for b := e.first; b < e.first+e.count; b++ {
			g, i := (b-v.first)/v.perGroup, (b-v.first)%v.perGroup
			m := c.owned[g]
			if m == nil {
				m = make([]byte, (v.perGroup+7)/8)
				c.owned[g] = m
			}
			twice = twice || bit(m, i)
			m[i/8] |= 1 << (i % 8)
		}
	}
	if twice && v.roCompat&roSharedBlocks == 0 {
		return c.found(fs.Problem{Kind: fs.Damage, Path: name, What: "it has blocks that another file has, too"})
	}
	return nil
}

// roSharedBlocks is a feature with which files may have blocks in common.
const roSharedBlocks = 0x4000

// groups compares what files have with what the bitmaps say, and counts what is free.
func (c *checker) groups() error {
	v := c.v
	for g := range v.groups {
		if err := c.look(v.block); err != nil {
			return err
		}
		d, err := v.descriptor(g)
		if err != nil {
			if err := c.found(fs.Problem{Kind: fs.Damage, What: reason(err)}); err != nil {
				return err
			}
			continue
		}
		c.r.Free += int64(v.wide(d, freeBlocksAt, 0x2C))
		if v.roCompat&roBigalloc != 0 { // its bits stand for several blocks
			continue
		}
		b, err := v.blockBitmap(g)
		if err != nil {
			if err := c.found(fs.Problem{Kind: fs.Damage, What: reason(err)}); err != nil {
				return err
			}
			continue
		}
		free := uint64(0)
		for i := range v.groupBlocks(g) {
			if !bit(b, i) {
				free++
				if m := c.owned[g]; m != nil && bit(m, i) {
					if err := c.found(fs.Problem{Kind: fs.Damage, What: fmt.Sprintf("block %d belongs to a file and is marked as free", v.groupStart(g)+i)}); err != nil {
						return err
					}
				}
			}
		}
		if said := v.wide(d, freeBlocksAt, 0x2C); said != free {
			if err := c.found(fs.Problem{Kind: fs.Damage, What: fmt.Sprintf("block group %d has %d free blocks and says %d", g, free, said)}); err != nil {
				return err
			}
		}
	}
	return nil
}

const roBigalloc = 0x200

// reason is what is wrong, without the remedy that the problem has.
func reason(err error) string {
	s := err.Error()
	if n := len(s) - len(": "+remedy); n > 0 && s[n:] == ": "+remedy {
		s = s[:n]
	}
	return s
}

// SetLabel gives the volume a label of up to 16 bytes, or with "" none.
func (v *FS) SetLabel(label string) error {
	const most = 16
	if len(label) > most {
		return fmt.Errorf("the label %q is too long: ext4 has %d bytes for it", label, most)
	}
	err := v.change(func() error {
		return v.editSuper(func(s []byte) {
			clear(s[0x78:][:most])
			copy(s[0x78:], label)
		})
	})
	if err == nil {
		v.label = label
	}
	return err
}

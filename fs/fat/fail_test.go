package fat

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"alphaos/fs"
	"alphaos/fs/fstest"
)

// TestFailures lets one write or flush fail while files change. What fails is tried again.
// A volume that is then put in order without an error is in order, or says that it is not;
// every file is as it was before the change under way or as after it.
func TestFailures(t *testing.T) {
	needs(t, "mkfs.fat")
	defer func(n int64) { copyMost = n }(copyMost)
	for _, most := range []int64{copyMost, 0} {
		copyMost = most
		base := mkfs(t, 256<<10, "-s", "2", "-R", "8")
		marked := 0
		for n := 1; !t.Failed(); n += 7 {
			d := fstest.New(int64(len(base)), 512, 0, rand.New(rand.NewPCG(1, uint64(n))))
			copy(d.Bytes(), base)
			dev, err := fs.NewFileDevice(d, d.Size(), 512)
			if err != nil {
				t.Fatal(err)
			}
			v, err := Mount(dev)
			if err != nil {
				t.Fatal(err)
			}
			v.Clock = func() time.Time { return someDay }
			left := n
			d.Fail = func(op fstest.Op, _ int64, _ int) error {
				if op != fstest.Read {
					left--
				}
				if op != fstest.Read && left == 0 {
					return fstest.ErrPassing
				}
				return nil
			}
			all := map[string]string{".": "directory"}
			var under *job
			for _, j := range workload() {
				if j.do(v) != nil {
					under = &j
					break
				}
				j.after(all)
			}
			if under == nil {
				break
			}
			after := maps.Clone(all)
			under.after(after)
			if !strings.HasPrefix(under.name, "append") && under.do(v) == nil {
				all = after
			}
			if err := v.Sync(); err != nil {
				t.Fatalf("%s, request %d: %v", under.name, n, err)
			}
			m, err := Mount(fstest.NewDevice(slices.Clone(d.Bytes()), 512))
			if err != nil {
				t.Fatal(err)
			}
			if m.Dirty() {
				marked++
			}
			r, err := Check(fstest.NewDevice(d.Bytes(), 512), CheckOptions{Repair: true})
			if err != nil {
				t.Fatal(err)
			}
			if len(r.Problems) > 0 && !m.Dirty() {
				t.Errorf("%s, request %d: marked as in order with\n%s", under.name, n, r)
			}
			judge(t, under.name, d.Bytes(), 512, all, after)
		}
		if marked < 50 {
			t.Errorf("only %d volumes were marked", marked)
		}
	}
}

// A large file that gets two names since the medium failed in between keeps its content: none
// of the names is removed until the volume has been checked.
func TestTwoNames(t *testing.T) {
	defer func(n int64) { copyMost = n }(copyMost)
	copyMost = 0
	for n := 1; ; n++ {
		m := newImage(512, 1, 200, 2)
		v := m.mount(t)
		content := bytes.Repeat([]byte("model "), 2000)
		for _, dir := range []string{"a", "b"} {
			if err := v.Mkdir(dir); err != nil {
				t.Fatal(err)
			}
		}
		if err := v.WriteFile("a/model", content); err != nil {
			t.Fatal(err)
		}
		if err := v.Sync(); err != nil {
			t.Fatal(err)
		}
		d := m.device()
		v, err := Mount(d)
		if err != nil {
			t.Fatal(err)
		}
		left := n
		d.Fail = func(op fstest.Op, _ int64, _ int) error {
			if left--; left == 0 {
				return fstest.ErrPassing
			}
			return nil
		}
		err = v.Rename("a/model", "b/model")
		done := left > 0
		d.Fail = nil
		if done {
			if n < 10 || err != nil {
				t.Fatalf("%d requests, %v", n, err)
			}
			break
		}
		_, old := v.Stat("a/model")
		_, err = v.Stat("b/model")
		two := old == nil && err == nil
		if two && (v.Remove("a/model") == nil || v.Rename("a/model", "b/model") == nil) {
			t.Errorf("request %d: a name was removed", n)
		}
		if err := v.Sync(); err != nil {
			t.Fatal(err)
		}
		if v, err = Mount(d); err != nil {
			t.Fatal(err)
		}
		if two && !v.Dirty() {
			t.Errorf("request %d: two names, and no mark", n)
		}
		if _, err := Check(d, CheckOptions{Repair: true}); err != nil {
			t.Fatal(err)
		}
		if v, err = Mount(d); err != nil {
			t.Fatal(err)
		}
		all := everything(t, v)
		if a, b := all["a/model"], all["b/model"]; (a == "") == (b == "") || a+b != string(content) {
			t.Errorf("request %d: the file has %d bytes under its old name and %d under its new", n, len(a), len(b))
		}
	}
}

package ext4

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"alphaos/fs"
)

// TestFormat makes volumes of many sizes. e2fsck finds nothing wrong with them, empty or in use, also where the medium held something before.
func TestFormat(t *testing.T) {
	needs(t, "e2fsck")
	for _, size := range []int64{LeastSize(512), 40<<20 + 3072, LeastSize(4096), 512 << 20, 20 << 30} {
		for _, sector := range []int{512, 4096} {
			if sector == 4096 && size != LeastSize(4096) && size != 512<<20 {
				continue
			}
			t.Run(fmt.Sprint(size>>20, "-", sector), func(t *testing.T) {
				img := filepath.Join(t.TempDir(), "fresh.img")
				f, err := os.Create(img)
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				if err := f.Truncate(size); err != nil {
					t.Fatal(err)
				}
				if size < 50<<20 { // what was there before
					old := make([]byte, size)
					r := rand.New(rand.NewPCG(1, uint64(size)))
					for i := range old {
						old[i] = byte(r.Uint32())
					}
					if _, err := f.WriteAt(old, 0); err != nil {
						t.Fatal(err)
					}
				}
				dev, err := fs.NewFileDevice(f, size, sector)
				if err != nil {
					t.Fatal(err)
				}
				if err := (Format{Label: "ALPHAOS_DATA", UUID: [16]byte{1, 2, 3}, Time: time.Unix(1790000000, 0)}).Write(dev); err != nil {
					t.Fatal(err)
				}
				program(t, "", nil, "e2fsck", "-fn", img)
				v, err := Mount(dev)
				if err != nil {
					t.Fatal(err)
				}
				if free, err := v.Free(); err != nil || free != size-Overhead(size, int64(sector)) || v.Label() != "ALPHAOS_DATA" {
					t.Errorf("%d bytes are free, want %d; %q; %v", free, size-Overhead(size, int64(sector)), v.Label(), err)
				}
				for i := range 50 {
					if err := v.Mkdir(fmt.Sprintf("dir %d", i)); err != nil {
						t.Fatal(err)
					}
					if err := v.WriteFile(fmt.Sprintf("dir %d/file", i), make([]byte, 10000*i%200000)); err != nil {
						t.Fatal(err)
					}
				}
				if r, err := v.Check(fs.CheckOptions{Repair: true}); err != nil || len(r.Problems) > 0 {
					t.Errorf("%v\n%v", err, r)
				}
				if err := v.Sync(); err != nil {
					t.Fatal(err)
				}
				program(t, "", nil, "e2fsck", "-fn", img)
			})
		}
	}
	if err := (Format{}).Write(fs.Section(mustDevice(t), 0, 100)); err == nil {
		t.Error("a volume of 50 KiB was made")
	}
}

func mustDevice(t *testing.T) fs.BlockDevice {
	dev, err := fs.NewFileDevice(nil, 1<<20, 512)
	if err != nil {
		t.Fatal(err)
	}
	return dev
}

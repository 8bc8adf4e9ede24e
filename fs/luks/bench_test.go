package luks

import (
	"fmt"
	"testing"

	"alphaos/fs"
	"alphaos/fs/fstest"
)

// BenchmarkXTS is one core; BenchmarkAgainstRaw what of the raw speed of a medium is left.
func BenchmarkXTS(b *testing.B) {
	x, err := newXTS(make([]byte, 63, 64)[:64])
	if err != nil {
		b.Fatal(err)
	}
	p := make([]byte, 1<<20)
	for _, sector := range []int{512, 4096} {
		for name, f := range map[string]func([]byte, uint64, int, bool){"encrypt": x.encrypt, "decrypt": x.decrypt} {
			b.Run(fmt.Sprintf("%s/sector=%d", name, sector), func(b *testing.B) {
				b.SetBytes(int64(len(p)))
				for b.Loop() {
					f(p, 0, sector, false)
				}
			})
		}
	}
}

func BenchmarkUnlock(b *testing.B) {
	dev := fstest.NewDevice(make([]byte, 6<<20), 512)
	_, d, err := Format(dev, []byte("x"), Options{Offset: 2 << 20, Cost: Cost{Passes: leastPasses}})
	if err != nil {
		b.Fatal(err)
	}
	d.Close()
	for b.Loop() {
		if d, err = Open(dev, []byte("x")); err != nil {
			b.Fatal(err)
		}
		d.Close()
	}
}

func BenchmarkRead(b *testing.B) {
	const size = 8 << 20
	dev := fstest.NewDevice(make([]byte, size+2<<20), 512)
	_, d, err := Format(dev, []byte("x"), Options{Offset: 2 << 20, Cost: Cost{Memory: 64 << 10, Passes: 4}})
	if err != nil {
		b.Fatal(err)
	}
	p := make([]byte, 4<<20)
	for name, dev := range map[string]fs.BlockDevice{"raw": dev, "encrypted": d} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(p)))
			for b.Loop() {
				if err := dev.ReadBlocks(0, p); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

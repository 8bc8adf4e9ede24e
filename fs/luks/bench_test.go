package luks

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"alphaos/fs"
	"alphaos/fs/fstest"
)

// BenchmarkXTS is one core.
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

// paced is a medium of so many bytes a second.
type paced struct {
	fs.BlockDevice
	rate float64
}

func (m paced) ReadBlocks(lba uint64, p []byte) error {
	ready := time.Now().Add(time.Duration(float64(len(p)) / m.rate * 1e9))
	err := m.BlockDevice.ReadBlocks(lba, p)
	for time.Now().Before(ready) { // a firmware's driver waits so, and sleep is coarse
	}
	return err
}

// BenchmarkAgainstRaw reads requests of 4 MiB from a medium of the speed of a card, a USB drive, a fast one and a Thunderbolt one,
// and then the same through the lock, in turn: "share" is the speed of the second by that of the first, in the median.
func BenchmarkAgainstRaw(b *testing.B) {
	const size = 64 << 20
	for _, rate := range []float64{90e6, 400e6, 1000e6, 2500e6} {
		b.Run(fmt.Sprintf("%.0fMB", rate/1e6), func(b *testing.B) {
			dev := paced{fstest.NewDevice(make([]byte, size+2<<20), 512), rate}
			_, d, err := Format(dev, []byte("x"), Options{Offset: 2 << 20, Cost: Cost{Memory: 64 << 10, Passes: 4}})
			if err != nil {
				b.Fatal(err)
			}
			p := make([]byte, 4<<20)
			var shares []float64
			lba := uint64(0)
			for b.Loop() {
				var took [2]time.Duration
				for i, dev := range []fs.BlockDevice{dev, d} {
					begin := time.Now()
					if err := dev.ReadBlocks(lba, p); err != nil {
						b.Fatal(err)
					}
					took[i] = time.Since(begin)
				}
				shares = append(shares, float64(took[0])/float64(took[1]))
				lba = (lba + uint64(len(p)/512)) % (size / 512)
			}
			slices.Sort(shares)
			b.ReportMetric(shares[len(shares)/2], "share")
		})
	}
}

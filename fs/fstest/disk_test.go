package fstest

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"
)

func newDisk(seed uint64) *Disk {
	return New(64<<10, 512, 0, rand.New(rand.NewPCG(seed, 0)))
}

func write(t *testing.T, d *Disk, b byte, n int, off int64) {
	t.Helper()
	if _, err := d.WriteAt(bytes.Repeat([]byte{b}, n), off); err != nil {
		t.Fatal(err)
	}
}

// What was flushed stays; of what was not, any part of the sectors may stay,
// and at most one of them is torn.
func TestCut(t *testing.T) {
	orders := map[string]bool{}
	for seed := range uint64(400) {
		d := newDisk(seed)
		d.Tear = TearJunk
		write(t, d, 1, 2048, 0)
		if err := d.Sync(); err != nil {
			t.Fatal(err)
		}
		write(t, d, 2, 2048, 0)
		d.CutAfter(3)
		if _, err := d.WriteAt(bytes.Repeat([]byte{3}, 2048), 2048); !errors.Is(err, ErrPowerCut) {
			t.Fatal(err)
		}
		if _, err := d.ReadAt(make([]byte, 1), 0); !errors.Is(err, ErrPowerCut) {
			t.Fatal(err)
		}
		d.PowerOn()
		torn, order := 0, ""
		for s := range 8 {
			b := d.Bytes()[s*512:][:512]
			switch {
			case bytes.Equal(b, bytes.Repeat(b[:1], 512)):
				order += string('0' + b[0])
			default:
				order += "x"
				torn++
			}
		}
		if torn > 1 || order[7] != '0' {
			t.Fatalf("seed %d: %s", seed, order)
		}
		orders[order] = true
	}
	if !orders["22223330"] {
		t.Error("the whole cache is never written")
	}
	if len(orders) < 50 {
		t.Errorf("only %d outcomes", len(orders))
	}
}

func TestInOrder(t *testing.T) {
	d := newDisk(1)
	d.InOrder, d.Tear = true, TearUnreadable
	d.CutAfter(3)
	d.WriteAt(bytes.Repeat([]byte{1}, 2048), 0)
	d.PowerOn()
	if !bytes.Equal(d.Bytes()[:2048], append(bytes.Repeat([]byte{1}, 1024), make([]byte, 1024)...)) {
		t.Errorf("% x", d.Bytes()[:2048])
	}
	if _, err := d.ReadAt(make([]byte, 512), 1024); !errors.Is(err, ErrUnreadable) {
		t.Error(err)
	}
	if _, err := d.WriteAt(make([]byte, 100), 1024); err == nil {
		t.Error("a part of an unreadable sector was written")
	}
	write(t, d, 4, 512, 1024)
	if _, err := d.ReadAt(make([]byte, 512), 1024); err != nil {
		t.Error(err)
	}
}

func TestFaults(t *testing.T) {
	d := newDisk(2)
	d.StickBit(5, 3, true)
	write(t, d, 0, 512, 0)
	if d.Bytes()[5] != 8 {
		t.Error("not stuck")
	}
	d.CachedReads = true
	write(t, d, 0, 512, 0)
	if d.Bytes()[5] != 0 {
		t.Error("the cache does not hide the stuck bit")
	}
	d.PowerOn()
	if d.Bytes()[5] != 8 {
		t.Error("not stuck after a restart")
	}
	d.Misdirect(2, 8192)
	write(t, d, 1, 512, 1024)
	write(t, d, 2, 512, 1024)
	write(t, d, 3, 512, 2048)
	if b := d.Bytes(); b[1024] != 1 || b[8192] != 2 || b[2048] != 3 {
		t.Error("not misdirected")
	}
	d.Fail = Flaky(rand.New(rand.NewPCG(1, 1)), 0.5, 0.5, 0.5, 2)
	failed := 0
	for range 100 {
		if _, err := d.ReadAt(make([]byte, 8), 0); errors.Is(err, ErrPassing) {
			failed++
		}
	}
	if failed < 20 || failed > 95 {
		t.Errorf("%d of 100 reads failed", failed)
	}
	d.Fail = nil
	d.LyingFlush, d.CachedReads = true, false
	kept := 0
	for seed := range uint64(50) {
		d := newDisk(seed)
		d.LyingFlush, d.Tear = true, TearOld
		write(t, d, 7, 512, 0)
		if err := d.Sync(); err != nil {
			t.Fatal(err)
		}
		d.CutAfter(0)
		d.Sync()
		d.PowerOn()
		kept += int(d.Bytes()[511]) / 7
	}
	if kept == 0 || kept >= 50 {
		t.Errorf("%d of 50 writes were kept although the flush lied", kept)
	}
}

// An outage hits its region, for its time.
func TestOutage(t *testing.T) {
	d := newDisk(3)
	d.Fail = Outage(1024, 2048, 2, 3)
	for i, c := range []struct {
		off   int64
		fails bool
	}{{1024, false}, {1536, false}, {1024, true}, {2048, false}, {1536, true}, {1024, false}} {
		if _, err := d.WriteAt(make([]byte, 512), c.off); errors.Is(err, ErrPassing) != c.fails {
			t.Errorf("write %d: %v", i, err)
		}
		if _, err := d.ReadAt(make([]byte, 512), c.off); err != nil {
			t.Errorf("read %d: %v", i, err)
		}
	}
}

// A device has its disk's faults, block by block.
func TestDevice(t *testing.T) {
	data := make([]byte, 8*512+100)
	d := NewDevice(data, 512)
	if d.Blocks() != 8 {
		t.Fatalf("%d blocks", d.Blocks())
	}
	ones := bytes.Repeat([]byte{1}, 4*512)
	d.CutAfter(6)
	if err := d.WriteBlocks(0, ones); err != nil {
		t.Fatal(err)
	}
	if err := d.WriteBlocks(4, ones); !errors.Is(err, ErrPowerCut) {
		t.Fatalf("write across the cut: %v, want ErrPowerCut", err)
	}
	if err := d.ReadBlocks(0, ones); !errors.Is(err, ErrPowerCut) {
		t.Errorf("read without power: %v", err)
	}
	if err := d.Flush(); !errors.Is(err, ErrPowerCut) {
		t.Errorf("flush without power: %v", err)
	}
	d.PowerOn()
	if data[4*512] != 1 || data[5*512] != 0 {
		t.Error("the cut write did not stop after its first block")
	}
	d.MakeUnreadable(3*512, 4*512)
	before := d.Reads()
	if err := d.ReadBlocks(2, ones[:1024]); !errors.Is(err, ErrUnreadable) {
		t.Errorf("read of the bad block: %v", err)
	}
	if err := d.ReadBlocks(4, ones); err != nil {
		t.Errorf("read beside the bad block: %v", err)
	}
	if n := d.Reads() - before; n != 2 {
		t.Errorf("counted %d reads, want 2", n)
	}
}

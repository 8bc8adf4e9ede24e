package amd64

import (
	"testing"

	"alphaos/amd64/paging"
	"alphaos/uefi"
)

// TestUsable checks that the firmware keeps its share, at the end of a range or when another map divides
// that.
func TestUsable(t *testing.T) {
	const mib, page = 1 << 20, 1
	const share = 1000 * mib
	for _, c := range []struct {
		kind              uint32
		base, pages       uint64
		wantBase, wantEnd uint64
	}{
		{uefi.ConventionalMemory, 16 * mib, (1048 - 16) * mib / 4096, 16 * mib, share},
		{uefi.ConventionalMemory, 16 * mib, (1000 - 16) * mib / 4096, 16 * mib, share},
		{uefi.ConventionalMemory, 500 * mib, (1047 - 500) * mib / 4096, 500 * mib, share},
		{uefi.ConventionalMemory, share, 48 * mib / 4096, 0, 0},
		{uefi.ConventionalMemory, share + mib, 20 * mib / 4096, 0, 0},
		{uefi.ConventionalMemory, share + firmwareShare, mib / 4096, share + firmwareShare, share + firmwareShare + mib},
		{uefi.ConventionalMemory, 0, 2 * mib / 4096, mib, 2 * mib},
		{uefi.ConventionalMemory, 0, 160, 0, 0},
		{uefi.ConventionalMemory, 16 * mib, minRegion/4096 - page, 0, 0},
		{uefi.LoaderData, 16 * mib, mib / 4096, 0, 0},
	} {
		d := uefi.MemoryDescriptor{Type: c.kind, PhysicalStart: c.base, NumberOfPages: c.pages}
		if base, pages := usable(&d, share); base != c.wantBase && pages != 0 || pages != (c.wantEnd-c.wantBase)/4096 {
			t.Errorf("%d pages at %#x: %d at %#x", c.pages, c.base, pages, base)
		}
	}
}

// TestMappings makes system calls as the Go runtime does on Linux, beside firmware that uses
// some of the address space.
func TestMappings(t *testing.T) {
	const slot, anonymous, fixed, noReplace = 1 << 39, 0x22, 0x10, 0x100000
	mem := make([]byte, 65*paging.FrameSize)
	t.Cleanup(func() { _ = mem[0] })
	if !paging.AddRegion(pageUp(addrOf(&mem[0])), 64) {
		t.Fatal("no memory")
	}
	firmware := paging.AllocFrame()
	for _, i := range []uintptr{1, 0x42} {
		*at[uint64](firmware + 8*i) = 1
	}
	if paging.Make(firmware, false) == 0 {
		t.Fatal("no page tables")
	}
	hint := uintptr(0xc000000000) // slot 1, the firmware's
	first := mmap(hint, 1<<20, 3, anonymous)
	if first>>39 != 0x40 {
		t.Fatalf("mapping at %#x", first)
	}
	hint = 3 * slot
	if got := mmap(hint, 1<<20, 3, anonymous); got != hint {
		t.Fatalf("a free hint was not taken: %#x", got)
	}
	if got := mmap(hint+1<<19, 1<<20, 3, anonymous); got == hint+1<<19 {
		t.Fatal("an overlapping hint was taken")
	}
	if got := mmap(hint+1<<19, 1<<20, 3, anonymous|noReplace); got != errno(eEXIST) {
		t.Fatalf("an overlap that may not be: %#x", got)
	}
	if got := mmap(hint+1<<19, 1<<20, 0, anonymous|fixed); got != hint+1<<19 || touch(got, 1, false) || !touch(hint, 1, true) {
		t.Fatalf("a mapping over another: %#x", got)
	}
	if got := mmap(0, paging.Top, 3, anonymous); got != errno(eNOMEM) && got != errno(eINVAL) {
		t.Fatalf("all of memory: %#x", got)
	}
	if got := mmap(0, 2*slot, 3, anonymous); got>>39 != 0x43 { // the hole before the firmware's is too small
		t.Fatalf("mapping at %#x runs into a firmware slot", got)
	}
	if got := mprotect(hint, 4<<20, 1); got != errno(eNOMEM) {
		t.Errorf("mprotect of a hole gave %d", int(got))
	}
	if mprotect(hint, 1<<19, 1) != 0 || touch(hint, 1, true) || !touch(hint, 1, false) {
		t.Error("mprotect did not take the right to write away")
	}
	if munmap(hint, 4<<20) != 0 || touch(hint, 1, false) || munmap(hint+1, 1) != errno(eINVAL) {
		t.Error("munmap left something")
	}
}

package machine

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"alphaos/amd64"
	"alphaos/console"
	"alphaos/efi"
	"alphaos/llm/kernel"
	"alphaos/uefi"
)

func print(fields []console.Field) {
	for _, f := range fields {
		fmt.Println(strings.TrimRight(f.String(), " "))
	}
}

func Example_mapFields() {
	print(mapFields([]uefi.MemoryDescriptor{
		{Type: uefi.ConventionalMemory, PhysicalStart: 0x100000, NumberOfPages: 1000},
		{Type: uefi.ConventionalMemory, PhysicalStart: 0x100000000, NumberOfPages: 1 << 20},
		{Type: uefi.MemoryMappedIO, PhysicalStart: 0xfd00000000, NumberOfPages: 1},
		{Type: 0x80000001, PhysicalStart: 0x1000, NumberOfPages: 2},
	}, 48))
	// Output:
	// ranges          4, in descriptors of 48 bytes
	// highest address 0x200000000 of memory, 0xfd00001000 of all
	// free            4.30 GB in 2 ranges, the largest 4.29 GB
	// memory-mapped I/O 4.10 kB in 1 ranges, the largest 4.10 kB
	// type 0x80000001 8.19 kB in 1 ranges, the largest 8.19 kB
}

func Example_displayFields() {
	print(displayFields([]efi.Display{
		{Console: true, Modes: []efi.Mode{{Number: 0, Width: 2560, Height: 1600}, {Number: 2, Width: 1280, Height: 800}}, Current: 2, Pixels: "BGRX", Pitch: 1344, Frame: 0xa0000000, Size: 20 << 20},
		{Err: errors.New("not started")},
	}))
	// Output:
	// screen 1        1280x800, BGRX, 1344 pixels a row, 20971520 bytes at 0xa0000000, of the firmware's console
	// screen 1        modes 2560x1600 1280x800
	// screen 2        no mode that it lists, , 0 pixels a row, 0 bytes at 0x0
	// screen 2        modes
	// failed          screen 2: not started
}

func Example_protocolFields() {
	print(protocolFields([]efi.Count{{Name: "RNG"}, {Name: "block I/O", Handles: 3}, {Name: "TCG2", Err: uefi.DeviceError}, {Name: "Apple event"}}))
	// Output:
	// 3               block I/O
	// failed          TCG2: EFI_DEVICE_ERROR (the device reported an error)
	// none            RNG, Apple event
}

func TestProcessorFields(t *testing.T) {
	var b strings.Builder
	for _, f := range processorFields(amd64.Identity{Vendor: "GenuineIntel", Family: 6, Model: 0x8e, PhysicalBits: 39, LinearBits: 48, ThreadsPerCore: 2},
		amd64.HandOver{EFER: 0x500, PAT: 0x7040600070406, MPServices: "PI", Logical: 8, Enabled: 4}, []string{"base 0x0"}, []string{"SSE2", "AVX2"}) {
		fmt.Fprintln(&b, f)
	}
	for _, want := range []string{"family          0x6, model 0x8e, stepping 0\n", "2 a core, unknown a package\n", "8, of which 4 are enabled; MP services: PI\n",
		"0x500 as found, NXE false\n", "0x0007040600070406 as found\n", "hypervisor      none\n", "MTRR            base 0x0\n", "SSE2 AVX2\n", "39 physical, 48 linear\n"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("there is no %q in\n%s", want, b.String())
		}
	}
}

// All that is read counts once, whoever reads it.
func TestReadMemory(t *testing.T) {
	b := make([]byte, 4<<20)
	for _, n := range []int{1, 2, 5, 16, 17} { // the last have less than a piece each
		got, _ := readMemory(t.Context(), b, n, kernel.Readings()[0], 5*time.Millisecond)
		if got%(256<<10) != 0 || (got > 0) != (n < 17) {
			t.Errorf("%d read %d bytes", n, got)
		}
	}
}

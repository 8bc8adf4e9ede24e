package machine

// What AlphaOS knows about the machine it runs on: the lines of a verbose start, of
// /show info and of /show memory.

import (
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/cpu"

	"alphaos/amd64"
	"alphaos/assistant"
	"alphaos/boot"
	"alphaos/console"
	"alphaos/efi"
	"alphaos/fs"
	"alphaos/uefi"
)

// field is a fact for /show.
func field(name, format string, args ...any) console.Field {
	return console.Field{Name: name, Value: fmt.Sprintf(format, args...)}
}

// About is what /show info tells of the machine.
func (m *Machine) About() []console.Field {
	ms := func(d time.Duration) time.Duration { return d.Round(time.Millisecond) }
	memory := amd64.Memory()
	vendor, revision, spec := efi.Firmware()
	speed := amd64.ProcessorSpeed()
	lines := []console.Field{
		field("firmware", "%s %#x, UEFI %s", vendor, revision, spec),
		field("processors", "%s", processors()),
		field("speed", "%s", speedText(speed)),
	}
	if why := slowed(speed, isMac(vendor)); why != "" {
		lines = append(lines, field("note", "%s", why))
	}
	return append(lines,
		field("memory", "%s of %s free", console.Bytes(int64(memory.Free)), console.Bytes(int64(memory.Total))),
		field("clock", "%s", m.Now().Format("2 January 2006, 15:04, UTC-07:00")),
		field("start", "Go after %v, drive and journal after %v, reading the model from %v on", ms(m.began), ms(m.ready), ms(m.reading)),
		field("keyboard", "%s", efi.KeySource()),
		field("built with", "%s", runtime.Version()),
	)
}

// processors says how many processors there are.
func processors() string {
	return fmt.Sprintf("%d of %d in use", amd64.Processors(), amd64.Present())
}

// memoryUse is who has the machine's memory, in bytes.
type memoryUse struct {
	ram         int64 // all there is
	taken, free int64 // what AlphaOS took over from the firmware, and has left
	image       int64 // the program
	weights     int64
	held, heap  int64 // by the Go heap, and in use there
	cache       int64 // keys and values, part of heap
}

// memoryLines is what /show memory shows.
func memoryLines(u memoryUse) []console.Field {
	size := func(n int64) string { return console.Bytes(max(n, 0)) }
	lines := []console.Field{
		field("machine", "%s", size(u.ram)),
		field("firmware", "%s", size(u.ram-u.taken-u.image)),
		field("program", "%s", size(u.image)),
		field("weights", "%s", size(u.weights)),
		field("Go heap", "%s, %s of it in use", size(u.held), size(u.heap)),
		field("KV cache", "%s of the Go heap", size(u.cache)),
	}
	if other := u.taken - u.free - u.weights - u.held; other > 0 {
		lines = append(lines, field("other", "%s (page tables, stacks, buffers)", size(other)))
	}
	return append(lines, field("free", "%s", size(u.free)))
}

// Memory asks everybody who has memory for /show memory.
func (m *Machine) Memory(model assistant.ModelMemory) []console.Field {
	u := memoryUse{weights: model.Weights, cache: model.Cache}
	var notes []console.Field
	ranges, err := efi.MemoryMap()
	if err != nil {
		notes = append(notes, field("note", "the firmware does not tell how memory is used: %s", fs.Reason(err)))
	}
	for _, r := range ranges {
		if r.Type < uint32(len(memoryTypes)) && memoryTypes[r.Type].ram {
			u.ram += int64(r.NumberOfPages) * 4096
		}
	}
	if img, err := efi.LoadedImage(); err == nil {
		u.image = int64(img.Size)
	}
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	u.held, u.heap = int64(stats.HeapSys-stats.HeapReleased), int64(stats.HeapAlloc)
	now := amd64.Memory()
	u.taken, u.free = int64(now.Total), int64(now.Free)
	return append(memoryLines(u), notes...)
}

// memoryTypes says what the types of memory are called here, and which of them are memory
// that programs can have in principle.
var memoryTypes = [...]struct {
	name string
	ram  bool
}{
	uefi.ReservedMemory: {"reserved", false}, uefi.UnusableMemory: {"unusable", false},
	uefi.LoaderCode: {"loader code", true}, uefi.LoaderData: {"loader data", true},
	uefi.BootServicesCode: {"boot services code", true}, uefi.BootServicesData: {"boot services data", true},
	uefi.RuntimeServicesCode: {"runtime services code", true}, uefi.RuntimeServicesData: {"runtime services data", true},
	uefi.ConventionalMemory: {"free", true}, uefi.PersistentMemory: {"persistent", false}, uefi.UnacceptedMemory: {"unaccepted", false},
	uefi.ACPIReclaimMemory: {"ACPI tables", true}, uefi.ACPIMemoryNVS: {"ACPI NVS", true},
	uefi.MemoryMappedIO: {"memory-mapped I/O", false}, uefi.MemoryMappedIOPortSpace: {"I/O ports", false}, uefi.PalCode: {"PAL code", false},
}

// Facts logs firmware, program, processors, memory and disks.
func (m *Machine) Facts(log *boot.Log) {
	img := m.image
	vendor, revision, spec := efi.Firmware()
	log.Printf("firmware: %s %#x, UEFI %s", vendor, revision, spec)
	if err := efi.TableCRC(); err != nil {
		log.Printf("firmware: %v", err)
	}
	if m.clock.shown != "" {
		log.Printf("clock: %s", m.clock.shown)
	}
	if err := m.clock.fault; err != nil {
		log.Printf("clock: %v", err)
	}
	path := img.FilePath
	if path == "" {
		path = "a place that the firmware does not tell"
	}
	log.Printf("program: %d KiB at %#x, from %s, built with %s", img.Size>>10, img.Base, path, runtime.Version())
	log.Printf("processors: %s; %s; %s", processors(), amd64.Mode(), amd64.Starting())
	id, found := amd64.Identify(), amd64.Found()
	noExec := "on"
	if !found.NXE() {
		noExec = "off"
	}
	log.Printf("processor: %s, addresses of %d bits; the firmware left execute-disable %s, PAT %#016x, console: %s", id.Brand, id.PhysicalBits, noExec, found.PAT, efi.ConsoleMode())
	log.Printf("processor features: %s", strings.Join(cpuFeatures(), " "))
	log.Printf("time-stamp counters: %s", counters(amd64.Clock()))
	speedFacts(log, isMac(vendor))
	if m.screen != nil {
		log.Printf("screen: %s", m.screen)
	}
	memoryFacts(log)
	diskFacts(log)
}

// counters tells what all time is measured with.
func counters(c amd64.ClockStats) string {
	text := fmt.Sprintf("%.1f MHz", float64(c.Rate)/1e6)
	if !c.Invariant {
		text += ", not said to be invariant: time may run wrong when the processor slows down"
	}
	if c.Apart != 0 {
		text += fmt.Sprintf(", up to %v apart, which is corrected", c.Apart)
	}
	return text
}

// cpuFeatures lists what the processor can do, by the names of golang.org/x/sys/cpu.
func cpuFeatures() []string {
	var names []string
	v := reflect.ValueOf(&cpu.X86).Elem()
	for i := range v.NumField() {
		if name, ok := strings.CutPrefix(v.Type().Field(i).Name, "Has"); ok && v.Field(i).Bool() {
			names = append(names, name)
		}
	}
	return names
}

// memoryFacts logs a summary of the firmware's memory map.
func memoryFacts(log *boot.Log) {
	ranges, err := efi.MemoryMap()
	if err != nil {
		log.Printf("memory map: %v", err)
	} else {
		bytes := map[uint32]int64{}
		top := uint64(0)
		for _, r := range ranges {
			bytes[r.Type] += int64(r.NumberOfPages) * 4096
			if r.Type < uint32(len(memoryTypes)) && memoryTypes[r.Type].ram {
				top = max(top, r.PhysicalStart+r.NumberOfPages*4096)
			}
		}
		var parts []string
		for t, m := range memoryTypes {
			if n := bytes[uint32(t)]; n != 0 {
				parts = append(parts, m.name+" "+console.Bytes(n))
			}
			delete(bytes, uint32(t))
		}
		for _, n := range bytes { // types of the firmware's maker
			parts = append(parts, "other "+console.Bytes(n))
		}
		log.Printf("memory map: %d ranges up to %#x: %s", len(ranges), top, strings.Join(parts, ", "))
	}
	m := amd64.Memory()
	log.Printf("memory: %s taken over, %s free", console.Bytes(int64(m.Total)), console.Bytes(int64(m.Free)))
}

// diskFacts logs the disks and their partitions.
func diskFacts(log *boot.Log) {
	list := func(what string, disks []*efi.BlockDevice, err error) {
		for _, d := range disks {
			kind := ""
			if d.Removable() {
				kind += ", removable"
			}
			if d.ReadOnly() {
				kind += ", write protected"
			}
			log.Printf("%s: %s in blocks of %d%s: %s", what, console.Bytes(int64(d.Blocks())*int64(d.BlockSize())), d.BlockSize(), kind, d)
		}
		if err != nil {
			log.Printf("%s: %v", what, err)
		}
	}
	disks, err := efi.Disks()
	list("disk", disks, err)
	volumes, err := efi.Volumes()
	list("volume", volumes, err)
}

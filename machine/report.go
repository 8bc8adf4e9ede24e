package machine

// What a report tells of the machine: see assistant.Section. What is the same on every start
// and needs no firmware to be put in words is in functions of their own, for tests.

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"path"
	"runtime"
	"slices"
	"strings"
	"time"

	"alphaos/amd64"
	"alphaos/assistant"
	"alphaos/console"
	"alphaos/drive"
	"alphaos/efi"
	"alphaos/fs"
	"alphaos/fs/readfs"
	"alphaos/llm/kernel"
	"alphaos/uefi"
)

// Sections are the machine's part of a report.
func (m *Machine) Sections() []assistant.Section {
	plain := func(name string, facts func() ([]console.Field, error)) assistant.Section {
		return assistant.Section{Name: name, Facts: func(context.Context, assistant.ShowProgress) ([]console.Field, error) { return facts() }}
	}
	tables := plain("configuration tables", func() ([]console.Field, error) {
		names, err := efi.Tables()
		return lines("table", names), err
	})
	tables.GUIDs = true
	return []assistant.Section{
		plain("AlphaOS", m.programFields),
		plain("firmware", firmwareFields),
		plain("kind of machine", func() ([]console.Field, error) {
			s, err := efi.ReadSMBIOS()
			return kindFields(s), err
		}),
		plain("protocols", func() ([]console.Field, error) {
			counts, err := efi.Protocols()
			return protocolFields(counts), err
		}),
		tables,
		plain("memory as found", func() ([]console.Field, error) {
			return mapFields(amd64.FoundMap(), amd64.Found().MapDescriptor), nil
		}),
		plain("screens", func() ([]console.Field, error) {
			displays, err := efi.Displays()
			fields := displayFields(displays)
			if m.screen != nil {
				fields = append(fields, field("in use", "%s", m.screen))
			}
			return append(fields, field("console mode", "%s", efi.ConsoleMode()), field("keys from", "%s", efi.KeySource())), err
		}),
		plain("processors", func() ([]console.Field, error) {
			return processorFields(amd64.Identify(), amd64.Found(), amd64.MTRRs(), cpuFeatures()), nil
		}),
		plain("clock", clockFields),
		plain("disks", m.disks),
		{Name: "speed of the drive", Slow: true, Facts: m.driveSpeed},
		{Name: "speed of memory", Slow: true, Facts: memorySpeed},
	}
}

func lines(name string, values []string) (fields []console.Field) {
	for _, v := range values {
		fields = append(fields, field(name, "%s", v))
	}
	return fields
}

func (m *Machine) programFields() ([]console.Field, error) {
	code := amd64.Code()
	sum := sha256.Sum256(code)
	fields := []console.Field{
		field("built with", "%s for %s", runtime.Version(), runtime.GOOS),
		field("image", "%s at %#x", console.Bytes(int64(m.image.Size)), m.image.Base),
		field("code", "%s, SHA-256 begins %x", console.Bytes(int64(len(code))), sum[:6]),
	}
	return append(fields, m.About()...), nil
}

func firmwareFields() ([]console.Field, error) {
	vendor, revision, spec := efi.Firmware()
	crc := "as in the headers"
	if err := efi.TableCRC(); err != nil {
		crc = strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	return []console.Field{
		field("vendor", "%s", vendor),
		field("revision", "%#x", revision),
		field("UEFI", "%s", spec),
		field("table CRCs", "%s", crc),
		field("Secure Boot", "%s", efi.SecureBoot()),
	}, nil
}

func kindFields(s efi.SMBIOS) []console.Field {
	return []console.Field{
		field("maker", "%s", s.Manufacturer),
		field("product", "%s", s.Product),
		field("version", "%s", s.ProductVersion),
		field("family", "%s", s.Family),
		field("board", "%s %s %s", s.BoardMaker, s.Board, s.BoardVersion),
		field("BIOS", "%s %s, %s", s.BIOSVendor, s.BIOSVersion, s.BIOSDate),
		field("SMBIOS", "%s, %d structures", s.Version, s.Structures),
	}
}

// protocolFields lists the protocols that there are, and in one line those that there are not.
func protocolFields(counts []efi.Count) (fields []console.Field) {
	var missing []string
	for _, c := range counts {
		switch {
		case c.Err != nil:
			fields = append(fields, field("failed", "%s: %v", c.Name, c.Err))
		case c.Handles == 0:
			missing = append(missing, c.Name)
		default:
			fields = append(fields, field(fmt.Sprint(c.Handles), "%s", c.Name))
		}
	}
	return append(fields, field("none", "%s", strings.Join(missing, ", ")))
}

func mapFields(ranges []uefi.MemoryDescriptor, descriptor int) (fields []console.Field) {
	type use struct {
		ranges  int
		bytes   uint64
		largest uint64
	}
	uses := map[uint32]use{}
	top, topRAM := uint64(0), uint64(0)
	for _, r := range ranges {
		u, n := uses[r.Type], r.NumberOfPages*4096
		u.ranges, u.bytes, u.largest = u.ranges+1, u.bytes+n, max(u.largest, n)
		uses[r.Type] = u
		top = max(top, r.PhysicalStart+n)
		if r.Type < uint32(len(memoryTypes)) && memoryTypes[r.Type].ram {
			topRAM = max(topRAM, r.PhysicalStart+n)
		}
	}
	fields = []console.Field{
		field("ranges", "%d, in descriptors of %d bytes", len(ranges), descriptor),
		field("highest address", "%#x of memory, %#x of all", topRAM, top),
	}
	var types []uint32
	for t := range uses {
		types = append(types, t)
	}
	slices.Sort(types)
	for _, t := range types {
		name := fmt.Sprintf("type %#x", t)
		if t < uint32(len(memoryTypes)) {
			name = memoryTypes[t].name
		}
		u := uses[t]
		fields = append(fields, field(name, "%s in %d ranges, the largest %s", console.Bytes(int64(u.bytes)), u.ranges, console.Bytes(int64(u.largest))))
	}
	return fields
}

func displayFields(displays []efi.Display) (fields []console.Field) {
	for i, d := range displays {
		name := fmt.Sprintf("screen %d", i+1)
		var modes []string
		current := "no mode that it lists"
		for _, m := range d.Modes {
			size := fmt.Sprintf("%dx%d", m.Width, m.Height)
			if m.Number == d.Current {
				current = size
			}
			modes = append(modes, size)
		}
		console := ""
		if d.Console {
			console = ", of the firmware's console"
		}
		fields = append(fields, field(name, "%s, %s, %d pixels a row, %d bytes at %#x%s", current, d.Pixels, d.Pitch, d.Size, d.Frame, console),
			field(name, "modes %s", strings.Join(modes, " ")))
		if d.Err != nil {
			fields = append(fields, field("failed", "%s: %v", name, d.Err))
		}
	}
	return fields
}

func processorFields(id amd64.Identity, found amd64.HandOver, mtrrs, features []string) []console.Field {
	known := func(n uint32) string {
		if n == 0 {
			return "unknown"
		}
		return fmt.Sprint(n)
	}
	fields := []console.Field{
		field("vendor", "%s", id.Vendor),
		field("brand", "%s", id.Brand),
		field("family", "%#x, model %#x, stepping %d", id.Family, id.Model, id.Stepping),
		field("hypervisor", "%s", cmp.Or(id.Hypervisor, "none")),
		field("threads", "%s a core, %s a package", known(id.ThreadsPerCore), known(id.ThreadsPerPackage)),
		field("firmware knows", "%d, of which %d are enabled; MP services: %s", found.Logical, found.Enabled, found.MPServices),
		field("in use", "%d of %d", amd64.Processors(), amd64.Present()),
		field("mode", "%s", amd64.Mode()),
		field("address bits", "%d physical, %d linear", id.PhysicalBits, id.LinearBits),
		field("EFER", "%#x as found, NXE %v", found.EFER, found.NXE()),
		field("CR4", "%#x as found", found.CR4),
		field("XCR0", "%#x as found", found.XCR0),
		field("APIC base", "%#x as found", found.APICBase),
		field("PAT", "%#016x as found", found.PAT),
		field("MTRR default", "%#x as found", found.MTRRDefault),
	}
	fields = append(fields, lines("MTRR", mtrrs)...)
	return append(fields, field("features", "%s", strings.Join(features, " ")))
}

func clockFields() ([]console.Field, error) {
	var fields []console.Field
	now, err := efi.Time()
	if err == nil {
		fields = append(fields, field("firmware's clock", "%s", now.Format(time.DateTime+" MST")))
	}
	zone, daylight, zoneErr := efi.ClockZone()
	if zoneErr == nil {
		text := fmt.Sprintf("%d minutes", zone)
		if zone == uefi.UnspecifiedTimeZone {
			text = "not specified"
		}
		fields = append(fields, field("time zone", "%s, daylight flags %#x", text, daylight))
	}
	return append(fields, field("time stamps", "%s", counters(amd64.Clock()))), errors.Join(err, zoneErr)
}

// disks tells of whole disks, and how many parts they have; not of what others have on them.
func (m *Machine) disks() (fields []console.Field, err error) {
	describe := func(name string, d *efi.BlockDevice) {
		kind := ""
		if d.Removable() {
			kind += ", removable"
		}
		if d.ReadOnly() {
			kind += ", write protected"
		}
		fields = append(fields, field(name, "%s in blocks of %d, aligned to %d, %s%s, %s",
			console.Bytes(int64(d.Blocks())*int64(d.BlockSize())), d.BlockSize(), d.Align(), d.Bus(), kind, d.Way()))
	}
	for _, dev := range m.parts {
		describe("the drive", dev)
	}
	list, diskErr := efi.Disks()
	for i, d := range list {
		describe(fmt.Sprintf("disk %d", i+1), d)
	}
	volumes, volumeErr := efi.Volumes()
	return append(fields, field("volumes", "%d on all disks", len(volumes))), errors.Join(diskErr, volumeErr)
}

// rate says how fast n bytes went.
func rate(n int64, took time.Duration) string {
	return fmt.Sprintf("%s/s (%s in %.2f s)", console.Bytes(int64(float64(n)/max(took.Seconds(), 1e-9))), console.Bytes(n), took.Seconds())
}

// driveSpeed reads the largest model on the drive, or the program, and writes on room that
// no file has.
func (m *Machine) driveSpeed(ctx context.Context, show assistant.ShowProgress) (fields []console.Field, err error) {
	if m.drive == nil {
		return nil, errors.New("there is no drive")
	}
	name := largest(m.drive)
	dev, extents, err := where(m.drive, name)
	if err == nil {
		var n int64
		var took time.Duration
		n, took, err = read(ctx, dev, extents, show)
		fields = append(fields, field("reads", "%s, of %s", rate(n, took), name))
	}
	n, took, writeErr := m.write(ctx, show)
	if writeErr == nil {
		fields = append(fields, field("writes", "%s, flushed", rate(n, took)))
	}
	return fields, errors.Join(err, writeErr)
}

// largest finds the largest model on the drive, or else the program.
func largest(d *drive.Drive) (name string) {
	name = drive.EFIPath
	most := int64(0)
	if list, err := d.ReadDir(drive.ModelsDir); err == nil {
		for _, e := range list {
			if info, err := e.Info(); err == nil && !e.IsDir() && info.Size() > most {
				most, name = info.Size(), path.Join(drive.ModelsDir, e.Name())
			}
		}
	}
	return name
}

// read reads blocks in the size of request that loading a model does.
func read(ctx context.Context, dev *efi.BlockDevice, extents []fs.Extent, show assistant.ShowProgress) (n int64, took time.Duration, err error) {
	const request, most, long = 4 << 20, 256 << 20, 5 * time.Second
	buf, err := amd64.AllocPhysical(request)
	if err != nil {
		return 0, 0, err
	}
	defer amd64.FreePhysical(buf)
	size := int64(dev.BlockSize())
	total := int64(0)
	for _, e := range extents {
		total += int64(e.Count) * size
	}
	total = min(total, most)
	p := show("Reading from the drive", total)
	defer p.Done()
	began := time.Now()
	for _, e := range extents {
		for e.Count > 0 && n < total && ctx.Err() == nil && time.Since(began) < long {
			blocks := min(e.Count, request/uint64(size))
			if err := dev.ReadBlocks(e.First, buf[:int64(blocks)*size]); err != nil {
				return n, time.Since(began), err
			}
			e.First, e.Count = e.First+blocks, e.Count-blocks
			n += int64(blocks) * size
			p.Set(n)
		}
	}
	return n, time.Since(began), nil
}

func (m *Machine) write(ctx context.Context, show assistant.ShowProgress) (n int64, took time.Duration, err error) {
	const request, total, long = 1 << 20, 8 << 20, 5 * time.Second
	var f *readfs.InPlace
	v, _, err := m.drive.On(drive.JournalPath)
	if err == nil {
		f, err = v.Scratch(total)
	}
	if err != nil {
		return 0, 0, fmt.Errorf("writing: %w", err)
	}
	defer f.Close()
	buf, err := amd64.AllocPhysical(request)
	if err != nil {
		return 0, 0, err
	}
	defer amd64.FreePhysical(buf)
	for i := range buf { // zeros may cost a drive nothing
		buf[i] = byte(i*31 + i>>8)
	}
	p := show("Writing to free room on the drive", total)
	defer p.Done()
	began := time.Now()
	for n < total && ctx.Err() == nil && time.Since(began) < long {
		if _, err := f.WriteAt(buf, n); err != nil {
			return 0, 0, err
		}
		n += request
		p.Set(n)
	}
	err = f.Sync()
	return n, time.Since(began), err
}

// memorySpeed reads memory with one processor and with all, in each way there is, and tells the
// best, which is what answers can reach at most.
func memorySpeed(ctx context.Context, show assistant.ShowProgress) ([]console.Field, error) {
	size := 256 << 20
	buf, err := amd64.AllocPhysical(size)
	for ; err != nil && size > 16<<20; buf, err = amd64.AllocPhysical(size) {
		size /= 2
	}
	if err != nil {
		return nil, err
	}
	defer amd64.FreePhysical(buf)
	const long = 50 * time.Millisecond
	var fields []console.Field
	for _, n := range slices.Compact([]int{1, amd64.Processors()}) {
		p := show(fmt.Sprintf("Reading memory with %d of %d processors", n, amd64.Processors()), 0)
		var most int64
		var least time.Duration
		var best kernel.Reading
		for _, way := range kernel.Readings() {
			bytes, took := readMemory(ctx, buf, n, way, long)
			if most == 0 || float64(bytes)/float64(took) > float64(most)/float64(least) {
				most, least, best = bytes, took, way
			}
		}
		p.Set(most)
		p.Done()
		fields = append(fields, field(fmt.Sprintf("%d at a time", n), "%s, in %s, %v", rate(most, least), console.Bytes(int64(size)), best))
	}
	return fields, nil
}

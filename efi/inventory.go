package efi

// What a report about the machine tells of the firmware. Invariant: nothing here tells one
// machine, drive or person from others: no serial numbers, no network addresses, no GUIDs
// of partitions.

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unsafe"

	"alphaos/uefi"
)

// Count says how many handles have a protocol.
type Count struct {
	Name    string
	Handles int
	Err     error // why that is not known
}

// Protocols counts the handles with each of uefi.KnownProtocols.
func Protocols() ([]Count, error) {
	if err := ready(); err != nil {
		return nil, err
	}
	list := make([]Count, len(uefi.KnownProtocols))
	for i := range uefi.KnownProtocols {
		hs, err := handles(&uefi.KnownProtocols[i].GUID)
		list[i] = Count{uefi.KnownProtocols[i].Name, len(hs), err}
	}
	return list, nil
}

// Tables lists the configuration tables: what they are called, or their GUIDs.
func Tables() ([]string, error) {
	list, err := configurationTables()
	var names []string
	for _, t := range list {
		name := t.VendorGUID.String()
		for _, k := range uefi.KnownTables {
			if k.GUID == t.VendorGUID {
				name = k.Name
			}
		}
		names = append(names, name)
	}
	return names, err
}

// configurationTables returns the list in the system table (4.6).
func configurationTables() ([]uefi.ConfigurationTable, error) {
	if err := ready(); err != nil {
		return nil, err
	}
	const most = 256
	n, addr := fw.st.NumberOfTableEntries, fw.st.ConfigurationTable
	if n == 0 {
		return nil, nil
	}
	if addr == 0 || n > most {
		return nil, fmt.Errorf("the firmware says that it has %d configuration tables at %#x", n, addr)
	}
	b, err := memoryAt(addr, int(n)*int(unsafe.Sizeof(uefi.ConfigurationTable{})))
	if err != nil {
		return nil, fmt.Errorf("configuration tables: %w", err)
	}
	list := make([]uefi.ConfigurationTable, n)
	for i := range list {
		e := b[i*int(unsafe.Sizeof(list[0])):]
		list[i] = uefi.ConfigurationTable{VendorGUID: uefi.GUIDAt(e), VendorTable: uintptr(binary.LittleEndian.Uint64(e[16:]))}
	}
	return list, nil
}

// Display is a graphics output.
type Display struct {
	Console     bool // the firmware's console is on it
	Modes       []Mode
	Current     int // number of the mode
	Pixels      string
	Pitch       uint32 // pixels from one row to the next
	Frame, Size uint64 // address and bytes of the frame buffer
	Err         error  // why there is no more to say
}

// Displays describes all graphics outputs.
func Displays() ([]Display, error) {
	if err := ready(); err != nil {
		return nil, err
	}
	hs, err := handles(&uefi.GraphicsOutputGUID)
	if err != nil {
		return nil, fmt.Errorf("looking for screens: %w", err)
	}
	var list []Display
	for _, h := range hs {
		d := Display{Console: h == Handle(fw.st.ConsoleOutHandle)}
		gop, err := protocol(h, &uefi.GraphicsOutputGUID)
		if err != nil {
			d.Err = err
		} else if m, info := modeInfo(gop); info == nil {
			d.Err = uefi.NotStarted
		} else {
			d.Current, d.Frame, d.Size = int(m.Mode), m.FrameBufferBase, uint64(m.FrameBufferSize)
			d.Pitch, d.Pixels = info.PixelsPerScanLine, pixelFormat(info)
			d.Modes, d.Err = (&Screen{gop: gop}).Modes()
		}
		list = append(list, d)
	}
	return list, nil
}

// pixelFormat names an EFI_GRAPHICS_PIXEL_FORMAT (12.9.2).
func pixelFormat(info *uefi.GraphicsModeInfo) string {
	switch info.PixelFormat {
	case uefi.PixelRGBX:
		return "RGBX"
	case uefi.PixelBGRX:
		return "BGRX"
	case uefi.PixelBitMask:
		return fmt.Sprintf("masks %#x %#x %#x %#x", info.RedMask, info.GreenMask, info.BlueMask, info.ReservedMask)
	case uefi.PixelBltOnly:
		return "Blt only"
	}
	return fmt.Sprintf("unknown format %d", info.PixelFormat)
}

// ConsoleMode says which mode the Console Control protocol is in.
func ConsoleMode() string {
	if ready() != nil {
		return "unknown"
	}
	control, err := locateProtocol(&uefi.ConsoleControlGUID)
	if err != nil {
		return "no console control"
	}
	params.Lock()
	defer params.Unlock()
	st := uefi.Status(call(at[uefi.ConsoleControl](control).GetMode, control, cell(0, 0), 0, 0))
	switch mode := params.cell[0] & 0xffffffff; {
	case st.Err() != nil:
		return st.Error()
	case mode == uefi.ConsoleText:
		return "text"
	case mode == uefi.ConsoleGraphics:
		return "graphics"
	default:
		return fmt.Sprintf("unknown mode %d", mode)
	}
}

// ClockZone returns what the firmware's clock says of its time zone: minutes to be added for
// UTC, or 2047 where it does not know; and its flags for daylight saving (8.3.1).
func ClockZone() (minutes int, daylight uint8, err error) {
	if err := ready(); err != nil {
		return 0, 0, err
	}
	params.Lock()
	defer params.Unlock()
	clock = uefi.Time{}
	if err := uefi.Status(call(fw.rt.GetTime, uintptr(unsafe.Pointer(&clock)), 0)).Err(); err != nil {
		return 0, 0, fmt.Errorf("reading the clock: %w", err)
	}
	return int(clock.TimeZone), clock.Daylight, nil
}

// SecureBoot says whether Secure Boot is on (3.3).
func SecureBoot() string {
	vendor := uefi.GUID{Data1: 0x8be4df61, Data2: 0x93ca, Data3: 0x11d2, Data4: [8]byte{0xaa, 0x0d, 0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c}}
	b, _, err := GetVariable(VariableName{"SecureBoot", vendor})
	switch {
	case errors.Is(err, uefi.NotFound):
		return "not known to the firmware"
	case err != nil:
		return err.Error()
	case len(b) == 1 && b[0] == 0:
		return "off"
	case len(b) == 1 && b[0] == 1:
		return "on"
	}
	return fmt.Sprintf("%d bytes that make no sense", len(b))
}

// Align returns the alignment in bytes that the device asks of buffers.
func (d *BlockDevice) Align() int { return int(d.media.IoAlign) }

// Bus names what the device hangs on.
func (d *BlockDevice) Bus() string {
	bus := "unknown"
	for p := d.path; ; {
		kind, sub, _, rest, ok := p.next()
		if !ok {
			return bus
		}
		switch {
		case kind == pathHardware && sub == 1 && bus == "unknown":
			bus = "PCI"
		case kind == pathMessaging && buses[sub] != "":
			bus = buses[sub]
		}
		p = rest
	}
}

// buses are the sub-types of messaging nodes (10.3.4) that disks hang on.
var buses = [256]string{
	1: "ATA", 2: "SCSI", 3: "Fibre Channel", 4: "FireWire", 5: "USB", 6: "I2O", 9: "InfiniBand", 11: "network", 15: "USB", 16: "USB",
	18: "SATA", 19: "iSCSI", 21: "Fibre Channel", 22: "SAS", 23: "NVMe", 25: "UFS", 26: "SD", 29: "eMMC", 32: "NVDIMM",
}

// Way is the device's path without what tells it from others of its kind.
func (d *BlockDevice) Way() string {
	var nodes []string
	for p := d.path; ; {
		kind, sub, data, rest, ok := p.next()
		if !ok {
			return strings.Join(nodes, "/")
		}
		if kind == pathMedia && sub == mediaFile {
			nodes = append(nodes, "File")
			p = rest
			continue
		}
		text := nodeText(kind, sub, data)
		switch name, _, _ := strings.Cut(text, "("); name {
		case "Pci", "PciRoot", "PcieRoot", "Acpi", "Ctrl", "USB", "Sata", "Ata", "Scsi", "SD", "eMMC", "Unit": // places in the machine
			nodes = append(nodes, text)
		case "Path":
			nodes = append(nodes, fmt.Sprintf("Path(%d,%d)", kind, sub))
		default:
			nodes = append(nodes, name)
		}
		p = rest
	}
}

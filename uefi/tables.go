// Package uefi holds what the UEFI specification 2.10 defines and the program uses:
// structures, statuses, GUIDs and numbers, section by section. It calls nothing. Package
// efi makes calls of it for ordinary Go code, package amd64 for the kernel.
//
// Structures are laid out field for field as the specification has them for x64: a pointer
// or function is a uintptr, BOOLEAN a uint8, and Go's alignment rules for these types equal
// those of the Microsoft x64 ABI. tables_test.go holds every offset against the
// specification's number. All is data of the image or constant, so that the kernel can use
// it before the Go runtime has started.
package uefi

// TableHeader is EFI_TABLE_HEADER, section 4.2.
type TableHeader struct {
	Signature  uint64
	Revision   uint32
	HeaderSize uint32
	CRC32      uint32
	_          uint32
}

const TableHeaderSize = 24

const (
	SystemTableSignature     = 0x5453595320494249 // "IBI SYST"
	BootServicesSignature    = 0x56524553544f4f42 // "BOOTSERV"
	RuntimeServicesSignature = 0x56524553544e5552 // "RUNTSERV"
)

// SystemTable is EFI_SYSTEM_TABLE, section 4.3.
type SystemTable struct {
	Header               TableHeader
	FirmwareVendor       uintptr // CHAR16*
	FirmwareRevision     uint32
	ConsoleInHandle      uintptr
	ConIn                uintptr // SimpleTextInput
	ConsoleOutHandle     uintptr
	ConOut               uintptr // SimpleTextOutput
	StandardErrorHandle  uintptr
	StdErr               uintptr
	RuntimeServices      uintptr
	BootServices         uintptr
	NumberOfTableEntries uintptr
	ConfigurationTable   uintptr
}

// BootServices is EFI_BOOT_SERVICES, section 4.4.
type BootServices struct {
	Header TableHeader

	RaiseTPL   uintptr
	RestoreTPL uintptr

	AllocatePages uintptr
	FreePages     uintptr
	GetMemoryMap  uintptr
	AllocatePool  uintptr
	FreePool      uintptr

	CreateEvent  uintptr
	SetTimer     uintptr
	WaitForEvent uintptr
	SignalEvent  uintptr
	CloseEvent   uintptr
	CheckEvent   uintptr

	InstallProtocolInterface   uintptr
	ReinstallProtocolInterface uintptr
	UninstallProtocolInterface uintptr
	HandleProtocol             uintptr
	Reserved                   uintptr
	RegisterProtocolNotify     uintptr
	LocateHandle               uintptr
	LocateDevicePath           uintptr
	InstallConfigurationTable  uintptr

	LoadImage        uintptr
	StartImage       uintptr
	Exit             uintptr
	UnloadImage      uintptr
	ExitBootServices uintptr

	GetNextMonotonicCount uintptr
	Stall                 uintptr
	SetWatchdogTimer      uintptr

	ConnectController    uintptr
	DisconnectController uintptr

	OpenProtocol            uintptr
	CloseProtocol           uintptr
	OpenProtocolInformation uintptr

	ProtocolsPerHandle                  uintptr
	LocateHandleBuffer                  uintptr
	LocateProtocol                      uintptr
	InstallMultipleProtocolInterfaces   uintptr
	UninstallMultipleProtocolInterfaces uintptr

	CalculateCrc32 uintptr
	CopyMem        uintptr
	SetMem         uintptr
	CreateEventEx  uintptr
}

// RuntimeServices is EFI_RUNTIME_SERVICES, section 4.5.
type RuntimeServices struct {
	Header TableHeader

	GetTime       uintptr
	SetTime       uintptr
	GetWakeupTime uintptr
	SetWakeupTime uintptr

	SetVirtualAddressMap uintptr
	ConvertPointer       uintptr

	GetVariable         uintptr
	GetNextVariableName uintptr
	SetVariable         uintptr

	GetNextHighMonotonicCount uintptr
	ResetSystem               uintptr

	UpdateCapsule            uintptr
	QueryCapsuleCapabilities uintptr
	QueryVariableInfo        uintptr
}

// AllocateAddress is AllocatePages' request for pages at an address, section 7.2.1.
const AllocateAddress = 2

// EFI_MEMORY_TYPE, section 7.2.1.
const (
	ReservedMemory = iota
	LoaderCode
	LoaderData
	BootServicesCode
	BootServicesData
	RuntimeServicesCode
	RuntimeServicesData
	ConventionalMemory // free
	UnusableMemory
	ACPIReclaimMemory
	ACPIMemoryNVS
	MemoryMappedIO
	MemoryMappedIOPortSpace
	PalCode
	PersistentMemory
	UnacceptedMemory
)

// Task priority levels, section 7.1: that of ordinary programs, and that at which nothing interrupts.
const (
	TPLApplication = 4
	TPLHighLevel   = 31
)

// ByProtocol is LocateHandleBuffer's search for a protocol, section 7.3.15.
const ByProtocol = 2

// Attributes of OpenProtocol, section 7.3.9.
const (
	OpenGetProtocol = 0x02
	OpenByDriver    = 0x10
)

// MemoryDescriptor is EFI_MEMORY_DESCRIPTOR, section 7.2.3.
type MemoryDescriptor struct {
	Type          uint32
	PhysicalStart uint64
	VirtualStart  uint64
	NumberOfPages uint64
	Attribute     uint64
}

// OpenProtocolInformationEntry is EFI_OPEN_PROTOCOL_INFORMATION_ENTRY,
// section 7.3.11.
type OpenProtocolInformationEntry struct {
	AgentHandle      uintptr
	ControllerHandle uintptr
	Attributes       uint32
	OpenCount        uint32
}

// Time is EFI_TIME, section 8.3.1.
type Time struct {
	Year       uint16 // 1900-9999
	Month      uint8  // 1-12
	Day        uint8  // 1-31
	Hour       uint8  // 0-23
	Minute     uint8  // 0-59
	Second     uint8  // 0-59
	_          uint8
	Nanosecond uint32 // 0-999999999
	TimeZone   int16  // minutes, -1440 to 1440, or 0x7FF
	Daylight   uint8
	_          uint8
}

// The TimeZone of a clock that does not know its own, and the largest distance from UTC, in
// minutes to either side.
const (
	UnspecifiedTimeZone = 0x7ff
	MaxTimeZone         = 1440
)

// ResetType is EFI_RESET_TYPE, section 8.5.1.
type ResetType uintptr

const (
	ResetCold     ResetType = 0 // restart as from power-on; a Mac then starts its usual system
	ResetShutdown ResetType = 2 // power off
)

// LoadedImage is EFI_LOADED_IMAGE_PROTOCOL, section 9.1.
type LoadedImage struct {
	Revision        uint32
	ParentHandle    uintptr
	SystemTable     uintptr
	DeviceHandle    uintptr
	FilePath        uintptr // device path
	Reserved        uintptr
	LoadOptionsSize uint32 // bytes
	LoadOptions     uintptr
	ImageBase       uintptr
	ImageSize       uint64
	ImageCodeType   uint32
	ImageDataType   uint32
	Unload          uintptr
}

// SimpleFileSystem is EFI_SIMPLE_FILE_SYSTEM_PROTOCOL, section 13.4.1.
type SimpleFileSystem struct {
	Revision   uint64
	OpenVolume uintptr
}

// File is EFI_FILE_PROTOCOL, section 13.5.1.
type File struct {
	Revision    uint64
	Open        uintptr
	Close       uintptr
	Delete      uintptr
	Read        uintptr
	Write       uintptr
	GetPosition uintptr
	SetPosition uintptr
	GetInfo     uintptr
	SetInfo     uintptr
	Flush       uintptr
}

// InputKey is EFI_INPUT_KEY, section 12.3.3.
type InputKey struct {
	ScanCode    uint16
	UnicodeChar uint16
}

// KeyData is EFI_KEY_DATA with its EFI_KEY_STATE, section 12.2.3.
type KeyData struct {
	Key            InputKey
	KeyShiftState  uint32
	KeyToggleState uint8
}

// SimpleTextInput is EFI_SIMPLE_TEXT_INPUT_PROTOCOL, section 12.3.
type SimpleTextInput struct {
	Reset         uintptr
	ReadKeyStroke uintptr
	WaitForKey    uintptr
}

// SimpleTextInputEx is EFI_SIMPLE_TEXT_INPUT_EX_PROTOCOL, section 12.2.
type SimpleTextInputEx struct {
	Reset               uintptr
	ReadKeyStrokeEx     uintptr
	WaitForKeyEx        uintptr
	SetState            uintptr
	RegisterKeyNotify   uintptr
	UnregisterKeyNotify uintptr
}

// SimpleTextOutput is EFI_SIMPLE_TEXT_OUTPUT_PROTOCOL, section 12.4.
type SimpleTextOutput struct {
	Reset             uintptr
	OutputString      uintptr
	TestString        uintptr
	QueryMode         uintptr
	SetMode           uintptr
	SetAttribute      uintptr
	ClearScreen       uintptr
	SetCursorPosition uintptr
	EnableCursor      uintptr
	Mode              uintptr // SimpleTextOutputMode
}

// SimpleTextOutputMode is SIMPLE_TEXT_OUTPUT_MODE, section 12.4.
type SimpleTextOutputMode struct {
	MaxMode       int32
	Mode          int32
	Attribute     int32
	CursorColumn  int32
	CursorRow     int32
	CursorVisible uint8
}

// GraphicsOutput is EFI_GRAPHICS_OUTPUT_PROTOCOL, section 12.9.2.
type GraphicsOutput struct {
	QueryMode uintptr
	SetMode   uintptr
	Blt       uintptr
	Mode      uintptr // GraphicsMode
}

// GraphicsMode is EFI_GRAPHICS_OUTPUT_PROTOCOL_MODE, section 12.9.2.
type GraphicsMode struct {
	MaxMode         uint32
	Mode            uint32
	Info            uintptr // GraphicsModeInfo
	SizeOfInfo      uintptr
	FrameBufferBase uint64
	FrameBufferSize uintptr
}

// EFI_GRAPHICS_PIXEL_FORMAT, section 12.9.2.
const (
	PixelRGBX    = 0 // bytes red, green, blue, reserved
	PixelBGRX    = 1
	PixelBitMask = 2
	PixelBltOnly = 3 // no frame buffer in memory
)

// GraphicsModeInfo is EFI_GRAPHICS_OUTPUT_MODE_INFORMATION, section 12.9.2.
type GraphicsModeInfo struct {
	Version              uint32
	HorizontalResolution uint32
	VerticalResolution   uint32
	PixelFormat          uint32
	RedMask              uint32
	GreenMask            uint32
	BlueMask             uint32
	ReservedMask         uint32
	PixelsPerScanLine    uint32
}

// ConsoleControl is EFI_CONSOLE_CONTROL_PROTOCOL: not in the UEFI
// specification, from the Framework era; Apple's firmware has it.
type ConsoleControl struct {
	GetMode   uintptr
	SetMode   uintptr
	LockStdIn uintptr
}

// AppleKeyMap is APPLE_KEY_MAP_AGGREGATOR_PROTOCOL: of Apple's firmware, as OpenCorePkg
// describes it. GetKeyStrokes(this, *modifiers, *count, *keys) tells which keys are down.
// Modifiers and keys are 16 bits each, count is 64 bits wide: on entry the room in keys.
type AppleKeyMap struct {
	Revision           uint64
	GetKeyStrokes      uintptr
	ContainsKeyStrokes uintptr
}

// EFI_CONSOLE_CONTROL_SCREEN_MODE.
const (
	ConsoleText     = 0
	ConsoleGraphics = 1
)

// BlockIO is EFI_BLOCK_IO_PROTOCOL, section 13.9.
type BlockIO struct {
	Revision    uint64
	Media       uintptr // BlockIOMedia
	Reset       uintptr
	ReadBlocks  uintptr
	WriteBlocks uintptr
	FlushBlocks uintptr
}

// BlockIOMedia is the part of EFI_BLOCK_IO_MEDIA that exists in every
// revision, section 13.9.
type BlockIOMedia struct {
	MediaID          uint32
	RemovableMedia   uint8
	MediaPresent     uint8
	LogicalPartition uint8
	ReadOnly         uint8
	WriteCaching     uint8
	BlockSize        uint32
	IoAlign          uint32
	LastBlock        uint64
}

// PCIIO is the beginning of EFI_PCI_IO_PROTOCOL, section 14.4, up to
// configuration space access.
type PCIIO struct {
	PollMem  uintptr
	PollIO   uintptr
	MemRead  uintptr
	MemWrite uintptr
	IORead   uintptr
	IOWrite  uintptr
	PciRead  uintptr
	PciWrite uintptr
}

// USBIO is the beginning of EFI_USB_IO_PROTOCOL, section 17.2.4.
type USBIO struct {
	ControlTransfer uintptr
}

// SystemContext is EFI_SYSTEM_CONTEXT_X64, section 18.2.4.
type SystemContext struct {
	ExceptionData                        uintptr
	FxSave                               [512]byte
	DR, CR                               [6]uintptr // DR0-3, 6, 7; CR0-4, 8
	RFlags, LDTR, TR                     uintptr
	GDTR, IDTR                           [2]uintptr
	RIP, GS, FS, ES, DS, CS, SS          uintptr
	RDI, RSI, RBP, RSP, RBX, RDX, RCX    uintptr
	RAX                                  uintptr
	R8, R9, R10, R11, R12, R13, R14, R15 uintptr
}

// CPUArch is EFI_CPU_ARCH_PROTOCOL (PI 1.7, II-12.3).
type CPUArch struct {
	FlushDataCache           uintptr
	EnableInterrupt          uintptr
	DisableInterrupt         uintptr
	GetInterruptState        uintptr
	Init                     uintptr
	RegisterInterruptHandler uintptr
}

// MPServices is the beginning of EFI_MP_SERVICES_PROTOCOL (PI 1.7, II-13.4).
type MPServices struct {
	GetNumberOfProcessors uintptr
	GetProcessorInfo      uintptr
	StartupAllAPs         uintptr
}

// FrameworkMPServices is the beginning of FRAMEWORK_EFI_MP_SERVICES_PROTOCOL, which came
// before it and which Macs of the EFI 1.10 line have. Its StartupAllAPs takes the same
// arguments.
type FrameworkMPServices struct {
	GetGeneralMPInfo    uintptr
	GetProcessorContext uintptr
	StartupAllAPs       uintptr
}

package efi

// The firmware's structures, field for field as the UEFI specification 2.10
// lays them out for x64: a pointer or function is a uintptr, BOOLEAN a uint8,
// and Go's alignment rules for these types equal those of the Microsoft x64
// ABI. tables_test.go holds every offset against the specification's number.

// tableHeader is EFI_TABLE_HEADER, section 4.2.
type tableHeader struct {
	Signature  uint64
	Revision   uint32
	HeaderSize uint32
	CRC32      uint32
	_          uint32
}

const tableHeaderSize = 24

const (
	systemTableSignature     = 0x5453595320494249 // "IBI SYST"
	bootServicesSignature    = 0x56524553544f4f42 // "BOOTSERV"
	runtimeServicesSignature = 0x56524553544e5552 // "RUNTSERV"
)

// systemTable is EFI_SYSTEM_TABLE, section 4.3.
type systemTable struct {
	header               tableHeader
	FirmwareVendor       uintptr // CHAR16*
	FirmwareRevision     uint32
	ConsoleInHandle      uintptr
	ConIn                uintptr // simpleTextInput
	ConsoleOutHandle     uintptr
	ConOut               uintptr // simpleTextOutput
	StandardErrorHandle  uintptr
	StdErr               uintptr
	RuntimeServices      uintptr
	BootServices         uintptr
	NumberOfTableEntries uintptr
	ConfigurationTable   uintptr
}

// bootServices is EFI_BOOT_SERVICES, section 4.4.
type bootServices struct {
	header tableHeader

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

// runtimeServices is EFI_RUNTIME_SERVICES, section 4.5.
type runtimeServices struct {
	header tableHeader

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

// memoryDescriptor is EFI_MEMORY_DESCRIPTOR, section 7.2.3.
type memoryDescriptor struct {
	Type          uint32
	PhysicalStart uint64
	VirtualStart  uint64
	NumberOfPages uint64
	Attribute     uint64
}

// openProtocolInformationEntry is EFI_OPEN_PROTOCOL_INFORMATION_ENTRY,
// section 7.3.11.
type openProtocolInformationEntry struct {
	AgentHandle      uintptr
	ControllerHandle uintptr
	Attributes       uint32
	OpenCount        uint32
}

// efiTime is EFI_TIME, section 8.3.1.
type efiTime struct {
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

// loadedImage is EFI_LOADED_IMAGE_PROTOCOL, section 9.1.
type loadedImage struct {
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

// inputKey is EFI_INPUT_KEY, section 12.3.3.
type inputKey struct {
	ScanCode    uint16
	UnicodeChar uint16
}

// keyData is EFI_KEY_DATA with its EFI_KEY_STATE, section 12.2.3.
type keyData struct {
	Key            inputKey
	KeyShiftState  uint32
	KeyToggleState uint8
}

// simpleTextInput is EFI_SIMPLE_TEXT_INPUT_PROTOCOL, section 12.3.
type simpleTextInput struct {
	Reset         uintptr
	ReadKeyStroke uintptr
	WaitForKey    uintptr
}

// simpleTextInputEx is EFI_SIMPLE_TEXT_INPUT_EX_PROTOCOL, section 12.2.
type simpleTextInputEx struct {
	Reset               uintptr
	ReadKeyStrokeEx     uintptr
	WaitForKeyEx        uintptr
	SetState            uintptr
	RegisterKeyNotify   uintptr
	UnregisterKeyNotify uintptr
}

// simpleTextOutput is EFI_SIMPLE_TEXT_OUTPUT_PROTOCOL, section 12.4.
type simpleTextOutput struct {
	Reset             uintptr
	OutputString      uintptr
	TestString        uintptr
	QueryMode         uintptr
	SetMode           uintptr
	SetAttribute      uintptr
	ClearScreen       uintptr
	SetCursorPosition uintptr
	EnableCursor      uintptr
	Mode              uintptr // simpleTextOutputMode
}

// simpleTextOutputMode is SIMPLE_TEXT_OUTPUT_MODE, section 12.4.
type simpleTextOutputMode struct {
	MaxMode       int32
	Mode          int32
	Attribute     int32
	CursorColumn  int32
	CursorRow     int32
	CursorVisible uint8
}

// graphicsOutput is EFI_GRAPHICS_OUTPUT_PROTOCOL, section 12.9.2.
type graphicsOutput struct {
	QueryMode uintptr
	SetMode   uintptr
	Blt       uintptr
	Mode      uintptr // graphicsMode
}

// graphicsMode is EFI_GRAPHICS_OUTPUT_PROTOCOL_MODE, section 12.9.2.
type graphicsMode struct {
	MaxMode         uint32
	Mode            uint32
	Info            uintptr // graphicsModeInfo
	SizeOfInfo      uintptr
	FrameBufferBase uint64
	FrameBufferSize uintptr
}

// graphicsModeInfo is EFI_GRAPHICS_OUTPUT_MODE_INFORMATION, section 12.9.2.
type graphicsModeInfo struct {
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

// consoleControl is EFI_CONSOLE_CONTROL_PROTOCOL: not in the UEFI
// specification, from the Framework era; Apple's firmware has it.
type consoleControl struct {
	GetMode   uintptr
	SetMode   uintptr
	LockStdIn uintptr
}

// blockIO is EFI_BLOCK_IO_PROTOCOL, section 13.9.
type blockIO struct {
	Revision    uint64
	Media       uintptr // blockIOMedia
	Reset       uintptr
	ReadBlocks  uintptr
	WriteBlocks uintptr
	FlushBlocks uintptr
}

// blockIOMedia is the part of EFI_BLOCK_IO_MEDIA that exists in every
// revision, section 13.9.
type blockIOMedia struct {
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

// pciIO is the beginning of EFI_PCI_IO_PROTOCOL, section 14.4, up to
// configuration space access.
type pciIO struct {
	PollMem  uintptr
	PollIO   uintptr
	MemRead  uintptr
	MemWrite uintptr
	IORead   uintptr
	IOWrite  uintptr
	PciRead  uintptr
	PciWrite uintptr
}

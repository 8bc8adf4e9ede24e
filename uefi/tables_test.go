package uefi

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// TestLayout holds the structures against the offsets that the x64 binding of
// the UEFI specification 2.10 gives; the numbers are written out, not computed.
func TestLayout(t *testing.T) {
	for _, c := range []struct {
		structure any
		size      uintptr // 0: not checked, the specification's structure goes on
		offsets   string
	}{
		{TableHeader{}, 24, "Revision 8 HeaderSize 12 CRC32 16"},
		{SystemTable{}, 120, `
			FirmwareVendor 24 FirmwareRevision 32 ConsoleInHandle 40 ConIn 48 ConsoleOutHandle 56
			ConOut 64 StandardErrorHandle 72 StdErr 80 RuntimeServices 88 BootServices 96
			NumberOfTableEntries 104 ConfigurationTable 112`},
		{BootServices{}, 376, `
			RaiseTPL 24 RestoreTPL 32 AllocatePages 40 FreePages 48 GetMemoryMap 56 AllocatePool 64
			FreePool 72 CreateEvent 80 SetTimer 88 WaitForEvent 96 SignalEvent 104 CloseEvent 112
			CheckEvent 120 InstallProtocolInterface 128 ReinstallProtocolInterface 136
			UninstallProtocolInterface 144 HandleProtocol 152 Reserved 160 RegisterProtocolNotify 168
			LocateHandle 176 LocateDevicePath 184 InstallConfigurationTable 192 LoadImage 200
			StartImage 208 Exit 216 UnloadImage 224 ExitBootServices 232 GetNextMonotonicCount 240
			Stall 248 SetWatchdogTimer 256 ConnectController 264 DisconnectController 272
			OpenProtocol 280 CloseProtocol 288 OpenProtocolInformation 296 ProtocolsPerHandle 304
			LocateHandleBuffer 312 LocateProtocol 320 InstallMultipleProtocolInterfaces 328
			UninstallMultipleProtocolInterfaces 336 CalculateCrc32 344 CopyMem 352 SetMem 360
			CreateEventEx 368`},
		{RuntimeServices{}, 136, `
			GetTime 24 SetTime 32 GetWakeupTime 40 SetWakeupTime 48 SetVirtualAddressMap 56
			ConvertPointer 64 GetVariable 72 GetNextVariableName 80 SetVariable 88
			GetNextHighMonotonicCount 96 ResetSystem 104 UpdateCapsule 112 QueryCapsuleCapabilities 120
			QueryVariableInfo 128`},
		{ConfigurationTable{}, 24, "VendorTable 16"},
		{MemoryDescriptor{}, 40, "PhysicalStart 8 VirtualStart 16 NumberOfPages 24 Attribute 32"},
		{OpenProtocolInformationEntry{}, 24, "ControllerHandle 8 Attributes 16 OpenCount 20"},
		{Time{}, 16, "Month 2 Day 3 Hour 4 Minute 5 Second 6 Nanosecond 8 TimeZone 12 Daylight 14"},
		{LoadedImage{}, 0, `
			ParentHandle 8 SystemTable 16 DeviceHandle 24 FilePath 32 LoadOptionsSize 48 LoadOptions 56
			ImageBase 64 ImageSize 72 ImageCodeType 80 ImageDataType 84 Unload 88`},
		{InputKey{}, 4, "ScanCode 0 UnicodeChar 2"},
		{KeyData{}, 12, "Key 0 KeyShiftState 4 KeyToggleState 8"},
		{SimpleTextInput{}, 0, "ReadKeyStroke 8 WaitForKey 16"},
		{SimpleTextInputEx{}, 0, "ReadKeyStrokeEx 8 WaitForKeyEx 16 SetState 24 RegisterKeyNotify 32 UnregisterKeyNotify 40"},
		{SimpleTextOutput{}, 0, `
			OutputString 8 TestString 16 QueryMode 24 SetMode 32 SetAttribute 40 ClearScreen 48
			SetCursorPosition 56 EnableCursor 64 Mode 72`},
		{SimpleTextOutputMode{}, 0, "Mode 4 Attribute 8 CursorColumn 12 CursorRow 16 CursorVisible 20"},
		{GraphicsOutput{}, 0, "QueryMode 0 SetMode 8 Blt 16 Mode 24"},
		{GraphicsMode{}, 0, "MaxMode 0 Mode 4 Info 8 SizeOfInfo 16 FrameBufferBase 24 FrameBufferSize 32"},
		{GraphicsModeInfo{}, 36, `
			HorizontalResolution 4 VerticalResolution 8 PixelFormat 12 RedMask 16 GreenMask 20
			BlueMask 24 ReservedMask 28 PixelsPerScanLine 32`},
		{ConsoleControl{}, 0, "SetMode 8"},
		{AppleKeyMap{}, 0, "GetKeyStrokes 8 ContainsKeyStrokes 16"},
		{BlockIO{}, 0, "Media 8 Reset 16 ReadBlocks 24 WriteBlocks 32 FlushBlocks 40"},
		{BlockIOMedia{}, 0, `
			RemovableMedia 4 MediaPresent 5 LogicalPartition 6 ReadOnly 7 WriteCaching 8 BlockSize 12
			IoAlign 16 LastBlock 24`},
		{PCIIO{}, 0, "MemRead 16 PciRead 48 PciWrite 56"},
		{SystemContext{}, 0, "FxSave 8 RFlags 616 RIP 672 RSP 752 RAX 784 R15 848"},
		{CPUArch{}, 0, "RegisterInterruptHandler 40"},
		{MPServices{}, 0, "StartupAllAPs 16"},
		{FrameworkMPServices{}, 0, "StartupAllAPs 16"},
	} {
		typ := reflect.TypeOf(c.structure)
		if c.size != 0 && typ.Size() != c.size {
			t.Errorf("%s has %d bytes, the specification says %d", typ.Name(), typ.Size(), c.size)
		}
		for words := strings.Fields(c.offsets); len(words) > 0; words = words[2:] {
			name, want := words[0], words[1]
			if field, ok := typ.FieldByName(name); !ok {
				t.Errorf("%s has no field %s", typ.Name(), name)
			} else if got := fmt.Sprint(field.Offset); got != want {
				t.Errorf("%s.%s is at %s, the specification says %s", typ.Name(), name, got, want)
			}
		}
	}
}

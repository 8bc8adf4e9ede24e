package uefi

import (
	"testing"
	"unsafe"
)

// TestLayout holds the structures against the offsets that the x64 binding of
// the UEFI specification 2.10 gives; the numbers are written out, not computed.
func TestLayout(t *testing.T) {
	var (
		st  SystemTable
		bs  BootServices
		rt  RuntimeServices
		md  MemoryDescriptor
		op  OpenProtocolInformationEntry
		tm  Time
		li  LoadedImage
		kd  KeyData
		ti  SimpleTextInput
		tx  SimpleTextInputEx
		to  SimpleTextOutput
		tom SimpleTextOutputMode
		g   GraphicsOutput
		gm  GraphicsMode
		gi  GraphicsModeInfo
		cc  ConsoleControl
		bio BlockIO
		med BlockIOMedia
		pci PCIIO
		sc  SystemContext
		cpu CPUArch
		mp  MPServices
		fmp FrameworkMPServices
	)
	for _, c := range []struct {
		name      string
		got, want uintptr
	}{
		{"header size", unsafe.Sizeof(TableHeader{}), 24},
		{"header.Revision", unsafe.Offsetof(st.Header.Revision), 8},
		{"header.HeaderSize", unsafe.Offsetof(st.Header.HeaderSize), 12},
		{"header.CRC32", unsafe.Offsetof(st.Header.CRC32), 16},

		{"ST.FirmwareVendor", unsafe.Offsetof(st.FirmwareVendor), 24},
		{"ST.FirmwareRevision", unsafe.Offsetof(st.FirmwareRevision), 32},
		{"ST.ConsoleInHandle", unsafe.Offsetof(st.ConsoleInHandle), 40},
		{"ST.ConIn", unsafe.Offsetof(st.ConIn), 48},
		{"ST.ConsoleOutHandle", unsafe.Offsetof(st.ConsoleOutHandle), 56},
		{"ST.ConOut", unsafe.Offsetof(st.ConOut), 64},
		{"ST.StandardErrorHandle", unsafe.Offsetof(st.StandardErrorHandle), 72},
		{"ST.StdErr", unsafe.Offsetof(st.StdErr), 80},
		{"ST.RuntimeServices", unsafe.Offsetof(st.RuntimeServices), 88},
		{"ST.BootServices", unsafe.Offsetof(st.BootServices), 96},
		{"ST.NumberOfTableEntries", unsafe.Offsetof(st.NumberOfTableEntries), 104},
		{"ST.ConfigurationTable", unsafe.Offsetof(st.ConfigurationTable), 112},
		{"ST size", unsafe.Sizeof(st), 120},

		{"BS.RaiseTPL", unsafe.Offsetof(bs.RaiseTPL), 24},
		{"BS.RestoreTPL", unsafe.Offsetof(bs.RestoreTPL), 32},
		{"BS.AllocatePages", unsafe.Offsetof(bs.AllocatePages), 40},
		{"BS.FreePages", unsafe.Offsetof(bs.FreePages), 48},
		{"BS.GetMemoryMap", unsafe.Offsetof(bs.GetMemoryMap), 56},
		{"BS.AllocatePool", unsafe.Offsetof(bs.AllocatePool), 64},
		{"BS.FreePool", unsafe.Offsetof(bs.FreePool), 72},
		{"BS.CreateEvent", unsafe.Offsetof(bs.CreateEvent), 80},
		{"BS.SetTimer", unsafe.Offsetof(bs.SetTimer), 88},
		{"BS.WaitForEvent", unsafe.Offsetof(bs.WaitForEvent), 96},
		{"BS.SignalEvent", unsafe.Offsetof(bs.SignalEvent), 104},
		{"BS.CloseEvent", unsafe.Offsetof(bs.CloseEvent), 112},
		{"BS.CheckEvent", unsafe.Offsetof(bs.CheckEvent), 120},
		{"BS.InstallProtocolInterface", unsafe.Offsetof(bs.InstallProtocolInterface), 128},
		{"BS.ReinstallProtocolInterface", unsafe.Offsetof(bs.ReinstallProtocolInterface), 136},
		{"BS.UninstallProtocolInterface", unsafe.Offsetof(bs.UninstallProtocolInterface), 144},
		{"BS.HandleProtocol", unsafe.Offsetof(bs.HandleProtocol), 152},
		{"BS.Reserved", unsafe.Offsetof(bs.Reserved), 160},
		{"BS.RegisterProtocolNotify", unsafe.Offsetof(bs.RegisterProtocolNotify), 168},
		{"BS.LocateHandle", unsafe.Offsetof(bs.LocateHandle), 176},
		{"BS.LocateDevicePath", unsafe.Offsetof(bs.LocateDevicePath), 184},
		{"BS.InstallConfigurationTable", unsafe.Offsetof(bs.InstallConfigurationTable), 192},
		{"BS.LoadImage", unsafe.Offsetof(bs.LoadImage), 200},
		{"BS.StartImage", unsafe.Offsetof(bs.StartImage), 208},
		{"BS.Exit", unsafe.Offsetof(bs.Exit), 216},
		{"BS.UnloadImage", unsafe.Offsetof(bs.UnloadImage), 224},
		{"BS.ExitBootServices", unsafe.Offsetof(bs.ExitBootServices), 232},
		{"BS.GetNextMonotonicCount", unsafe.Offsetof(bs.GetNextMonotonicCount), 240},
		{"BS.Stall", unsafe.Offsetof(bs.Stall), 248},
		{"BS.SetWatchdogTimer", unsafe.Offsetof(bs.SetWatchdogTimer), 256},
		{"BS.ConnectController", unsafe.Offsetof(bs.ConnectController), 264},
		{"BS.DisconnectController", unsafe.Offsetof(bs.DisconnectController), 272},
		{"BS.OpenProtocol", unsafe.Offsetof(bs.OpenProtocol), 280},
		{"BS.CloseProtocol", unsafe.Offsetof(bs.CloseProtocol), 288},
		{"BS.OpenProtocolInformation", unsafe.Offsetof(bs.OpenProtocolInformation), 296},
		{"BS.ProtocolsPerHandle", unsafe.Offsetof(bs.ProtocolsPerHandle), 304},
		{"BS.LocateHandleBuffer", unsafe.Offsetof(bs.LocateHandleBuffer), 312},
		{"BS.LocateProtocol", unsafe.Offsetof(bs.LocateProtocol), 320},
		{"BS.InstallMultipleProtocolInterfaces", unsafe.Offsetof(bs.InstallMultipleProtocolInterfaces), 328},
		{"BS.UninstallMultipleProtocolInterfaces", unsafe.Offsetof(bs.UninstallMultipleProtocolInterfaces), 336},
		{"BS.CalculateCrc32", unsafe.Offsetof(bs.CalculateCrc32), 344},
		{"BS.CopyMem", unsafe.Offsetof(bs.CopyMem), 352},
		{"BS.SetMem", unsafe.Offsetof(bs.SetMem), 360},
		{"BS.CreateEventEx", unsafe.Offsetof(bs.CreateEventEx), 368},
		{"BS size", unsafe.Sizeof(bs), 376},

		{"RT.GetTime", unsafe.Offsetof(rt.GetTime), 24},
		{"RT.SetTime", unsafe.Offsetof(rt.SetTime), 32},
		{"RT.GetWakeupTime", unsafe.Offsetof(rt.GetWakeupTime), 40},
		{"RT.SetWakeupTime", unsafe.Offsetof(rt.SetWakeupTime), 48},
		{"RT.SetVirtualAddressMap", unsafe.Offsetof(rt.SetVirtualAddressMap), 56},
		{"RT.ConvertPointer", unsafe.Offsetof(rt.ConvertPointer), 64},
		{"RT.GetVariable", unsafe.Offsetof(rt.GetVariable), 72},
		{"RT.GetNextVariableName", unsafe.Offsetof(rt.GetNextVariableName), 80},
		{"RT.SetVariable", unsafe.Offsetof(rt.SetVariable), 88},
		{"RT.GetNextHighMonotonicCount", unsafe.Offsetof(rt.GetNextHighMonotonicCount), 96},
		{"RT.ResetSystem", unsafe.Offsetof(rt.ResetSystem), 104},
		{"RT.UpdateCapsule", unsafe.Offsetof(rt.UpdateCapsule), 112},
		{"RT.QueryCapsuleCapabilities", unsafe.Offsetof(rt.QueryCapsuleCapabilities), 120},
		{"RT.QueryVariableInfo", unsafe.Offsetof(rt.QueryVariableInfo), 128},
		{"RT size", unsafe.Sizeof(rt), 136},

		{"MemoryDescriptor.PhysicalStart", unsafe.Offsetof(md.PhysicalStart), 8},
		{"MemoryDescriptor.VirtualStart", unsafe.Offsetof(md.VirtualStart), 16},
		{"MemoryDescriptor.NumberOfPages", unsafe.Offsetof(md.NumberOfPages), 24},
		{"MemoryDescriptor.Attribute", unsafe.Offsetof(md.Attribute), 32},
		{"MemoryDescriptor size", unsafe.Sizeof(md), 40},

		{"OpenProtocolInformation.ControllerHandle", unsafe.Offsetof(op.ControllerHandle), 8},
		{"OpenProtocolInformation.Attributes", unsafe.Offsetof(op.Attributes), 16},
		{"OpenProtocolInformation.OpenCount", unsafe.Offsetof(op.OpenCount), 20},
		{"OpenProtocolInformation size", unsafe.Sizeof(op), 24},

		{"Time.Month", unsafe.Offsetof(tm.Month), 2},
		{"Time.Day", unsafe.Offsetof(tm.Day), 3},
		{"Time.Hour", unsafe.Offsetof(tm.Hour), 4},
		{"Time.Minute", unsafe.Offsetof(tm.Minute), 5},
		{"Time.Second", unsafe.Offsetof(tm.Second), 6},
		{"Time.Nanosecond", unsafe.Offsetof(tm.Nanosecond), 8},
		{"Time.TimeZone", unsafe.Offsetof(tm.TimeZone), 12},
		{"Time.Daylight", unsafe.Offsetof(tm.Daylight), 14},
		{"Time size", unsafe.Sizeof(tm), 16},

		{"LoadedImage.ParentHandle", unsafe.Offsetof(li.ParentHandle), 8},
		{"LoadedImage.SystemTable", unsafe.Offsetof(li.SystemTable), 16},
		{"LoadedImage.DeviceHandle", unsafe.Offsetof(li.DeviceHandle), 24},
		{"LoadedImage.FilePath", unsafe.Offsetof(li.FilePath), 32},
		{"LoadedImage.LoadOptionsSize", unsafe.Offsetof(li.LoadOptionsSize), 48},
		{"LoadedImage.LoadOptions", unsafe.Offsetof(li.LoadOptions), 56},
		{"LoadedImage.ImageBase", unsafe.Offsetof(li.ImageBase), 64},
		{"LoadedImage.ImageSize", unsafe.Offsetof(li.ImageSize), 72},
		{"LoadedImage.ImageCodeType", unsafe.Offsetof(li.ImageCodeType), 80},
		{"LoadedImage.ImageDataType", unsafe.Offsetof(li.ImageDataType), 84},
		{"LoadedImage.Unload", unsafe.Offsetof(li.Unload), 88},

		{"KeyData.ScanCode", unsafe.Offsetof(kd.Key.ScanCode), 0},
		{"KeyData.UnicodeChar", unsafe.Offsetof(kd.Key.UnicodeChar), 2},
		{"KeyData.KeyShiftState", unsafe.Offsetof(kd.KeyShiftState), 4},
		{"KeyData.KeyToggleState", unsafe.Offsetof(kd.KeyToggleState), 8},
		{"KeyData size", unsafe.Sizeof(kd), 12},
		{"TextInput.ReadKeyStroke", unsafe.Offsetof(ti.ReadKeyStroke), 8},
		{"TextInput.WaitForKey", unsafe.Offsetof(ti.WaitForKey), 16},
		{"TextInputEx.ReadKeyStrokeEx", unsafe.Offsetof(tx.ReadKeyStrokeEx), 8},
		{"TextInputEx.WaitForKeyEx", unsafe.Offsetof(tx.WaitForKeyEx), 16},
		{"TextInputEx.SetState", unsafe.Offsetof(tx.SetState), 24},
		{"TextInputEx.RegisterKeyNotify", unsafe.Offsetof(tx.RegisterKeyNotify), 32},
		{"TextInputEx.UnregisterKeyNotify", unsafe.Offsetof(tx.UnregisterKeyNotify), 40},

		{"TextOutput.OutputString", unsafe.Offsetof(to.OutputString), 8},
		{"TextOutput.TestString", unsafe.Offsetof(to.TestString), 16},
		{"TextOutput.QueryMode", unsafe.Offsetof(to.QueryMode), 24},
		{"TextOutput.SetMode", unsafe.Offsetof(to.SetMode), 32},
		{"TextOutput.SetAttribute", unsafe.Offsetof(to.SetAttribute), 40},
		{"TextOutput.ClearScreen", unsafe.Offsetof(to.ClearScreen), 48},
		{"TextOutput.SetCursorPosition", unsafe.Offsetof(to.SetCursorPosition), 56},
		{"TextOutput.EnableCursor", unsafe.Offsetof(to.EnableCursor), 64},
		{"TextOutput.Mode", unsafe.Offsetof(to.Mode), 72},
		{"TextOutputMode.Mode", unsafe.Offsetof(tom.Mode), 4},
		{"TextOutputMode.Attribute", unsafe.Offsetof(tom.Attribute), 8},
		{"TextOutputMode.CursorColumn", unsafe.Offsetof(tom.CursorColumn), 12},
		{"TextOutputMode.CursorRow", unsafe.Offsetof(tom.CursorRow), 16},
		{"TextOutputMode.CursorVisible", unsafe.Offsetof(tom.CursorVisible), 20},

		{"GOP.QueryMode", unsafe.Offsetof(g.QueryMode), 0},
		{"GOP.SetMode", unsafe.Offsetof(g.SetMode), 8},
		{"GOP.Blt", unsafe.Offsetof(g.Blt), 16},
		{"GOP.Mode", unsafe.Offsetof(g.Mode), 24},
		{"GOPMode.MaxMode", unsafe.Offsetof(gm.MaxMode), 0},
		{"GOPMode.Mode", unsafe.Offsetof(gm.Mode), 4},
		{"GOPMode.Info", unsafe.Offsetof(gm.Info), 8},
		{"GOPMode.SizeOfInfo", unsafe.Offsetof(gm.SizeOfInfo), 16},
		{"GOPMode.FrameBufferBase", unsafe.Offsetof(gm.FrameBufferBase), 24},
		{"GOPMode.FrameBufferSize", unsafe.Offsetof(gm.FrameBufferSize), 32},
		{"GOPInfo.HorizontalResolution", unsafe.Offsetof(gi.HorizontalResolution), 4},
		{"GOPInfo.VerticalResolution", unsafe.Offsetof(gi.VerticalResolution), 8},
		{"GOPInfo.PixelFormat", unsafe.Offsetof(gi.PixelFormat), 12},
		{"GOPInfo.RedMask", unsafe.Offsetof(gi.RedMask), 16},
		{"GOPInfo.GreenMask", unsafe.Offsetof(gi.GreenMask), 20},
		{"GOPInfo.BlueMask", unsafe.Offsetof(gi.BlueMask), 24},
		{"GOPInfo.ReservedMask", unsafe.Offsetof(gi.ReservedMask), 28},
		{"GOPInfo.PixelsPerScanLine", unsafe.Offsetof(gi.PixelsPerScanLine), 32},
		{"GOPInfo size", unsafe.Sizeof(gi), 36},
		{"ConsoleControl.SetMode", unsafe.Offsetof(cc.SetMode), 8},

		{"BlockIO.Media", unsafe.Offsetof(bio.Media), 8},
		{"BlockIO.Reset", unsafe.Offsetof(bio.Reset), 16},
		{"BlockIO.ReadBlocks", unsafe.Offsetof(bio.ReadBlocks), 24},
		{"BlockIO.WriteBlocks", unsafe.Offsetof(bio.WriteBlocks), 32},
		{"BlockIO.FlushBlocks", unsafe.Offsetof(bio.FlushBlocks), 40},
		{"BlockIOMedia.RemovableMedia", unsafe.Offsetof(med.RemovableMedia), 4},
		{"BlockIOMedia.MediaPresent", unsafe.Offsetof(med.MediaPresent), 5},
		{"BlockIOMedia.LogicalPartition", unsafe.Offsetof(med.LogicalPartition), 6},
		{"BlockIOMedia.ReadOnly", unsafe.Offsetof(med.ReadOnly), 7},
		{"BlockIOMedia.WriteCaching", unsafe.Offsetof(med.WriteCaching), 8},
		{"BlockIOMedia.BlockSize", unsafe.Offsetof(med.BlockSize), 12},
		{"BlockIOMedia.IoAlign", unsafe.Offsetof(med.IoAlign), 16},
		{"BlockIOMedia.LastBlock", unsafe.Offsetof(med.LastBlock), 24},

		{"PciIO.MemRead", unsafe.Offsetof(pci.MemRead), 16},
		{"PciIO.PciRead", unsafe.Offsetof(pci.PciRead), 48},
		{"PciIO.PciWrite", unsafe.Offsetof(pci.PciWrite), 56},

		{"SystemContext.FxSave", unsafe.Offsetof(sc.FxSave), 8},
		{"SystemContext.RFlags", unsafe.Offsetof(sc.RFlags), 616},
		{"SystemContext.RIP", unsafe.Offsetof(sc.RIP), 672},
		{"SystemContext.RSP", unsafe.Offsetof(sc.RSP), 752},
		{"SystemContext.RAX", unsafe.Offsetof(sc.RAX), 784},
		{"SystemContext.R15", unsafe.Offsetof(sc.R15), 848},
		{"CPUArch.RegisterInterruptHandler", unsafe.Offsetof(cpu.RegisterInterruptHandler), 40},
		{"MPServices.StartupAllAPs", unsafe.Offsetof(mp.StartupAllAPs), 16},
		{"FrameworkMPServices.StartupAllAPs", unsafe.Offsetof(fmp.StartupAllAPs), 16},
	} {
		if c.got != c.want {
			t.Errorf("%s is %d, the specification says %d", c.name, c.got, c.want)
		}
	}
}

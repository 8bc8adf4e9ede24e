package machine

// The computer's own system, in the place of AlphaOS.

import (
	"errors"

	"alphaos/amd64"
	"alphaos/console"
	"alphaos/efi"
	"alphaos/fs"
	"alphaos/uefi"
)

const optionKey = "On a Mac, hold the Option key while it starts to come back to AlphaOS: the choice is for one start only."

// Mac tells whether the computer is a Mac.
func (m *Machine) Mac() bool {
	vendor, _, _ := efi.Firmware()
	return isMac(vendor)
}

// Restarting is what the person has to know before a restart; "" is nothing.
func (m *Machine) Restarting() string {
	if m.Mac() {
		return optionKey
	}
	return ""
}

// FreeMemory is how many bytes of memory are free.
func (m *Machine) FreeMemory() int64 { return int64(amd64.Memory().Free) }

// UseOne gives the other processors back to the firmware.
func (m *Machine) UseOne() { amd64.HandBack() }

// BootOwn starts the computer's own system: the loader of a macOS volume where the firmware shows one, or else
// whatever this computer starts without the drive. All is saved and closed before. It returns when the drive has not
// confirmed what was written, or a Mac can only be restarted; the person was told.
func (m *Machine) BootOwn(con *console.Console) {
	if err := efi.Settle(m.parts...); err != nil {
		con.Error("The computer's own system is not started: " + fs.Explain(err))
		return
	}
	_, started := efi.ConnectStorage() // firmware that has started from one drive may have left the others alone
	image, path, err := efi.LoadMac(m.parts...)
	switch {
	case err == nil:
		con.Quiet("Starting " + path)
	case errors.Is(err, uefi.NotFound) && !m.Mac():
		con.Quiet("Starting what this computer starts without AlphaOS.")
	default:
		con.Notice("The firmware shows no system that can be started from here, so the computer restarts: " + fs.Reason(errors.Join(started, err)) + ". " + optionKey)
		m.Off(con, true)
		return
	}
	if m.screen != nil {
		m.screen.Close()
	}
	if m.serial != nil {
		_ = m.serial.Close() // the console was the only place to tell of an error
	}
	amd64.ExitTo(image)
}

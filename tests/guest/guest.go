// Package guest is what the tests' own programs begin with in the machine.
package guest

import (
	"alphaos/efi"
	"alphaos/fs"
	"alphaos/fs/fat"
)

// Mount connects to the firmware and mounts the volume that the program was
// booted from.
func Mount() (*fat.FS, fs.BlockDevice, error) {
	if err := efi.Init(); err != nil {
		return nil, nil, err
	}
	dev, err := efi.BootVolume()
	if err != nil {
		return nil, nil, err
	}
	vol, err := fat.Mount(dev)
	return vol, dev, err
}

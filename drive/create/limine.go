package create

// Drives on which Limine, a boot manager, is what the firmware starts (docs/limine.md).

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"alphaos/drive"
	"alphaos/drive/content"
	"alphaos/fs/fat"
)

// limineConf has Limine start AlphaOS, the first entry, when nobody picks another one for five seconds.
const limineConf = `timeout: 5

/AlphaOS
    protocol: efi_chainload
    image_path: boot():/` + drive.ChainedPath + `

/AlphaOS (safe start)
    protocol: efi_chainload
    image_path: boot():/` + drive.ChainedPath + `
    cmdline: safe
`

// limine is the boot manager in the folder dir, as its binary releases have it. One that does not know
// limine.conf would stop with a message at each start.
func limine(dir string) (fat.Content, error) {
	name := filepath.Join(dir, "BOOTX64.EFI")
	b, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		return fat.Content{}, fmt.Errorf("%s has no BOOTX64.EFI; --limine takes the folder of a binary release of Limine", dir)
	}
	if err != nil {
		return fat.Content{}, err
	}
	if !bytes.Contains(b, []byte(drive.LiminePath)) {
		return fat.Content{}, fmt.Errorf("%s does not read %s: it is not Limine, or one from before version 8", name, drive.LiminePath)
	}
	return content.Program(name)
}

package machine

// Drives that are not AlphaOS's own: a person may have models on them. They are looked for when
// asked, and only read.

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"alphaos/console"
	"alphaos/drive"
	"alphaos/efi"
	"alphaos/engine"
	"alphaos/fs/volume"
)

// OtherModels finds folders of models on other volumes, as far as AlphaOS reads them. The
// error tells of those that it should read and cannot.
func (m *Machine) OtherModels() (places []engine.Place, err error) {
	_, err = efi.ConnectStorage() // what was plugged in since, and what the firmware left alone
	volumes, listErr := efi.Volumes()
	errs := []error{err, listErr}
	names := map[string]bool{}
	for _, dev := range volumes {
		if slices.ContainsFunc(m.parts, dev.Same) {
			continue
		}
		v, err := volume.Mount(dev)
		if errors.Is(err, volume.ErrNotReadable) {
			continue
		}
		label := fmt.Sprintf("%s on %s", console.Bytes(int64(dev.Blocks())*int64(dev.BlockSize())), dev.Bus())
		if err != nil {
			errs = append(errs, fmt.Errorf("the drive %s: %w", label, err))
			continue
		}
		name := unique(names, placeName(v.Label(), label))
		for _, dir := range []string{"", "/" + drive.ModelsDir} {
			models := engine.DirModels(v, dir)
			if list, err := models.List(); err != nil && !errors.Is(err, fs.ErrNotExist) || len(list) > 0 {
				places = append(places, engine.Place{Name: name + dir, Models: models})
			}
		}
	}
	return places, errors.Join(errs...)
}

// placeName is the label of a volume as far as it can be typed and is no path, or else another
// name.
func placeName(label, other string) string {
	label = strings.TrimSpace(strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' || r == '/' {
			return '-'
		}
		return r
	}, strings.TrimSpace(label)))
	if strings.Trim(label, "-") == "" {
		return placeName(strings.ReplaceAll(other, "/", " "), "drive")
	}
	return label
}

// unique makes a name one that is not in taken, and puts it there.
func unique(taken map[string]bool, name string) string {
	free := name
	for n := 2; taken[free]; n++ {
		free = fmt.Sprintf("%s-%d", name, n)
	}
	taken[free] = true
	return free
}

package boot

import (
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"path"
	"slices"
	"strings"

	"alphaos/console"
	"alphaos/drive"
	"alphaos/fs"
)

// What is read of the fonts on a drive, in bytes: they stay in memory.
const (
	maxFont  = 24 << 20
	maxFonts = 48 << 20
)

// ReadFonts has the screen use the fonts on the drive for what the built-in one lacks. One that can't be used is told
// in a sentence, and the rest is used.
func (s *Start) ReadFonts(con *console.Console, d iofs.FS) {
	entries, err := iofs.ReadDir(d, drive.FontsDir)
	if err != nil && !errors.Is(err, iofs.ErrNotExist) {
		con.Quiet("The fonts on the drive can't be listed: " + fs.Explain(err))
	}
	var fonts []*console.Font
	left := int64(maxFonts)
	for _, e := range entries {
		name := e.Name()
		if e.IsDir() || strings.HasPrefix(name, ".") || !slices.Contains([]string{".ttf", ".otf", ".ttc", ".otc"}, strings.ToLower(path.Ext(name))) {
			continue
		}
		f, size, err := readFont(d, path.Join(drive.FontsDir, name), min(maxFont, left))
		if err != nil {
			con.Quiet(fmt.Sprintf("The font %s is not used: %s", name, fs.Explain(err)))
			continue
		}
		left -= size
		fonts = append(fonts, f)
		s.Log.Printf("font: %s", name)
	}
	if fonts != nil {
		con.AddFonts(fonts...)
	}
}

func readFont(d iofs.FS, name string, most int64) (*console.Font, int64, error) {
	f, err := d.Open(name)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, 0, err
	}
	if int64(len(data)) > most {
		return nil, 0, fmt.Errorf("there is room for %s at most in a font, and for %s in all; leave in /fonts those that you need", console.Bytes(maxFont), console.Bytes(maxFonts))
	}
	font, err := console.ParseFont(data)
	return font, int64(len(data)), err
}

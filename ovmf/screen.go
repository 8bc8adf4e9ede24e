package ovmf

// Screenshots. QEMU writes the screen as a binary PPM (every version can);
// the standard library writes it as PNG.

import (
	"bufio"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"os"
	"path/filepath"
)

// Screenshot saves the screen to a PNG file, creating its folder.
func (vm *VM) Screenshot(ctx context.Context, path string) error {
	img, err := vm.Screen(ctx)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return fmt.Errorf("saving a screenshot: %w", err)
	}
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("saving a screenshot: %w", err)
	}
	err = png.Encode(f, img)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("saving a screenshot: %w", err)
	}
	return nil
}

// Screen returns what the screen shows now.
func (vm *VM) Screen(ctx context.Context) (image.Image, error) {
	dump := filepath.Join(vm.dir, fmt.Sprintf("screen-%d.ppm", vm.shots.Add(1)))
	if err := vm.qmp.execute(ctx, "screendump", map[string]any{"filename": dump}, nil); err != nil {
		return nil, fmt.Errorf("taking a screenshot: %w", err)
	}
	defer os.Remove(dump)
	f, err := os.Open(dump)
	if err != nil {
		return nil, fmt.Errorf("taking a screenshot: %w", err)
	}
	defer f.Close()
	img, err := decodePPM(bufio.NewReader(f))
	if err != nil {
		return nil, fmt.Errorf("taking a screenshot: %w", err)
	}
	return img, nil
}

// decodePPM reads a binary PPM with 8 bits a channel, as screendump writes it.
func decodePPM(r *bufio.Reader) (image.Image, error) {
	var width, height, max int
	if _, err := fmt.Fscanf(r, "P6\n%d %d\n%d\n", &width, &height, &max); err != nil {
		return nil, fmt.Errorf("not a binary PPM: %w", err)
	}
	if width <= 0 || height <= 0 || width > 1<<14 || height > 1<<14 || max != 255 {
		return nil, fmt.Errorf("a PPM of %d by %d with maximum %d is out of range", width, height, max)
	}
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	row := make([]byte, 3*width)
	for y := range height {
		if _, err := io.ReadFull(r, row); err != nil {
			return nil, fmt.Errorf("a PPM cut short at line %d: %w", y, err)
		}
		for x := range width {
			img.SetRGBA(x, y, color.RGBA{row[3*x], row[3*x+1], row[3*x+2], 255})
		}
	}
	return img, nil
}

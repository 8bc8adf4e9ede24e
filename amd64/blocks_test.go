package amd64

import "testing"

func TestBlocks(t *testing.T) {
	const width, height, stride = 200, 40, 210
	var pixels [height * stride]uint32
	defer func() { frame.base = 0 }()
	for _, swapped := range []bool{false, true} {
		clear(pixels[:])
		frame.base, frame.width, frame.height, frame.stride, frame.swapped = addrOf(&pixels), width, height, stride, swapped
		seen := map[uint32]int{}
		for s := stepEntered; s <= stepRuntime; s++ {
			reached(s)
		}
		for y := range height {
			for x := range stride {
				if c := pixels[y*stride+x]; c != 0 {
					seen[c]++
					if x >= width {
						t.Fatalf("a pixel beyond the screen at %d, %d", x, y)
					}
				}
			}
		}
		for _, c := range blockColors {
			if swapped {
				c = c&0xff<<16 | c&0xff00 | c>>16
			}
			if seen[c] != blockSide*blockSide {
				t.Errorf("swapped %v: %d pixels of %06x", swapped, seen[c], c)
			}
		}
		frame.height = blockSide // too small for any
		clear(pixels[:])
		if reached(stepEntered); pixels != [height * stride]uint32{} {
			t.Error("a block on a screen that is too small")
		}
	}
}

package kernel

import (
	"fmt"
	"unsafe"
)

//go:noescape
func readPlain(first, second unsafe.Pointer, n, ahead int)

//go:noescape
func readPlain2(first, second unsafe.Pointer, n, ahead int)

//go:noescape
func readNear(first, second unsafe.Pointer, n, ahead int)

//go:noescape
func readNear2(first, second unsafe.Pointer, n, ahead int)

//go:noescape
func readPassing(first, second unsafe.Pointer, n, ahead int)

//go:noescape
func readPassing2(first, second unsafe.Pointer, n, ahead int)

//go:noescape
func readTwice(first, second unsafe.Pointer, n, ahead int)

//go:noescape
func readTwice2(first, second unsafe.Pointer, n, ahead int)

// flush writes n bytes from p on back to memory and empties their lines.
//
//go:noescape
func flush(p unsafe.Pointer, n int)

func readings() []Reading {
	if !hasAVX2() {
		return nil
	}
	all := []Reading{{"nothing ahead", 1, 0, readPlain}, {"nothing ahead, two streams", 2, 0, readPlain2}}
	for _, ahead := range []int{512, 1024, 2048, 4096} {
		all = append(all,
			Reading{fmt.Sprintf("%d B ahead", ahead), 1, ahead, readNear},
			Reading{fmt.Sprintf("%d B ahead, two streams", ahead), 2, ahead, readNear2},
			Reading{fmt.Sprintf("%d B ahead past the caches", ahead), 1, ahead, readPassing},
			Reading{fmt.Sprintf("%d B ahead past the caches, two streams", ahead), 2, ahead, readPassing2})
	}
	for _, far := range []int{2048, 4096, 8192, 16384, 32768} {
		all = append(all,
			Reading{fmt.Sprintf("%d B ahead, %d into the first-level cache", far, far/4), 1, far, readTwice},
			Reading{fmt.Sprintf("%d B ahead, %d into the first-level cache, two streams", far, far/4), 2, far, readTwice2})
	}
	return all
}

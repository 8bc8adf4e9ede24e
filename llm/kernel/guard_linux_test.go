package kernel

import (
	"math/rand/v2"
	"testing"

	"golang.org/x/sys/unix"
)

// Nothing behind a matrix is read, as it is in a file, while it is repacked, or after. Reading there is a fault.
func TestGuard(t *testing.T) {
	page := unix.Getpagesize()
	for _, s := range usableSets(t) {
		for _, typ := range Types() {
			for _, size := range [][2]int{{19, 256}, {24, 256}, {16, 384}, {19, 768}} {
				rows, cols := size[0], size[1]
				if cols%typ.BlockSize() != 0 {
					continue
				}
				r := rand.New(rand.NewPCG(uint64(typ), 3))
				w := randomWeights(r, typ, rows*cols)
				room := (len(w) + page - 1) / page * page
				memory, err := unix.Mmap(-1, 0, room+page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
				if err != nil {
					t.Fatal(err)
				}
				if err := unix.Mprotect(memory[room:], unix.PROT_NONE); err != nil {
					t.Fatal(err)
				}
				data := memory[room-len(w) : room]
				copy(data, w)
				m, err := s.NewMatrix(typ, rows, cols, data)
				if err != nil {
					t.Fatal(err)
				}
				for range 2 {
					for _, n := range []int{1, 2, 4, 33} {
						a := s.NewActivations(FormOf(typ), cols, n)
						a.Set(randomVector(r, n*cols), n)
						m.Mul(make([]float32, n*rows), rows, a, 0, rows)
					}
					m.Row(make([]float32, cols), rows-1)
					m.Repack(inTurn)
				}
				if err := unix.Munmap(memory); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

package kernel

import (
	"testing"
	"unsafe"
)

// Each way reads what it should: all of a buffer but its end, and nothing beyond it.
func TestReadings(t *testing.T) {
	for _, r := range Readings() {
		b := make([]byte, 3*chunk+333)
		var read []bool
		r.Read(b) // as it is
		f := r.read
		r.read = func(first, second unsafe.Pointer, n, ahead int) {
			for _, p := range []unsafe.Pointer{first, second}[:r.streams] {
				from := int(uintptr(p) - uintptr(unsafe.Pointer(&b[0])))
				if from < 0 || n <= 0 || n%128 != 0 || from+n > len(b) {
					t.Fatalf("%v: %d bytes from %d on are read of %d", r, n, from, len(b))
				}
				for i := range n {
					if read[from+i] {
						t.Fatalf("%v: byte %d is read twice", r, from+i)
					}
					read[from+i] = true
				}
			}
			f(first, second, n, ahead)
		}
		for _, n := range []int{0, 100, 255, 256, 4096, len(b)} {
			read = make([]bool, len(b))
			r.Read(b[:n])
			count := 0
			for _, is := range read {
				if is {
					count++
				}
			}
			if count > n || count <= n-256 {
				t.Errorf("%v: %d bytes of %d are read", r, count, n)
			}
		}
	}
}

// What was taken out of the caches is as it was.
func TestForget(t *testing.T) {
	for _, n := range []int{0, 1, 63, 64, 65, 4000, 3*chunk + 5} {
		b := make([]byte, n+1)
		for i := range b {
			b[i] = byte(i * 7)
		}
		Forget(b[1:])
		for i := range b {
			if b[i] != byte(i*7) {
				t.Fatalf("byte %d of %d was changed", i, n)
			}
		}
	}
}

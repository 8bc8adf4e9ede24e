//go:build provoke

package amd64

// Faults of the kernel's own, for tests of what a person sees then, and of the machine.
// They exist in builds with the tag provoke alone.

// wrongCounter is by how many ticks the counters of other than the boot processor seem to be
// wrong when they come up.
const wrongCounter = 1 << 36

const sysProvoke = 0x10ff

// ProvokeFault makes the kernel touch page 0.
func ProvokeFault() { kernelCall(sysProvoke, nil, 0) }

// ProvokeOverflow makes the kernel overflow its stack.
func ProvokeOverflow() { kernelCall(sysProvoke, nil, 1) }

// ProvokeRefusal has the processor refuse an address for a model-specific register, which is a
// general protection fault in the kernel, and reports whether that was noticed, and survived.
func ProvokeRefusal() bool {
	refused, _ := kernelCall(sysProvoke, nil, 2)
	return refused == 1
}

// PATsChanged is how many processors came with another PAT than they have now. It is all of
// them only if whoever had them before has put back what it changed.
func PATsChanged() int {
	n, _ := kernelCall(sysProvoke, nil, 3)
	return int(n)
}

func unknownSyscall(number, arg uintptr) uintptr {
	if number == sysProvoke {
		switch arg {
		case 0:
			*at[uint64](8) = 1
		case 2:
			return refusal()
		case 3:
			n := uintptr(0)
			for i := 0; i < cpuCount; i++ {
				n += processor(i).patChanged
			}
			return n
		}
		return overflow(arg)
	}
	return errno(eNOSYS)
}

// refusal returns 1 if a value that is no address of a page is refused by a register that
// takes only such, and a value that is one is taken.
func refusal() uintptr {
	const msrHSAVE, noPage = 0xc0010117, 0xfff // AMD's volume 2, section 15.30.4
	page, ok := tryReadMSR(msrHSAVE)
	if !ok || !tryWriteMSR(msrHSAVE, page) || tryWriteMSR(msrHSAVE, noPage) {
		return 0
	}
	if after, ok := tryReadMSR(msrHSAVE); !ok || after != page {
		return 0
	}
	return 1
}

//go:noinline
func overflow(n uintptr) uintptr {
	var b [512]uintptr
	b[n%512] = overflow(n + 1)
	return b[(n+1)%512]
}

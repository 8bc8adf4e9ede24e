package kernel

import "golang.org/x/sys/cpu"

// Single vectors wait for memory and need no more than AVX2, so that only panels and
// attention of the first set differ from the second's.
var sets = []*Set{
	{"avx512+vnni", hasVNNI, assembly{fmaEntries().with(avx512VNNIEntries()).with(avx512Entries()), true}},
	{"avx2+vnni", hasAVXVNNI, assembly{fmaEntries().with(avxVNNIEntries()), false}},
	{"avx2+fma", hasFMA, assembly{fmaEntries(), false}},
	{"avx2", hasAVX2, assembly{avx2Entries(), false}},
	portable,
}

// hasAVX2 is true when the processor has AVX2 and F16C and the system keeps
// the wide registers. x/sys/cpu looks at OSXSAVE and XCR0 for both AVX2 and FMA.
func hasAVX2() bool { return cpu.X86.HasAVX2 && hasF16C() }

func hasFMA() bool { return hasAVX2() && cpu.X86.HasFMA }

// hasVNNI is true when there are 512-bit registers, with VNNI, and the system
// keeps them, which x/sys/cpu looks at in XCR0, too.
func hasVNNI() bool {
	return hasFMA() && cpu.X86.HasAVX512F && cpu.X86.HasAVX512VL && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512DQ && cpu.X86.HasAVX512VNNI
}

// hasAVXVNNI is true when VNNI has the VEX encoding, as on processors without AVX-512 from Alder Lake on.
func hasAVXVNNI() bool { return hasFMA() && cpu.X86.HasAVXVNNI }

// hasF16C reports CPUID.01H:ECX.F16C[bit 29], which x/sys/cpu does not.
func hasF16C() bool { return cpuid1()&(1<<29) != 0 }

// cpuid1 returns ECX of CPUID leaf 1.
func cpuid1() uint32

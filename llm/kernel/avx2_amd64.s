// The kernels of "avx2", which multiply, then add. Emulators make fused
// multiplication several times slower than these two steps.

#define FMADD(a, b, acc, t) \
	VMULPS a, b, t; \
	VADDPS t, acc, acc

#define FNMADD(a, b, acc, t) \
	VMULPS a, b, t; \
	VSUBPS t, acc, acc

#include "kernels_amd64.h"

// func avx2Entries() *entries
TEXT ·avx2Entries(SB), NOSPLIT, $0-8
	LEAQ entries<>(SB), AX
	MOVQ AX, ret+0(FP)
	RET

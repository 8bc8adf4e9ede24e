// The kernels of "avx2+vnni": processors without AVX-512 know VPDPBUSD in its VEX encoding only, which Go's assembler
// does not make (Intel SDM volume 2, VPDPBUSD: VEX.256.66.0F38.W0 50 /r).

#define FMADD(a, b, acc, t) \
	VFMADD231PS a, b, acc

#define DOT(x, w, y) \
	BYTE $0xC4; \
	BYTE $(0x42 | ((8-(y&8))<<4) | ((8-(x&8))<<2)); \
	BYTE $(0x05 | ((15-w)<<3)); \
	BYTE $0x50; \
	BYTE $(0xC0 | ((y&7)<<3) | (x&7))

#include "vnni_amd64.h"

// func avxVNNIEntries() *entries: only what gains by it.
TEXT ·avxVNNIEntries(SB), NOSPLIT, $0-8
	LEAQ entries<>(SB), AX
	MOVQ AX, ret+0(FP)
	RET

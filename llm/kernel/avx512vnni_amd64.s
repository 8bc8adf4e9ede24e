// Kernels of "avx512+vnni" that need 256 bits only: not every processor with AVX-512 knows the VEX encoding of VPDPBUSD
// (Intel SDM volume 2: EVEX.256.66.0F38.W0 50 /r).

#define FMADD(a, b, acc, t) \
	VFMADD231PS a, b, acc

#define DOT(x, w, y) \
	BYTE $0x62; \
	BYTE $(0x52 | ((8-(y&8))<<4) | ((8-(x&8))<<2)); \
	BYTE $(0x05 | ((15-w)<<3)); \
	BYTE $0x28; \
	BYTE $0x50; \
	BYTE $(0xC0 | ((y&7)<<3) | (x&7))

#include "vnni_amd64.h"

// func avx512VNNIEntries() *entries: only what gains by it.
TEXT ·avx512VNNIEntries(SB), NOSPLIT, $0-8
	LEAQ entries<>(SB), AX
	MOVQ AX, ret+0(FP)
	RET

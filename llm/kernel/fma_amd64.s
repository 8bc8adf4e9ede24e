// The kernels of "avx2+fma", which fuse multiplication and addition.

#define FMADD(a, b, acc, t) \
	VFMADD231PS a, b, acc

#define FNMADD(a, b, acc, t) \
	VFNMADD231PS a, b, acc

#include "kernels_amd64.h"

// func fmaEntries() *entries
TEXT ·fmaEntries(SB), NOSPLIT, $0-8
	LEAQ entries<>(SB), AX
	MOVQ AX, ret+0(FP)
	RET

// Products of float32 matrices that multiply, then add.

#include "textflag.h"

#define DENSE ·avx2Dense

#define FMADD(a, b, acc, t) \
	VMULPS a, b, t; \
	VADDPS t, acc, acc

#include "dense_amd64.h"

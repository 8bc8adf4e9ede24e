// Kernels for rows by eights that fuse multiplication and addition.

#include "textflag.h"

#define EIGHTS_Q4_0 ·fmaEightsQ40
#define EIGHTS_Q4_K ·fmaEightsQ4K

#define FMADD(a, b, acc, t) \
	VFMADD231PS a, b, acc

#include "eights_amd64.h"

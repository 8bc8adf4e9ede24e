// Products of float32 matrices that fuse multiplication and addition.

#include "textflag.h"

#define DENSE ·fmaDense

#define FMADD(a, b, acc, t) \
	VFMADD231PS a, b, acc

#include "dense_amd64.h"

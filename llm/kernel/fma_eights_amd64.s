// Kernels for rows by eights that fuse multiplication and addition.

#include "textflag.h"

#define EIGHTS_Q4_0 ·fmaEightsQ40
#define EIGHTS_Q8_0 ·fmaEightsQ80
#define EIGHTS_Q4_K ·fmaEightsQ4K
#define EIGHTS_Q5_K ·fmaEightsQ5K
#define EIGHTS_Q6_K ·fmaEightsQ6K
#define FOURS_Q4_0 ·fmaFoursQ40
#define FOURS_Q8_0 ·fmaFoursQ80
#define FOURS_Q4_K ·fmaFoursQ4K
#define FOURS_Q5_K ·fmaFoursQ5K
#define FOURS_Q6_K ·fmaFoursQ6K

#define FMADD(a, b, acc, t) \
	VFMADD231PS a, b, acc

#include "eights_amd64.h"
#include "fours_amd64.h"

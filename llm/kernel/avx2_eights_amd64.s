// Kernels for rows by eights that multiply, then add: see avx2_amd64.s.

#include "textflag.h"

#define EIGHTS_Q4_0 ·avx2EightsQ40
#define EIGHTS_Q8_0 ·avx2EightsQ80
#define EIGHTS_Q4_K ·avx2EightsQ4K
#define EIGHTS_Q5_K ·avx2EightsQ5K
#define EIGHTS_Q6_K ·avx2EightsQ6K
#define FOURS_Q4_0 ·avx2FoursQ40
#define FOURS_Q8_0 ·avx2FoursQ80
#define FOURS_Q4_K ·avx2FoursQ4K
#define FOURS_Q5_K ·avx2FoursQ5K
#define FOURS_Q6_K ·avx2FoursQ6K

#define FMADD(a, b, acc, t) \
	VMULPS a, b, t; \
	VADDPS t, acc, acc

#include "eights_amd64.h"
#include "fours_amd64.h"

// Row kernels that multiply, then add: AVX2 and F16C only. Emulators
// make fused multiplication several times slower than these two steps.

#include "textflag.h"

#define ROWS1_F32 ·avx2Rows1F32
#define ROWS4_F32 ·avx2Rows4F32
#define ROWS1_F16 ·avx2Rows1F16
#define ROWS4_F16 ·avx2Rows4F16
#define ROWS1_Q8_0 ·avx2Rows1Q80
#define ROWS3_Q8_0 ·avx2Rows3Q80
#define ROWS4_Q8_0 ·avx2Rows4Q80
#define ROWS1_Q4_0 ·avx2Rows1Q40
#define ROWS4_Q4_0 ·avx2Rows4Q40
#define ROWS1_Q4_K ·avx2Rows1Q4K
#define ROWS4_Q4_K ·avx2Rows4Q4K
#define ROWS1_Q6_K ·avx2Rows1Q6K
#define ROWS4_Q6_K ·avx2Rows4Q6K
#define ROWS1_BF16 ·avx2Rows1BF16
#define ROWS4_BF16 ·avx2Rows4BF16
#define ROWS1_Q4_1 ·avx2Rows1Q41
#define ROWS4_Q4_1 ·avx2Rows4Q41
#define ROWS1_Q5_0 ·avx2Rows1Q50
#define ROWS4_Q5_0 ·avx2Rows4Q50
#define ROWS1_Q5_1 ·avx2Rows1Q51
#define ROWS4_Q5_1 ·avx2Rows4Q51
#define ROWS1_IQ4_NL ·avx2Rows1IQ4NL
#define ROWS4_IQ4_NL ·avx2Rows4IQ4NL
#define ROWS1_Q2_K ·avx2Rows1Q2K
#define ROWS4_Q2_K ·avx2Rows4Q2K
#define ROWS1_Q3_K ·avx2Rows1Q3K
#define ROWS4_Q3_K ·avx2Rows4Q3K
#define ROWS1_Q5_K ·avx2Rows1Q5K
#define ROWS4_Q5_K ·avx2Rows4Q5K
#define ROWS1_IQ4_XS ·avx2Rows1IQ4XS
#define ROWS4_IQ4_XS ·avx2Rows4IQ4XS
#define SUM_F32 ·avx2SumF32
#define SUM_F16 ·avx2SumF16

#define FMADD(a, b, acc, t) \
	VMULPS a, b, t; \
	VADDPS t, acc, acc

#define FNMADD(a, b, acc, t) \
	VMULPS a, b, t; \
	VSUBPS t, acc, acc

#include "rows_amd64.h"
#include "formats_amd64.h"

// Row kernels that fuse multiplication and addition: AVX2, F16C and FMA.

#include "textflag.h"

#define ROWS1_F32 ·fmaRows1F32
#define ROWS4_F32 ·fmaRows4F32
#define ROWS1_F16 ·fmaRows1F16
#define ROWS4_F16 ·fmaRows4F16
#define ROWS1_Q8_0 ·fmaRows1Q80
#define ROWS3_Q8_0 ·fmaRows3Q80
#define ROWS4_Q8_0 ·fmaRows4Q80
#define ROWS1_Q4_0 ·fmaRows1Q40
#define ROWS4_Q4_0 ·fmaRows4Q40
#define ROWS1_Q4_K ·fmaRows1Q4K
#define ROWS4_Q4_K ·fmaRows4Q4K
#define ROWS1_Q6_K ·fmaRows1Q6K
#define ROWS4_Q6_K ·fmaRows4Q6K
#define ROWS1_BF16 ·fmaRows1BF16
#define ROWS4_BF16 ·fmaRows4BF16
#define ROWS1_Q4_1 ·fmaRows1Q41
#define ROWS4_Q4_1 ·fmaRows4Q41
#define ROWS1_Q5_0 ·fmaRows1Q50
#define ROWS4_Q5_0 ·fmaRows4Q50
#define ROWS1_Q5_1 ·fmaRows1Q51
#define ROWS4_Q5_1 ·fmaRows4Q51
#define ROWS1_IQ4_NL ·fmaRows1IQ4NL
#define ROWS4_IQ4_NL ·fmaRows4IQ4NL
#define ROWS1_Q2_K ·fmaRows1Q2K
#define ROWS4_Q2_K ·fmaRows4Q2K
#define ROWS1_Q3_K ·fmaRows1Q3K
#define ROWS4_Q3_K ·fmaRows4Q3K
#define ROWS1_Q5_K ·fmaRows1Q5K
#define ROWS4_Q5_K ·fmaRows4Q5K
#define ROWS1_IQ4_XS ·fmaRows1IQ4XS
#define ROWS4_IQ4_XS ·fmaRows4IQ4XS
#define SUM_F32 ·fmaSumF32
#define SUM_F16 ·fmaSumF16

#define FMADD(a, b, acc, t) \
	VFMADD231PS a, b, acc

#define FNMADD(a, b, acc, t) \
	VFNMADD231PS a, b, acc

#include "rows_amd64.h"
#include "formats_amd64.h"

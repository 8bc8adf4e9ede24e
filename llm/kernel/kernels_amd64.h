// All kernels for AVX2 and F16C, included by avx2_amd64.s and fma_amd64.s, which
// choose how to multiply and add:
//
//	FMADD(a, b, acc, t)   acc += a*b, may clobber t
//	FNMADD(a, b, acc, t)  acc -= a*b, may clobber t
//
// Every function takes a *call (see assembly_amd64.go).

#include "entries_amd64.h"
#include "constants_amd64.h"
#include "fetch_amd64.h"
#include "rows_amd64.h"
#include "attention_amd64.h"
#include "rows_float_amd64.h"
#include "rows_q8_amd64.h"
#include "rows_q8k_amd64.h"
#include "repacked1_amd64.h"
#include "runs_amd64.h"
#include "repacked4_amd64.h"
#include "lowbit_amd64.h"
#include "panels_amd64.h"
#include "dense_amd64.h"

// Every type is a row, with a function for each of kernels in assembly_amd64.go.
KERNELS(const_typeF32, $rows1F32<>(SB), $0, $rows4F32<>(SB), $0, $0, $0, $sum1F32<>(SB), $sum4F32<>(SB))
KERNELS(const_typeF16, $rows1F16<>(SB), $0, $rows4F16<>(SB), $0, $0, $0, $sum1F16<>(SB), $sum4F16<>(SB))
KERNELS(const_typeQ4_0, $rows1Q40<>(SB), $0, $rows4Q40<>(SB), $repacked1Q40<>(SB), $repacked4Q40<>(SB), $panelQ40<>(SB), $0, $0)
ENTRY(const_typeQ4_0, kernels_repacked2, $repacked2Q40<>(SB))
ENTRY(const_typeQ4_0, kernels_runs, $runsQ40<>(SB))
KERNELS(const_typeQ4_1, $rows1Q41<>(SB), $0, $rows4Q41<>(SB), $0, $0, $0, $0, $0)
KERNELS(const_typeQ5_0, $rows1Q50<>(SB), $0, $rows4Q50<>(SB), $0, $0, $0, $0, $0)
KERNELS(const_typeQ5_1, $rows1Q51<>(SB), $0, $rows4Q51<>(SB), $0, $0, $0, $0, $0)
KERNELS(const_typeQ8_0, $rows1Q80<>(SB), $rows3Q80<>(SB), $rows4Q80<>(SB), $repacked1Q80<>(SB), $repacked4Q80<>(SB), $panelQ80<>(SB), $sum1Q80<>(SB), $sum4Q80<>(SB))
ENTRY(const_typeQ8_0, kernels_repacked2, $repacked2Q80<>(SB))
ENTRY(const_typeQ8_0, kernels_runs, $runsQ80<>(SB))
KERNELS(const_typeQ2_K, $rows1Q2K<>(SB), $0, $rows4Q2K<>(SB), $0, $0, $0, $0, $0)
KERNELS(const_typeQ3_K, $rows1Q3K<>(SB), $0, $rows4Q3K<>(SB), $0, $0, $0, $0, $0)
KERNELS(const_typeQ4_K, $rows1Q4K<>(SB), $0, $rows4Q4K<>(SB), $repacked1Q4K<>(SB), $repacked4Q4K<>(SB), $panelU4<>(SB), $0, $0)
ENTRY(const_typeQ4_K, kernels_runs, $runsQ4K<>(SB))
KERNELS(const_typeQ5_K, $rows1Q5K<>(SB), $0, $rows4Q5K<>(SB), $repacked1Q5K<>(SB), $repacked4Q5K<>(SB), $panelU6<>(SB), $0, $0)
ENTRY(const_typeQ5_K, kernels_runs, $runsQ5K<>(SB))
KERNELS(const_typeQ6_K, $rows1Q6K<>(SB), $0, $rows4Q6K<>(SB), $repacked1Q6K<>(SB), $repacked4Q6K<>(SB), $panelU6<>(SB), $0, $0)
ENTRY(const_typeQ6_K, kernels_runs, $runsQ6K<>(SB))
KERNELS(const_typeIQ4_NL, $rows1IQ4NL<>(SB), $0, $rows4IQ4NL<>(SB), $0, $0, $0, $0, $0)
KERNELS(const_typeIQ4_XS, $rows1IQ4XS<>(SB), $0, $rows4IQ4XS<>(SB), $0, $0, $0, $0, $0)
KERNELS(const_typeBF16, $rows1BF16<>(SB), $0, $rows4BF16<>(SB), $0, $0, $0, $0, $0)
KERNELS(const_typeTQ2_0, $0, $0, $0, $repacked1TQ20<>(SB), $repacked4TQ20<>(SB), $panelU4<>(SB), $0, $0)
KERNELS(const_typeMXFP4, $rows1MXFP4<>(SB), $0, $rows4MXFP4<>(SB), $repacked1MXFP4<>(SB), $repacked4MXFP4<>(SB), $panelQ80<>(SB), $0, $0)
KERNELS(const_typeNVFP4, $rows1NVFP4<>(SB), $0, $rows4NVFP4<>(SB), $0, $0, $0, $0, $0)
KERNELS(const_typeQ1_0, $0, $0, $0, $repacked1Q10<>(SB), $repacked4Q10<>(SB), $panelQ40<>(SB), $0, $0)
KERNELS(const_typeQ2_0, $0, $0, $0, $repacked1Q20<>(SB), $repacked4Q20<>(SB), $panelQ40<>(SB), $0, $0)
KERNELS(const_typePQ2_0, $0, $0, $0, $repacked1PQ20<>(SB), $repacked4PQ20<>(SB), $panelQ40<>(SB), $0, $0)
KERNELS(const_typePTQ1_0, $0, $0, $0, $repacked1PTQ10<>(SB), $repacked4PTQ10<>(SB), $panelQ40<>(SB), $0, $0)
DATA entries<>+entries_dense(SB)/8, $dense<>(SB)
DATA entries<>+entries_wide1(SB)/8, $wide1<>(SB)
DATA entries<>+entries_wide4(SB)/8, $wide4<>(SB)

// Row kernels of types that are multiplied with Q8K activations: blocks of 256.

// shuffle<> + 32*k spreads int16 number k of each half over that half.
#define SPREAD(at, v) \
	DATA shuffle<>+at(SB)/8, v; \
	DATA shuffle<>+(at+8)(SB)/8, v; \
	DATA shuffle<>+(at+16)(SB)/8, v; \
	DATA shuffle<>+(at+24)(SB)/8, v

SPREAD(0, $0x0100010001000100)
SPREAD(32, $0x0302030203020302)
SPREAD(64, $0x0504050405040504)
SPREAD(96, $0x0706070607060706)
SPREAD(128, $0x0908090809080908)
SPREAD(160, $0x0b0a0b0a0b0a0b0a)
SPREAD(192, $0x0d0c0d0c0d0c0d0c)
SPREAD(224, $0x0f0e0f0e0f0e0f0e)
GLOBL shuffle<>(SB), RODATA|NOPTR, $256

CONSTANT16(mask3f, $0x3f3f3f3f3f3f3f3f)
CONSTANT16(mask0f, $0x0f0f0f0f0f0f0f0f)

// Q4_K: a block is d and dmin (float16), eight 6-bit scales and eight 6-bit
// minima in 12 bytes, and 256 nibbles in four groups of 32 bytes: low nibbles
// are the first 32 weights of a group, high nibbles the second.
// A weight is d*scale*nibble - dmin*minimum; minima are multiplied with the sums
// that come with the activations' scale.

// SCALES_Q4_K unpacks scales to Y8 (eight int16 in each half) and minima to X9.
// The first four of each are the low 6 bits of bytes 0-3 and 4-7. The last four
// have their low 4 bits in the nibbles of bytes 8-11 and their high 2 bits on
// top of bytes 0-3 and 4-7.
#define SCALES_Q4_K \
	VMOVQ 4(BX), X4; \
	VMOVD 12(BX), X5; \
	VPSRLW $4, X5, X6; \
	VPUNPCKLDQ X6, X5, X5; \
	VPAND mask0f<>(SB), X5, X5; \
	VPSRLW $2, X4, X6; \
	VPAND mask30<>(SB), X6, X6; \
	VPOR X6, X5, X5; \
	VPAND mask3f<>(SB), X4, X4; \
	VPUNPCKLDQ X5, X4, X4; \
	VPMOVZXBW X4, Y8; \
	VEXTRACTI128 $1, Y8, X9; \
	VINSERTI128 $1, X8, Y8, Y8

// GROUP1_Q4_K adds 64 products to the int32 lanes of Y10 and Y11.
#define GROUP1_Q4_K(wo, xo, so) \
	VMOVDQU 16+wo(BX), Y4; \
	VPAND Y15, Y4, Y5; \
	VPSRLW $4, Y4, Y4; \
	VPAND Y15, Y4, Y4; \
	VPMADDUBSW xo(SI), Y5, Y5; \
	VPMADDUBSW 32+xo(SI), Y4, Y4; \
	VPSHUFB shuffle<>+so(SB), Y8, Y6; \
	VPSHUFB shuffle<>+(32+so)(SB), Y8, Y7; \
	VPMADDWD Y6, Y5, Y5; \
	VPMADDWD Y7, Y4, Y4; \
	VPADDD Y5, Y10, Y10; \
	VPADDD Y4, Y11, Y11

TEXT rows1Q4K<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGIN
	NIBBLES(Y15)
row:
	ROWBEGIN
	VXORPS Y0, Y0, Y0
	VXORPS Y1, Y1, Y1
loop:
	AHEAD
	FETCH2(0)
	FETCH(128)
	SCALES_Q4_K
	VPXOR Y10, Y10, Y10
	VPXOR Y11, Y11, Y11
	GROUP1_Q4_K(0, 0, 0)
	GROUP1_Q4_K(32, 64, 64)
	GROUP1_Q4_K(64, 128, 128)
	GROUP1_Q4_K(96, 192, 192)
	VPADDD Y11, Y10, Y10
	VCVTDQ2PS Y10, Y10
	VBROADCASTSS (DI), Y7
	HALF((BX), X6, Y6)
	VMULPS Y7, Y6, Y6
	FMADD(Y6, Y10, Y0, Y5)
	VPMADDWD scaleQ8K_sum32(DI), X9, X9
	VCVTDQ2PS X9, X9
	HALF(2(BX), X6, Y6)
	VMULPS Y7, Y6, Y6
	FNMADD(Y6, Y9, Y1, Y5)
	NEXT(STEP_Q8K, 144)
	VADDPS Y1, Y0, Y0
	ENDROW1

#define MINIMA4_Q4_K(da, isum, acc) \
	VPMADDWD scaleQ8K_sum32 da, X9, X13; \
	VCVTDQ2PS X13, X13; \
	VBROADCASTSS da, Y14; \
	VMULPS Y10, Y14, Y14; \
	FNMADD(Y14, Y13, acc, Y12)

#define VECTOR_Q4_K(xa, xb, isum) \
	VPMADDUBSW xa, Y11, Y13; \
	VPMADDUBSW xb, Y12, Y14; \
	VPMADDWD Y9, Y13, Y13; \
	VPMADDWD Y10, Y14, Y14; \
	VPADDD Y13, isum, isum; \
	VPADDD Y14, isum, isum

#define GROUP4_Q4_K(wo, xo, so) \
	VMOVDQU 16+wo(BX), Y12; \
	VPAND Y15, Y12, Y11; \
	VPSRLW $4, Y12, Y12; \
	VPAND Y15, Y12, Y12; \
	VPSHUFB shuffle<>+so(SB), Y8, Y9; \
	VPSHUFB shuffle<>+(32+so)(SB), Y8, Y10; \
	VECTOR_Q4_K(xo(SI), 32+xo(SI), Y4); \
	VECTOR_Q4_K(xo(SI)(R8*1), 32+xo(SI)(R8*1), Y5); \
	VECTOR_Q4_K(xo(SI)(R8*2), 32+xo(SI)(R8*2), Y6); \
	VECTOR_Q4_K(xo(SI)(R9*1), 32+xo(SI)(R9*1), Y7)

// FINISH_K adds isum, scaled by Y9 and the activations' scale, to acc.
#define FINISH_K(da, isum, acc) \
	VCVTDQ2PS isum, isum; \
	VBROADCASTSS da, Y13; \
	VMULPS Y9, Y13, Y13; \
	FMADD(Y13, isum, acc, Y12)

TEXT rows4Q4K<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGIN4
	NIBBLES(Y15)
	EACHROW
loop:
	SCALES_Q4_K
	HALF(2(BX), X10, Y10)
	SCALES4(MINIMA4_Q4_K)
	VPXOR Y4, Y4, Y4
	VPXOR Y5, Y5, Y5
	VPXOR Y6, Y6, Y6
	VPXOR Y7, Y7, Y7
	GROUP4_Q4_K(0, 0, 0)
	GROUP4_Q4_K(32, 64, 64)
	GROUP4_Q4_K(64, 128, 128)
	GROUP4_Q4_K(96, 192, 192)
	HALF((BX), X9, Y9)
	SCALES4(FINISH_K)
	NEXT(STEP_Q8K, 144)
	ENDROW4

// Q6_K: a block is the low 4 bits of 256 weights (128 bytes), their high 2 bits
// (64 bytes), 16 int8 scales and d (float16); 32 means 0.

// SCALES_Q6_K puts the even scales into the low half of Y8 and the odd ones
// into the high half, as int16, for the same shuffles as in Q4_K; and 32 times
// the sum of scale times activations into Y9, which is to be subtracted.
#define SCALES_Q6_K \
	VMOVDQU 192(BX), X4; \
	VPSLLW $8, X4, X8; \
	VPSRAW $8, X8, X8; \
	VPSRAW $8, X4, X4; \
	VINSERTI128 $1, X4, Y8, Y8; \
	VPMOVSXBW 192(BX), Y9

#define JOIN1_Q6_K(xo, so) \
	VPAND Y14, Y5, Y5; \
	VPAND Y15, Y4, Y4; \
	VPOR Y5, Y4, Y4; \
	VPMADDUBSW xo(SI), Y4, Y4; \
	VPSHUFB shuffle<>+so(SB), Y8, Y5; \
	VPMADDWD Y5, Y4, Y4

#define HALF1_Q6_K(lo, ho, xo, so) \
	VMOVDQU ho(BX), Y12; \
	VMOVDQU lo(BX), Y4; \
	VPSLLW $4, Y12, Y5; \
	JOIN1_Q6_K(xo, so); \
	VPADDD Y4, Y10, Y10; \
	VMOVDQU 32+lo(BX), Y4; \
	VPSLLW $2, Y12, Y5; \
	JOIN1_Q6_K(32+xo, (32+so)); \
	VPADDD Y4, Y11, Y11; \
	VMOVDQU lo(BX), Y4; \
	VPSRLW $4, Y4, Y4; \
	VMOVDQA Y12, Y5; \
	JOIN1_Q6_K(64+xo, (64+so)); \
	VPADDD Y4, Y10, Y10; \
	VMOVDQU 32+lo(BX), Y4; \
	VPSRLW $4, Y4, Y4; \
	VPSRLW $2, Y12, Y5; \
	JOIN1_Q6_K(96+xo, (96+so)); \
	VPADDD Y4, Y11, Y11

TEXT rows1Q6K<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGIN
	NIBBLES(Y15)
	VMOVDQU mask30<>(SB), Y14
row:
	ROWBEGIN
	VXORPS Y0, Y0, Y0
loop:
	AHEAD
	FETCH4(0)
	SCALES_Q6_K
	VPMADDWD scaleQ8K_sum16(DI), Y9, Y9
	VPSLLD $5, Y9, Y9
	VPXOR Y10, Y10, Y10
	VPXOR Y11, Y11, Y11
	HALF1_Q6_K(0, 128, 0, 0)
	HALF1_Q6_K(64, 160, 128, 128)
	VPSUBD Y9, Y10, Y10
	VPADDD Y11, Y10, Y10
	VCVTDQ2PS Y10, Y10
	VBROADCASTSS (DI), Y7
	HALF(208(BX), X6, Y6)
	VMULPS Y7, Y6, Y6
	FMADD(Y6, Y10, Y0, Y5)
	NEXT(STEP_Q8K, 210)
	ENDROW1

#define SUMS4_Q6_K(da, isum, acc) \
	VPMADDWD scaleQ8K_sum16 da, Y9, isum; \
	VPSLLD $5, isum, isum; \
	VPSUBD isum, Y10, isum

#define VECTOR_Q6_K(xa, isum) \
	VPMADDUBSW xa, Y9, Y11; \
	VPMADDWD Y10, Y11, Y11; \
	VPADDD Y11, isum, isum

#define JOIN4_Q6_K(xo, so) \
	VPAND Y14, Y11, Y11; \
	VPAND Y15, Y9, Y9; \
	VPOR Y11, Y9, Y9; \
	VPSHUFB shuffle<>+so(SB), Y8, Y10; \
	PRODUCTS4(VECTOR_Q6_K, xo)

#define HALF4_Q6_K(lo, ho, xo, so) \
	VMOVDQU ho(BX), Y12; \
	VMOVDQU lo(BX), Y9; \
	VPSLLW $4, Y12, Y11; \
	JOIN4_Q6_K(xo, so); \
	VMOVDQU 32+lo(BX), Y9; \
	VPSLLW $2, Y12, Y11; \
	JOIN4_Q6_K(32+xo, (32+so)); \
	VMOVDQU lo(BX), Y9; \
	VPSRLW $4, Y9, Y9; \
	VMOVDQA Y12, Y11; \
	JOIN4_Q6_K(64+xo, (64+so)); \
	VMOVDQU 32+lo(BX), Y9; \
	VPSRLW $4, Y9, Y9; \
	VPSRLW $2, Y12, Y11; \
	JOIN4_Q6_K(96+xo, (96+so))

TEXT rows4Q6K<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGIN4
	NIBBLES(Y15)
	VMOVDQU mask30<>(SB), Y14
	EACHROW
loop:
	SCALES_Q6_K
	VPXOR Y10, Y10, Y10
	SCALES4(SUMS4_Q6_K)
	HALF4_Q6_K(0, 128, 0, 0)
	HALF4_Q6_K(64, 160, 128, 128)
	HALF(208(BX), X9, Y9)
	SCALES4(FINISH_K)
	NEXT(STEP_Q8K, 210)
	ENDROW4

CONSTANT8(bytes03, $0x0303030303030303)
CONSTANT8(bytes04, $0x0404040404040404)
CONSTANT16(bytes20, $0x2020202020202020)
CONSTANT16(words20, $0x0020002000200020)

// shift3<> moves four dwords down by 0, 2, 4 and 6 bits; raise<> moves bits 2i
// and 2i+1 of word i to the top.
DATA shift3<>+0(SB)/8, $0x0000000200000000
DATA shift3<>+8(SB)/8, $0x0000000600000004
GLOBL shift3<>(SB), RODATA|NOPTR, $16

DATA raise<>+0(SB)/8, $0x0100040010004000
DATA raise<>+8(SB)/8, $0x0001000400100040
GLOBL raise<>(SB), RODATA|NOPTR, $16

// The other types. BLOCK decodes 32 weights at a time to unsigned bytes in Y11
// (or sizes in Y11 and signed bytes in Y12) and TAKEs them: TAKE(xo, so)
// multiplies with the activations at xo and the scale that shuffle<>+so takes
// from Y8, and adds to the int32 sums in Y4-Y7. It may clobber Y10 and Y13.
// HEAD unpacks the scales; OFFSET starts the sums with, or adds to the results,
// a correction for what made the weights unsigned; it may clobber Y9-Y13.

#define TAKE(xa, isum) \
	VPMADDUBSW xa, Y11, Y13; \
	VPMADDWD Y10, Y13, Y13; \
	VPADDD Y13, isum, isum

#define TAKE1(xo, so) \
	VPSHUFB shuffle<>+so(SB), Y8, Y10; \
	TAKE(xo(SI), Y4)

#define TAKE4(xo, so) \
	VPSHUFB shuffle<>+so(SB), Y8, Y10; \
	PRODUCTS4(TAKE, xo)

#define TAKES(xa, isum) \
	VMOVDQU xa, Y13; \
	VPSIGNB Y12, Y13, Y13; \
	VPMADDUBSW Y13, Y11, Y13; \
	VPMADDWD Y10, Y13, Y13; \
	VPADDD Y13, isum, isum

#define TAKES1(xo, so) \
	VPSHUFB shuffle<>+so(SB), Y8, Y10; \
	TAKES(xo(SI), Y4)

#define TAKES4(xo, so) \
	VPSHUFB shuffle<>+so(SB), Y8, Y10; \
	PRODUCTS4(TAKES, xo)

#define LOOPK1(HEAD, OFFSET, BLOCK, TAKER, do, bytes) \
row: \
	ROWBEGIN; \
	VXORPS Y0, Y0, Y0; \
loop: \
	AHEAD; \
	FETCH2(0); \
	FETCH(128); \
	HEAD; \
	OFFSET((DI), Y4, Y0); \
	BLOCK(TAKER); \
	HALF(do(BX), X9, Y9); \
	FINISH_K((DI), Y4, Y0); \
	NEXT(STEP_Q8K, bytes); \
	ENDROW1

#define LOOPK4(HEAD, OFFSET, BLOCK, TAKER, do, bytes) \
	EACHROW; \
loop: \
	HEAD; \
	SCALES4(OFFSET); \
	BLOCK(TAKER); \
	HALF(do(BX), X9, Y9); \
	SCALES4(FINISH_K); \
	NEXT(STEP_Q8K, bytes); \
	ENDROW4

// MINIMA16 and MINIMA32 subtract the minima in Y9, or X9, times those of
// dmin, in Y10, from acc.
#define MINIMA16(da, isum, acc) \
	VPMADDWD scaleQ8K_sum16 da, Y9, Y13; \
	MINIMA(da, isum, acc)

#define MINIMA32(da, isum, acc) \
	VPMADDWD scaleQ8K_sum32 da, X9, X13; \
	MINIMA(da, isum, acc)

#define MINIMA(da, isum, acc) \
	VCVTDQ2PS Y13, Y13; \
	VBROADCASTSS da, Y11; \
	VMULPS Y10, Y11, Y11; \
	FNMADD(Y11, Y13, acc, Y12); \
	VPXOR isum, isum, isum

// Q5_K: as Q4_K, with the fifth bits of 256 weights in 32 bytes before the
// nibbles: bit j of byte i belongs to weight 32*j+i.

#define HEAD_Q5_K \
	SCALES_Q4_K; \
	HALF(2(BX), X10, Y10)

#define FIFTH_Q5_K(MOVE, n) \
	MOVE $n, Y12, Y10; \
	VPAND Y14, Y10, Y10; \
	VPOR Y10, Y11, Y11

#define GROUP_Q5_K(TAKER, wo, xo, so, MOVEA, na, MOVEB, nb) \
	VPAND wo(BX), Y15, Y11; \
	FIFTH_Q5_K(MOVEA, na); \
	TAKER(xo, so); \
	VMOVDQU wo(BX), Y11; \
	VPSRLW $4, Y11, Y11; \
	VPAND Y15, Y11, Y11; \
	FIFTH_Q5_K(MOVEB, nb); \
	TAKER(32+xo, (32+so))

#define BLOCK_Q5_K(TAKER) \
	VMOVDQU 16(BX), Y12; \
	GROUP_Q5_K(TAKER, 48, 0, 0, VPSLLW, 4, VPSLLW, 3); \
	GROUP_Q5_K(TAKER, 80, 64, 64, VPSLLW, 2, VPSLLW, 1); \
	GROUP_Q5_K(TAKER, 112, 128, 128, VPSLLW, 0, VPSRLW, 1); \
	GROUP_Q5_K(TAKER, 144, 192, 192, VPSRLW, 2, VPSRLW, 3)

#define CONSTANTS_Q5_K \
	NIBBLES(Y15); \
	VPBROADCASTQ bytes10<>(SB), Y14

TEXT rows1Q5K<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGIN
	CONSTANTS_Q5_K
	LOOPK1(HEAD_Q5_K, MINIMA32, BLOCK_Q5_K, TAKE1, 0, 176)

TEXT rows4Q5K<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGIN4
	CONSTANTS_Q5_K
	LOOPK4(HEAD_Q5_K, MINIMA32, BLOCK_Q5_K, TAKE4, 0, 176)

// Q2_K: 16 bytes, each a 4-bit scale and a 4-bit minimum of 16 weights; 256
// weights of 2 bits: bits 2j and 2j+1 of byte 32*h+i belong to weight
// 128*h+32*j+i; d and dmin (float16).

#define HEAD_Q2_K \
	VMOVDQU (BX), X4; \
	VPAND mask0f<>(SB), X4, X5; \
	VPSRLW $4, X4, X4; \
	VPAND mask0f<>(SB), X4, X4; \
	VPMOVZXBW X4, Y9; \
	VPSRLW $8, X5, X6; \
	VPSLLW $8, X5, X8; \
	VPSRLW $8, X8, X8; \
	VINSERTI128 $1, X6, Y8, Y8; \
	HALF(82(BX), X10, Y10)

#define HALF_Q2_K(TAKER, wo, xo, so) \
	VMOVDQU wo(BX), Y12; \
	VPAND Y15, Y12, Y11; \
	TAKER(xo, so); \
	VPSRLW $2, Y12, Y11; \
	VPAND Y15, Y11, Y11; \
	TAKER(32+xo, (32+so)); \
	VPSRLW $4, Y12, Y11; \
	VPAND Y15, Y11, Y11; \
	TAKER(64+xo, (64+so)); \
	VPSRLW $6, Y12, Y11; \
	VPAND Y15, Y11, Y11; \
	TAKER(96+xo, (96+so))

#define BLOCK_Q2_K(TAKER) \
	HALF_Q2_K(TAKER, 16, 0, 0); \
	HALF_Q2_K(TAKER, 48, 128, 128)

TEXT rows1Q2K<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGIN
	VPBROADCASTQ bytes03<>(SB), Y15
	LOOPK1(HEAD_Q2_K, MINIMA16, BLOCK_Q2_K, TAKE1, 80, 84)

TEXT rows4Q2K<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGIN4
	VPBROADCASTQ bytes03<>(SB), Y15
	LOOPK4(HEAD_Q2_K, MINIMA16, BLOCK_Q2_K, TAKE4, 80, 84)

// Q3_K: the third bits of 256 weights in 32 bytes, as the fifth in Q5_K; their
// low bits in 64 bytes as in Q2_K; 16 6-bit scales, of which 32 means 0,
// in 12 bytes: low 4 bits in the nibbles of the first 8, high 2 bits of scale
// 4*j+i in bits 2j and 2j+1 of byte 8+i; d (float16). 4 means 0.

#define HEAD_Q3_K \
	VMOVQ 96(BX), X4; \
	VPSRLW $4, X4, X5; \
	VPUNPCKLQDQ X5, X4, X4; \
	VPAND mask0f<>(SB), X4, X4; \
	VPBROADCASTD 104(BX), X5; \
	VPSRLVD shift3<>(SB), X5, X5; \
	VPAND X15, X5, X5; \
	VPSLLW $4, X5, X5; \
	VPOR X5, X4, X4; \
	VPSUBB bytes20<>(SB), X4, X4; \
	VPMOVSXBW X4, Y9; \
	VPSRAW $8, X4, X5; \
	VPSLLW $8, X4, X8; \
	VPSRAW $8, X8, X8; \
	VINSERTI128 $1, X5, Y8, Y8; \
	VPXOR Y10, Y10, Y10

#define SUMS_Q3_K(da, isum, acc) \
	VPMADDWD scaleQ8K_sum16 da, Y9, isum; \
	VPSLLD $2, isum, isum; \
	VPSUBD isum, Y10, isum

#define RUN_Q3_K(TAKER, wo, n, xo, so, MOVE, m) \
	VMOVDQU wo(BX), Y11; \
	VPSRLW $n, Y11, Y11; \
	VPAND Y15, Y11, Y11; \
	FIFTH_Q5_K(MOVE, m); \
	TAKER(xo, so)

#define BLOCK_Q3_K(TAKER) \
	VMOVDQU (BX), Y12; \
	RUN_Q3_K(TAKER, 32, 0, 0, 0, VPSLLW, 2); \
	RUN_Q3_K(TAKER, 32, 2, 32, 32, VPSLLW, 1); \
	RUN_Q3_K(TAKER, 32, 4, 64, 64, VPSLLW, 0); \
	RUN_Q3_K(TAKER, 32, 6, 96, 96, VPSRLW, 1); \
	RUN_Q3_K(TAKER, 64, 0, 128, 128, VPSRLW, 2); \
	RUN_Q3_K(TAKER, 64, 2, 160, 160, VPSRLW, 3); \
	RUN_Q3_K(TAKER, 64, 4, 192, 192, VPSRLW, 4); \
	RUN_Q3_K(TAKER, 64, 6, 224, 224, VPSRLW, 5)

#define CONSTANTS_Q3_K \
	VPBROADCASTQ bytes03<>(SB), Y15; \
	VPBROADCASTQ bytes04<>(SB), Y14

TEXT rows1Q3K<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGIN
	CONSTANTS_Q3_K
	LOOPK1(HEAD_Q3_K, SUMS_Q3_K, BLOCK_Q3_K, TAKE1, 108, 110)

TEXT rows4Q3K<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGIN4
	CONSTANTS_Q3_K
	LOOPK4(HEAD_Q3_K, SUMS_Q3_K, BLOCK_Q3_K, TAKE4, 108, 110)

// IQ4_XS: d (float16); the high 2 bits of eight 6-bit scales, of which 32
// means 0, in 16 bits, their low bits in 8 nibbles; 256 weights as 8
// runs of 32 nibbles as in IQ4_NL.

#define HEAD_IQ4_XS \
	VMOVD 4(BX), X4; \
	VPSRLW $4, X4, X5; \
	VPUNPCKLBW X5, X4, X4; \
	VPAND mask0f<>(SB), X4, X4; \
	VPMOVZXBW X4, X4; \
	VPBROADCASTW 2(BX), X5; \
	VPMULLW raise<>(SB), X5, X5; \
	VPSRLW $14, X5, X5; \
	VPSLLW $4, X5, X5; \
	VPOR X5, X4, X4; \
	VPSUBW words20<>(SB), X4, X8; \
	VINSERTI128 $1, X8, Y8, Y8

#define SUMS_NONE(da, isum, acc) \
	VPXOR isum, isum, isum

#define RUN_IQ4_XS(TAKER, wo, xo, so) \
	VMOVDQU wo(BX), X11; \
	VPSRLW $4, X11, X12; \
	VINSERTI128 $1, X12, Y11, Y11; \
	VPAND Y15, Y11, Y11; \
	VPSHUFB Y11, Y14, Y12; \
	VPABSB Y12, Y11; \
	TAKER(xo, so)

#define BLOCK_IQ4_XS(TAKER) \
	RUN_IQ4_XS(TAKER, 8, 0, 0); \
	RUN_IQ4_XS(TAKER, 24, 32, 32); \
	RUN_IQ4_XS(TAKER, 40, 64, 64); \
	RUN_IQ4_XS(TAKER, 56, 96, 96); \
	RUN_IQ4_XS(TAKER, 72, 128, 128); \
	RUN_IQ4_XS(TAKER, 88, 160, 160); \
	RUN_IQ4_XS(TAKER, 104, 192, 192); \
	RUN_IQ4_XS(TAKER, 120, 224, 224)

TEXT rows1IQ4XS<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGIN
	NIBBLES(Y15)
	VMOVDQU nibbles<>(SB), Y14
	LOOPK1(HEAD_IQ4_XS, SUMS_NONE, BLOCK_IQ4_XS, TAKES1, 0, 136)

TEXT rows4IQ4XS<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGIN4
	NIBBLES(Y15)
	VMOVDQU nibbles<>(SB), Y14
	LOOPK4(HEAD_IQ4_XS, SUMS_NONE, BLOCK_IQ4_XS, TAKES4, 0, 136)

// Wide blocks (see lowbit.go): 256 int8, 16 scales in the order that the shuffles take, a float32 scale.

#define RUN_WIDE(TAKER, xo) \
	VMOVDQU xo(BX), Y12; \
	VPABSB Y12, Y11; \
	TAKER(xo, xo)

#define BLOCK_WIDE(TAKER) \
	RUN_WIDE(TAKER, 0); \
	RUN_WIDE(TAKER, 32); \
	RUN_WIDE(TAKER, 64); \
	RUN_WIDE(TAKER, 96); \
	RUN_WIDE(TAKER, 128); \
	RUN_WIDE(TAKER, 160); \
	RUN_WIDE(TAKER, 192); \
	RUN_WIDE(TAKER, 224)

TEXT wide1<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGIN
row:
	ROWBEGIN
	VXORPS Y0, Y0, Y0
loop:
	VMOVDQU wide_scale(BX), Y8
	VPXOR Y4, Y4, Y4
	BLOCK_WIDE(TAKES1)
	VBROADCASTSS wide_d(BX), Y9
	FINISH_K((DI), Y4, Y0)
	NEXT(STEP_Q8K, wide__size)
	ENDROW1

TEXT wide4<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGIN4
	EACHROW
loop:
	VMOVDQU wide_scale(BX), Y8
	VPXOR Y4, Y4, Y4
	VPXOR Y5, Y5, Y5
	VPXOR Y6, Y6, Y6
	VPXOR Y7, Y7, Y7
	BLOCK_WIDE(TAKES4)
	VBROADCASTSS wide_d(BX), Y9
	SCALES4(FINISH_K)
	NEXT(STEP_Q8K, wide__size)
	ENDROW4

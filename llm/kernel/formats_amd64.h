// Row kernels of the less usual formats, included after rows_amd64.h, whose
// conventions and macros they share. Each format is one macro that decodes a
// block of weights and hands 32 at a time to TAKE, of which there is one for
// one vector of activations and one for four.

DATA nibbles<>+0(SB)/8, $0xf6eaddcfbfad9881 // -127 -104 -83 -65 -49 -35 -22 -10
DATA nibbles<>+8(SB)/8, $0x7159453526190d01 // 1 13 25 38 53 69 89 113
DATA nibbles<>+16(SB)/8, $0xf6eaddcfbfad9881
DATA nibbles<>+24(SB)/8, $0x7159453526190d01
GLOBL nibbles<>(SB), RODATA|NOPTR, $32

// spread<> gives each of four bytes, present in both halves, to eight lanes,
// and bits<> selects one bit in each of those.
DATA spread<>+0(SB)/8, $0x0000000000000000
DATA spread<>+8(SB)/8, $0x0101010101010101
DATA spread<>+16(SB)/8, $0x0202020202020202
DATA spread<>+24(SB)/8, $0x0303030303030303
GLOBL spread<>(SB), RODATA|NOPTR, $32

DATA bits<>+0(SB)/8, $0x8040201008040201
GLOBL bits<>(SB), RODATA|NOPTR, $8

DATA bytes10<>+0(SB)/8, $0x1010101010101010
GLOBL bytes10<>(SB), RODATA|NOPTR, $8

DATA bytes03<>+0(SB)/8, $0x0303030303030303
GLOBL bytes03<>(SB), RODATA|NOPTR, $8

DATA bytes04<>+0(SB)/8, $0x0404040404040404
GLOBL bytes04<>(SB), RODATA|NOPTR, $8

DATA bytes20<>+0(SB)/8, $0x2020202020202020
DATA bytes20<>+8(SB)/8, $0x2020202020202020
GLOBL bytes20<>(SB), RODATA|NOPTR, $16

DATA words20<>+0(SB)/8, $0x0020002000200020
DATA words20<>+8(SB)/8, $0x0020002000200020
GLOBL words20<>(SB), RODATA|NOPTR, $16

// shift3<> moves four dwords down by 0, 2, 4 and 6 bits; raise<> moves bits 2i
// and 2i+1 of word i to the top.
DATA shift3<>+0(SB)/8, $0x0000000200000000
DATA shift3<>+8(SB)/8, $0x0000000600000004
GLOBL shift3<>(SB), RODATA|NOPTR, $16

DATA raise<>+0(SB)/8, $0x0100040010004000
DATA raise<>+8(SB)/8, $0x0001000400100040
GLOBL raise<>(SB), RODATA|NOPTR, $16

DATA minusEighth<>+0(SB)/4, $0xbe000000
GLOBL minusEighth<>(SB), RODATA|NOPTR, $4

// BF16: a block is 8 weights, each the upper half of a float32.

#define LOAD_BF16(m, y) \
	VPMOVZXWD m, y; \
	VPSLLD $16, y, y

TEXT rows1BF16<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGIN
row:
	ROWBEGIN
	ZERO4
	SUBQ $4, CX
	JLT  tail
loop:
	AHEAD
	FETCH(0)
	LOAD_BF16(0(BX), Y4)
	LOAD_BF16(16(BX), Y5)
	LOAD_BF16(32(BX), Y6)
	LOAD_BF16(48(BX), Y7)
	FMADD(0(SI), Y4, Y0, Y4)
	FMADD(32(SI), Y5, Y1, Y5)
	FMADD(64(SI), Y6, Y2, Y6)
	FMADD(96(SI), Y7, Y3, Y7)
	ADDQ $64, BX
	ADDQ $128, SI
	SUBQ $4, CX
	JGE  loop
tail:
	ADDQ $4, CX
	JEQ  done
one:
	LOAD_BF16((BX), Y4)
	FMADD((SI), Y4, Y0, Y4)
	ADDQ $16, BX
	ADDQ $32, SI
	DECQ CX
	JNE  one
done:
	VADDPS Y1, Y0, Y0
	VADDPS Y3, Y2, Y2
	VADDPS Y2, Y0, Y0
	STORE1
	DECQ DX
	JNE  row
	VZEROUPPER
	RET

TEXT rows4BF16<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGIN4
row:
	ROWBEGIN
	ZERO4
	TESTQ CX, CX
	JEQ  done
loop:
	LOAD_BF16((BX), Y8)
	FMADD((SI), Y8, Y0, Y4)
	FMADD((SI)(R8*1), Y8, Y1, Y5)
	FMADD((SI)(R8*2), Y8, Y2, Y6)
	FMADD((SI)(R9*1), Y8, Y3, Y7)
	ADDQ $16, BX
	ADDQ $32, SI
	DECQ CX
	JNE  loop
done:
	STORE4
	DECQ DX
	JNE  row
	VZEROUPPER
	RET

// Blocks of 32. LOAD leaves the weights in Y4 as unsigned bytes; or, when they
// are signed, their sizes in Y4 and themselves in Y8. Then PRODUCT multiplies
// them with a vector, and OFFSET adds what the unsigned bytes have left out.
// Y11-Y15 are constants.

#define LOOP1(LOAD, PRODUCT, OFFSET, bytes) \
row: \
	ROWBEGIN; \
	ZERO4; \
loop: \
	AHEAD; \
	FETCH(0); \
	LOAD; \
	HALF((BX), X6, Y6); \
	PRODUCT((SI), (DI), Y0); \
	OFFSET(scaleQ8_sum8(DI), Y1); \
	ADDQ $bytes, BX; \
	ADDQ $32, SI; \
	ADDQ $scaleQ8__size, DI; \
	DECQ CX; \
	JNE  loop; \
	VADDPS Y1, Y0, Y0; \
	STORE1; \
	DECQ DX; \
	JNE  row; \
	VZEROUPPER; \
	RET

#define LOOP4(LOAD, PRODUCT, OFFSET, bytes) \
row: \
	ROWBEGIN; \
	ZERO4; \
loop: \
	LOAD; \
	HALF((BX), X6, Y6); \
	PRODUCT((SI), (DI), Y0); \
	PRODUCT((SI)(R8*1), (DI)(R10*1), Y1); \
	PRODUCT((SI)(R8*2), (DI)(R10*2), Y2); \
	PRODUCT((SI)(R9*1), (DI)(R11*1), Y3); \
	OFFSET(scaleQ8_sum8(DI), Y0); \
	OFFSET(scaleQ8_sum8(DI)(R10*1), Y1); \
	OFFSET(scaleQ8_sum8(DI)(R10*2), Y2); \
	OFFSET(scaleQ8_sum8(DI)(R11*1), Y3); \
	ADDQ $bytes, BX; \
	ADDQ $32, SI; \
	ADDQ $scaleQ8__size, DI; \
	DECQ CX; \
	JNE  loop; \
	STORE4; \
	DECQ DX; \
	JNE  row; \
	VZEROUPPER; \
	RET

#define PRODUCT_UNSIGNED(xa, da, acc) \
	VPMADDUBSW xa, Y4, Y5; \
	VPMADDWD Y15, Y5, Y5; \
	VCVTDQ2PS Y5, Y5; \
	VBROADCASTSS da, Y7; \
	VMULPS Y6, Y7, Y7; \
	FMADD(Y7, Y5, acc, Y9)

#define PRODUCT_SIGNED(xa, da, acc) \
	VMOVDQU xa, Y5; \
	VPSIGNB Y8, Y5, Y5; \
	VPMADDUBSW Y5, Y4, Y5; \
	VPMADDWD Y15, Y5, Y5; \
	VCVTDQ2PS Y5, Y5; \
	VBROADCASTSS da, Y7; \
	VMULPS Y6, Y7, Y7; \
	FMADD(Y7, Y5, acc, Y9)

#define OFFSET_NONE(sa, acc)

// OFFSET_MINIMUM adds the minimum, in X10, times the activations' sum, which
// they keep times -8.
#define OFFSET_MINIMUM(sa, acc) \
	VMOVSS sa, X7; \
	VMULSS minusEighth<>(SB), X7, X7; \
	FMADD(Y7, Y10, acc, Y9)

// OFFSET_16 takes 16 off each weight.
#define OFFSET_16(sa, acc) \
	VMOVSS sa, X7; \
	VADDSS X7, X7, X7; \
	FMADD(Y7, Y6, acc, Y9)

#define NIBBLES32(wo) \
	VMOVDQU wo(BX), X4; \
	VPSRLW $4, X4, X5; \
	VINSERTI128 $1, X5, Y4, Y4; \
	VPAND Y14, Y4, Y4

// FIFTH32 adds the fifth bits, in the 32 at wo.
#define FIFTH32(wo) \
	VPBROADCASTD wo(BX), Y5; \
	VPSHUFB Y13, Y5, Y5; \
	VPAND Y12, Y5, Y5; \
	VPCMPEQB Y12, Y5, Y5; \
	VPAND Y11, Y5, Y5; \
	VPOR Y5, Y4, Y4

#define CONSTANTS32 \
	ONES(Y15); \
	NIBBLES(Y14); \
	VMOVDQU spread<>(SB), Y13; \
	VPBROADCASTQ bits<>(SB), Y12; \
	VPBROADCASTQ bytes10<>(SB), Y11

// Q4_1: float16 scale and minimum, 32 nibbles.

#define LOAD_Q4_1 \
	NIBBLES32(4); \
	HALF(2(BX), X10, Y10)

TEXT rows1Q41<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGIN
	CONSTANTS32
	LOOP1(LOAD_Q4_1, PRODUCT_UNSIGNED, OFFSET_MINIMUM, 20)

TEXT rows4Q41<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGIN4
	CONSTANTS32
	LOOP4(LOAD_Q4_1, PRODUCT_UNSIGNED, OFFSET_MINIMUM, 20)

// Q5_0: float16 scale, 32 fifth bits, 32 nibbles; 16 stands for 0.

#define LOAD_Q5_0 \
	NIBBLES32(6); \
	FIFTH32(2)

TEXT rows1Q50<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGIN
	CONSTANTS32
	LOOP1(LOAD_Q5_0, PRODUCT_UNSIGNED, OFFSET_16, 22)

TEXT rows4Q50<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGIN4
	CONSTANTS32
	LOOP4(LOAD_Q5_0, PRODUCT_UNSIGNED, OFFSET_16, 22)

// Q5_1: float16 scale and minimum, 32 fifth bits, 32 nibbles.

#define LOAD_Q5_1 \
	NIBBLES32(8); \
	FIFTH32(4); \
	HALF(2(BX), X10, Y10)

TEXT rows1Q51<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGIN
	CONSTANTS32
	LOOP1(LOAD_Q5_1, PRODUCT_UNSIGNED, OFFSET_MINIMUM, 24)

TEXT rows4Q51<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGIN4
	CONSTANTS32
	LOOP4(LOAD_Q5_1, PRODUCT_UNSIGNED, OFFSET_MINIMUM, 24)

// IQ4_NL: float16 scale, 32 nibbles that stand for the numbers in nibbles<>.

#define LOAD_IQ4_NL \
	NIBBLES32(2); \
	VPSHUFB Y4, Y13, Y8; \
	VPABSB Y8, Y4

TEXT rows1IQ4NL<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGIN
	ONES(Y15)
	NIBBLES(Y14)
	VMOVDQU nibbles<>(SB), Y13
	LOOP1(LOAD_IQ4_NL, PRODUCT_SIGNED, OFFSET_NONE, 18)

TEXT rows4IQ4NL<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGIN4
	ONES(Y15)
	NIBBLES(Y14)
	VMOVDQU nibbles<>(SB), Y13
	LOOP4(LOAD_IQ4_NL, PRODUCT_SIGNED, OFFSET_NONE, 18)

// Blocks of 256. BLOCK decodes 32 weights at a time to unsigned bytes in Y11
// (or sizes in Y11 and signed bytes in Y12) and TAKEs them: TAKE(xo, so)
// multiplies with the activations at xo and the scale that shuffle<>+so takes
// from Y8, and adds to the int32 sums in Y4-Y7. It may spoil Y10 and Y13.
// HEAD unpacks the scales; OFFSET begins the sums, or adds to the results,
// what is left out when weights are made unsigned; it may spoil Y9-Y13.

#define TAKE(xa, isum) \
	VPMADDUBSW xa, Y11, Y13; \
	VPMADDWD Y10, Y13, Y13; \
	VPADDD Y13, isum, isum

#define TAKE1(xo, so) \
	VPSHUFB shuffle<>+so(SB), Y8, Y10; \
	TAKE(xo(SI), Y4)

#define TAKE4(xo, so) \
	VPSHUFB shuffle<>+so(SB), Y8, Y10; \
	TAKE(xo(SI), Y4); \
	TAKE(xo(SI)(R8*1), Y5); \
	TAKE(xo(SI)(R8*2), Y6); \
	TAKE(xo(SI)(R9*1), Y7)

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
	TAKES(xo(SI), Y4); \
	TAKES(xo(SI)(R8*1), Y5); \
	TAKES(xo(SI)(R8*2), Y6); \
	TAKES(xo(SI)(R9*1), Y7)

#define LOOPK1(HEAD, OFFSET, BLOCK, TAKER, do, bytes) \
row: \
	ROWBEGIN; \
	VXORPS Y0, Y0, Y0; \
loop: \
	AHEAD; \
	FETCH2(0); \
	FETCH(128); \
	HEAD; \
	OFFSET((DI), Y0, Y4); \
	BLOCK(TAKER); \
	HALF(do(BX), X9, Y9); \
	FINISH_K((DI), Y4, Y0); \
	ADDQ $bytes, BX; \
	ADDQ $256, SI; \
	ADDQ $scaleQ8K__size, DI; \
	DECQ CX; \
	JNE  loop; \
	STORE1; \
	DECQ DX; \
	JNE  row; \
	VZEROUPPER; \
	RET

#define LOOPK4(HEAD, OFFSET, BLOCK, TAKER, do, bytes) \
row: \
	ROWBEGIN; \
	ZERO4; \
loop: \
	HEAD; \
	OFFSET((DI), Y0, Y4); \
	OFFSET((DI)(R10*1), Y1, Y5); \
	OFFSET((DI)(R10*2), Y2, Y6); \
	OFFSET((DI)(R11*1), Y3, Y7); \
	BLOCK(TAKER); \
	HALF(do(BX), X9, Y9); \
	FINISH_K((DI), Y4, Y0); \
	FINISH_K((DI)(R10*1), Y5, Y1); \
	FINISH_K((DI)(R10*2), Y6, Y2); \
	FINISH_K((DI)(R11*1), Y7, Y3); \
	ADDQ $bytes, BX; \
	ADDQ $256, SI; \
	ADDQ $scaleQ8K__size, DI; \
	DECQ CX; \
	JNE  loop; \
	STORE4; \
	DECQ DX; \
	JNE  row; \
	VZEROUPPER; \
	RET

// MINIMA16 and MINIMA32 subtract the minima in Y9, or X9, times those of
// dmin, in Y10, from acc.
#define MINIMA16(da, acc, isum) \
	VPMADDWD scaleQ8K_sum16 da, Y9, Y13; \
	MINIMA(da, acc, isum)

#define MINIMA32(da, acc, isum) \
	VPMADDWD scaleQ8K_sum32 da, X9, X13; \
	MINIMA(da, acc, isum)

#define MINIMA(da, acc, isum) \
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
// low bits in 64 bytes as in Q2_K; 16 6-bit scales, of which 32 stands for 0,
// in 12 bytes: low 4 bits in the nibbles of the first 8, high 2 bits of scale
// 4*j+i in bits 2j and 2j+1 of byte 8+i; d (float16). 4 stands for 0.

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

#define SUMS_Q3_K(da, acc, isum) \
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
// stands for 0, in 16 bits, their low bits in 8 nibbles; 256 weights as 8
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

#define SUMS_NONE(da, acc, isum) \
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

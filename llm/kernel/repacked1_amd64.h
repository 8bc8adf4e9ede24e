// Kernels for one vector and repacked rows (see layouts_amd64.go).
//
// As in a panel, a register of weights is eight rows of four weights each, and
// four activations are broadcast to all rows. Scales are loaded eight at a time, too.
// Registers:
//
//	AX call, DX groups of eight rows left, R13 results
//	BX weights, CX blocks left, SI activations, DI their scales
//	R15 how far ahead lines are fetched, R11 into the second-level cache
//	Y15 mask of a weight's bits, Y14 sums in float32

#define BEGINREPACKED \
	MOVQ c+0(FP), AX; \
	MOVQ call_w(AX), BX; \
	MOVQ call_rows(AX), DX; \
	MOVQ call_y(AX), R13; \
	MOVQ call_ahead(AX), R15; \
	MOVQ call_far(AX), R11; \
	NIBBLES(Y15)

#define GROUP \
	MOVQ call_x(AX), SI; \
	MOVQ call_d(AX), DI; \
	MOVQ call_n(AX), CX; \
	VXORPS Y14, Y14, Y14

// SPLIT takes the low and the high nibbles at wo.
#define SPLIT(wo, lo, hi) \
	VMOVDQU wo(BX), hi; \
	VPAND Y15, hi, lo; \
	VPSRLW $4, hi, hi; \
	VPAND Y15, hi, hi

// PAIR multiplies the low nibbles at wo with activations at lo and the high ones
// with those at hi, to Y4 and Y5.
#define PAIR(wo, lo, hi) \
	SPLIT(wo, Y4, Y5); \
	VPBROADCASTD lo(SI), Y6; \
	VPBROADCASTD hi(SI), Y7; \
	VPMADDUBSW Y6, Y4, Y4; \
	VPMADDUBSW Y7, Y5, Y5

// MOREPAIR adds the same to Y0 and Y1.
#define MOREPAIR(wo, lo, hi) \
	PAIR(wo, lo, hi); \
	VPADDW Y4, Y0, Y0; \
	VPADDW Y5, Y1, Y1

#define FIRSTPAIR(wo, lo, hi) \
	PAIR(wo, lo, hi); \
	VMOVDQA Y4, Y0; \
	VMOVDQA Y5, Y1

// SUPER begins up to n blocks, whose heads of size bytes each lie together before
// their bodies (see layout.block in repack_amd64.go). It leaves R9 at the first head,
// BX at the first body, and the number of blocks in R8.
#define SUPER(n, size) \
	MOVQ $n, R8; \
	CMPQ CX, R8; \
	CMOVQLT CX, R8; \
	SUBQ R8, CX; \
	MOVQ BX, R9; \
	IMUL3Q $size, R8, R14; \
	ADDQ R14, BX

// NEXTBLOCK ends a block of Q4_0 or Q8_0, with bytes of weights, and after the last
// one eight rows' blocks; NEXTGROUP ends the eight rows.
#define NEXTBLOCK(bytes) \
	ADDQ $bytes, BX; \
	ADDQ $16, R9; \
	ADDQ $32, SI; \
	ADDQ $scaleQ8__size, DI; \
	DECQ R8; \
	JNE  block; \
	TESTQ CX, CX; \
	JNE  super

#define NEXTGROUP \
	ADDQ $32, R13; \
	DECQ DX; \
	JNE  group; \
	VZEROUPPER; \
	RET

// ADDBLOCK_Q4_0 adds a block of Q4_0 to sum: eight float16 scales and four times 32 bytes.
#define ADDBLOCK_Q4_0(sum) \
	FIRSTPAIR(0, 0, 16); \
	MOREPAIR(32, 4, 20); \
	MOREPAIR(64, 8, 24); \
	MOREPAIR(96, 12, 28); \
	VPADDW Y1, Y0, Y0; \
	VPMADDWD Y13, Y0, Y0; \
	VCVTDQ2PS Y0, Y0; \
	VCVTPH2PS (R9), Y8; \
	VBROADCASTSS (DI), Y9; \
	VBROADCASTSS scaleQ8_sum8(DI), Y10; \
	VMULPS Y9, Y0, Y0; \
	VADDPS Y10, Y0, Y0; \
	FMADD(Y8, Y0, sum, Y9)

TEXT repacked1Q40<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGINREPACKED
	ONES(Y13)
group:
	GROUP
super:
	STREAM(0)
	AHEAD
	SUPER(4, 16)
block:
	STREAM2(0)
	ADDBLOCK_Q4_0(Y14)
	NEXTBLOCK(128)
	VMOVUPS Y14, (R13)
	NEXTGROUP

// SIGNEDEIGHT adds 32 signed weights times four activations to y: the sign moves to
// the activations. A sum of two products nearly fills an int16.
#define SIGNEDEIGHT(wo, xo, y) \
	VMOVDQU wo(BX), Y4; \
	VPBROADCASTD xo(SI), Y5; \
	VPABSB Y4, Y6; \
	VPSIGNB Y4, Y5, Y5; \
	VPMADDUBSW Y5, Y6, Y5; \
	VPMADDWD Y13, Y5, Y5; \
	VPADDD Y5, y, y

// ADDBLOCK_Q8_0 adds a block of Q8_0 to sum: eight float16 scales and eight times 32 int8.
#define ADDBLOCK_Q8_0(sum) \
	VPXOR Y0, Y0, Y0; \
	VPXOR Y1, Y1, Y1; \
	SIGNEDEIGHT(0, 0, Y0); \
	SIGNEDEIGHT(32, 4, Y1); \
	SIGNEDEIGHT(64, 8, Y0); \
	SIGNEDEIGHT(96, 12, Y1); \
	SIGNEDEIGHT(128, 16, Y0); \
	SIGNEDEIGHT(160, 20, Y1); \
	SIGNEDEIGHT(192, 24, Y0); \
	SIGNEDEIGHT(224, 28, Y1); \
	VPADDD Y1, Y0, Y0; \
	VCVTDQ2PS Y0, Y0; \
	VCVTPH2PS (R9), Y8; \
	VBROADCASTSS (DI), Y9; \
	VMULPS Y9, Y0, Y0; \
	FMADD(Y8, Y0, sum, Y9)

TEXT repacked1Q80<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGINREPACKED
	ONES(Y13)
group:
	GROUP
super:
	STREAM(0)
	AHEAD
	SUPER(4, 16)
block:
	STREAM4(0)
	ADDBLOCK_Q8_0(Y14)
	NEXTBLOCK(256)
	VMOVUPS Y14, (R13)
	NEXTGROUP

// Counts to shift the upper two bits of two pairs of scales, one in each half of
// a register, to their places: left for the first two pairs, right for the others.
DATA upperLeft<>+0(SB)/8, $0x0000000400000004
DATA upperLeft<>+8(SB)/8, $0x0000000400000004
DATA upperLeft<>+16(SB)/8, $0x0000000200000002
DATA upperLeft<>+24(SB)/8, $0x0000000200000002
GLOBL upperLeft<>(SB), RODATA|NOPTR, $32

DATA upperRight<>+0(SB)/8, $0x0000000000000000
DATA upperRight<>+8(SB)/8, $0x0000000000000000
DATA upperRight<>+16(SB)/8, $0x0000000200000002
DATA upperRight<>+24(SB)/8, $0x0000000200000002
GLOBL upperRight<>(SB), RODATA|NOPTR, $32

// doubleEven<> and doubleOdd<> double the first and the second int16 of a pair.
DATA doubleEven<>+0(SB)/8, $0x0504050401000100
DATA doubleEven<>+8(SB)/8, $0x0d0c0d0c09080908
DATA doubleEven<>+16(SB)/8, $0x0504050401000100
DATA doubleEven<>+24(SB)/8, $0x0d0c0d0c09080908
GLOBL doubleEven<>(SB), RODATA|NOPTR, $32

DATA doubleOdd<>+0(SB)/8, $0x0706070603020302
DATA doubleOdd<>+8(SB)/8, $0x0f0e0f0e0b0a0b0a
DATA doubleOdd<>+16(SB)/8, $0x0706070603020302
DATA doubleOdd<>+24(SB)/8, $0x0f0e0f0e0b0a0b0a
GLOBL doubleOdd<>(SB), RODATA|NOPTR, $32

CONSTANT32(mask30, $0x3030303030303030)

// SIXBYTES unpacks four pairs of 6-bit numbers of eight rows to bytes, two pairs in Y5 and
// two in Y6: their low nibbles are at lo, their upper two bits at hi.
#define SIXBYTES(lo, hi) \
	VMOVDQU lo(BX), Y6; \
	VPAND Y15, Y6, Y5; \
	VPSRLW $4, Y6, Y6; \
	VPAND Y15, Y6, Y6; \
	VBROADCASTI128 hi(BX), Y7; \
	VPSLLVD upperLeft<>(SB), Y7, Y4; \
	VPSRLVD upperRight<>(SB), Y7, Y7; \
	VPAND mask30<>(SB), Y4, Y4; \
	VPAND mask30<>(SB), Y7, Y7; \
	VPOR Y4, Y5, Y5; \
	VPOR Y7, Y6, Y6

// SIXBITS unpacks them to int16 in Y8-Y11.
#define SIXBITS(lo, hi) \
	SIXBYTES(lo, hi); \
	VPMOVZXBW X5, Y8; \
	VEXTRACTI128 $1, Y5, X5; \
	VPMOVZXBW X5, Y9; \
	VPMOVZXBW X6, Y10; \
	VEXTRACTI128 $1, Y6, X6; \
	VPMOVZXBW X6, Y11

// MINIMAPAIR adds a pair of minima (y) times the activations' sums to Y13.
#define MINIMAPAIR(y, so) \
	VPBROADCASTD so(DI), Y4; \
	VPMADDWD y, Y4, Y4; \
	VPADDD Y4, Y13, Y13

// MINIMA_K sums up the minima of a block of Q4_K or Q5_K in Y13.
#define MINIMA_K \
	VPXOR Y13, Y13, Y13; \
	SIXBITS(64, 112); \
	MINIMAPAIR(Y8, scaleQ8K_sum32); \
	MINIMAPAIR(Y9, scaleQ8K_sum32+4); \
	MINIMAPAIR(Y10, scaleQ8K_sum32+8); \
	MINIMAPAIR(Y11, scaleQ8K_sum32+12)

// TOTAL_K adds such a block, whose head is at R9, to total: weights in Y2, minima in Y13.
#define TOTAL_K(total) \
	VCVTPH2PS (R9), Y4; \
	VCVTPH2PS 16(R9), Y5; \
	VCVTDQ2PS Y2, Y2; \
	VCVTDQ2PS Y13, Y13; \
	VMULPS Y4, Y2, Y2; \
	VMULPS Y5, Y13, Y13; \
	VSUBPS Y13, Y2, Y2; \
	VBROADCASTSS (DI), Y6; \
	FMADD(Y6, Y2, total, Y7)

// HEAD_K reads the head of a block; END64_K ends 64 columns, which
// take the given bytes, and the loops around them.
#define HEAD_K \
	STREAM2(0); \
	AHEAD; \
	VPXOR Y2, Y2, Y2; \
	MINIMA_K; \
	SIXBITS(32, 96); \
	MOVQ $4, R10; \
	MOVQ BX, R9; \
	ADDQ $128, BX

#define END64_K(bytes) \
	VMOVDQA Y9, Y8; \
	VMOVDQA Y10, Y9; \
	VMOVDQA Y11, Y10; \
	ADDQ $bytes, BX; \
	ADDQ $64, SI; \
	DECQ R10; \
	JNE  pair; \
	TOTAL_K(Y14); \
	ADDQ $scaleQ8K__size, DI; \
	DECQ CX; \
	JNE  loop; \
	VMOVUPS Y14, (R13); \
	NEXTGROUP

// SUBS_Q4_K adds 64 columns of weights, with the pair of scales in y, to Y2.
#define SUBS_Q4_K(wo, xo, y) \
	FIRSTPAIR(wo, xo, 32+xo); \
	MOREPAIR(32+wo, 4+xo, 36+xo); \
	MOREPAIR(64+wo, 8+xo, 40+xo); \
	MOREPAIR(96+wo, 12+xo, 44+xo); \
	MOREPAIR(128+wo, 16+xo, 48+xo); \
	MOREPAIR(160+wo, 20+xo, 52+xo); \
	MOREPAIR(192+wo, 24+xo, 56+xo); \
	MOREPAIR(224+wo, 28+xo, 60+xo); \
	VPSHUFB doubleEven<>(SB), y, Y4; \
	VPSHUFB doubleOdd<>(SB), y, Y5; \
	VPMADDWD Y4, Y0, Y0; \
	VPMADDWD Y5, Y1, Y1; \
	VPADDD Y0, Y2, Y2; \
	VPADDD Y1, Y2, Y2

// Q4_K: a block is eight d, eight dmin (float16), then for pairs of scales
// and pairs of minima 32 bytes of low nibbles each and 16 bytes of upper bits
// each, then 32 times 32 bytes of nibbles.
TEXT repacked1Q4K<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGINREPACKED
group:
	GROUP
loop:
	HEAD_K
pair:
	STREAM4(0)
	SUBS_Q4_K(0, 0, Y8)
	END64_K(256)

// fifthBits<> is the mask of the fifth bit.
CONSTANT32(fifthBits, $0x1010101010101010)

// FIFTH joins y with a bit of each byte of Y3, shifted to its place.
#define FIFTH(shift, n, y) \
	shift $n, Y3, Y7; \
	VPAND Y12, Y7, Y7; \
	VPOR Y7, y, y

// PAIR5 is PAIR with fifth bits.
#define PAIR5(wo, lo, hi, shift0, n0, shift1, n1) \
	SPLIT(wo, Y4, Y5); \
	FIFTH(shift0, n0, Y4); \
	FIFTH(shift1, n1, Y5); \
	VPBROADCASTD lo(SI), Y6; \
	VPBROADCASTD hi(SI), Y7; \
	VPMADDUBSW Y6, Y4, Y4; \
	VPMADDUBSW Y7, Y5, Y5

#define MOREPAIR5(wo, lo, hi, shift0, n0, shift1, n1) \
	PAIR5(wo, lo, hi, shift0, n0, shift1, n1); \
	VPADDW Y4, Y0, Y0; \
	VPADDW Y5, Y1, Y1

// HALF_Q5_K adds 16 columns and the 16 that are 32 further on, with the pair of
// scales in Y8, to Y2. Sums of four steps are at most 4*2*31*127 = 31496.
#define HALF_Q5_K(ho, wo, xo) \
	VMOVDQU ho(BX), Y3; \
	PAIR5(wo, xo, 32+xo, VPSLLW, 4, VPSLLW, 3); \
	VMOVDQA Y4, Y0; \
	VMOVDQA Y5, Y1; \
	MOREPAIR5(32+wo, 4+xo, 36+xo, VPSLLW, 2, VPSLLW, 1); \
	MOREPAIR5(64+wo, 8+xo, 40+xo, VPSRLW, 0, VPSRLW, 1); \
	MOREPAIR5(96+wo, 12+xo, 44+xo, VPSRLW, 2, VPSRLW, 3); \
	VPSHUFB doubleEven<>(SB), Y8, Y4; \
	VPSHUFB doubleOdd<>(SB), Y8, Y5; \
	VPMADDWD Y4, Y0, Y0; \
	VPMADDWD Y5, Y1, Y1; \
	VPADDD Y0, Y2, Y2; \
	VPADDD Y1, Y2, Y2

// Q5_K: as Q4_K, but before each 256 bytes of nibbles come 64 bytes of
// fifth bits.
TEXT repacked1Q5K<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGINREPACKED
	VMOVDQU fifthBits<>(SB), Y12
group:
	GROUP
loop:
	HEAD_K
pair:
	STREAM4(0)
	STREAM(256)
	HALF_Q5_K(0, 64, 0)
	HALF_Q5_K(32, 192, 16)
	END64_K(320)

// sixBits<> is the mask of six bits.
CONSTANT32(sixBits, $0x3f3f3f3f3f3f3f3f)

// SIXES takes 16 columns of six bits to Y4-Y6 and y: three registers of them, and a
// fourth in their upper two bits.
#define SIXES(wo, y) \
	VMOVDQU wo(BX), Y0; \
	VMOVDQU wo+32(BX), Y1; \
	VMOVDQU wo+64(BX), Y2; \
	VPAND Y15, Y0, Y4; \
	VPAND Y15, Y1, Y5; \
	VPAND Y15, Y2, Y6; \
	VPXOR Y4, Y0, Y0; \
	VPXOR Y5, Y1, Y1; \
	VPXOR Y6, Y2, Y2; \
	VPSRLW $6, Y0, Y0; \
	VPSRLW $4, Y1, Y1; \
	VPSRLW $2, Y2, Y2; \
	VPOR Y1, Y0, Y0; \
	VPOR Y2, Y0, y

// QUAD adds 16 columns, whose scales are in y (twice each), to sum. Sums of two
// steps are at most 2*2*63*127 = 32004.
#define QUAD(wo, xo, y, sum) \
	SIXES(wo, Y0); \
	VPBROADCASTD xo(SI), Y1; \
	VPBROADCASTD xo+4(SI), Y2; \
	VPMADDUBSW Y1, Y4, Y4; \
	VPMADDUBSW Y2, Y5, Y5; \
	VPBROADCASTD xo+8(SI), Y1; \
	VPBROADCASTD xo+12(SI), Y2; \
	VPMADDUBSW Y1, Y6, Y6; \
	VPMADDUBSW Y2, Y0, Y0; \
	VPADDW Y5, Y4, Y4; \
	VPADDW Y6, Y0, Y0; \
	VPMADDWD y, Y4, Y4; \
	VPMADDWD y, Y0, Y0; \
	VPADDD Y4, sum, sum; \
	VPADDD Y0, sum, sum

// Q6_K: a block is eight d (float16), eight times 16 bytes of pairs of
// scales, and 48 times 32 bytes of weights. The scales serve as minima, too.
TEXT repacked1Q6K<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGINREPACKED
	VMOVDQU sixBits<>(SB), Y15
	VMOVDQU doubleEven<>(SB), Y10
	VMOVDQU doubleOdd<>(SB), Y11
group:
	GROUP
super:
	STREAM4(0)
	STREAM(256)
	SUPER(2, 144)
block:
	AHEAD
	VPXOR Y12, Y12, Y12
	VPXOR Y13, Y13, Y13
	VCVTPH2PS (R9), Y3
	VBROADCASTSS (DI), Y7
	VMULPS Y7, Y3, Y3
	MOVQ $8, R10
pair:
	STREAM2(0)
	STREAM(128)
	VPMOVSXBW 16(R9), Y8
	VPBROADCASTD scaleQ8K_sum16(DI), Y7
	VPMADDWD Y8, Y7, Y7
	VPADDD Y7, Y13, Y13
	VPSHUFB Y10, Y8, Y9
	VPSHUFB Y11, Y8, Y8
	QUAD(0, 0, Y9, Y12)
	QUAD(96, 16, Y8, Y12)
	ADDQ $192, BX
	ADDQ $32, SI
	ADDQ $16, R9
	ADDQ $4, DI
	DECQ R10
	JNE  pair
	VPSLLD $5, Y13, Y13
	VPSUBD Y13, Y12, Y12
	VCVTDQ2PS Y12, Y12
	FMADD(Y3, Y12, Y14, Y6)
	ADDQ $16, R9
	ADDQ $(scaleQ8K__size-32), DI
	DECQ R8
	JNE  block
	TESTQ CX, CX
	JNE  super
	VMOVUPS Y14, (R13)
	NEXTGROUP

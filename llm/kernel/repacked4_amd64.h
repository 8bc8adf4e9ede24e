// Kernels for two and four vectors and repacked rows; included after
// repacked1_amd64.h. Each does for every vector what the kernel there does for one,
// with the same sums in float32 in the same order, and so gives the same bits; but weights
// are unpacked once for all.
//
//	SI, R11, R12   activations of the first vector; from one to the next, to the last
//	DI, R10        their scales; from one to the next (R14 those of the third)
//	AX             call at the ends of eight rows; else a counter, or scales that are
//	               unpacked

#define BEGINFOUR \
	BEGINREPACKED; \
	MOVQ call_xstep(AX), R11; \
	LEAQ (R11)(R11*2), R12; \
	MOVQ call_dstep(AX), R10

#define GROUPFOUR \
	MOVQ c+0(FP), AX; \
	MOVQ call_x(AX), SI; \
	MOVQ call_d(AX), DI; \
	MOVQ call_n(AX), CX

#define STOREFOUR(y0, y1, y2, y3) \
	MOVQ c+0(FP), AX; \
	MOVQ call_ystep(AX), R14; \
	LEAQ (R13)(R14*2), R9; \
	VMOVUPS y0, (R13); \
	VMOVUPS y1, (R13)(R14*1); \
	VMOVUPS y2, (R9); \
	VMOVUPS y3, (R9)(R14*1)

// FOUR_Q4_0 adds the weights in Y4 and Y5 times a vector's activations to y.
#define FOUR_Q4_0(lo, hi, x, y) \
	VPBROADCASTD lo x, Y6; \
	VPBROADCASTD hi x, Y7; \
	VPMADDUBSW Y6, Y4, Y6; \
	VPMADDUBSW Y7, Y5, Y7; \
	VPADDW Y6, y, y; \
	VPADDW Y7, y, y

#define PAIRS_Q4_0(wo, lo, hi) \
	SPLIT(wo, Y4, Y5); \
	FOUR_Q4_0(lo, hi, (SI), Y0); \
	FOUR_Q4_0(lo, hi, (SI)(R11*1), Y1); \
	FOUR_Q4_0(lo, hi, (SI)(R11*2), Y2); \
	FOUR_Q4_0(lo, hi, (SI)(R12*1), Y3)

#define END_Q4_0(d, y, sum) \
	VPMADDWD Y13, y, y; \
	FACTOR_Q4_0(d, y, sum)

#define FACTOR_Q4_0(d, y, sum) \
	VCVTDQ2PS y, y; \
	VBROADCASTSS 0 d, Y6; \
	VBROADCASTSS scaleQ8_sum8 d, Y7; \
	VMULPS Y6, y, y; \
	VADDPS Y7, y, y; \
	FMADD(Y12, y, sum, Y6)

// BODY_Q4_0 is a block: PAIR for each of its 32 bytes. BODY_Q8_0 likewise.
#define BODY_Q4_0(PAIR) \
	PAIR(0, 0, 16); \
	PAIR(32, 4, 20); \
	PAIR(64, 8, 24); \
	PAIR(96, 12, 28)

// FOURS is a complete kernel for blocks of 32, with bytes of weights each.
#define FOURS(FETCHES, BODY, END, bytes) \
	BEGINFOUR; \
	ONES(Y13); \
group: \
	GROUPFOUR; \
	VXORPS Y8, Y8, Y8; \
	VXORPS Y9, Y9, Y9; \
	VXORPS Y10, Y10, Y10; \
	VXORPS Y11, Y11, Y11; \
super: \
	FETCH(0); \
	AHEAD; \
	SUPER(4, 16); \
block: \
	FETCHES(0); \
	VPXOR Y0, Y0, Y0; \
	VPXOR Y1, Y1, Y1; \
	VPXOR Y2, Y2, Y2; \
	VPXOR Y3, Y3, Y3; \
	BODY; \
	VCVTPH2PS (R9), Y12; \
	LEAQ (DI)(R10*2), R14; \
	END((DI), Y0, Y8); \
	END((DI)(R10*1), Y1, Y9); \
	END((R14), Y2, Y10); \
	END((R14)(R10*1), Y3, Y11); \
	NEXTBLOCK(bytes); \
	STOREFOUR(Y8, Y9, Y10, Y11); \
	NEXTGROUP

TEXT repacked4Q40<>(SB), NOSPLIT|NOFRAME, $0-8
	FOURS(FETCH2, BODY_Q4_0(PAIRS_Q4_0), END_Q4_0, 128)

// TWOS is FOURS for two vectors, which wait for memory as one does: their weights are fetched in the same ways. R12 and R10
// lead to the second vector's activations and scales.
#define TWOS(STREAMS, BODY, END, bytes) \
	BEGINREPACKED; \
	MOVQ call_xstep(AX), R12; \
	MOVQ call_dstep(AX), R10; \
	ONES(Y13); \
group: \
	GROUPFOUR; \
	VXORPS Y8, Y8, Y8; \
	VXORPS Y9, Y9, Y9; \
super: \
	STREAM(0); \
	AHEAD; \
	SUPER(4, 16); \
block: \
	STREAMS(0); \
	VPXOR Y0, Y0, Y0; \
	VPXOR Y1, Y1, Y1; \
	BODY; \
	VCVTPH2PS (R9), Y12; \
	END((DI), Y0, Y8); \
	END((DI)(R10*1), Y1, Y9); \
	NEXTBLOCK(bytes); \
	MOVQ call_ystep(AX), R14; \
	VMOVUPS Y8, (R13); \
	VMOVUPS Y9, (R13)(R14*1); \
	NEXTGROUP

#define PAIRTWO_Q4_0(wo, lo, hi) \
	SPLIT(wo, Y4, Y5); \
	FOUR_Q4_0(lo, hi, (SI), Y0); \
	FOUR_Q4_0(lo, hi, (SI)(R12*1), Y1)

TEXT repacked2Q40<>(SB), NOSPLIT|NOFRAME, $0-8
	TWOS(STREAM2, BODY_Q4_0(PAIRTWO_Q4_0), END_Q4_0, 128)

// FOUR_Q8_0 adds the weights in Y4, of the size in Y5, times a vector's activations
// to y.
#define FOUR_Q8_0(xo, x, y) \
	VPBROADCASTD xo x, Y6; \
	VPSIGNB Y4, Y6, Y6; \
	VPMADDUBSW Y6, Y5, Y6; \
	VPMADDWD Y13, Y6, Y6; \
	VPADDD Y6, y, y

#define SIGNEDFOUR(wo, xo) \
	VMOVDQU wo(BX), Y4; \
	VPABSB Y4, Y5; \
	FOUR_Q8_0(xo, (SI), Y0); \
	FOUR_Q8_0(xo, (SI)(R11*1), Y1); \
	FOUR_Q8_0(xo, (SI)(R11*2), Y2); \
	FOUR_Q8_0(xo, (SI)(R12*1), Y3)

#define END_Q8_0(d, y, sum) \
	VCVTDQ2PS y, y; \
	VBROADCASTSS 0 d, Y6; \
	VMULPS Y6, y, y; \
	FMADD(Y12, y, sum, Y6)

#define BODY_Q8_0(SIGNED) \
	SIGNED(0, 0); \
	SIGNED(32, 4); \
	SIGNED(64, 8); \
	SIGNED(96, 12); \
	SIGNED(128, 16); \
	SIGNED(160, 20); \
	SIGNED(192, 24); \
	SIGNED(224, 28)

TEXT repacked4Q80<>(SB), NOSPLIT|NOFRAME, $0-8
	FOURS(FETCH4, BODY_Q8_0(SIGNEDFOUR), END_Q8_0, 256)

#define SIGNEDTWO(wo, xo) \
	VMOVDQU wo(BX), Y4; \
	VPABSB Y4, Y5; \
	FOUR_Q8_0(xo, (SI), Y0); \
	FOUR_Q8_0(xo, (SI)(R12*1), Y1)

TEXT repacked2Q80<>(SB), NOSPLIT|NOFRAME, $0-8
	TWOS(STREAM4, BODY_Q8_0(SIGNEDTWO), END_Q8_0, 256)

// Where the K types keep on the stack what does not fit in registers: four pairs of
// scales, and for each vector its sum in int32, its minima and its sum in float32.
#define FRAMESCALES 0
#define FRAMESUMS 128
#define FRAMEMINIMA 256
#define FRAMETOTALS 384

#define CLEARFOUR(at) \
	VPXOR Y0, Y0, Y0; \
	VMOVDQU Y0, at(SP); \
	VMOVDQU Y0, at+32(SP); \
	VMOVDQU Y0, at+64(SP); \
	VMOVDQU Y0, at+96(SP)

#define STORETOTALS(at) \
	VMOVUPS at(SP), Y0; \
	VMOVUPS at+32(SP), Y1; \
	VMOVUPS at+64(SP), Y2; \
	VMOVUPS at+96(SP), Y3; \
	STOREFOUR(Y0, Y1, Y2, Y3)

// MINIMAFOUR puts the sum of the minima in Y8-Y11 times those of a vector's activations.
#define MINIMAFOUR(d, at) \
	VPBROADCASTD scaleQ8K_sum32 d, Y4; \
	VPBROADCASTD scaleQ8K_sum32+4 d, Y5; \
	VPBROADCASTD scaleQ8K_sum32+8 d, Y6; \
	VPBROADCASTD scaleQ8K_sum32+12 d, Y7; \
	VPMADDWD Y8, Y4, Y4; \
	VPMADDWD Y9, Y5, Y5; \
	VPMADDWD Y10, Y6, Y6; \
	VPMADDWD Y11, Y7, Y7; \
	VPADDD Y5, Y4, Y4; \
	VPADDD Y7, Y6, Y6; \
	VPADDD Y6, Y4, Y4; \
	VMOVDQU Y4, at(SP)

// HEADFOUR reads the head of a block of Q4_K or Q5_K.
#define HEADFOUR \
	LEAQ (DI)(R10*2), R14; \
	SIXBITS(64, 112); \
	MINIMAFOUR((DI), FRAMEMINIMA); \
	MINIMAFOUR((DI)(R10*1), FRAMEMINIMA+32); \
	MINIMAFOUR((R14), FRAMEMINIMA+64); \
	MINIMAFOUR((R14)(R10*1), FRAMEMINIMA+96); \
	SIXBITS(32, 96); \
	VMOVDQU Y8, FRAMESCALES(SP); \
	VMOVDQU Y9, FRAMESCALES+32(SP); \
	VMOVDQU Y10, FRAMESCALES+64(SP); \
	VMOVDQU Y11, FRAMESCALES+96(SP); \
	CLEARFOUR(FRAMESUMS); \
	MOVQ BX, R9; \
	ADDQ $128, BX; \
	LEAQ FRAMESCALES(SP), AX; \
	MOVQ $4, R8

// SCALESFOUR brings the next pair of scales to Y12 and Y13.
#define SCALESFOUR \
	VMOVDQU (AX), Y14; \
	VPSHUFB doubleEven<>(SB), Y14, Y12; \
	VPSHUFB doubleOdd<>(SB), Y14, Y13; \
	ADDQ $32, AX

// FOUR_K adds the weights in Y8 and Y9 times a vector's activations to a and b;
// FIRST_K sets these.
#define FIRST_K(lo, hi, x, a, b) \
	VPBROADCASTD lo x, a; \
	VPBROADCASTD hi x, b; \
	VPMADDUBSW a, Y8, a; \
	VPMADDUBSW b, Y9, b

#define FOUR_K(lo, hi, x, a, b) \
	FIRST_K(lo, hi, x, Y10, Y11); \
	VPADDW Y10, a, a; \
	VPADDW Y11, b, b

#define FIRSTFOUR(lo, hi) \
	FIRST_K(lo, hi, (SI), Y0, Y1); \
	FIRST_K(lo, hi, (SI)(R11*1), Y2, Y3); \
	FIRST_K(lo, hi, (SI)(R11*2), Y4, Y5); \
	FIRST_K(lo, hi, (SI)(R12*1), Y6, Y7)

#define MOREFOUR(lo, hi) \
	FOUR_K(lo, hi, (SI), Y0, Y1); \
	FOUR_K(lo, hi, (SI)(R11*1), Y2, Y3); \
	FOUR_K(lo, hi, (SI)(R11*2), Y4, Y5); \
	FOUR_K(lo, hi, (SI)(R12*1), Y6, Y7)

#define SCALEDONE(a, b, at) \
	VPMADDWD Y12, a, a; \
	VPMADDWD Y13, b, b; \
	VPADDD b, a, a; \
	VPADDD at(SP), a, a; \
	VMOVDQU a, at(SP)

#define SCALEDFOUR \
	SCALEDONE(Y0, Y1, FRAMESUMS); \
	SCALEDONE(Y2, Y3, FRAMESUMS+32); \
	SCALEDONE(Y4, Y5, FRAMESUMS+64); \
	SCALEDONE(Y6, Y7, FRAMESUMS+96)

// END_K adds a vector's block, with d in Y8 and dmin in Y9, to its total.
#define END_K(d, at) \
	VCVTDQ2PS FRAMESUMS+at(SP), Y0; \
	VCVTDQ2PS FRAMEMINIMA+at(SP), Y1; \
	VMULPS Y8, Y0, Y0; \
	VMULPS Y9, Y1, Y1; \
	VSUBPS Y1, Y0, Y0; \
	VBROADCASTSS 0 d, Y2; \
	VMOVUPS FRAMETOTALS+at(SP), Y3; \
	FMADD(Y2, Y0, Y3, Y4); \
	VMOVUPS Y3, FRAMETOTALS+at(SP)

#define ENDFOUR_K \
	VCVTPH2PS (R9), Y8; \
	VCVTPH2PS 16(R9), Y9; \
	LEAQ (DI)(R10*2), R14; \
	END_K((DI), 0); \
	END_K((DI)(R10*1), 32); \
	END_K((R14), 64); \
	END_K((R14)(R10*1), 96)

// EACHPAIR begins the loops over rows, blocks and pairs of scales, each for 64
// columns; NEXTPAIR ends them. bytes is what the weights of 64 columns take.
#define EACHPAIR \
	BEGINFOUR; \
group: \
	GROUPFOUR; \
	CLEARFOUR(FRAMETOTALS); \
loop: \
	FETCH2(0); \
	AHEAD; \
	HEADFOUR; \
pair: \
	FETCH4(0)

#define NEXTPAIR(bytes) \
	ADDQ $bytes, BX; \
	ADDQ $64, SI; \
	DECQ R8; \
	JNE  pair; \
	ENDFOUR_K; \
	ADDQ $scaleQ8K__size, DI; \
	DECQ CX; \
	JNE  loop; \
	STORETOTALS(FRAMETOTALS); \
	NEXTGROUP

TEXT repacked4Q4K<>(SB), NOSPLIT, $512-8
	EACHPAIR
	SPLIT(0, Y8, Y9)
	FIRSTFOUR(0, 32)
	SPLIT(32, Y8, Y9)
	MOREFOUR(4, 36)
	SPLIT(64, Y8, Y9)
	MOREFOUR(8, 40)
	SPLIT(96, Y8, Y9)
	MOREFOUR(12, 44)
	SPLIT(128, Y8, Y9)
	MOREFOUR(16, 48)
	SPLIT(160, Y8, Y9)
	MOREFOUR(20, 52)
	SPLIT(192, Y8, Y9)
	MOREFOUR(24, 56)
	SPLIT(224, Y8, Y9)
	MOREFOUR(28, 60)
	SCALESFOUR
	SCALEDFOUR
	NEXTPAIR(256)

// FIFTHFOUR joins y with a bit of each byte of Y14, shifted to its place.
#define FIFTHFOUR(shift, n, y) \
	shift $n, Y14, Y10; \
	VPAND fifthBits<>(SB), Y10, Y10; \
	VPOR Y10, y, y

#define NIBBLES5(wo, shift0, n0, shift1, n1) \
	SPLIT(wo, Y8, Y9); \
	FIFTHFOUR(shift0, n0, Y8); \
	FIFTHFOUR(shift1, n1, Y9)

// HALFFOUR_Q5_K is HALF_Q5_K for four vectors.
#define HALFFOUR_Q5_K(ho, wo, xo) \
	VMOVDQU ho(BX), Y14; \
	NIBBLES5(wo, VPSLLW, 4, VPSLLW, 3); \
	FIRSTFOUR(xo, 32+xo); \
	NIBBLES5(32+wo, VPSLLW, 2, VPSLLW, 1); \
	MOREFOUR(4+xo, 36+xo); \
	NIBBLES5(64+wo, VPSRLW, 0, VPSRLW, 1); \
	MOREFOUR(8+xo, 40+xo); \
	NIBBLES5(96+wo, VPSRLW, 2, VPSRLW, 3); \
	MOREFOUR(12+xo, 44+xo); \
	SCALEDFOUR

TEXT repacked4Q5K<>(SB), NOSPLIT, $512-8
	EACHPAIR
	FETCH(256)
	SCALESFOUR
	HALFFOUR_Q5_K(0, 64, 0)
	HALFFOUR_Q5_K(32, 192, 16)
	NEXTPAIR(320)

// FOUR_Q6_K adds the weights in Y4-Y7 times a vector's activations, with the scales
// in s, to y.
#define FOUR_Q6_K(xo, x, s, y) \
	VPBROADCASTD xo x, Y0; \
	VPBROADCASTD xo+4 x, Y1; \
	VPBROADCASTD xo+8 x, Y2; \
	VPBROADCASTD xo+12 x, Y3; \
	VPMADDUBSW Y0, Y4, Y0; \
	VPMADDUBSW Y1, Y5, Y1; \
	VPMADDUBSW Y2, Y6, Y2; \
	VPMADDUBSW Y3, Y7, Y3; \
	VPADDW Y1, Y0, Y0; \
	VPADDW Y3, Y2, Y2; \
	VPMADDWD s, Y0, Y0; \
	VPMADDWD s, Y2, Y2; \
	VPADDD Y0, y, y; \
	VPADDD Y2, y, y

// QUADFOUR is QUAD for four vectors, whose sums are in Y8-Y11.
#define QUADFOUR(wo, xo, s) \
	SIXES(wo, Y7); \
	FOUR_Q6_K(xo, (SI), s, Y8); \
	FOUR_Q6_K(xo, (SI)(R11*1), s, Y9); \
	FOUR_Q6_K(xo, (SI)(R11*2), s, Y10); \
	FOUR_Q6_K(xo, (SI)(R12*1), s, Y11)

// MINUS32 subtracts the scales in Y12, times 32 and a vector's sums, from y.
#define MINUS32(d, y) \
	VPBROADCASTD scaleQ8K_sum16 d, Y0; \
	VPMADDWD Y12, Y0, Y0; \
	VPSLLD $5, Y0, Y0; \
	VPSUBD Y0, y, y

#define END_Q6_K(d, y, at) \
	VBROADCASTSS -32 d, Y0; \
	VMULPS FRAMESCALES(SP), Y0, Y0; \
	VCVTDQ2PS y, y; \
	VMOVUPS at(SP), Y1; \
	FMADD(Y0, y, Y1, Y2); \
	VMOVUPS Y1, at(SP)

#define PAIRFOUR_Q6_K \
	QUADFOUR(0, 0, Y13); \
	QUADFOUR(96, 16, Y14)

// FOURS_Q6_K is a complete kernel; PAIR multiplies 32 columns, whose scales are in Y13 and Y14.
#define FOURS_Q6_K(PAIR) \
	BEGINFOUR; \
	VMOVDQU sixBits<>(SB), Y15; \
group: \
	GROUPFOUR; \
	CLEARFOUR(FRAMETOTALS); \
super: \
	FETCH4(0); \
	FETCH(256); \
	SUPER(2, 144); \
block: \
	AHEAD; \
	VCVTPH2PS (R9), Y0; \
	VMOVUPS Y0, FRAMESCALES(SP); \
	VPXOR Y8, Y8, Y8; \
	VPXOR Y9, Y9, Y9; \
	VPXOR Y10, Y10, Y10; \
	VPXOR Y11, Y11, Y11; \
	MOVQ $8, AX; \
pair: \
	FETCH2(0); \
	FETCH(128); \
	VPMOVSXBW 16(R9), Y12; \
	LEAQ (DI)(R10*2), R14; \
	MINUS32((DI), Y8); \
	MINUS32((DI)(R10*1), Y9); \
	MINUS32((R14), Y10); \
	MINUS32((R14)(R10*1), Y11); \
	VPSHUFB doubleEven<>(SB), Y12, Y13; \
	VPSHUFB doubleOdd<>(SB), Y12, Y14; \
	PAIR; \
	ADDQ $192, BX; \
	ADDQ $32, SI; \
	ADDQ $16, R9; \
	ADDQ $4, DI; \
	DECQ AX; \
	JNE  pair; \
	LEAQ (DI)(R10*2), R14; \
	END_Q6_K((DI), Y8, FRAMETOTALS); \
	END_Q6_K((DI)(R10*1), Y9, FRAMETOTALS+32); \
	END_Q6_K((R14), Y10, FRAMETOTALS+64); \
	END_Q6_K((R14)(R10*1), Y11, FRAMETOTALS+96); \
	ADDQ $16, R9; \
	ADDQ $(scaleQ8K__size-32), DI; \
	DECQ R8; \
	JNE  block; \
	TESTQ CX, CX; \
	JNE  super; \
	STORETOTALS(FRAMETOTALS); \
	NEXTGROUP

TEXT repacked4Q6K<>(SB), NOSPLIT, $512-8
	FOURS_Q6_K(PAIRFOUR_Q6_K)

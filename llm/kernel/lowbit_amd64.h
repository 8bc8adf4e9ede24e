// Kernels for repacked rows of the types of one to four bits (see layouts_amd64.go), for one vector and
// for four. Each is a macro that takes the weights apart and TAKEs four columns of eight rows at
// a time; both kernels add in the same order, and so give the same bits. Registers are those of
// repacked1_amd64.h and repacked4_amd64.h, and
//
//	Y4 packed weights, Y5 four columns of unsigned bytes, Y12 the rows' scale
//	Y13 ones, or what the sums are multiplied with

#include "trits_amd64.h"

CONSTANT32(mask03, $0x0303030303030303)
CONSTANT32(mask01, $0x0101010101010101)
CONSTANT32(eighths, $0x3e0000003e000000)
CONSTANT32(threeHalves, $0x3fc000003fc00000)

#define TAKELOW(x, y) \
	VPBROADCASTD x, Y6; \
	VPMADDUBSW Y6, Y5, Y6; \
	VPADDW Y6, y, y

#define TAKELOW1(xo) TAKELOW(xo(SI), Y0)

#define TAKELOW4(xo) \
	TAKELOW(xo(SI), Y0); \
	TAKELOW(xo(SI)(R11*1), Y1); \
	TAKELOW(xo(SI)(R11*2), Y2); \
	TAKELOW(xo(SI)(R12*1), Y3)

// ENDLOW adds 32 columns to a vector's sum. Weights are 1 too large; the second number of an
// activations' scale is -8 times their sum.
#define ENDLOW(d, y, sum) \
	VPMADDWD Y13, y, y; \
	FACTORLOW(d, y, sum)

#define FACTORLOW(d, y, sum) \
	VCVTDQ2PS y, y; \
	VBROADCASTSS 0 d, Y6; \
	VBROADCASTSS scaleQ8_sum8 d, Y7; \
	VMULPS Y6, y, y; \
	VMULPS eighths<>(SB), Y7, Y7; \
	VADDPS Y7, y, y; \
	FMADD(Y12, y, sum, Y6)

// PARTONE and PARTFOUR are 32 columns; TAKER multiplies and END adds what that makes to the vectors' sums.
#define PARTONE(TAKER, END, BODY, n) \
	VPXOR Y0, Y0, Y0; \
	BODY(TAKER, n); \
	END((DI), Y0, Y14); \
	ADDQ $32, SI; \
	ADDQ $scaleQ8__size, DI

#define PART1(BODY, n) PARTONE(TAKELOW1, ENDLOW, BODY, n)

#define CLEARLOW4 \
	VPXOR Y0, Y0, Y0; \
	VPXOR Y1, Y1, Y1; \
	VPXOR Y2, Y2, Y2; \
	VPXOR Y3, Y3, Y3

#define ENDS4(END) \
	LEAQ (DI)(R10*2), R14; \
	END((DI), Y0, Y8); \
	END((DI)(R10*1), Y1, Y9); \
	END((R14), Y2, Y10); \
	END((R14)(R10*1), Y3, Y11)

#define PARTFOUR(TAKER, END, BODY, n) \
	CLEARLOW4; \
	BODY(TAKER, n); \
	ENDS4(END); \
	ADDQ $32, SI; \
	ADDQ $scaleQ8__size, DI

#define PART4(BODY, n) PARTFOUR(TAKELOW4, ENDLOW, BODY, n)

// LOW1 and LOW4 are complete kernels. A block is 32<<shift columns (of Q8K activations 256<<shift), as many
// as together have their heads in front of their bodies.
#define LOW1(shift, together, head, SCALE, STREAMS, PARTS, bytes) \
group: \
	GROUP; \
	SHRQ $shift, CX; \
super: \
	STREAM(0); \
	AHEAD; \
	SUPER(together, head); \
block: \
	STREAMS(0); \
	SCALE; \
	PARTS; \
	ADDQ $bytes, BX; \
	ADDQ $head, R9; \
	DECQ R8; \
	JNE  block; \
	TESTQ CX, CX; \
	JNE  super; \
	VMOVUPS Y14, (R13); \
	NEXTGROUP

#define LOW4(shift, together, head, SCALE, FETCHES, PARTS, bytes) \
group: \
	GROUPFOUR; \
	SHRQ $shift, CX; \
	VXORPS Y8, Y8, Y8; \
	VXORPS Y9, Y9, Y9; \
	VXORPS Y10, Y10, Y10; \
	VXORPS Y11, Y11, Y11; \
super: \
	FETCH(0); \
	AHEAD; \
	SUPER(together, head); \
block: \
	FETCHES(0); \
	SCALE; \
	PARTS; \
	ADDQ $bytes, BX; \
	ADDQ $head, R9; \
	DECQ R8; \
	JNE  block; \
	TESTQ CX, CX; \
	JNE  super; \
	STOREFOUR(Y8, Y9, Y10, Y11); \
	NEXTGROUP

#define SCALEHALF VCVTPH2PS (R9), Y12

// Q2_0 and PQ2_0: each 32 bytes are 16 columns, four at a time in two bits of each byte.

#define BITS2(TAKER, wo, x0, x1, x2, x3) \
	VMOVDQU wo(BX), Y4; \
	VPAND Y15, Y4, Y5; \
	TAKER(x0); \
	VPSRLW $2, Y4, Y5; \
	VPAND Y15, Y5, Y5; \
	TAKER(x1); \
	VPSRLW $4, Y4, Y5; \
	VPAND Y15, Y5, Y5; \
	TAKER(x2); \
	VPSRLW $6, Y4, Y5; \
	VPAND Y15, Y5, Y5; \
	TAKER(x3)

#define BODY_Q2_0(TAKER, n) \
	BITS2(TAKER, 64*n, 0, 4, 8, 12); \
	BITS2(TAKER, 64*n+32, 16, 20, 24, 28)

#define PARTS_Q2_0(PART) \
	PART(BODY_Q2_0, 0); \
	PART(BODY_Q2_0, 1)

#define PARTS_PQ2_0(PART) \
	PARTS_Q2_0(PART); \
	PART(BODY_Q2_0, 2); \
	PART(BODY_Q2_0, 3)

TEXT repacked1Q20<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGINREPACKED
	ONES(Y13)
	VMOVDQU mask03<>(SB), Y15
	LOW1(1, 4, 16, SCALEHALF, STREAM2, PARTS_Q2_0(PART1), 128)

TEXT repacked4Q20<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGINFOUR
	ONES(Y13)
	VMOVDQU mask03<>(SB), Y15
	LOW4(1, 4, 16, SCALEHALF, FETCH2, PARTS_Q2_0(PART4), 128)

TEXT repacked1PQ20<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGINREPACKED
	ONES(Y13)
	VMOVDQU mask03<>(SB), Y15
	LOW1(2, 2, 16, SCALEHALF, STREAM4, PARTS_PQ2_0(PART1), 256)

TEXT repacked4PQ20<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGINFOUR
	ONES(Y13)
	VMOVDQU mask03<>(SB), Y15
	LOW4(2, 2, 16, SCALEHALF, FETCH4, PARTS_PQ2_0(PART4), 256)

// Q1_0: each 32 bytes are 32 columns, four at a time in a bit of each byte. A weight is twice the bit, less 1:
// Y13 holds twos.

#define BIT(TAKER, n, xo) \
	VPSRLW $n, Y4, Y5; \
	VPAND Y15, Y5, Y5; \
	TAKER(xo)

#define BODY_Q1_0(TAKER, n) \
	VMOVDQU 32*n(BX), Y4; \
	VPAND Y15, Y4, Y5; \
	TAKER(0); \
	BIT(TAKER, 1, 4); \
	BIT(TAKER, 2, 8); \
	BIT(TAKER, 3, 12); \
	BIT(TAKER, 4, 16); \
	BIT(TAKER, 5, 20); \
	BIT(TAKER, 6, 24); \
	BIT(TAKER, 7, 28)

#define PARTS_Q1_0(PART) \
	PART(BODY_Q1_0, 0); \
	PART(BODY_Q1_0, 1); \
	PART(BODY_Q1_0, 2); \
	PART(BODY_Q1_0, 3)

#define CONSTANTS_Q1_0 \
	ONES(Y13); \
	VPADDW Y13, Y13, Y13; \
	VMOVDQU mask01<>(SB), Y15

TEXT repacked1Q10<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGINREPACKED
	CONSTANTS_Q1_0
	LOW1(2, 4, 16, SCALEHALF, STREAM2, PARTS_Q1_0(PART1), 128)

TEXT repacked4Q10<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGINFOUR
	CONSTANTS_Q1_0
	LOW4(2, 4, 16, SCALEHALF, FETCH2, PARTS_Q1_0(PART4), 128)

// PTQ1_0: four times 32 bytes have the first 80 columns, each digit of all of them before the next; two times
// 32 bytes the next 40; 16 bytes the last 8. One vector has room for four registers of digits;
// with four they are on the stack.

#define TRIT(TAKER, s, xo) \
	DIGIT(s); \
	TAKER(xo); \
	NEXTDIGIT(s)

#define LASTTRIT(TAKER, s, xo) \
	DIGIT(s); \
	TAKER(xo)

#define TRITS(wo, s) \
	VMOVDQU wo(BX), s; \
	VPXOR trit80<>(SB), s, s

#define FOURTRITS(TRIT, TAKER, xo, s0, s1, s2, s3) \
	TRIT(TAKER, s0, xo); \
	TRIT(TAKER, s1, xo+4); \
	TRIT(TAKER, s2, xo+8); \
	TRIT(TAKER, s3, xo+12)

#define PARTTRIT1(END) \
	END((DI), Y0, Y14); \
	VPXOR Y0, Y0, Y0; \
	ADDQ $32, SI; \
	ADDQ $scaleQ8__size, DI

#define PARTS1_PTQ1_0(TAKER, END) \
	VPXOR Y0, Y0, Y0; \
	TRITS(0, Y1); \
	TRITS(32, Y2); \
	TRITS(64, Y3); \
	TRITS(96, Y4); \
	FOURTRITS(TRIT, TAKER, 0, Y1, Y2, Y3, Y4); \
	FOURTRITS(TRIT, TAKER, 16, Y1, Y2, Y3, Y4); \
	PARTTRIT1(END); \
	FOURTRITS(TRIT, TAKER, 0, Y1, Y2, Y3, Y4); \
	FOURTRITS(TRIT, TAKER, 16, Y1, Y2, Y3, Y4); \
	PARTTRIT1(END); \
	FOURTRITS(LASTTRIT, TAKER, 0, Y1, Y2, Y3, Y4); \
	TRITS(128, Y1); \
	TRITS(160, Y2); \
	FOURTRITS(TRIT, TAKER, 16, Y1, Y2, Y1, Y2); \
	PARTTRIT1(END); \
	FOURTRITS(TRIT, TAKER, 0, Y1, Y2, Y1, Y2); \
	LASTTRIT(TAKER, Y1, 16); \
	LASTTRIT(TAKER, Y2, 20); \
	LASTDIGITS(192(BX), Y3); \
	LASTTRIT(TAKER, Y3, 24); \
	NEXTDIGIT(Y3); \
	NEXTDIGIT(Y3); \
	LASTTRIT(TAKER, Y3, 28); \
	PARTTRIT1(END)

TEXT repacked1PTQ10<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGINREPACKED
	ONES(Y13)
	LOW1(2, 2, 16, SCALEHALF, STREAM4, PARTS1_PTQ1_0(TAKELOW1, ENDLOW), 208)

#define STACKTRITS(wo, at) \
	TRITS(wo, Y4); \
	VMOVDQU Y4, at(SP)

#define STACKTRIT(TAKER, at, xo) \
	VMOVDQU at(SP), Y4; \
	DIGIT(Y4); \
	TAKER(xo); \
	NEXTDIGIT(Y4); \
	VMOVDQU Y4, at(SP)

#define STACKFOUR(TAKER, xo, a, b, c, d) \
	STACKTRIT(TAKER, a, xo); \
	STACKTRIT(TAKER, b, xo+4); \
	STACKTRIT(TAKER, c, xo+8); \
	STACKTRIT(TAKER, d, xo+12)

#define PARTTRIT4(END) \
	ENDS4(END); \
	CLEARLOW4; \
	ADDQ $32, SI; \
	ADDQ $scaleQ8__size, DI

#define PARTS4_PTQ1_0(TAKER, END) \
	CLEARLOW4; \
	STACKTRITS(0, 0); \
	STACKTRITS(32, 32); \
	STACKTRITS(64, 64); \
	STACKTRITS(96, 96); \
	STACKFOUR(TAKER, 0, 0, 32, 64, 96); \
	STACKFOUR(TAKER, 16, 0, 32, 64, 96); \
	PARTTRIT4(END); \
	STACKFOUR(TAKER, 0, 0, 32, 64, 96); \
	STACKFOUR(TAKER, 16, 0, 32, 64, 96); \
	PARTTRIT4(END); \
	STACKFOUR(TAKER, 0, 0, 32, 64, 96); \
	STACKTRITS(128, 0); \
	STACKTRITS(160, 32); \
	STACKFOUR(TAKER, 16, 0, 32, 0, 32); \
	PARTTRIT4(END); \
	STACKFOUR(TAKER, 0, 0, 32, 0, 32); \
	STACKTRIT(TAKER, 0, 16); \
	STACKTRIT(TAKER, 32, 20); \
	LASTDIGITS(192(BX), Y4); \
	LASTTRIT(TAKER, Y4, 24); \
	NEXTDIGIT(Y4); \
	NEXTDIGIT(Y4); \
	LASTTRIT(TAKER, Y4, 28); \
	PARTTRIT4(END)

TEXT repacked4PTQ10<>(SB), NOSPLIT, $128-8
	BEGINFOUR
	ONES(Y13)
	LOW4(2, 2, 16, SCALEHALF, FETCH4, PARTS4_PTQ1_0(TAKELOW4, ENDLOW), 208)

// TQ2_0: each 32 bytes are four columns in each of four runs of 32, of 128. A half's sum in int16 is at most
// 32*2*3*127 = 24384.

#define HALF_TQ2_0(TAKER, wo) \
	BITS2(TAKER, wo, 0, 32, 64, 96); \
	BITS2(TAKER, wo+32, 4, 36, 68, 100); \
	BITS2(TAKER, wo+64, 8, 40, 72, 104); \
	BITS2(TAKER, wo+96, 12, 44, 76, 108); \
	BITS2(TAKER, wo+128, 16, 48, 80, 112); \
	BITS2(TAKER, wo+160, 20, 52, 84, 116); \
	BITS2(TAKER, wo+192, 24, 56, 88, 120); \
	BITS2(TAKER, wo+224, 28, 60, 92, 124)

#define ENDHALF(so, d, y, sum) \
	VPMADDWD Y13, y, y; \
	FACTORHALF(so, d, y, sum)

#define FACTORHALF(so, d, y, sum) \
	VPBROADCASTD scaleQ8K_sum32+so d, Y6; \
	VPBROADCASTD scaleQ8K_sum32+so+4 d, Y7; \
	VPMADDWD Y13, Y6, Y6; \
	VPMADDWD Y13, Y7, Y7; \
	VPSUBD Y6, y, y; \
	VPSUBD Y7, y, y; \
	VCVTDQ2PS y, y; \
	VBROADCASTSS 0 d, Y6; \
	VMULPS Y12, Y6, Y6; \
	FMADD(Y6, y, sum, Y7)

#define ENDFIRST(d, y, sum) ENDHALF(0, d, y, sum)
#define ENDSECOND(d, y, sum) ENDHALF(8, d, y, sum)

#define PARTS1_TQ2_0(TAKER, FIRST, SECOND) \
	VPXOR Y0, Y0, Y0; \
	HALF_TQ2_0(TAKER, 0); \
	FIRST((DI), Y0, Y14); \
	STREAM4(256); \
	ADDQ $128, SI; \
	VPXOR Y0, Y0, Y0; \
	HALF_TQ2_0(TAKER, 256); \
	SECOND((DI), Y0, Y14); \
	ADDQ $128, SI; \
	ADDQ $scaleQ8K__size, DI

#define PARTS4_TQ2_0(TAKER, FIRST, SECOND) \
	CLEARLOW4; \
	HALF_TQ2_0(TAKER, 0); \
	ENDS4(FIRST); \
	FETCH4(256); \
	ADDQ $128, SI; \
	CLEARLOW4; \
	HALF_TQ2_0(TAKER, 256); \
	ENDS4(SECOND); \
	ADDQ $128, SI; \
	ADDQ $scaleQ8K__size, DI

TEXT repacked1TQ20<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGINREPACKED
	ONES(Y13)
	VMOVDQU mask03<>(SB), Y15
	LOW1(0, 2, 16, SCALEHALF, STREAM4, PARTS1_TQ2_0(TAKELOW1, ENDFIRST, ENDSECOND), 512)

TEXT repacked4TQ20<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGINFOUR
	ONES(Y13)
	VMOVDQU mask03<>(SB), Y15
	LOW4(0, 2, 16, SCALEHALF, FETCH4, PARTS4_TQ2_0(TAKELOW4, ENDFIRST, ENDSECOND), 512)

// MXFP4: nibbles as in Q4_0, which stand for numbers; 12 is added to these, in Y10 or Y14, to make them
// unsigned. Sums of four products are at most 4*24*127 = 12192 and are widened at once.

DATA floats4Plus12<>+0(SB)/8, $0x181412100f0e0d0c
DATA floats4Plus12<>+8(SB)/8, $0x00040608090a0b0c
DATA floats4Plus12<>+16(SB)/8, $0x181412100f0e0d0c
DATA floats4Plus12<>+24(SB)/8, $0x00040608090a0b0c
GLOBL floats4Plus12<>(SB), RODATA|NOPTR, $32

// The scale is that of LOAD_MXFP4.
#define SCALE_MXFP4 \
	VMOVQ (R9), X12; \
	VPSUBUSB mask01<>(SB), X12, X12; \
	VPMOVZXBD X12, Y12; \
	VPSLLD $23, Y12, Y12

#define TAKE_MXFP4(lo, hi, y) \
	VPBROADCASTD lo, Y6; \
	VPBROADCASTD hi, Y7; \
	VPMADDUBSW Y6, Y4, Y6; \
	VPMADDUBSW Y7, Y5, Y7; \
	VPADDW Y7, Y6, Y6; \
	VPMADDWD Y13, Y6, Y6; \
	VPADDD Y6, y, y

#define TAKE1_MXFP4(lo, hi) TAKE_MXFP4(lo(SI), hi(SI), Y0)

#define TAKE4_MXFP4(lo, hi) \
	TAKE_MXFP4(lo(SI), hi(SI), Y0); \
	TAKE_MXFP4(lo(SI)(R11*1), hi(SI)(R11*1), Y1); \
	TAKE_MXFP4(lo(SI)(R11*2), hi(SI)(R11*2), Y2); \
	TAKE_MXFP4(lo(SI)(R12*1), hi(SI)(R12*1), Y3)

#define PAIR_MXFP4(TAKER, wo, lo, hi, table) \
	SPLIT(wo, Y4, Y5); \
	VPSHUFB Y4, table, Y4; \
	VPSHUFB Y5, table, Y5; \
	TAKER(lo, hi)

#define BODY_MXFP4(TAKER, table) \
	PAIR_MXFP4(TAKER, 0, 0, 16, table); \
	PAIR_MXFP4(TAKER, 32, 4, 20, table); \
	PAIR_MXFP4(TAKER, 64, 8, 24, table); \
	PAIR_MXFP4(TAKER, 96, 12, 28, table)

#define END_MXFP4(d, y, sum) \
	VCVTDQ2PS y, y; \
	VBROADCASTSS 0 d, Y6; \
	VBROADCASTSS scaleQ8_sum8 d, Y7; \
	VMULPS Y6, y, y; \
	VMULPS threeHalves<>(SB), Y7, Y7; \
	VADDPS Y7, y, y; \
	FMADD(Y12, y, sum, Y6)

#define PARTS1_MXFP4(TAKER) \
	VPXOR Y0, Y0, Y0; \
	BODY_MXFP4(TAKER, Y10); \
	END_MXFP4((DI), Y0, Y14); \
	ADDQ $32, SI; \
	ADDQ $scaleQ8__size, DI

#define PARTS4_MXFP4(TAKER) \
	CLEARLOW4; \
	BODY_MXFP4(TAKER, Y14); \
	ENDS4(END_MXFP4); \
	ADDQ $32, SI; \
	ADDQ $scaleQ8__size, DI

TEXT repacked1MXFP4<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGINREPACKED
	ONES(Y13)
	VMOVDQU floats4Plus12<>(SB), Y10
	LOW1(0, 4, 8, SCALE_MXFP4, STREAM2, PARTS1_MXFP4(TAKE1_MXFP4), 128)

TEXT repacked4MXFP4<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGINFOUR
	ONES(Y13)
	VMOVDQU floats4Plus12<>(SB), Y14
	LOW4(0, 4, 8, SCALE_MXFP4, FETCH2, PARTS4_MXFP4(TAKE4_MXFP4), 128)

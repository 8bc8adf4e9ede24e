// Kernels for some vectors with VNNI and registers of 256 bits; included by avxvnni_amd64.s and
// avx512vnni_amd64.s, which differ in how the instruction is encoded:
//
//	DOT(x, w, y)   adds the products of four unsigned weights in Yw with four activations in Yx to each int32 in Yy
//
// It takes the numbers of registers. What AVX2 does with two or three instructions is one here, and its sums never need to
// be widened on the way. All else is as in repacked4_amd64.h and panels_amd64.h, to the same bits.

#include "entries_amd64.h"
#include "constants_amd64.h"
#include "fetch_amd64.h"
#include "rows_amd64.h"
#include "attention_amd64.h"
#include "repacked1_amd64.h"
#include "repacked4_amd64.h"
#include "lowbit_amd64.h"
#include "panels_amd64.h"

// Rows of Q8_0 as they are in a file, which keys may be: rows4Q80 with one instruction for two.
#define ROWDOT_Q8_0(xa, da, acc) \
	VMOVDQU xa, Y4; \
	VPSIGNB Y9, Y4, Y4; \
	VPXOR Y5, Y5, Y5; \
	DOT(4, 8, 5); \
	VCVTDQ2PS Y5, Y5; \
	VBROADCASTSS da, Y6; \
	VMULPS Y10, Y6, Y6; \
	FMADD(Y6, Y5, acc, Y7)

TEXT rowsQ80<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGIN4
	EACHROW
loop:
	FETCH(0)
	VMOVDQU 2(BX), Y9
	VPABSB Y9, Y8
	HALF((BX), X10, Y10)
	VECTORS4(ROWDOT_Q8_0)
	NEXT(STEP_Q8, 34)
	STORE4TOGETHER
	NEXTROW

// DOTS_Q4_0 adds the weights in Y4 and Y5 times a vector's activations to y.
#define DOTS_Q4_0(lo, hi, x, y) \
	VPBROADCASTD lo x, Y6; \
	VPBROADCASTD hi x, Y7; \
	DOT(6, 4, y); \
	DOT(7, 5, y)

#define PAIRDOTS_Q4_0(wo, lo, hi) \
	SPLIT(wo, Y4, Y5); \
	DOTS_Q4_0(lo, hi, (SI), 0); \
	DOTS_Q4_0(lo, hi, (SI)(R11*1), 1); \
	DOTS_Q4_0(lo, hi, (SI)(R11*2), 2); \
	DOTS_Q4_0(lo, hi, (SI)(R12*1), 3)

TEXT fourQ40<>(SB), NOSPLIT|NOFRAME, $0-8
	FOURS(FETCH2, BODY_Q4_0(PAIRDOTS_Q4_0), FACTOR_Q4_0, 128)

#define PAIRDOTSTWO_Q4_0(wo, lo, hi) \
	SPLIT(wo, Y4, Y5); \
	DOTS_Q4_0(lo, hi, (SI), 0); \
	DOTS_Q4_0(lo, hi, (SI)(R12*1), 1)

TEXT twoQ40<>(SB), NOSPLIT|NOFRAME, $0-8
	TWOS(STREAM2, BODY_Q4_0(PAIRDOTSTWO_Q4_0), FACTOR_Q4_0, 128)

// DOT_Q8_0 adds the weights in Y4, of the size in Y5, times a vector's activations to y.
#define DOT_Q8_0(xo, x, y) \
	VPBROADCASTD xo x, Y6; \
	VPSIGNB Y4, Y6, Y6; \
	DOT(6, 5, y)

#define SIGNEDDOTS(wo, xo) \
	VMOVDQU wo(BX), Y4; \
	VPABSB Y4, Y5; \
	DOT_Q8_0(xo, (SI), 0); \
	DOT_Q8_0(xo, (SI)(R11*1), 1); \
	DOT_Q8_0(xo, (SI)(R11*2), 2); \
	DOT_Q8_0(xo, (SI)(R12*1), 3)

TEXT fourQ80<>(SB), NOSPLIT|NOFRAME, $0-8
	FOURS(FETCH4, BODY_Q8_0(SIGNEDDOTS), END_Q8_0, 256)

#define SIGNEDDOTSTWO(wo, xo) \
	VMOVDQU wo(BX), Y4; \
	VPABSB Y4, Y5; \
	DOT_Q8_0(xo, (SI), 0); \
	DOT_Q8_0(xo, (SI)(R12*1), 1)

TEXT twoQ80<>(SB), NOSPLIT|NOFRAME, $0-8
	TWOS(STREAM4, BODY_Q8_0(SIGNEDDOTSTWO), END_Q8_0, 256)

#define CLEARSUMS \
	VPXOR Y0, Y0, Y0; \
	VPXOR Y1, Y1, Y1; \
	VPXOR Y2, Y2, Y2; \
	VPXOR Y3, Y3, Y3; \
	VPXOR Y4, Y4, Y4; \
	VPXOR Y5, Y5, Y5; \
	VPXOR Y6, Y6, Y6; \
	VPXOR Y7, Y7, Y7

// DOTS_K adds the weights in Y8 and Y9 times a vector's activations to a and b.
#define DOTS_K(lo, hi, x, a, b) \
	VPBROADCASTD lo x, Y10; \
	VPBROADCASTD hi x, Y11; \
	DOT(10, 8, a); \
	DOT(11, 9, b)

#define FOURDOTS_K(lo, hi) \
	DOTS_K(lo, hi, (SI), 0, 1); \
	DOTS_K(lo, hi, (SI)(R11*1), 2, 3); \
	DOTS_K(lo, hi, (SI)(R11*2), 4, 5); \
	DOTS_K(lo, hi, (SI)(R12*1), 6, 7)

#define SCALEDDOTS(a, b, at) \
	VPMULLD Y12, a, a; \
	VPMULLD Y13, b, b; \
	VPADDD b, a, a; \
	VPADDD at(SP), a, a; \
	VMOVDQU a, at(SP)

#define SCALEDFOURDOTS \
	SCALESFOUR; \
	VPSRLD $16, Y12, Y12; \
	VPSRLD $16, Y13, Y13; \
	SCALEDDOTS(Y0, Y1, FRAMESUMS); \
	SCALEDDOTS(Y2, Y3, FRAMESUMS+32); \
	SCALEDDOTS(Y4, Y5, FRAMESUMS+64); \
	SCALEDDOTS(Y6, Y7, FRAMESUMS+96)

TEXT fourQ4K<>(SB), NOSPLIT, $512-8
	EACHPAIR
	CLEARSUMS
	SPLIT(0, Y8, Y9)
	FOURDOTS_K(0, 32)
	SPLIT(32, Y8, Y9)
	FOURDOTS_K(4, 36)
	SPLIT(64, Y8, Y9)
	FOURDOTS_K(8, 40)
	SPLIT(96, Y8, Y9)
	FOURDOTS_K(12, 44)
	SPLIT(128, Y8, Y9)
	FOURDOTS_K(16, 48)
	SPLIT(160, Y8, Y9)
	FOURDOTS_K(20, 52)
	SPLIT(192, Y8, Y9)
	FOURDOTS_K(24, 56)
	SPLIT(224, Y8, Y9)
	FOURDOTS_K(28, 60)
	SCALEDFOURDOTS
	NEXTPAIR(256)

#define HALFDOTS_Q5_K(ho, wo, xo) \
	VMOVDQU ho(BX), Y14; \
	NIBBLES5(wo, VPSLLW, 4, VPSLLW, 3); \
	FOURDOTS_K(xo, 32+xo); \
	NIBBLES5(32+wo, VPSLLW, 2, VPSLLW, 1); \
	FOURDOTS_K(4+xo, 36+xo); \
	NIBBLES5(64+wo, VPSRLW, 0, VPSRLW, 1); \
	FOURDOTS_K(8+xo, 40+xo); \
	NIBBLES5(96+wo, VPSRLW, 2, VPSRLW, 3); \
	FOURDOTS_K(12+xo, 44+xo)

TEXT fourQ5K<>(SB), NOSPLIT, $512-8
	EACHPAIR
	FETCH(256)
	CLEARSUMS
	HALFDOTS_Q5_K(0, 64, 0)
	HALFDOTS_Q5_K(32, 192, 16)
	SCALEDFOURDOTS
	NEXTPAIR(320)

// DOTS_Q6_K adds the weights in Y4-Y7 times a vector's activations, with the scales in s, to y.
#define DOTS_Q6_K(xo, x, s, y) \
	VPBROADCASTD xo x, Y0; \
	VPBROADCASTD xo+4 x, Y1; \
	VPXOR Y2, Y2, Y2; \
	DOT(0, 4, 2); \
	VPXOR Y3, Y3, Y3; \
	DOT(1, 5, 3); \
	VPBROADCASTD xo+8 x, Y0; \
	VPBROADCASTD xo+12 x, Y1; \
	DOT(0, 6, 2); \
	DOT(1, 7, 3); \
	VPADDD Y3, Y2, Y2; \
	VPMULLD s, Y2, Y2; \
	VPADDD Y2, y, y

#define QUADDOTS(wo, xo, s) \
	SIXES(wo, Y7); \
	DOTS_Q6_K(xo, (SI), s, Y8); \
	DOTS_Q6_K(xo, (SI)(R11*1), s, Y9); \
	DOTS_Q6_K(xo, (SI)(R11*2), s, Y10); \
	DOTS_Q6_K(xo, (SI)(R12*1), s, Y11)

#define PAIRDOTS_Q6_K \
	VPSRAD $16, Y13, Y13; \
	VPSRAD $16, Y14, Y14; \
	QUADDOTS(0, 0, Y13); \
	QUADDOTS(96, 16, Y14)

TEXT fourQ6K<>(SB), NOSPLIT, $512-8
	FOURS_Q6_K(PAIRDOTS_Q6_K)

// The types of one to four bits, one vector of which waits for the kernel, not for memory.

// DOTLOW1 adds to Y0 and Y8 in turns: the processor can't add to one as often as it can multiply.
#define DOTLOW1(xo) \
	VPBROADCASTD xo(SI), Y6; \
	DOT(6, 5, (2*((xo)&4)))

#define DOTLOW4(xo) \
	VPBROADCASTD xo(SI), Y6; \
	DOT(6, 5, 0); \
	VPBROADCASTD xo(SI)(R11*1), Y6; \
	DOT(6, 5, 1); \
	VPBROADCASTD xo(SI)(R11*2), Y6; \
	DOT(6, 5, 2); \
	VPBROADCASTD xo(SI)(R12*1), Y6; \
	DOT(6, 5, 3)

#define PARTTURNS(END, BODY, n) \
	VPXOR Y0, Y0, Y0; \
	VPXOR Y8, Y8, Y8; \
	BODY(DOTLOW1, n); \
	VPADDD Y8, Y0, Y0; \
	END((DI), Y0, Y14); \
	ADDQ $32, SI; \
	ADDQ $scaleQ8__size, DI

#define PARTDOTS1(BODY, n) PARTTURNS(FACTORLOW, BODY, n)
#define PARTDOTS4(BODY, n) PARTFOUR(DOTLOW4, FACTORLOW, BODY, n)

TEXT oneQ20<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGINREPACKED
	VMOVDQU mask03<>(SB), Y15
	LOW1(1, 4, 16, SCALEHALF, STREAM2, PARTS_Q2_0(PARTDOTS1), 128)

TEXT fourQ20<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGINFOUR
	VMOVDQU mask03<>(SB), Y15
	LOW4(1, 4, 16, SCALEHALF, FETCH2, PARTS_Q2_0(PARTDOTS4), 128)

TEXT onePQ20<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGINREPACKED
	VMOVDQU mask03<>(SB), Y15
	LOW1(2, 2, 16, SCALEHALF, STREAM4, PARTS_PQ2_0(PARTDOTS1), 256)

TEXT fourPQ20<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGINFOUR
	VMOVDQU mask03<>(SB), Y15
	LOW4(2, 2, 16, SCALEHALF, FETCH4, PARTS_PQ2_0(PARTDOTS4), 256)

#define TWICELOW(d, y, sum) \
	VPADDD y, y, y; \
	FACTORLOW(d, y, sum)

#define PARTBITS1(BODY, n) PARTTURNS(TWICELOW, BODY, n)
#define PARTBITS4(BODY, n) PARTFOUR(DOTLOW4, TWICELOW, BODY, n)

TEXT oneQ10<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGINREPACKED
	VMOVDQU mask01<>(SB), Y15
	LOW1(2, 4, 16, SCALEHALF, STREAM2, PARTS_Q1_0(PARTBITS1), 128)

TEXT fourQ10<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGINFOUR
	VMOVDQU mask01<>(SB), Y15
	LOW4(2, 4, 16, SCALEHALF, FETCH2, PARTS_Q1_0(PARTBITS4), 128)

// One vector of PTQ1_0 needs no digits. A byte r has the digit d = (3*r - s)/256, where s, three times r modulo 256, is what
// has the digit after it. So the products of digits and activations add up to (3*a - b)/256, where a is the sum of the products
// of each r, and b that of each s. RESTS adds those of the bytes in s, register n, to a and b; s goes on to the
// next digit. Sums are in Y0 and Y8, and in Y5 and Y9.
#define RESTS(xo, s, n, a, b) \
	VPBROADCASTD xo(SI), Y6; \
	DOT(6, n, a); \
	VPADDB s, s, Y7; \
	VPADDB Y7, s, s; \
	DOT(6, n, b)

#define FOURRESTS(xo) \
	RESTS(xo, Y1, 1, 0, 5); \
	RESTS(xo+4, Y2, 2, 8, 9); \
	RESTS(xo+8, Y3, 3, 0, 5); \
	RESTS(xo+12, Y4, 4, 8, 9)

#define TWORESTS(xo) \
	RESTS(xo, Y1, 1, 0, 5); \
	RESTS(xo+4, Y2, 2, 8, 9)

#define CLEARRESTS \
	VPXOR Y0, Y0, Y0; \
	VPXOR Y5, Y5, Y5; \
	VPXOR Y8, Y8, Y8; \
	VPXOR Y9, Y9, Y9

#define PARTRESTS \
	VPADDD Y8, Y0, Y0; \
	VPADDD Y9, Y5, Y5; \
	VPADDD Y0, Y0, Y7; \
	VPSUBD Y5, Y0, Y0; \
	VPADDD Y7, Y0, Y0; \
	VPSRAD $8, Y0, Y0; \
	FACTORLOW((DI), Y0, Y14); \
	CLEARRESTS; \
	ADDQ $32, SI; \
	ADDQ $scaleQ8__size, DI

#define PARTS_RESTS \
	CLEARRESTS; \
	VMOVDQU 0(BX), Y1; \
	VMOVDQU 32(BX), Y2; \
	VMOVDQU 64(BX), Y3; \
	VMOVDQU 96(BX), Y4; \
	FOURRESTS(0); \
	FOURRESTS(16); \
	PARTRESTS; \
	FOURRESTS(0); \
	FOURRESTS(16); \
	PARTRESTS; \
	FOURRESTS(0); \
	VMOVDQU 128(BX), Y1; \
	VMOVDQU 160(BX), Y2; \
	TWORESTS(16); \
	TWORESTS(24); \
	PARTRESTS; \
	TWORESTS(0); \
	TWORESTS(8); \
	TWORESTS(16); \
	FIRSTLAST(192(BX), Y3); \
	RESTS(24, Y3, 3, 0, 5); \
	NEXTDIGIT(Y3); \
	RESTS(28, Y3, 3, 8, 9); \
	PARTRESTS

TEXT onePTQ10<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGINREPACKED
	LOW1(2, 2, 16, SCALEHALF, STREAM4, PARTS_RESTS, 208)

TEXT fourPTQ10<>(SB), NOSPLIT, $128-8
	BEGINFOUR
	LOW4(2, 2, 16, SCALEHALF, FETCH4, PARTS4_PTQ1_0(DOTLOW4, FACTORLOW), 208)

#define FACTORFIRST(d, y, sum) FACTORHALF(0, d, y, sum)
#define FACTORSECOND(d, y, sum) FACTORHALF(8, d, y, sum)

// Of one vector each run of 32 columns has its own sum, Y0 to Y3: one after another, 32 additions to one sum take longer.
#define DOTRUNS(xo) \
	VPBROADCASTD xo(SI), Y6; \
	DOT(6, 5, (xo/32))

#define RUNSFIRST(d, y, sum) \
	JOINRUNS; \
	FACTORFIRST(d, y, sum)

#define RUNSSECOND(d, y, sum) \
	JOINRUNS; \
	FACTORSECOND(d, y, sum)

#define JOINRUNS \
	VPADDD Y1, Y0, Y0; \
	VPADDD Y3, Y2, Y2; \
	VPADDD Y2, Y0, Y0; \
	CLEARRUNS

#define CLEARRUNS \
	VPXOR Y1, Y1, Y1; \
	VPXOR Y2, Y2, Y2; \
	VPXOR Y3, Y3, Y3

TEXT oneTQ20<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGINREPACKED
	ONES(Y13)
	VMOVDQU mask03<>(SB), Y15
	CLEARRUNS
	LOW1(0, 2, 16, SCALEHALF, STREAM4, PARTS1_TQ2_0(DOTRUNS, RUNSFIRST, RUNSSECOND), 512)

TEXT fourTQ20<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGINFOUR
	ONES(Y13)
	VMOVDQU mask03<>(SB), Y15
	LOW4(0, 2, 16, SCALEHALF, FETCH4, PARTS4_TQ2_0(DOTLOW4, FACTORFIRST, FACTORSECOND), 512)

#define DOTS_MXFP4(lo, hi, y) \
	VPBROADCASTD lo, Y6; \
	VPBROADCASTD hi, Y7; \
	DOT(6, 4, y); \
	DOT(7, 5, y)

#define DOTS1_MXFP4(lo, hi) DOTS_MXFP4(lo(SI), hi(SI), 0)

#define DOTS4_MXFP4(lo, hi) \
	DOTS_MXFP4(lo(SI), hi(SI), 0); \
	DOTS_MXFP4(lo(SI)(R11*1), hi(SI)(R11*1), 1); \
	DOTS_MXFP4(lo(SI)(R11*2), hi(SI)(R11*2), 2); \
	DOTS_MXFP4(lo(SI)(R12*1), hi(SI)(R12*1), 3)

TEXT oneMXFP4<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGINREPACKED
	VMOVDQU floats4Plus12<>(SB), Y10
	LOW1(0, 4, 8, SCALE_MXFP4, STREAM2, PARTS1_MXFP4(DOTS1_MXFP4), 128)

TEXT fourMXFP4<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGINFOUR
	VMOVDQU floats4Plus12<>(SB), Y14
	LOW4(0, 4, 8, SCALE_MXFP4, FETCH2, PARTS4_MXFP4(DOTS4_MXFP4), 128)

// STEP multiplies 16 rows x 4 weights of a panel with 4 vectors; i counts fours.
#define STEP(i) \
	VMOVDQU (64*i)(BX), Y8; \
	VMOVDQU (64*i+32)(BX), Y9; \
	VPBROADCASTD (4*i)(SI), Y10; \
	VPBROADCASTD (4*i)(SI)(R8*1), Y11; \
	DOT(10, 8, 0); \
	DOT(10, 9, 1); \
	DOT(11, 8, 2); \
	DOT(11, 9, 3); \
	VPBROADCASTD (4*i)(SI)(R8*2), Y10; \
	VPBROADCASTD (4*i)(SI)(R9*1), Y11; \
	DOT(10, 8, 4); \
	DOT(10, 9, 5); \
	DOT(11, 8, 6); \
	DOT(11, 9, 7)

#define LOWSTEPS \
	CLEARSUMS; \
	STEP(0); \
	STEP(1); \
	STEP(2); \
	STEP(3)

#define HIGHSTEPS \
	STEP(4); \
	STEP(5); \
	STEP(6); \
	STEP(7)

#define ALLSTEPS \
	LOWSTEPS; \
	HIGHSTEPS

#define SCALEDSTEP(y, scales, at) \
	VPMULLD scales, y, y; \
	VPADDD at(R14), y, y; \
	VMOVDQU y, at(R14)

#define SCALEDSTEPS(so) \
	VMOVDQU so(DX), Y8; \
	VMOVDQU so+32(DX), Y9; \
	VPSRAD $16, Y8, Y8; \
	VPSRAD $16, Y9, Y9; \
	SCALEDSTEP(Y0, Y8, 0); \
	SCALEDSTEP(Y1, Y9, 32); \
	SCALEDSTEP(Y2, Y8, 64); \
	SCALEDSTEP(Y3, Y9, 96); \
	SCALEDSTEP(Y4, Y8, 128); \
	SCALEDSTEP(Y5, Y9, 160); \
	SCALEDSTEP(Y6, Y8, 192); \
	SCALEDSTEP(Y7, Y9, 224)

#define STEPS_U4 \
	ALLSTEPS; \
	SCALEDSTEPS(0)

TEXT manyU4<>(SB), NOSPLIT|NOFRAME, $0-8
	PANEL_K(STEPS_U4, 64, MINIMAPANEL32)

#define STEPS_U6 \
	LOWSTEPS; \
	SCALEDSTEPS(0); \
	CLEARSUMS; \
	HIGHSTEPS; \
	SCALEDSTEPS(64)

TEXT manyU6<>(SB), NOSPLIT|NOFRAME, $0-8
	PANEL_K(STEPS_U6, 128, MINIMAPANEL16)

TEXT manyQ40<>(SB), NOSPLIT|NOFRAME, $0-8
	PANEL_32(ALLSTEPS, FACTORS_Q4_0)

#define VECTORSTEP_Q8_0(xa, i0, i1) \
	VPBROADCASTD xa, Y12; \
	VPSIGNB Y8, Y12, Y13; \
	VPSIGNB Y9, Y12, Y12; \
	DOT(13, 10, i0); \
	DOT(12, 11, i1)

#define SIGNEDSTEP(i) \
	VMOVDQU (64*i)(BX), Y8; \
	VMOVDQU (64*i+32)(BX), Y9; \
	VPABSB Y8, Y10; \
	VPABSB Y9, Y11; \
	VECTORSTEP_Q8_0((4*i)(SI), 0, 1); \
	VECTORSTEP_Q8_0((4*i)(SI)(R8*1), 2, 3); \
	VECTORSTEP_Q8_0((4*i)(SI)(R8*2), 4, 5); \
	VECTORSTEP_Q8_0((4*i)(SI)(R9*1), 6, 7)

#define STEPS_Q8_0 \
	CLEARSUMS; \
	SIGNEDSTEP(0); \
	SIGNEDSTEP(1); \
	SIGNEDSTEP(2); \
	SIGNEDSTEP(3); \
	SIGNEDSTEP(4); \
	SIGNEDSTEP(5); \
	SIGNEDSTEP(6); \
	SIGNEDSTEP(7)

TEXT manyQ80<>(SB), NOSPLIT|NOFRAME, $0-8
	PANEL_32(STEPS_Q8_0, BLOCK_Q8_0)

KERNELS(const_typeQ4_0, $0, $0, $0, $0, $fourQ40<>(SB), $manyQ40<>(SB), $0, $0)
ENTRY(const_typeQ4_0, kernels_repacked2, $twoQ40<>(SB))
KERNELS(const_typeQ8_0, $0, $0, $rowsQ80<>(SB), $0, $fourQ80<>(SB), $manyQ80<>(SB), $0, $0)
ENTRY(const_typeQ8_0, kernels_repacked2, $twoQ80<>(SB))
KERNELS(const_typeQ4_K, $0, $0, $0, $0, $fourQ4K<>(SB), $manyU4<>(SB), $0, $0)
KERNELS(const_typeQ5_K, $0, $0, $0, $0, $fourQ5K<>(SB), $manyU6<>(SB), $0, $0)
KERNELS(const_typeQ6_K, $0, $0, $0, $0, $fourQ6K<>(SB), $manyU6<>(SB), $0, $0)
KERNELS(const_typeTQ2_0, $0, $0, $0, $oneTQ20<>(SB), $fourTQ20<>(SB), $manyU4<>(SB), $0, $0)
KERNELS(const_typeMXFP4, $0, $0, $0, $oneMXFP4<>(SB), $fourMXFP4<>(SB), $manyQ80<>(SB), $0, $0)
KERNELS(const_typeQ1_0, $0, $0, $0, $oneQ10<>(SB), $fourQ10<>(SB), $manyQ40<>(SB), $0, $0)
KERNELS(const_typeQ2_0, $0, $0, $0, $oneQ20<>(SB), $fourQ20<>(SB), $manyQ40<>(SB), $0, $0)
KERNELS(const_typePQ2_0, $0, $0, $0, $onePQ20<>(SB), $fourPQ20<>(SB), $manyQ40<>(SB), $0, $0)
KERNELS(const_typePTQ1_0, $0, $0, $0, $onePTQ10<>(SB), $fourPTQ10<>(SB), $manyQ40<>(SB), $0, $0)

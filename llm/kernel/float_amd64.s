// Functions between the matrices with AVX2: see float.go. Every step is that of
// Exp there, in the same order, without fused multiplication.

#include "textflag.h"
#include "constants_amd64.h"

CONSTANT4(log2e, $0x3fb8aa3b) // 1.442695041
CONSTANT4(magic, $0x4b400000) // 12582912
CONSTANT4(ln2a, $0x3f318000) // 0.693359375
CONSTANT4(ln2b, $0x395e8083) // 0.00021219444
CONSTANT4(p0, $0x39506967) // 0.000198756915
CONSTANT4(p1, $0x3ab743ce) // 0.001398199951
CONSTANT4(p2, $0x3c088908) // 0.008333451907
CONSTANT4(p3, $0x3d2aa9c1) // 0.04166579589
CONSTANT4(p4, $0x3e2aaaaa) // 0.1666666546
CONSTANT4(p5, $0x3f000000) // 0.500000012
CONSTANT4(one, $0x3f800000) // 1
CONSTANT4(low, $0xc2ae0000) // -87
CONSTANT4(high, $0x42b20000) // 89
CONSTANT4(cubic, $0x3d372713) // 0.044715
CONSTANT4(slope, $0xbfcc422a) // -1.595769122
CONSTANT4(minus, $0x80000000) // -0

// CONSTANTS loads what EXP needs in registers.
#define CONSTANTS \
	VBROADCASTSS log2e<>(SB), Y15; \
	VBROADCASTSS magic<>(SB), Y14; \
	VBROADCASTSS ln2a<>(SB), Y13; \
	VBROADCASTSS one<>(SB), Y11; \
	VBROADCASTSS low<>(SB), Y10; \
	VBROADCASTSS high<>(SB), Y9; \
	VPSRLD $23, Y11, Y8

#define STEP(c) \
	VMULPS Y2, Y3, Y3; \
	VBROADCASTSS c<>(SB), Y4; \
	VADDPS Y4, Y3, Y3

// EXP makes Y0 = exp(Y0), infinite from 88.4 on, and clobbers Y1-Y5. A NaN stays
// one: where an operand is NaN, VMINPS takes the one that Go writes first.
#define EXP \
	VMINPS Y0, Y9, Y0; \
	VCMPPS $5, Y10, Y0, Y5; \
	VMULPS Y15, Y0, Y1; \
	VADDPS Y14, Y1, Y1; \
	VSUBPS Y14, Y1, Y1; \
	VMULPS Y13, Y1, Y2; \
	VSUBPS Y2, Y0, Y2; \
	VBROADCASTSS ln2b<>(SB), Y3; \
	VMULPS Y3, Y1, Y3; \
	VADDPS Y3, Y2, Y2; \
	VBROADCASTSS p0<>(SB), Y3; \
	STEP(p1); \
	STEP(p2); \
	STEP(p3); \
	STEP(p4); \
	STEP(p5); \
	VMULPS Y2, Y3, Y3; \
	VMULPS Y2, Y3, Y3; \
	VADDPS Y2, Y3, Y3; \
	VADDPS Y11, Y3, Y3; \
	VCVTPS2DQ Y1, Y1; \
	VPADDD Y8, Y1, Y1; \
	VPSLLD $23, Y1, Y1; \
	VMULPS Y1, Y3, Y0; \
	VANDPS Y5, Y0, Y0

// func wideMax(x *float32, n int) float32
TEXT ·wideMax(SB), NOSPLIT, $0-20
	MOVQ x+0(FP), BX
	MOVQ n+8(FP), CX
	VMOVUPS (BX), Y0
	VMOVAPS Y0, Y1
	VMOVAPS Y0, Y2
	VMOVAPS Y0, Y3
	SUBQ $32, CX
	JLT  few
many:
	VMAXPS (BX), Y0, Y0
	VMAXPS 32(BX), Y1, Y1
	VMAXPS 64(BX), Y2, Y2
	VMAXPS 96(BX), Y3, Y3
	ADDQ $128, BX
	SUBQ $32, CX
	JGE  many
few:
	ADDQ $32, CX
	JEQ  done
loop:
	VMAXPS (BX), Y0, Y0
	ADDQ $32, BX
	SUBQ $8, CX
	JNE  loop
done:
	VMAXPS Y1, Y0, Y0
	VMAXPS Y3, Y2, Y2
	VMAXPS Y2, Y0, Y0
	VEXTRACTF128 $1, Y0, X1
	VMAXPS X1, X0, X0
	VPERMILPS $0x4e, X0, X1
	VMAXPS X1, X0, X0
	VPERMILPS $0xb1, X0, X1
	VMAXPS X1, X0, X0
	VMOVSS X0, ret+16(FP)
	VZEROUPPER
	RET

// wideExp takes four registers at a time, so that there is something to do while each waits for its last step. x are numbers, then which of
// them are at least -87, then the polynomial; k is as in Exp and then its power of two, or 0 for a number below -87; r is as
// there. What becomes of such a number must stay finite, for infinity times 0 is no number. Y13 is the constant of a step, or scratch.
#define FOUR(M) \
	M(0, Y0, Y1, Y2); \
	M(32, Y3, Y4, Y5); \
	M(64, Y6, Y7, Y8); \
	M(96, Y9, Y10, Y11)

#define FOURWITH(M, c) \
	VBROADCASTSS c<>(SB), Y13; \
	FOUR(M)

#define FROMLARGEST(o, x, k, r) \
	VMOVUPS o(BX), x; \
	VSUBPS Y14, x, x; \
	VMULPS Y15, x, x

#define ATMOST(o, x, k, r) VMINPS x, Y13, x
#define ATLEAST(o, x, k, r) VMAXPS x, Y13, x
#define BYLOG(o, x, k, r) VMULPS Y13, x, k

#define ROUND(o, x, k, r) \
	VADDPS Y13, k, k; \
	VSUBPS Y13, k, k

#define LESSPOWER(o, x, k, r) \
	VMULPS Y13, k, r; \
	VSUBPS r, x, r

#define ABOVE(o, x, k, r) VCMPPS $5, Y13, x, x

#define POWERORNONE(o, x, k, r) \
	VCVTPS2DQ k, Y13; \
	VMULPS ln2bs<>(SB), k, k; \
	VADDPS k, r, r; \
	VPADDD biases<>(SB), Y13, Y13; \
	VPSLLD $23, Y13, Y13; \
	VANDPS Y13, x, k

#define BEGINSUM(o, x, k, r) VMULPS Y13, r, x
#define PLUS(o, x, k, r) VADDPS Y13, x, x
#define TIMES(o, x, k, r) VMULPS r, x, x
#define PLUSREST(o, x, k, r) VADDPS r, x, x

#define KEEPPRODUCT(o, x, k, r) \
	VMULPS k, x, x; \
	VMOVUPS x, o(BX)

// INALL adds the eight numbers at o to Y12.
#define INALL(o, x, k, r) \
	VCVTPS2PD o(BX), x; \
	VCVTPS2PD o+16(BX), k; \
	VADDPD k, x, x; \
	VADDPD x, Y12, Y12

#define FETCHLINES \
	PREFETCHT1 (SI); \
	PREFETCHT1 (SI)(DI*1); \
	LEAQ (SI)(DI*2), SI

CONSTANT4(clamp, $0xc2b00000) // -88
CONSTANT32(ln2bs, $0x395e8083395e8083)
CONSTANT32(biases, $0x0000007f0000007f)

// func wideExp(x *float32, n int, largest, scale float32, ahead unsafe.Pointer, step int) float64
TEXT ·wideExp(SB), NOSPLIT, $0-48
	MOVQ x+0(FP), BX
	MOVQ n+8(FP), CX
	MOVQ ahead+24(FP), SI
	MOVQ step+32(FP), DI
	VXORPD Y12, Y12, Y12
	VBROADCASTSS largest+16(FP), Y14
	VBROADCASTSS scale+20(FP), Y15
	SUBQ $32, CX
	JLT  few
many:
	FETCHLINES
	FOUR(FROMLARGEST)
	FOURWITH(ATMOST, high)
	FOURWITH(ATLEAST, clamp)
	FOURWITH(BYLOG, log2e)
	FOURWITH(ROUND, magic)
	FOURWITH(LESSPOWER, ln2a)
	FOURWITH(ABOVE, low)
	FOUR(POWERORNONE)
	FETCHLINES
	FOURWITH(BEGINSUM, p0)
	FOURWITH(PLUS, p1)
	FOUR(TIMES)
	FOURWITH(PLUS, p2)
	FOUR(TIMES)
	FOURWITH(PLUS, p3)
	FOUR(TIMES)
	FOURWITH(PLUS, p4)
	FOUR(TIMES)
	FOURWITH(PLUS, p5)
	FOUR(TIMES)
	FOUR(TIMES)
	FOUR(PLUSREST)
	FOURWITH(PLUS, one)
	FOUR(KEEPPRODUCT)
	FOUR(INALL)
	ADDQ $128, BX
	SUBQ $32, CX
	JGE  many
few:
	ADDQ $32, CX
	JEQ  done
	VBROADCASTSS largest+16(FP), Y6
	VBROADCASTSS scale+20(FP), Y7
	CONSTANTS
loop:
	PREFETCHT1 (SI)
	ADDQ DI, SI
	VMOVUPS (BX), Y0
	VSUBPS Y6, Y0, Y0
	VMULPS Y7, Y0, Y0
	EXP
	VMOVUPS Y0, (BX)
	VEXTRACTF128 $1, Y0, X1
	VCVTPS2PD X0, Y0
	VCVTPS2PD X1, Y1
	VADDPD Y1, Y0, Y0
	VADDPD Y0, Y12, Y12
	ADDQ $32, BX
	SUBQ $8, CX
	JNE  loop
done:
	VEXTRACTF128 $1, Y12, X0
	VADDPD X0, X12, X0
	VHADDPD X0, X0, X0
	VMOVSD X0, ret+40(FP)
	VZEROUPPER
	RET

// The same with AVX-512, 128 numbers at a time, so that there is something to do while each register waits
// for its last step. x are numbers, then the polynomial, r as in Exp, k as there and then its power of two, or 0 for
// a number below -87, which a bit in m says; what becomes of such a number must stay finite.
#define LOADED(o, x, k, r, m) VMOVUPS o(BX), x

#define ARGUMENT(o, x, k, r, m) \
	VSUBPS Z24, x, x; \
	VMULPS Z25, x, x; \
	VMINPS x, Z30, x; \
	VCMPPS.BCST $5, low<>(SB), x, m; \
	VMAXPS x, Z31, x

#define NEAREST(o, x, k, r, m) \
	VMULPS Z27, x, k; \
	VADDPS Z26, k, k; \
	VSUBPS Z26, k, k

#define REST(o, x, k, r, m) \
	VMULPS Z28, k, r; \
	VSUBPS r, x, r; \
	VMULPS.BCST ln2b<>(SB), k, x; \
	VADDPS x, r, r

#define POWER(o, x, k, r, m) \
	VCVTPS2DQ k, k; \
	VPADDD.BCST bias<>(SB), k, k; \
	VPSLLD.Z $23, k, m, k

#define FIRSTTERM(o, x, k, r, m) \
	VMULPS.BCST p0<>(SB), r, x; \
	VADDPS.BCST p1<>(SB), x, x

#define TERM(c, x, r) \
	VMULPS r, x, x; \
	VADDPS.BCST c<>(SB), x, x

#define SECONDTERM(o, x, k, r, m) TERM(p2, x, r)
#define THIRDTERM(o, x, k, r, m) TERM(p3, x, r)
#define FOURTHTERM(o, x, k, r, m) TERM(p4, x, r)
#define FIFTHTERM(o, x, k, r, m) TERM(p5, x, r)

#define SQUARE(o, x, k, r, m) \
	VMULPS r, x, x; \
	VMULPS r, x, x

#define LASTTERMS(o, x, k, r, m) \
	VADDPS r, x, x; \
	VADDPS.BCST one<>(SB), x, x

#define SCALED(o, x, k, r, m) VMULPS k, x, x
#define KEEP(o, x, k, r, m) VMOVUPS x, o(BX)

// TOTAL adds the eight numbers at o as wideExp does.
#define TOTAL(o, y, t) \
	VCVTPS2PD o(BX), y; \
	VCVTPS2PD o+16(BX), t; \
	VADDPD t, y, y; \
	VADDPD y, Y29, Y29

#define LOWFOUR(M) \
	M(0, Z0, Z1, Z2, K1); \
	M(64, Z3, Z4, Z5, K2); \
	M(128, Z6, Z7, Z8, K3); \
	M(192, Z9, Z10, Z11, K4)

#define HIGHFOUR(M) \
	M(256, Z12, Z13, Z14, K1); \
	M(320, Z15, Z16, Z17, K2); \
	M(384, Z18, Z19, Z20, K3); \
	M(448, Z21, Z22, Z23, K4)

#define EIGHTTIMES(M) \
	LOWFOUR(M); \
	HIGHFOUR(M)

CONSTANT4(bias, $127)

// func wideExp512(x *float32, n int, largest, scale float32, ahead unsafe.Pointer, step int) float64
TEXT ·wideExp512(SB), NOSPLIT, $0-48
	MOVQ x+0(FP), BX
	MOVQ n+8(FP), CX
	VBROADCASTSS largest+16(FP), Z24
	VBROADCASTSS scale+20(FP), Z25
	MOVQ ahead+24(FP), SI
	MOVQ step+32(FP), DI
	VBROADCASTSS magic<>(SB), Z26
	VBROADCASTSS log2e<>(SB), Z27
	VBROADCASTSS ln2a<>(SB), Z28
	VPXORQ Z29, Z29, Z29
	VBROADCASTSS high<>(SB), Z30
	VBROADCASTSS clamp<>(SB), Z31
	SUBQ $128, CX
	JLT  few
many:
	LOWFOUR(LOADED)
	LOWFOUR(ARGUMENT)
	FETCHLINES
	LOWFOUR(NEAREST)
	LOWFOUR(REST)
	FETCHLINES
	LOWFOUR(POWER)
	HIGHFOUR(LOADED)
	HIGHFOUR(ARGUMENT)
	FETCHLINES
	HIGHFOUR(NEAREST)
	HIGHFOUR(REST)
	FETCHLINES
	HIGHFOUR(POWER)
	EIGHTTIMES(FIRSTTERM)
	FETCHLINES
	EIGHTTIMES(SECONDTERM)
	EIGHTTIMES(THIRDTERM)
	FETCHLINES
	EIGHTTIMES(FOURTHTERM)
	EIGHTTIMES(FIFTHTERM)
	FETCHLINES
	EIGHTTIMES(SQUARE)
	EIGHTTIMES(LASTTERMS)
	FETCHLINES
	EIGHTTIMES(SCALED)
	EIGHTTIMES(KEEP)
	TOTAL(0, Y0, Y1)
	TOTAL(32, Y2, Y3)
	TOTAL(64, Y4, Y5)
	TOTAL(96, Y6, Y7)
	TOTAL(128, Y8, Y9)
	TOTAL(160, Y10, Y11)
	TOTAL(192, Y12, Y13)
	TOTAL(224, Y14, Y15)
	TOTAL(256, Y0, Y1)
	TOTAL(288, Y2, Y3)
	TOTAL(320, Y4, Y5)
	TOTAL(352, Y6, Y7)
	TOTAL(384, Y8, Y9)
	TOTAL(416, Y10, Y11)
	TOTAL(448, Y12, Y13)
	TOTAL(480, Y14, Y15)
	ADDQ $512, BX
	SUBQ $128, CX
	JGE  many
few:
	ADDQ $128, CX
	JEQ  done
	MOVL $0xffff, R8
one:
	SUBQ $16, CX
	JGE  whole
	SHRL $8, R8
whole:
	KMOVW R8, K2
	FETCHLINES
	VMOVUPS.Z (BX), K2, Z0
	ARGUMENT(0, Z0, Z1, Z2, K1)
	KANDW K1, K2, K1
	NEAREST(0, Z0, Z1, Z2, K1)
	REST(0, Z0, Z1, Z2, K1)
	POWER(0, Z0, Z1, Z2, K1)
	FIRSTTERM(0, Z0, Z1, Z2, K1)
	SECONDTERM(0, Z0, Z1, Z2, K1)
	THIRDTERM(0, Z0, Z1, Z2, K1)
	FOURTHTERM(0, Z0, Z1, Z2, K1)
	FIFTHTERM(0, Z0, Z1, Z2, K1)
	SQUARE(0, Z0, Z1, Z2, K1)
	LASTTERMS(0, Z0, Z1, Z2, K1)
	SCALED(0, Z0, Z1, Z2, K1)
	VMOVUPS Z0, K2, (BX)
	TOTAL(0, Y0, Y1)
	TESTQ CX, CX
	JLT  done
	TOTAL(32, Y0, Y1)
	ADDQ $64, BX
	TESTQ CX, CX
	JNE  one
done:
	VEXTRACTF64X2 $1, Y29, X0
	VADDPD X29, X0, X0
	VHADDPD X0, X0, X0
	VMOVSD X0, ret+40(FP)
	VZEROUPPER
	RET

// func wideScale(x *float32, n int, f float32)
TEXT ·wideScale(SB), NOSPLIT, $0-20
	MOVQ x+0(FP), BX
	MOVQ n+8(FP), CX
	VBROADCASTSS f+16(FP), Y1
loop:
	VMULPS (BX), Y1, Y0
	VMOVUPS Y0, (BX)
	ADDQ $32, BX
	SUBQ $8, CX
	JNE  loop
	VZEROUPPER
	RET

// func wideSquares(x *float32, n int) float64
TEXT ·wideSquares(SB), NOSPLIT, $0-24
	MOVQ x+0(FP), BX
	MOVQ n+8(FP), CX
	VXORPD Y4, Y4, Y4
	VXORPD Y5, Y5, Y5
loop:
	VCVTPS2PD (BX), Y0
	VCVTPS2PD 16(BX), Y1
	VMULPD Y0, Y0, Y0
	VMULPD Y1, Y1, Y1
	VADDPD Y0, Y4, Y4
	VADDPD Y1, Y5, Y5
	ADDQ $32, BX
	SUBQ $8, CX
	JNE  loop
	VADDPD Y5, Y4, Y4
	VEXTRACTF128 $1, Y4, X0
	VADDPD X0, X4, X0
	VHADDPD X0, X0, X0
	VMOVSD X0, ret+16(FP)
	VZEROUPPER
	RET

// func wideScaleBy(y, x, w *float32, n int, f float32)
TEXT ·wideScaleBy(SB), NOSPLIT, $0-36
	MOVQ y+0(FP), DI
	MOVQ x+8(FP), BX
	MOVQ w+16(FP), SI
	MOVQ n+24(FP), CX
	VBROADCASTSS f+32(FP), Y1
loop:
	VMULPS (BX), Y1, Y0
	VMULPS (SI), Y0, Y0
	VMOVUPS Y0, (DI)
	ADDQ $32, BX
	ADDQ $32, SI
	ADDQ $32, DI
	SUBQ $8, CX
	JNE  loop
	VZEROUPPER
	RET

// func wideSwiGLU(gate, up *float32, n int)
TEXT ·wideSwiGLU(SB), NOSPLIT, $0-24
	MOVQ gate+0(FP), BX
	MOVQ up+8(FP), SI
	MOVQ n+16(FP), CX
	VBROADCASTSS minus<>(SB), Y7
	CONSTANTS
loop:
	VMOVUPS (BX), Y6
	VXORPS Y7, Y6, Y0
	EXP
	VADDPS Y0, Y11, Y0
	VDIVPS Y0, Y6, Y0
	VMULPS (SI), Y0, Y0
	VMOVUPS Y0, (BX)
	ADDQ $32, BX
	ADDQ $32, SI
	SUBQ $8, CX
	JNE  loop
	VZEROUPPER
	RET

// func wideGelu(x *float32, n int)
TEXT ·wideGelu(SB), NOSPLIT, $0-16
	MOVQ x+0(FP), BX
	MOVQ n+8(FP), CX
	VBROADCASTSS cubic<>(SB), Y7
	VBROADCASTSS slope<>(SB), Y12
	CONSTANTS
loop:
	VMOVUPS (BX), Y6
	VMULPS Y6, Y7, Y0
	VMULPS Y6, Y0, Y0
	VMULPS Y6, Y0, Y0
	VADDPS Y0, Y6, Y0
	VMULPS Y0, Y12, Y0
	EXP
	VADDPS Y0, Y11, Y0
	VDIVPS Y0, Y6, Y0
	VMOVUPS Y0, (BX)
	ADDQ $32, BX
	SUBQ $8, CX
	JNE  loop
	VZEROUPPER
	RET

// func wideAdd(y, x *float32, n int)
TEXT ·wideAdd(SB), NOSPLIT, $0-24
	MOVQ y+0(FP), BX
	MOVQ x+8(FP), SI
	MOVQ n+16(FP), CX
loop:
	VMOVUPS (BX), Y0
	VADDPS (SI), Y0, Y0
	VMOVUPS Y0, (BX)
	ADDQ $32, BX
	ADDQ $32, SI
	SUBQ $8, CX
	JNE  loop
	VZEROUPPER
	RET

// MEAN leaves the sum of the lanes of Y0, divided by n, in all of them.
#define MEAN(n) \
	VEXTRACTF128 $1, Y0, X1; \
	VADDPS X1, X0, X0; \
	VHADDPS X0, X0, X0; \
	VHADDPS X0, X0, X0; \
	VCVTSI2SSQ n, X1, X1; \
	VDIVSS X1, X0, X0; \
	VBROADCASTSS X0, Y0

// func wideAddNorm(x, h, bias, w, b *float32, n int, epsilon float32)
TEXT ·wideAddNorm(SB), NOSPLIT, $0-52
	MOVQ x+0(FP), BX
	MOVQ h+8(FP), SI
	MOVQ bias+16(FP), DI
	MOVQ w+24(FP), R8
	MOVQ b+32(FP), R9
	MOVQ n+40(FP), DX
	XORQ CX, CX
	VXORPS Y0, Y0, Y0
join:
	VMOVUPS (BX)(CX*4), Y2
	VADDPS (SI)(CX*4), Y2, Y2
	VADDPS (DI)(CX*4), Y2, Y2
	VMOVUPS Y2, (BX)(CX*4)
	VADDPS Y2, Y0, Y0
	ADDQ $8, CX
	CMPQ CX, DX
	JLT  join
	MEAN(DX)
	VMOVAPS Y0, Y5
	XORQ CX, CX
	VXORPS Y0, Y0, Y0
vary:
	VMOVUPS (BX)(CX*4), Y2
	VSUBPS Y5, Y2, Y2
	VMULPS Y2, Y2, Y2
	VADDPS Y2, Y0, Y0
	ADDQ $8, CX
	CMPQ CX, DX
	JLT  vary
	MEAN(DX)
	VADDSS epsilon+48(FP), X0, X0
	VSQRTSS X0, X0, X0
	VMOVSS one<>(SB), X1
	VDIVSS X0, X1, X1
	VBROADCASTSS X1, Y6
	XORQ CX, CX
norm:
	VMOVUPS (BX)(CX*4), Y2
	VSUBPS Y5, Y2, Y2
	VMULPS Y6, Y2, Y2
	VMULPS (R8)(CX*4), Y2, Y2
	VADDPS (R9)(CX*4), Y2, Y2
	VMOVUPS Y2, (BX)(CX*4)
	ADDQ $8, CX
	CMPQ CX, DX
	JLT  norm
	VZEROUPPER
	RET

// func wideMultiplyAdd(y, a, b *float32, n int)
TEXT ·wideMultiplyAdd(SB), NOSPLIT, $0-32
	MOVQ y+0(FP), DI
	MOVQ a+8(FP), BX
	MOVQ b+16(FP), SI
	MOVQ n+24(FP), CX
loop:
	VMOVUPS (BX), Y0
	VMULPS (SI), Y0, Y0
	VADDPS (DI), Y0, Y0
	VMOVUPS Y0, (DI)
	ADDQ $32, BX
	ADDQ $32, SI
	ADDQ $32, DI
	SUBQ $8, CX
	JNE  loop
	VZEROUPPER
	RET

// Columns are done 32 at a time, then 8 at a time, from the first row to the last.

// func wideRecall(y, m, x *float32, rows, cols, n int)
TEXT ·wideRecall(SB), NOSPLIT, $0-48
	MOVQ y+0(FP), DI
	MOVQ m+8(FP), BX
	MOVQ cols+32(FP), R9
	SHLQ $2, R9
	MOVQ n+40(FP), CX
many:
	CMPQ CX, $32
	JLT  few
	MOVQ BX, R10
	MOVQ x+16(FP), SI
	MOVQ rows+24(FP), DX
	VXORPS Y0, Y0, Y0
	VXORPS Y1, Y1, Y1
	VXORPS Y2, Y2, Y2
	VXORPS Y3, Y3, Y3
manyRows:
	VBROADCASTSS (SI), Y8
	VMULPS (R10), Y8, Y4
	VMULPS 32(R10), Y8, Y5
	VMULPS 64(R10), Y8, Y6
	VMULPS 96(R10), Y8, Y7
	VADDPS Y4, Y0, Y0
	VADDPS Y5, Y1, Y1
	VADDPS Y6, Y2, Y2
	VADDPS Y7, Y3, Y3
	ADDQ $4, SI
	ADDQ R9, R10
	DECQ DX
	JNE  manyRows
	VMOVUPS Y0, (DI)
	VMOVUPS Y1, 32(DI)
	VMOVUPS Y2, 64(DI)
	VMOVUPS Y3, 96(DI)
	ADDQ $128, DI
	ADDQ $128, BX
	SUBQ $32, CX
	JMP  many
few:
	CMPQ CX, $0
	JE   done
	MOVQ BX, R10
	MOVQ x+16(FP), SI
	MOVQ rows+24(FP), DX
	VXORPS Y0, Y0, Y0
fewRows:
	VBROADCASTSS (SI), Y8
	VMULPS (R10), Y8, Y4
	VADDPS Y4, Y0, Y0
	ADDQ $4, SI
	ADDQ R9, R10
	DECQ DX
	JNE  fewRows
	VMOVUPS Y0, (DI)
	ADDQ $32, DI
	ADDQ $32, BX
	SUBQ $8, CX
	JMP  few
done:
	VZEROUPPER
	RET

#define RECUR(at, value, sum) \
	VMULPS at(R10), Y15, Y8; \
	VMULPS value, Y13, Y9; \
	VADDPS Y9, Y8, Y8; \
	VMOVUPS Y8, at(R11); \
	VMULPS Y14, Y8, Y8; \
	VADDPS Y8, sum, sum

// The state after this one is most likely the next head's, which is fetched meanwhile.

// func wideRecur(y, next, state, k, value, q *float32, rows, cols, n int, decay float32)
TEXT ·wideRecur(SB), NOSPLIT, $0-76
	MOVQ y+0(FP), DI
	MOVQ next+8(FP), AX
	MOVQ state+16(FP), BX
	MOVQ value+32(FP), R8
	MOVQ cols+56(FP), R9
	SHLQ $2, R9
	MOVQ n+64(FP), CX
	MOVQ rows+48(FP), R13
	IMULQ R9, R13
	VBROADCASTSS decay+72(FP), Y15
many:
	CMPQ CX, $32
	JLT  few
	MOVQ BX, R10
	MOVQ AX, R11
	MOVQ k+24(FP), SI
	MOVQ q+40(FP), R12
	MOVQ rows+48(FP), DX
	VMOVUPS (R8), Y4
	VMOVUPS 32(R8), Y5
	VMOVUPS 64(R8), Y6
	VMOVUPS 96(R8), Y7
	VXORPS Y0, Y0, Y0
	VXORPS Y1, Y1, Y1
	VXORPS Y2, Y2, Y2
	VXORPS Y3, Y3, Y3
manyRows:
	PREFETCHT1 (R10)(R13*1)
	PREFETCHT1 64(R10)(R13*1)
	VBROADCASTSS (SI), Y13
	VBROADCASTSS (R12), Y14
	RECUR(0, Y4, Y0)
	RECUR(32, Y5, Y1)
	RECUR(64, Y6, Y2)
	RECUR(96, Y7, Y3)
	ADDQ $4, SI
	ADDQ $4, R12
	ADDQ R9, R10
	ADDQ R9, R11
	DECQ DX
	JNE  manyRows
	VMOVUPS Y0, (DI)
	VMOVUPS Y1, 32(DI)
	VMOVUPS Y2, 64(DI)
	VMOVUPS Y3, 96(DI)
	ADDQ $128, DI
	ADDQ $128, AX
	ADDQ $128, BX
	ADDQ $128, R8
	SUBQ $32, CX
	JMP  many
few:
	CMPQ CX, $0
	JE   done
	MOVQ BX, R10
	MOVQ AX, R11
	MOVQ k+24(FP), SI
	MOVQ q+40(FP), R12
	MOVQ rows+48(FP), DX
	VMOVUPS (R8), Y4
	VXORPS Y0, Y0, Y0
fewRows:
	VBROADCASTSS (SI), Y13
	VBROADCASTSS (R12), Y14
	RECUR(0, Y4, Y0)
	ADDQ $4, SI
	ADDQ $4, R12
	ADDQ R9, R10
	ADDQ R9, R11
	DECQ DX
	JNE  fewRows
	VMOVUPS Y0, (DI)
	ADDQ $32, DI
	ADDQ $32, AX
	ADDQ $32, BX
	ADDQ $32, R8
	SUBQ $8, CX
	JMP  few
done:
	VZEROUPPER
	RET

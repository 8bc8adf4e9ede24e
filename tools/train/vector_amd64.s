// Element by element functions of training with AVX2 and FMA; n is a positive
// multiple of 8.

#include "textflag.h"

DATA log2e<>+0(SB)/4, $0x3fb8aa3b // 1.442695041
GLOBL log2e<>(SB), RODATA|NOPTR, $4
DATA ln2<>+0(SB)/4, $0x3f317218 // 0.693147182
GLOBL ln2<>(SB), RODATA|NOPTR, $4
DATA p0<>+0(SB)/4, $0x39506967 // Cephes, expf: 0.000198756915
GLOBL p0<>(SB), RODATA|NOPTR, $4
DATA p1<>+0(SB)/4, $0x3ab743ce // 0.001398199951
GLOBL p1<>(SB), RODATA|NOPTR, $4
DATA p2<>+0(SB)/4, $0x3c088908 // 0.008333451907
GLOBL p2<>(SB), RODATA|NOPTR, $4
DATA p3<>+0(SB)/4, $0x3d2aa9c1 // 0.04166579589
GLOBL p3<>(SB), RODATA|NOPTR, $4
DATA p4<>+0(SB)/4, $0x3e2aaaaa // 0.1666666546
GLOBL p4<>(SB), RODATA|NOPTR, $4
DATA half<>+0(SB)/4, $0x3f000000 // 0.5
GLOBL half<>(SB), RODATA|NOPTR, $4
DATA one<>+0(SB)/4, $0x3f800000 // 1
GLOBL one<>(SB), RODATA|NOPTR, $4
DATA low<>+0(SB)/4, $0xc2ae0000 // -87
GLOBL low<>(SB), RODATA|NOPTR, $4
DATA high<>+0(SB)/4, $0x42ae0000 // 87
GLOBL high<>(SB), RODATA|NOPTR, $4
DATA minus<>+0(SB)/4, $0x80000000 // -0
GLOBL minus<>(SB), RODATA|NOPTR, $4

#define CONSTANTS \
	VBROADCASTSS log2e<>(SB), Y15; \
	VBROADCASTSS ln2<>(SB), Y14; \
	VBROADCASTSS one<>(SB), Y13; \
	VBROADCASTSS low<>(SB), Y12; \
	VBROADCASTSS high<>(SB), Y11; \
	VBROADCASTSS minus<>(SB), Y10

#define POLY(c) \
	VBROADCASTSS c<>(SB), Y4; \
	VFMADD213PS Y4, Y2, Y3

// EXP makes Y0 = exp(Y0) for -87 <= Y0 <= 87, the nearer of which stands for
// what is beyond, and spoils Y1-Y4.
#define EXP \
	VMINPS Y11, Y0, Y0; \
	VMAXPS Y12, Y0, Y0; \
	VMULPS Y15, Y0, Y1; \
	VROUNDPS $0, Y1, Y1; \
	VMOVAPS Y0, Y2; \
	VFNMADD231PS Y14, Y1, Y2; \
	VBROADCASTSS p0<>(SB), Y3; \
	POLY(p1); \
	POLY(p2); \
	POLY(p3); \
	POLY(p4); \
	POLY(half); \
	VMULPS Y2, Y3, Y3; \
	VFMADD213PS Y2, Y2, Y3; \
	VADDPS Y13, Y3, Y3; \
	VCVTPS2DQ Y1, Y1; \
	VPSLLD $23, Y1, Y1; \
	VPADDD Y1, Y3, Y0

// SIGMOID makes Y0 = 1/(1+exp(-x)) of x in Y5.
#define SIGMOID \
	VXORPS Y10, Y5, Y0; \
	EXP; \
	VADDPS Y13, Y0, Y0; \
	VDIVPS Y0, Y13, Y0

// func wideSwiGLU(out, gate, up *float32, n int)
TEXT ·wideSwiGLU(SB), NOSPLIT, $0-32
	MOVQ out+0(FP), DI
	MOVQ gate+8(FP), SI
	MOVQ up+16(FP), DX
	MOVQ n+24(FP), CX
	CONSTANTS
loop:
	VMOVUPS (SI), Y5
	SIGMOID
	VMULPS Y5, Y0, Y0
	VMULPS (DX), Y0, Y0
	VMOVUPS Y0, (DI)
	ADDQ $32, DI
	ADDQ $32, SI
	ADDQ $32, DX
	SUBQ $8, CX
	JNE  loop
	VZEROUPPER
	RET

// func wideSwiGLUBack(gate, up, dout *float32, n int)
// gate and up become their own gradients.
TEXT ·wideSwiGLUBack(SB), NOSPLIT, $0-32
	MOVQ gate+0(FP), SI
	MOVQ up+8(FP), DX
	MOVQ dout+16(FP), DI
	MOVQ n+24(FP), CX
	CONSTANTS
loop:
	VMOVUPS (SI), Y5
	SIGMOID               // s
	VMULPS Y5, Y0, Y6     // silu = gate*s
	VMOVUPS (DI), Y7      // dout
	VMULPS (DX), Y7, Y8   // dout*up
	VMULPS Y6, Y7, Y7     // dup = dout*silu
	VMOVUPS Y7, (DX)
	VSUBPS Y0, Y13, Y1    // 1-s
	VFMADD213PS Y0, Y6, Y1 // s + silu*(1-s)
	VMULPS Y1, Y8, Y8
	VMOVUPS Y8, (SI)
	ADDQ $32, DI
	ADDQ $32, SI
	ADDQ $32, DX
	SUBQ $8, CX
	JNE  loop
	VZEROUPPER
	RET

// func wideExp(x *float32, n int, largest, scale float32) float32
// replaces x by exp((x-largest)*scale) and returns the sum.
TEXT ·wideExp(SB), NOSPLIT, $0-28
	MOVQ x+0(FP), SI
	MOVQ n+8(FP), CX
	VBROADCASTSS largest+16(FP), Y6
	VBROADCASTSS scale+20(FP), Y7
	CONSTANTS
	VXORPS Y8, Y8, Y8
loop:
	VMOVUPS (SI), Y0
	VSUBPS Y6, Y0, Y0
	VMULPS Y7, Y0, Y0
	EXP
	VMOVUPS Y0, (SI)
	VADDPS Y0, Y8, Y8
	ADDQ $32, SI
	SUBQ $8, CX
	JNE  loop
	VEXTRACTF128 $1, Y8, X0
	VADDPS X8, X0, X0
	VHADDPS X0, X0, X0
	VHADDPS X0, X0, X0
	VMOVSS X0, ret+24(FP)
	VZEROUPPER
	RET

// func wideMax(x *float32, n int) float32
TEXT ·wideMax(SB), NOSPLIT, $0-20
	MOVQ x+0(FP), SI
	MOVQ n+8(FP), CX
	VMOVUPS (SI), Y0
loop:
	VMAXPS (SI), Y0, Y0
	ADDQ $32, SI
	SUBQ $8, CX
	JNE  loop
	VEXTRACTF128 $1, Y0, X1
	VMAXPS X1, X0, X0
	VPERMILPS $0x4e, X0, X1
	VMAXPS X1, X0, X0
	VPERMILPS $0xb1, X0, X1
	VMAXPS X1, X0, X0
	VMOVSS X0, ret+16(FP)
	VZEROUPPER
	RET

// func wideDot(x, y *float32, n int) float32
TEXT ·wideDot(SB), NOSPLIT, $0-28
	MOVQ x+0(FP), SI
	MOVQ y+8(FP), DX
	MOVQ n+16(FP), CX
	VXORPS Y0, Y0, Y0
	VXORPS Y1, Y1, Y1
	SUBQ $16, CX
	JLT  rest
loop:
	VMOVUPS (SI), Y2
	VMOVUPS 32(SI), Y3
	VFMADD231PS (DX), Y2, Y0
	VFMADD231PS 32(DX), Y3, Y1
	ADDQ $64, SI
	ADDQ $64, DX
	SUBQ $16, CX
	JGE  loop
rest:
	ADDQ $16, CX
	JEQ  done
	VMOVUPS (SI), Y2
	VFMADD231PS (DX), Y2, Y0
done:
	VADDPS Y1, Y0, Y0
	VEXTRACTF128 $1, Y0, X1
	VADDPS X1, X0, X0
	VHADDPS X0, X0, X0
	VHADDPS X0, X0, X0
	VMOVSS X0, ret+24(FP)
	VZEROUPPER
	RET

// func wideScale(x *float32, n int, f float32)
TEXT ·wideScale(SB), NOSPLIT, $0-20
	MOVQ x+0(FP), SI
	MOVQ n+8(FP), CX
	VBROADCASTSS f+16(FP), Y1
loop:
	VMULPS (SI), Y1, Y0
	VMOVUPS Y0, (SI)
	ADDQ $32, SI
	SUBQ $8, CX
	JNE  loop
	VZEROUPPER
	RET

// func wideAdd(y, x *float32, n int, f float32)
// y += f*x
TEXT ·wideAdd(SB), NOSPLIT, $0-28
	MOVQ y+0(FP), DI
	MOVQ x+8(FP), SI
	MOVQ n+16(FP), CX
	VBROADCASTSS f+24(FP), Y1
loop:
	VMOVUPS (DI), Y0
	VFMADD231PS (SI), Y1, Y0
	VMOVUPS Y0, (DI)
	ADDQ $32, SI
	ADDQ $32, DI
	SUBQ $8, CX
	JNE  loop
	VZEROUPPER
	RET

// func wideNorm(y, x, w *float32, n int, f float32)
// y = f*x*w
TEXT ·wideNorm(SB), NOSPLIT, $0-36
	MOVQ y+0(FP), DI
	MOVQ x+8(FP), SI
	MOVQ w+16(FP), DX
	MOVQ n+24(FP), CX
	VBROADCASTSS f+32(FP), Y1
loop:
	VMULPS (SI), Y1, Y0
	VMULPS (DX), Y0, Y0
	VMOVUPS Y0, (DI)
	ADDQ $32, SI
	ADDQ $32, DI
	ADDQ $32, DX
	SUBQ $8, CX
	JNE  loop
	VZEROUPPER
	RET

// func wideMulAdd(y, a, b *float32, n int, f float32)
// y += f*a*b
TEXT ·wideMulAdd(SB), NOSPLIT, $0-36
	MOVQ y+0(FP), DI
	MOVQ a+8(FP), SI
	MOVQ b+16(FP), DX
	MOVQ n+24(FP), CX
	VBROADCASTSS f+32(FP), Y1
loop:
	VMULPS (SI), Y1, Y2
	VMOVUPS (DI), Y0
	VFMADD231PS (DX), Y2, Y0
	VMOVUPS Y0, (DI)
	ADDQ $32, SI
	ADDQ $32, DI
	ADDQ $32, DX
	SUBQ $8, CX
	JNE  loop
	VZEROUPPER
	RET

// func wideSoftmaxBack(d, p *float32, n int, mean, scale float32)
// d = (d-mean)*p*scale
TEXT ·wideSoftmaxBack(SB), NOSPLIT, $0-32
	MOVQ d+0(FP), DI
	MOVQ p+8(FP), SI
	MOVQ n+16(FP), CX
	VBROADCASTSS mean+24(FP), Y1
	VBROADCASTSS scale+28(FP), Y2
loop:
	VMOVUPS (DI), Y0
	VSUBPS Y1, Y0, Y0
	VMULPS (SI), Y0, Y0
	VMULPS Y2, Y0, Y0
	VMOVUPS Y0, (DI)
	ADDQ $32, SI
	ADDQ $32, DI
	SUBQ $8, CX
	JNE  loop
	VZEROUPPER
	RET

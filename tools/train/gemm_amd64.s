// The inner loops of training with AVX2 and FMA.

#include "textflag.h"

// STEP multiplies column k of A with row k of B's panel, n steps on. A's rows are
// R9 bytes apart, the first at SI and the fourth at R10.
#define STEP(n) \
	VMOVUPS (64*n)(DI), Y0; \
	VMOVUPS (64*n+32)(DI), Y1; \
	VBROADCASTSS (SI), Y2; \
	VBROADCASTSS (SI)(R9*1), Y3; \
	VFMADD231PS Y0, Y2, Y4; \
	VFMADD231PS Y1, Y2, Y5; \
	VFMADD231PS Y0, Y3, Y6; \
	VFMADD231PS Y1, Y3, Y7; \
	VBROADCASTSS (SI)(R9*2), Y2; \
	VBROADCASTSS (R10), Y3; \
	ADDQ R11, SI; \
	VFMADD231PS Y0, Y2, Y8; \
	VFMADD231PS Y1, Y2, Y9; \
	VFMADD231PS Y0, Y3, Y10; \
	VFMADD231PS Y1, Y3, Y11; \
	VBROADCASTSS (R10)(R9*1), Y2; \
	VBROADCASTSS (R10)(R9*2), Y3; \
	ADDQ R11, R10; \
	VFMADD231PS Y0, Y2, Y12; \
	VFMADD231PS Y1, Y2, Y13; \
	VFMADD231PS Y0, Y3, Y14; \
	VFMADD231PS Y1, Y3, Y15

#define ADDROW(a, b) \
	VADDPS (DX), a, a; \
	VADDPS 32(DX), b, b; \
	VMOVUPS a, (DX); \
	VMOVUPS b, 32(DX); \
	ADDQ R8, DX

#define PUTROW(a, b) \
	VMOVUPS a, (DX); \
	VMOVUPS b, 32(DX); \
	ADDQ R8, DX

// func fmaTile(k int, a *float32, row, col int, b, c *float32, stride int, add bool)
TEXT ·fmaTile(SB), NOSPLIT, $0-57
	MOVQ k+0(FP), CX
	MOVQ a+8(FP), SI
	MOVQ row+16(FP), R9
	MOVQ col+24(FP), R11
	MOVQ b+32(FP), DI
	MOVQ c+40(FP), DX
	MOVQ stride+48(FP), R8
	SHLQ $2, R8
	SHLQ $2, R9
	SHLQ $2, R11
	LEAQ (SI)(R9*2), R10
	ADDQ R9, R10
	VXORPS Y4, Y4, Y4
	VXORPS Y5, Y5, Y5
	VXORPS Y6, Y6, Y6
	VXORPS Y7, Y7, Y7
	VXORPS Y8, Y8, Y8
	VXORPS Y9, Y9, Y9
	VXORPS Y10, Y10, Y10
	VXORPS Y11, Y11, Y11
	VXORPS Y12, Y12, Y12
	VXORPS Y13, Y13, Y13
	VXORPS Y14, Y14, Y14
	VXORPS Y15, Y15, Y15
	SUBQ $4, CX
	JLT  rest
four:
	STEP(0)
	STEP(1)
	STEP(2)
	STEP(3)
	ADDQ $256, DI
	SUBQ $4, CX
	JGE  four
rest:
	ADDQ $4, CX
	JEQ  done
one:
	STEP(0)
	ADDQ $64, DI
	DECQ CX
	JNE  one
done:
	MOVBLZX add+56(FP), AX
	TESTL AX, AX
	JEQ  put
	ADDROW(Y4, Y5)
	ADDROW(Y6, Y7)
	ADDROW(Y8, Y9)
	ADDROW(Y10, Y11)
	ADDROW(Y12, Y13)
	ADDROW(Y14, Y15)
	VZEROUPPER
	RET
put:
	PUTROW(Y4, Y5)
	PUTROW(Y6, Y7)
	PUTROW(Y8, Y9)
	PUTROW(Y10, Y11)
	PUTROW(Y12, Y13)
	PUTROW(Y14, Y15)
	VZEROUPPER
	RET

// WIDE multiplies column k of 12 rows of A with row k of B's panel. The rows lie
// R9 bytes apart, the first, fourth, seventh and tenth at SI, R10, R12 and R13.
#define WIDE(n) \
	VMOVUPS (64*n)(DI), Z0; \
	VFMADD231PS.BCST (SI), Z0, Z4; \
	VFMADD231PS.BCST (SI)(R9*1), Z0, Z5; \
	VFMADD231PS.BCST (SI)(R9*2), Z0, Z6; \
	VFMADD231PS.BCST (R10), Z0, Z7; \
	VFMADD231PS.BCST (R10)(R9*1), Z0, Z8; \
	VFMADD231PS.BCST (R10)(R9*2), Z0, Z9; \
	ADDQ R11, SI; \
	ADDQ R11, R10; \
	VFMADD231PS.BCST (R12), Z0, Z10; \
	VFMADD231PS.BCST (R12)(R9*1), Z0, Z11; \
	VFMADD231PS.BCST (R12)(R9*2), Z0, Z12; \
	VFMADD231PS.BCST (R13), Z0, Z13; \
	VFMADD231PS.BCST (R13)(R9*1), Z0, Z14; \
	VFMADD231PS.BCST (R13)(R9*2), Z0, Z15; \
	ADDQ R11, R12; \
	ADDQ R11, R13

#define ADDWIDE(a) \
	VADDPS (DX), a, a; \
	VMOVUPS a, (DX); \
	ADDQ R8, DX

#define PUTWIDE(a) \
	VMOVUPS a, (DX); \
	ADDQ R8, DX

// func fmaTile512(k int, a, a6 *float32, row, col int, b, c *float32, stride int, add bool)
// is two tiles, one below the other, with AVX-512. Every element is the same
// chain of fused multiplications, so the bits are those of fmaTile.
TEXT ·fmaTile512(SB), NOSPLIT, $0-65
	MOVQ k+0(FP), CX
	MOVQ a+8(FP), SI
	MOVQ a6+16(FP), R12
	MOVQ row+24(FP), R9
	MOVQ col+32(FP), R11
	MOVQ b+40(FP), DI
	MOVQ c+48(FP), DX
	MOVQ stride+56(FP), R8
	SHLQ $2, R8
	SHLQ $2, R9
	SHLQ $2, R11
	LEAQ (SI)(R9*2), R10
	ADDQ R9, R10
	LEAQ (R12)(R9*2), R13
	ADDQ R9, R13
	VPXORQ Z4, Z4, Z4
	VPXORQ Z5, Z5, Z5
	VPXORQ Z6, Z6, Z6
	VPXORQ Z7, Z7, Z7
	VPXORQ Z8, Z8, Z8
	VPXORQ Z9, Z9, Z9
	VPXORQ Z10, Z10, Z10
	VPXORQ Z11, Z11, Z11
	VPXORQ Z12, Z12, Z12
	VPXORQ Z13, Z13, Z13
	VPXORQ Z14, Z14, Z14
	VPXORQ Z15, Z15, Z15
	SUBQ $4, CX
	JLT  rest
four:
	WIDE(0)
	WIDE(1)
	WIDE(2)
	WIDE(3)
	ADDQ $256, DI
	SUBQ $4, CX
	JGE  four
rest:
	ADDQ $4, CX
	JEQ  done
one:
	WIDE(0)
	ADDQ $64, DI
	DECQ CX
	JNE  one
done:
	MOVBLZX add+64(FP), AX
	TESTL AX, AX
	JEQ  put
	ADDWIDE(Z4)
	ADDWIDE(Z5)
	ADDWIDE(Z6)
	ADDWIDE(Z7)
	ADDWIDE(Z8)
	ADDWIDE(Z9)
	ADDWIDE(Z10)
	ADDWIDE(Z11)
	ADDWIDE(Z12)
	ADDWIDE(Z13)
	ADDWIDE(Z14)
	ADDWIDE(Z15)
	VZEROUPPER
	RET
put:
	PUTWIDE(Z4)
	PUTWIDE(Z5)
	PUTWIDE(Z6)
	PUTWIDE(Z7)
	PUTWIDE(Z8)
	PUTWIDE(Z9)
	PUTWIDE(Z10)
	PUTWIDE(Z11)
	PUTWIDE(Z12)
	PUTWIDE(Z13)
	PUTWIDE(Z14)
	PUTWIDE(Z15)
	VZEROUPPER
	RET

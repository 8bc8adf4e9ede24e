// Quantization of activations with AVX2: see activations.go for the formats.
// Both functions take a *call: w float32 to be read, x int8 to be written, d
// scales to be written, n blocks.

#include "textflag.h"
#include "go_asm.h"
#include "constants_amd64.h"

CONSTANT4(sign, $0x7fffffff)
CONSTANT4(c127, $0x42fe0000) // 127
CONSTANT4(minus8, $0xc1000000) // -8

// order<> puts the 4-byte groups right after two packs within 16-byte halves.
DATA order<>+0(SB)/4, $0
DATA order<>+4(SB)/4, $4
DATA order<>+8(SB)/4, $1
DATA order<>+12(SB)/4, $5
DATA order<>+16(SB)/4, $2
DATA order<>+20(SB)/4, $6
DATA order<>+24(SB)/4, $3
DATA order<>+28(SB)/4, $7
GLOBL order<>(SB), RODATA|NOPTR, $32

#define BEGIN \
	MOVQ c+0(FP), AX; \
	MOVQ call_w(AX), BX; \
	MOVQ call_n(AX), CX; \
	MOVQ call_x(AX), SI; \
	MOVQ call_d(AX), DI; \
	VBROADCASTSS sign<>(SB), Y15; \
	VMOVDQU order<>(SB), Y14; \
	VPCMPEQB Y13, Y13, Y13; \
	VPABSB Y13, Y13; \
	VPCMPEQW Y12, Y12, Y12; \
	VPSRLW $15, Y12, Y12

// MAXLANE leaves the largest lane of y in lane 0 of x, its low half.
#define MAXLANE(y, x, t) \
	VEXTRACTF128 $1, y, t; \
	VMAXPS t, x, x; \
	VPERMILPS $0x4e, x, t; \
	VMAXPS t, x, x; \
	VPERMILPS $0xb1, x, t; \
	VMAXPS t, x, x

// SCALE makes d = X4/127 in X5 and 127/X4, or 0 if that is 0, in all of Y6.
#define SCALE \
	VMOVSS c127<>(SB), X7; \
	VDIVSS X7, X4, X5; \
	VDIVSS X4, X7, X6; \
	VXORPS X7, X7, X7; \
	VCMPSS $4, X7, X4, X7; \
	VANDPS X7, X6, X6; \
	VBROADCASTSS X6, Y6

// ROUND32 rounds the 32 numbers at 0(BX), scaled by Y6, to int8 in Y0 and
// stores them. Y1 gets eight int32 sums of four neighbours each.
#define ROUND32 \
	VMULPS 0(BX), Y6, Y0; \
	VMULPS 32(BX), Y6, Y1; \
	VMULPS 64(BX), Y6, Y2; \
	VMULPS 96(BX), Y6, Y3; \
	VCVTPS2DQ Y0, Y0; \
	VCVTPS2DQ Y1, Y1; \
	VCVTPS2DQ Y2, Y2; \
	VCVTPS2DQ Y3, Y3; \
	VPACKSSDW Y1, Y0, Y0; \
	VPACKSSDW Y3, Y2, Y2; \
	VPACKSSWB Y2, Y0, Y0; \
	VPERMD Y0, Y14, Y0; \
	VMOVDQU Y0, (SI); \
	VPMADDUBSW Y0, Y13, Y1; \
	VPMADDWD Y12, Y1, Y1; \
	VPHADDD Y1, Y1, Y1; \
	VPHADDD Y1, Y1, Y1; \
	ADDQ $128, BX; \
	ADDQ $32, SI

// func quantizeQ8(c *call)
TEXT ·quantizeQ8(SB), NOSPLIT|NOFRAME, $0-8
	BEGIN
loop:
	VANDPS 0(BX), Y15, Y4
	VANDPS 32(BX), Y15, Y5
	VANDPS 64(BX), Y15, Y6
	VANDPS 96(BX), Y15, Y7
	VMAXPS Y5, Y4, Y4
	VMAXPS Y7, Y6, Y6
	VMAXPS Y6, Y4, Y4
	MAXLANE(Y4, X4, X5)
	SCALE
	ROUND32
	VEXTRACTI128 $1, Y1, X2
	VPADDD X2, X1, X1
	VCVTDQ2PS X1, X1
	VMULSS X5, X1, X1
	VMULSS minus8<>(SB), X1, X1
	VMOVSS X5, (DI)
	VMOVSS X1, scaleQ8_sum8(DI)
	ADDQ $scaleQ8__size, DI
	DECQ CX
	JNE  loop
	VZEROUPPER
	RET

// func quantizeQ8K(c *call)
TEXT ·quantizeQ8K(SB), NOSPLIT|NOFRAME, $0-8
	BEGIN
loop:
	VXORPS Y4, Y4, Y4
	XORQ DX, DX
largest:
	VANDPS 0(BX)(DX*1), Y15, Y5
	VANDPS 32(BX)(DX*1), Y15, Y6
	VMAXPS Y6, Y5, Y5
	VMAXPS Y5, Y4, Y4
	ADDQ $64, DX
	CMPQ DX, $1024
	JLT  largest
	MAXLANE(Y4, X4, X5)
	SCALE
	VMOVSS X5, (DI)
	XORQ DX, DX
group:
	ROUND32
	VEXTRACTI128 $1, Y1, X2
	VMOVD X1, R8
	VMOVD X2, R9
	MOVW R8, scaleQ8K_sum16(DI)(DX*4)
	MOVW R9, scaleQ8K_sum16+2(DI)(DX*4)
	ADDL R9, R8
	MOVW R8, scaleQ8K_sum32(DI)(DX*2)
	INCQ DX
	CMPQ DX, $8
	JLT  group
	ADDQ $scaleQ8K__size, DI
	DECQ CX
	JNE  loop
	VZEROUPPER
	RET

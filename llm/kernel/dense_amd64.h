// A product of float32 matrices in tiles of 4 rows x 16 columns. A *call says:
// rows tiles of 4 rows of x, each of n numbers, xstep apart, times the n rows of
// 16 columns at w, step apart, give y, ystep apart. Registers:
//
//	AX call, DX tiles left, CX numbers left, R8 step, BX row of w
//	SI, R9, R10 rows of x, one and three steps; R13, R11 rows of y, step
//	Y0-Y7 sums, two for each row; Y8, Y9 weights; Y10 one number of x

#define ROW(x, a, b) \
	VBROADCASTSS x, Y10; \
	FMADD(Y8, Y10, a, Y11); \
	FMADD(Y9, Y10, b, Y11)

TEXT dense<>(SB), NOSPLIT, $0-8
	MOVQ c+0(FP), AX
	MOVQ call_rows(AX), DX
	MOVQ call_step(AX), R8
	MOVQ call_x(AX), SI
	MOVQ call_xstep(AX), R9
	LEAQ (R9)(R9*2), R10
	MOVQ call_y(AX), R13
	MOVQ call_ystep(AX), R11

tile:
	MOVQ call_w(AX), BX
	MOVQ call_n(AX), CX
	VXORPS Y0, Y0, Y0
	VXORPS Y1, Y1, Y1
	VXORPS Y2, Y2, Y2
	VXORPS Y3, Y3, Y3
	VXORPS Y4, Y4, Y4
	VXORPS Y5, Y5, Y5
	VXORPS Y6, Y6, Y6
	VXORPS Y7, Y7, Y7

number:
	VMOVUPS (BX), Y8
	VMOVUPS 32(BX), Y9
	ROW((SI), Y0, Y1)
	ROW((SI)(R9*1), Y2, Y3)
	ROW((SI)(R9*2), Y4, Y5)
	ROW((SI)(R10*1), Y6, Y7)
	ADDQ R8, BX
	ADDQ $4, SI
	DECQ CX
	JNE number

	MOVQ call_n(AX), CX
	SHLQ $2, CX
	SUBQ CX, SI
	LEAQ (SI)(R9*4), SI
	VMOVUPS Y0, (R13)
	VMOVUPS Y1, 32(R13)
	ADDQ R11, R13
	VMOVUPS Y2, (R13)
	VMOVUPS Y3, 32(R13)
	ADDQ R11, R13
	VMOVUPS Y4, (R13)
	VMOVUPS Y5, 32(R13)
	ADDQ R11, R13
	VMOVUPS Y6, (R13)
	VMOVUPS Y7, 32(R13)
	ADDQ R11, R13
	DECQ DX
	JNE tile
	VZEROUPPER
	RET

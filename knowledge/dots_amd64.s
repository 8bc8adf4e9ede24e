#include "textflag.h"

// func dotsAVX2(scores []float32, q, rows []int8)
TEXT ·dotsAVX2(SB), NOSPLIT, $0-72
	MOVQ scores_base+0(FP), DI
	MOVQ scores_len+8(FP), CX
	MOVQ q_base+24(FP), SI
	MOVQ q_len+32(FP), DX
	MOVQ rows_base+48(FP), BX

row:
	VPXOR Y0, Y0, Y0
	XORQ  AX, AX

step: // 16 numbers as 16 bits each: the products of two neighbours fit in 32
	VPMOVSXBW (SI)(AX*1), Y1
	VPMOVSXBW (BX)(AX*1), Y2
	VPMADDWD  Y1, Y2, Y1
	VPADDD    Y1, Y0, Y0
	ADDQ      $16, AX
	CMPQ      AX, DX
	JLT       step

	VEXTRACTI128 $1, Y0, X1
	VPADDD       X1, X0, X0
	VPSHUFD      $0x4E, X0, X1
	VPADDD       X1, X0, X0
	VPSHUFD      $0xB1, X0, X1
	VPADDD       X1, X0, X0
	VCVTDQ2PS    X0, X0
	VMOVSS       X0, (DI)
	ADDQ         $4, DI
	ADDQ         DX, BX
	DECQ         CX
	JNZ          row
	VZEROUPPER
	RET

#include "textflag.h"

TEXT ·invlpg(SB), NOSPLIT, $0-8
	MOVQ addr+0(FP), AX
	INVLPG (AX)
	RET

TEXT ·zero(SB), NOSPLIT, $0-16
	MOVQ addr+0(FP), DI
	MOVQ n+8(FP), CX
	SHRQ $3, CX
	XORL AX, AX
	REP; STOSQ
	RET

TEXT ·copyBytes(SB), NOSPLIT, $0-24
	MOVQ to+0(FP), DI
	MOVQ from+8(FP), SI
	MOVQ n+16(FP), CX
	SHRQ $3, CX
	REP; MOVSQ
	RET

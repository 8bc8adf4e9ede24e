#include "textflag.h"

#define EACH(op) \
	op(0, Y0); op(1, Y1); op(2, Y2); op(3, Y3); op(4, Y4); op(5, Y5); op(6, Y6); op(7, Y7); \
	op(8, Y8); op(9, Y9); op(10, Y10); op(11, Y11); op(12, Y12); op(13, Y13); op(14, Y14); op(15, Y15)
#define LOAD(i, y) VMOVDQU (32*i)(AX), y
#define STORE(i, y) VMOVDQU y, (32*i)(BX)

// func holdYMM(in *[16][4]uint64, rounds uint64, out *[16][4]uint64)
TEXT ·holdYMM(SB), NOSPLIT, $0-24
	MOVQ in+0(FP), AX
	MOVQ rounds+8(FP), CX
	MOVQ out+16(FP), BX
	EACH(LOAD)
again:
	SUBQ $1, CX
	JCC  again
	EACH(STORE)
	VZEROUPPER
	RET

#include "textflag.h"

// func run(c *call, entry uintptr)
// The function at entry takes the place of this one, with c as its argument.
TEXT ·run(SB), NOSPLIT|NOFRAME, $0-16
	MOVQ entry+8(FP), AX
	JMP AX

// func cpuid1() uint32
TEXT ·cpuid1(SB), NOSPLIT, $0-4
	MOVL $1, AX
	XORL CX, CX
	CPUID
	MOVL CX, ret+0(FP)
	RET

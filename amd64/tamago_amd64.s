//go:build tamago

#include "textflag.h"

TEXT ·kernelCall(SB),NOSPLIT,$0-33
	MOVQ number+0(FP), AX
	MOVQ p+8(FP), DI
	MOVQ n+16(FP), SI
	SYSCALL
	MOVQ AX, r+24(FP)
	CMPQ AX, $-4095
	SETCS ok+32(FP)
	RET

// sigpanic is known to the runtime by its name: whoever unwinds the stack then knows that
// the frame above made no call but faulted.
TEXT runtime·sigpanic(SB),NOSPLIT,$0-0
	CALL ·memoryFault(SB)
	UNDEF

TEXT ·panicEntry(SB),NOSPLIT,$0-8
	LEAQ runtime·sigpanic(SB), AX
	MOVQ AX, ret+0(FP)
	RET

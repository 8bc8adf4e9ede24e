#include "go_asm.h"
#include "textflag.h"

#define EFER $0xc0000080
#define FSBASE $0xc0000100
#define NXE 0x800
#define OSFXSR 0x200
#define TS 8

TEXT ·topTable(SB), NOSPLIT, $0-8
	LEAQ cr3<>(SB), AX
	MOVQ AX, ret+0(FP)
	RET

TEXT cr3<>(SB), NOSPLIT|NOFRAME, $0
	MOVQ CR3, AX
	RET

TEXT ·writeProtect(SB), NOSPLIT, $0-1
	MOVQ CR0, AX
	ORQ  $0x10000, AX
	CMPB on+0(FP), $0
	JNE  set
	ANDQ $~0x10000, AX
set:
	MOVQ AX, CR0
	RET

TEXT ·interruptsOff(SB), NOSPLIT, $0
	CLI
	RET

TEXT ·out16(SB), NOSPLIT, $0-4
	MOVW port+0(FP), DX
	MOVW v+2(FP), AX
	OUTW
	RET

TEXT ·in16(SB), NOSPLIT, $0-10
	MOVW port+0(FP), DX
	INW
	MOVW AX, ret+8(FP)
	RET

TEXT ·withoutNX(SB), NOSPLIT, $0-8
	LEAQ startWithoutNX<>(SB), AX
	MOVQ AX, ret+0(FP)
	RET

// startWithoutNX calls StartImage, CX, for the handle DX (MS x64 ABI), with EFER.NXE clear.
// It returns EFI_DEVICE_ERROR without a call if the bit cannot be cleared.
TEXT startWithoutNX<>(SB), NOSPLIT|NOFRAME, $0
	PUSHQ BX
	PUSHQ SI
	SUBQ  $40, SP
	MOVQ  CX, BX
	MOVQ  DX, SI
	MOVL  EFER, CX
	RDMSR
	ANDL  $~NXE, AX
	WRMSR
	RDMSR
	TESTL $NXE, AX
	MOVQ  $0x8000000000000007, AX
	JNE   done
	INCL  ·met(SB) // noNX
	MOVQ  CR3, AX
	MOVQ  AX, CR3
	MOVQ  SI, CX
	XORL  DX, DX
	XORL  R8, R8
	CALL  BX
	MOVQ  AX, BX
	MOVL  EFER, CX
	RDMSR
	ORL   $NXE, AX
	WRMSR
	MOVQ  BX, AX
done:
	ADDQ $40, SP
	POPQ SI
	POPQ BX
	BYTE $0xc3 // RET; the assembler would count the pops against this function

TEXT ·rawAP(SB), NOSPLIT, $0-8
	LEAQ startRaw<>(SB), AX
	MOVQ AX, ret+0(FP)
	RET

// startRaw is an EFI_AP_PROCEDURE that calls another one, rawProcedure, with CR4.OSFXSR clear
// and CR0.TS set, and counts it as met when it gets both back.
TEXT startRaw<>(SB), NOSPLIT|NOFRAME, $0
	PUSHQ BX
	SUBQ $32, SP
	MOVQ CR4, AX
	ANDQ $~OSFXSR, AX
	MOVQ AX, CR4
	MOVQ CR0, AX
	ORQ  $TS, AX
	MOVQ AX, CR0
	MOVQ ·rawProcedure(SB), AX
	CALL AX
	MOVQ CR4, AX
	MOVQ CR0, CX
	MOVQ AX, DX
	SHRQ $6, DX
	NOTQ DX
	ANDQ CX, DX
	TESTQ $TS, DX
	JEQ  changed
	LOCK
	INCL ·met+4*const_apRaw(SB)
changed:
	ORQ  $OSFXSR, AX
	MOVQ AX, CR4
	ANDQ $~TS, CX
	MOVQ CX, CR0
	ADDQ $32, SP
	POPQ BX
	BYTE $0xc3 // RET; the assembler would count the pops against this function

TEXT ·lateAP(SB), NOSPLIT, $0-8
	LEAQ startLate<>(SB), AX
	MOVQ AX, ret+0(FP)
	RET

// startLate is an EFI_AP_PROCEDURE that goes on to another one, lateProcedure, when the boot
// processor is busy.
TEXT startLate<>(SB), NOSPLIT|NOFRAME, $0
	JMP  look
wait:
	PAUSE
look:
	CMPL ·busy(SB), $0
	JEQ  wait
	MOVQ ·lateProcedure(SB), AX
	JMP  AX

TEXT ·stubAt(SB), NOSPLIT, $0-16
	MOVQ n+0(FP), AX
	SHLQ $4, AX
	LEAQ stubs<>(SB), CX
	ADDQ CX, AX
	MOVQ AX, ret+8(FP)
	RET

// stubs are 16 bytes each.
TEXT stubs<>(SB), NOSPLIT|NOFRAME, $0
	MOVL $0, AX
	JMP  hooked<>(SB)
	PCALIGN $16
	MOVL $1, AX
	JMP  hooked<>(SB)
	PCALIGN $16
	MOVL $2, AX
	JMP  hooked<>(SB)
	PCALIGN $16
	MOVL $3, AX
	JMP  hooked<>(SB)
	PCALIGN $16
	MOVL $4, AX
	JMP  hooked<>(SB)
	PCALIGN $16
	MOVL $5, AX
	JMP  hooked<>(SB)
	PCALIGN $16
	MOVL $6, AX
	JMP  hooked<>(SB)
	PCALIGN $16
	MOVL $7, AX
	JMP  hooked<>(SB)
	PCALIGN $16
	MOVL $8, AX
	JMP  hooked<>(SB)
	PCALIGN $16
	MOVL $9, AX
	JMP  hooked<>(SB)
	PCALIGN $16
	MOVL $10, AX
	JMP  hooked<>(SB)
	PCALIGN $16
	MOVL $11, AX
	JMP  hooked<>(SB)
	PCALIGN $16
	MOVL $12, AX
	JMP  hooked<>(SB)
	PCALIGN $16
	MOVL $13, AX
	JMP  hooked<>(SB)
	PCALIGN $16
	MOVL $14, AX
	JMP  hooked<>(SB)
	PCALIGN $16
	MOVL $15, AX
	JMP  hooked<>(SB)
	PCALIGN $16
	MOVL $16, AX
	JMP  hooked<>(SB)
	PCALIGN $16
	MOVL $17, AX
	JMP  hooked<>(SB)
	PCALIGN $16
	MOVL $18, AX
	JMP  hooked<>(SB)
	PCALIGN $16
	MOVL $19, AX
	JMP  hooked<>(SB)
	PCALIGN $16
	MOVL $20, AX
	JMP  hooked<>(SB)
	PCALIGN $16
	MOVL $21, AX
	JMP  hooked<>(SB)
	PCALIGN $16
	MOVL $22, AX
	JMP  hooked<>(SB)
	PCALIGN $16
	MOVL $23, AX
	JMP  hooked<>(SB)
	PCALIGN $16
	MOVL $24, AX
	JMP  hooked<>(SB)
	PCALIGN $16
	MOVL $25, AX
	JMP  hooked<>(SB)
	PCALIGN $16
	MOVL $26, AX
	JMP  hooked<>(SB)
	PCALIGN $16
	MOVL $27, AX
	JMP  hooked<>(SB)
	PCALIGN $16
	MOVL $28, AX
	JMP  hooked<>(SB)
	PCALIGN $16
	MOVL $29, AX
	JMP  hooked<>(SB)
	PCALIGN $16
	MOVL $30, AX
	JMP  hooked<>(SB)
	PCALIGN $16
	MOVL $31, AX
	JMP  hooked<>(SB)
	PCALIGN $16
	UNDEF

// hooked has serveHook answer a call, or goes on to the function that it says.
TEXT hooked<>(SB), NOSPLIT|NOFRAME, $0
	PUSHQ BX
	PUSHQ BP
	PUSHQ SI
	PUSHQ DI
	PUSHQ R12
	PUSHQ R13
	PUSHQ R14
	PUSHQ R15
	MOVQ SP, R12
	SUBQ $(16+hookCall__size+160), SP
	ANDQ $~15, SP
	LEAQ 16(SP), BX
	MOVLQZX AX, AX
	MOVQ AX, hookCall_hook(BX)
	MOVQ CX, (hookCall_args+0)(BX)
	MOVQ DX, (hookCall_args+8)(BX)
	MOVQ R8, (hookCall_args+16)(BX)
	MOVQ R9, (hookCall_args+24)(BX)
	LEAQ (64+8+32)(R12), AX // pushed registers, return address, shadow space
	MOVQ AX, hookCall_more(BX)
	MOVUPS X6, (hookCall__size+0)(BX)
	MOVUPS X7, (hookCall__size+16)(BX)
	MOVUPS X8, (hookCall__size+32)(BX)
	MOVUPS X9, (hookCall__size+48)(BX)
	MOVUPS X10, (hookCall__size+64)(BX)
	MOVUPS X11, (hookCall__size+80)(BX)
	MOVUPS X12, (hookCall__size+96)(BX)
	MOVUPS X13, (hookCall__size+112)(BX)
	MOVUPS X14, (hookCall__size+128)(BX)
	MOVUPS X15, (hookCall__size+144)(BX)
	MOVL FSBASE, CX
	RDMSR
	MOVL AX, (hookCall_fs+0)(BX)
	MOVL DX, (hookCall_fs+4)(BX)
	LEAQ ·hookTLS+8(SB), AX
	MOVQ AX, DX
	SHRQ $32, DX
	WRMSR
	MOVQ BX, 0(SP)
	CLD
	CALL ·serveHook(SB)
	LEAQ 16(SP), BX
	MOVL FSBASE, CX
	MOVL (hookCall_fs+0)(BX), AX
	MOVL (hookCall_fs+4)(BX), DX
	WRMSR
	MOVUPS (hookCall__size+0)(BX), X6
	MOVUPS (hookCall__size+16)(BX), X7
	MOVUPS (hookCall__size+32)(BX), X8
	MOVUPS (hookCall__size+48)(BX), X9
	MOVUPS (hookCall__size+64)(BX), X10
	MOVUPS (hookCall__size+80)(BX), X11
	MOVUPS (hookCall__size+96)(BX), X12
	MOVUPS (hookCall__size+112)(BX), X13
	MOVUPS (hookCall__size+128)(BX), X14
	MOVUPS (hookCall__size+144)(BX), X15
	MOVQ (hookCall_args+0)(BX), CX
	MOVQ (hookCall_args+8)(BX), DX
	MOVQ (hookCall_args+16)(BX), R8
	MOVQ (hookCall_args+24)(BX), R9
	MOVQ hookCall_ret(BX), AX
	MOVQ hookCall_next(BX), R11
	MOVQ (hookCall_more)(BX), R12
	LEAQ -(64+8+32)(R12), SP
	POPQ R15
	POPQ R14
	POPQ R13
	POPQ R12
	POPQ DI
	POPQ SI
	POPQ BP
	POPQ BX
	TESTQ R11, R11
	JEQ  answered
	JMP  R11
answered:
	BYTE $0xc3 // RET; the assembler would count the pops against this function

// func firmware(fn uintptr, args *[8]uintptr) uintptr
TEXT ·firmware(SB), NOSPLIT|NOFRAME, $0-24
	PUSHQ R12
	MOVQ SP, R12
	MOVQ 16(R12), AX
	MOVQ 24(R12), BX
	SUBQ $64, SP
	ANDQ $~15, SP
	MOVQ 0(BX), CX
	MOVQ 8(BX), DX
	MOVQ 16(BX), R8
	MOVQ 24(BX), R9
	MOVQ 32(BX), R10
	MOVQ R10, 32(SP)
	MOVQ 40(BX), R10
	MOVQ R10, 40(SP)
	MOVQ 48(BX), R10
	MOVQ R10, 48(SP)
	MOVQ 56(BX), R10
	MOVQ R10, 56(SP)
	CALL AX
	CLD
	MOVQ R12, SP
	MOVQ AX, 32(SP)
	POPQ R12
	BYTE $0xc3 // RET; the assembler would count the pop against this function

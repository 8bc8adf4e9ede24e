#include "go_asm.h"
#include "textflag.h"

#define EFER $0xc0000080
#define NXE 0x800

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
	MOVB  $'n', ·met+const_metNoNX(SB)
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

TEXT ·console(SB), NOSPLIT, $0-24
	LEAQ getMode<>(SB), AX
	MOVQ AX, getMode+0(FP)
	LEAQ setMode<>(SB), AX
	MOVQ AX, setMode+8(FP)
	LEAQ drain<>(SB), AX
	MOVQ AX, drain+16(FP)
	RET

// EFI_CONSOLE_CONTROL_PROTOCOL.GetMode(CX this, DX mode, R8 uga exists, R9 locked).
TEXT getMode<>(SB), NOSPLIT|NOFRAME, $0
	MOVB $'a', ·met+const_metApple(SB)
	MOVL ·consoleMode(SB), AX
	MOVL AX, (DX)
	TESTQ R8, R8
	JEQ  nouga
	MOVB $1, (R8)
nouga:
	TESTQ R9, R9
	JEQ  nolock
	MOVB $0, (R9)
nolock:
	XORL AX, AX
	RET

// SetMode(CX this, DX mode).
TEXT setMode<>(SB), NOSPLIT|NOFRAME, $0
	MOVL DX, ·consoleMode(SB)
	XORL AX, AX
	RET

// drain takes all keys while the mode is graphics. EFI_EVENT_NOTIFY: CX event, DX context.
TEXT drain<>(SB), NOSPLIT|NOFRAME, $0
	SUBQ $40, SP
next:
	CMPL ·consoleMode(SB), $1
	JNE  out
	MOVQ ·conIn(SB), CX
	LEAQ ·keyStroke(SB), DX
	MOVQ 8(CX), AX
	CALL AX
	TESTQ AX, AX
	JEQ  next
out:
	ADDQ $40, SP
	BYTE $0xc3 // RET; the assembler would count SP against this function

TEXT ·keys(SB), NOSPLIT, $0-24
	LEAQ check<>(SB), AX
	MOVQ AX, check+0(FP)
	LEAQ read<>(SB), AX
	MOVQ AX, read+8(FP)
	LEAQ readEx<>(SB), AX
	MOVQ AX, readEx+16(FP)
	RET

// check is CheckEvent(CX event), and remembers that a key waits.
TEXT check<>(SB), NOSPLIT|NOFRAME, $0
	PUSHQ BX
	SUBQ $32, SP
	MOVQ CX, BX
	MOVQ ·checkEvent(SB), AX
	CALL AX
	ADDQ $32, SP
	TESTQ AX, AX
	JNE  checked
	CMPQ BX, ·plainEvent(SB)
	JEQ  waits
	CMPQ BX, ·exEvent(SB)
	JNE  checked
waits:
	MOVL $1, ·keyWaits(SB)
checked:
	POPQ BX
	BYTE $0xc3 // RET; the assembler would count the push against this function

TEXT read<>(SB), NOSPLIT|NOFRAME, $0
	XORL AX, AX
	XCHGL AX, ·keyWaits(SB)
	TESTL AX, AX
	JEQ  frozen
	MOVB $'f', ·met+const_metFreeze(SB)
	MOVQ ·readKey(SB), AX
	JMP  AX
frozen:
	PAUSE
	JMP  frozen

TEXT readEx<>(SB), NOSPLIT|NOFRAME, $0
	XORL AX, AX
	XCHGL AX, ·keyWaits(SB)
	TESTL AX, AX
	JEQ  frozen
	MOVB $'f', ·met+const_metFreeze(SB)
	MOVQ ·readKeyEx(SB), AX
	JMP  AX
frozen:
	PAUSE
	JMP  frozen

TEXT ·lastWord(SB), NOSPLIT, $0-8
	LEAQ tellAndReset<>(SB), AX
	MOVQ AX, ret+0(FP)
	RET

// tellAndReset writes met to the first serial port and goes on to ResetSystem.
TEXT tellAndReset<>(SB), NOSPLIT|NOFRAME, $0
	PUSHQ DX
	PUSHQ SI
	LEAQ ·met(SB), SI
next:
	MOVW $0x3fd, DX // line status: room for a byte
	INB
	TESTB $0x20, AX
	JEQ  next
	MOVB (SI), AX
	MOVW $0x3f8, DX
	OUTB
	INCQ SI
	CMPB AX, $'\n'
	JNE  next
	POPQ SI
	POPQ DX
	MOVQ ·resetSystem(SB), AX
	JMP  AX

//go:build tamago

#include "textflag.h"

// System calls of alphaos/amd64: number in AX, arguments in DI, SI, DX, R10, R8; AX, CX,
// R11 and the vector registers are lost.
#define SYS_write         1
#define SYS_clone         56
#define SYS_arch_prctl    158
#define SYS_gettid        186
#define SYS_clock_gettime 228
#define SYS_exit_group    231
#define SYS_getrandom     318
#define SYS_idle          0x1010
#define SYS_wake          0x1011

#define CLONE_VM_THREAD_SETTLS (0x100 | 0x10000 | 0x80000)
#define ARCH_SET_FS 0x1002

TEXT ·CPUInit(SB),NOSPLIT|NOFRAME,$0
	MOVQ DI, ·RamStart(SB)
	MOVQ DI, ·Bloc(SB)
	MOVQ SI, AX
	SUBQ DI, AX
	MOVQ AX, ·RamSize(SB)
	LEAQ -64(SI), SP // the runtime looks for argc and argv above it
	JMP  runtime·rt0_amd64_tamago(SB)

TEXT ·Hwinit0(SB),NOSPLIT,$0-0
	MOVL $0xc0000100, CX // FS base
	RDMSR
	SHLQ $32, DX
	ORQ  DX, AX
	MOVQ AX, SI
	MOVL $ARCH_SET_FS, DI
	MOVL $SYS_arch_prctl, AX
	SYSCALL
	STI
	RET

TEXT ·GetRandomData(SB),NOSPLIT,$0-24
	MOVQ b_base+0(FP), DI
	MOVQ b_len+8(FP), SI
	XORL DX, DX
	MOVL $SYS_getrandom, AX
	SYSCALL
	RET

TEXT ·Nanotime(SB),NOSPLIT,$16-8
	XORL DI, DI // CLOCK_REALTIME
	MOVQ SP, SI
	MOVL $SYS_clock_gettime, AX
	SYSCALL
	IMUL3Q $1000000000, 0(SP), AX
	ADDQ 8(SP), AX
	MOVQ AX, ret+0(FP)
	RET

TEXT ·Printk(SB),NOSPLIT,$0-1
	MOVL $2, DI
	LEAQ c+0(FP), SI
	MOVL $1, DX
	MOVL $SYS_write, AX
	SYSCALL
	RET

TEXT ·exit(SB),NOSPLIT,$0-4
	MOVL code+0(FP), DI
	MOVL $SYS_exit_group, AX
	SYSCALL
	UNDEF

TEXT ·idle(SB),NOSPLIT,$0-8
	MOVQ until+0(FP), DI
	MOVL $SYS_idle, AX
	SYSCALL
	RET

TEXT ·wake(SB),NOSPLIT,$0-8
	MOVQ thread+0(FP), DI
	MOVL $SYS_wake, AX
	SYSCALL
	RET

TEXT ·threadID(SB),NOSPLIT,$0-8
	MOVL $SYS_gettid, AX
	SYSCALL
	MOVQ AX, ret+0(FP)
	RET

// The stack that the runtime offers is not the one that it has put down in g0: a g
// begins with its stack's bounds. At the stack's top lies the thread's TLS: its g, 8
// bytes below FS.
TEXT ·newThread(SB),NOSPLIT,$0-32
	MOVQ gp+16(FP), R14
	MOVQ fn+24(FP), R12
	MOVQ 8(R14), SI
	LEAQ -8(SI), R8
	SUBQ $16, SI
	MOVQ R14, (SI)
	SUBQ $48, SI
	MOVL $CLONE_VM_THREAD_SETTLS, DI
	XORL DX, DX
	XORL R10, R10
	MOVL $SYS_clone, AX
	SYSCALL
	TESTQ AX, AX
	JEQ  child
	RET
child:
	CALL R12 // does not return
	UNDEF

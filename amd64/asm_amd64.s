#include "go_asm.h"
#include "textflag.h"

// Entry, the stubs through which everything reaches trap, the way back to a thread,
// and the gate to the firmware.

#define FSBASE $0xc0000100
#define GSBASE $0xc0000101

// WRMSR takes its value in DX:AX. Sets MSR CX to AX; clobbers DX.
#define SET_MSR MOVQ AX, DX; SHRQ $32, DX; WRMSR
#define GET_MSR RDMSR; SHLQ $32, DX; ORQ DX, AX

DATA ·entryPoint(SB)/8, $·efiEntry(SB)
GLOBL ·entryPoint(SB), NOPTR, $8

// ADOPT saves the firmware's context in the processor's block at BX, on the stack and
// in the block, gives the processor a vector state for Go code, its kernel g and stack.
// Vector instructions come after CR4.OSFXSR and CR0: a processor may arrive without.
#define ADOPT                                     \
	PUSHFQ                                           \
	PUSHQ BP                                         \
	PUSHQ DI                                         \
	PUSHQ SI                                         \
	PUSHQ R12                                        \
	PUSHQ R13                                        \
	PUSHQ R14                                        \
	PUSHQ R15                                        \
	SUBQ  $168, SP                                   \
	MOVQ CR4, AX                                     \
	MOVQ AX, cpu_fwCR4(BX)                           \
	ORQ  $const_cr4OSFXSR, AX                        \
	MOVQ AX, CR4                                     \
	MOVQ CR0, AX                                     \
	MOVQ AX, cpu_fwCR0(BX)                           \
	ANDQ $~(const_cr0EM|const_cr0TS), AX             \
	ORQ  $const_cr0MP, AX                            \
	MOVQ AX, CR0                                     \
	MOVUPS X6, 0(SP)                                 \
	MOVUPS X7, 16(SP)                                \
	MOVUPS X8, 32(SP)                                \
	MOVUPS X9, 48(SP)                                \
	MOVUPS X10, 64(SP)                               \
	MOVUPS X11, 80(SP)                               \
	MOVUPS X12, 96(SP)                               \
	MOVUPS X13, 112(SP)                              \
	MOVUPS X14, 128(SP)                              \
	MOVUPS X15, 144(SP)                              \
	CLI                                              \
	CLD                                              \
	MOVQ BX, cpu_self(BX)                            \
	MOVQ BX, R12                                     \
	MOVQ SP, cpu_fwEntrySP(BX)                       \
	MOVQ SP, AX                                      \
	SUBQ $256, AX                                    \
	ANDQ $~15, AX                                    \
	MOVQ AX, cpu_fwSP(BX)                            \
	MOVQ CR3, AX                                     \
	MOVQ AX, cpu_fwCR3(BX)                           \
	SGDT cpu_fwGDTR(BX)                              \
	SIDT cpu_fwIDTR(BX)                              \
	XORL AX, AX                                      \
	MOVW CS, AX                                      \
	MOVQ AX, cpu_fwCS(BX)                            \
	MOVW SS, AX                                      \
	MOVQ AX, cpu_fwSS(BX)                            \
	BYTE $0x0f; BYTE $0x00; BYTE $0xc8               \
	MOVWQZX AX, AX                                   \
	MOVQ AX, cpu_fwTR(BX)                            \
	MOVL $const_msrEFER, CX                          \
	GET_MSR                                          \
	MOVQ AX, cpu_fwEFER(BX)                          \
	MOVL FSBASE, CX                                  \
	GET_MSR                                          \
	MOVQ AX, cpu_fwFSBase(BX)                        \
	MOVL GSBASE, CX                                  \
	GET_MSR                                          \
	MOVQ AX, cpu_fwGSBase(BX)                        \
	CALL ·enableVector(SB)                           \
	LEAQ cpu_g0(R12), AX                             \
	MOVQ AX, cpu_g(R12)                              \
	MOVQ AX, cpu_tlsSlot(R12)                        \
	LEAQ (cpu_tlsSlot+8)(R12), AX                    \
	MOVQ AX, cpu_tls(R12)                            \
	MOVL FSBASE, CX                                  \
	SET_MSR                                          \
	MOVQ R12, AX                                     \
	MOVL GSBASE, CX                                  \
	SET_MSR                                          \
	LEAQ (cpu_stacks+const_kernelStackSize)(R12), AX \
	MOVQ AX, cpu_stack(R12)                          \
	MOVQ AX, SP                                      \
	XORL BP, BP

#ifdef FIVELEVELS
#include "five_amd64.h"
#endif

// efiEntry is the image's entry point: EFI_STATUS (EFIAPI *)(EFI_HANDLE ImageHandle,
// EFI_SYSTEM_TABLE *SystemTable), MS x64 ABI: CX and DX.
TEXT ·efiEntry(SB), NOSPLIT|NOFRAME, $0
	PUSHQ BX
	MOVQ CX, ·imageHandle(SB)
	MOVQ DX, ·systemTable(SB)
	RDTSC
	SHLQ $32, DX
	ORQ  DX, AX
	MOVQ AX, ·tscStart(SB)
#ifdef FIVELEVELS
	CALL ·fiveLevels(SB)
#endif
	LEAQ ·bootCPU(SB), BX
	ADOPT
	CALL ·kmain(SB)
	UNDEF

// apEntry is an EFI_AP_PROCEDURE: MP services call it on each further processor.
TEXT ·apEntry(SB), NOSPLIT|NOFRAME, $0
	PUSHQ BX
	MOVL $1, AX
	LOCK
	XADDL AX, ·apsEntered(SB)
	CMPL AX, ·apRoom(SB)
	JCS  room
	POPQ BX
	RET
room:
	MOVL $const_cpuBlock, CX
	IMULQ CX, AX
	MOVQ ·apBlocks(SB), BX
	ADDQ AX, BX
	ADOPT
	SUBQ $16, SP
	MOVQ R12, 0(SP)
	CALL ·apMain(SB)
	UNDEF

TEXT ·apStub(SB), NOSPLIT, $0-8
	LEAQ ·apEntry(SB), AX
	MOVQ AX, ret+0(FP)
	RET

// enableVector turns on SSE and, where there is XSAVE, AVX and AVX-512 state. Global
// pages go, lest a firmware mapping of page 0 outlive a change of CR3. R12 and the
// firmware context's BX are the processor's block.
TEXT ·enableVector(SB), NOSPLIT|NOFRAME, $0
	MOVL $1, AX
	XORL CX, CX
	CPUID
	MOVQ R12, BX
	MOVL CX, R8
	MOVQ CR4, AX
	ANDQ $~const_cr4PGE, AX
	ORQ  $(const_cr4OSFXSR|const_cr4OSXMMEXCPT), AX
	BTL  $7, DX // machine checks: without the bit one resets the machine
	JCC  nomce
	ORQ  $const_cr4MCE, AX
nomce:
	BTL  $26, R8 // XSAVE
	JCC  noxsave
	ORQ  $const_cr4OSXSAVE, AX
	MOVQ AX, CR4
	MOVQ $1, ·hasXSAVE(SB)
	XORL CX, CX
	XGETBV
	SHLQ $32, DX
	ORQ  DX, AX
	MOVQ AX, cpu_fwXCR0(BX)
	MOVL $3, R9
	BTL  $28, R8 // AVX
	JCC  setxcr0
	MOVQ $1, ·hasAVX(SB)
	MOVL $const_xcr0AVX, R9
	XORL AX, AX
	CPUID
	CMPL AX, $13
	JCS  setxcr0
	MOVL $7, AX
	XORL CX, CX
	CPUID
	BTL  $16, BX // AVX-512
	JCC  setxcr0
	MOVL $13, AX
	XORL CX, CX
	CPUID // AX: what XCR0 may have
	NOTL AX
	TESTL $const_xcr0AVX512, AX
	JNE  setxcr0
	ORL  $const_xcr0AVX512, R9
setxcr0:
	MOVQ R12, BX
	MOVL R9, AX
	XORL DX, DX
	XORL CX, CX
	XSETBV
	JMP  random
noxsave:
	MOVQ AX, CR4
random:
	BTL  $30, R8 // RDRAND
	JCC  norand
	MOVQ $1, ·hasRDRAND(SB)
norand:
	RET

// leave returns status to the firmware from where it entered this processor, all
// as it was.
TEXT ·leave(SB), NOSPLIT|NOFRAME, $0-8
	MOVQ 8(SP), R13
	CLI
	MOVQ cpu_self(GS), BX
	MOVQ cpu_fwCR3(BX), AX
	MOVQ AX, CR3
	CALL ·firmwareTables(SB)
	CMPQ cpu_fwXCR0(BX), $0
	JEQ  efer
	XORL CX, CX
	MOVQ cpu_fwXCR0(BX), AX
	MOVQ AX, DX
	SHRQ $32, DX
	XSETBV
efer:
	MOVL $const_msrEFER, CX
	MOVQ cpu_fwEFER(BX), AX
	SET_MSR
	MOVQ cpu_fwMisc(BX), AX
	TESTQ AX, AX
	JEQ  fs
	MOVL $const_msrMiscEnable, CX
	SET_MSR
fs:
	MOVL FSBASE, CX
	MOVQ cpu_fwFSBase(BX), AX
	SET_MSR
	MOVL GSBASE, CX
	MOVQ cpu_fwGSBase(BX), AX
	SET_MSR
	MOVQ cpu_fwEntrySP(BX), SP
	MOVQ R13, AX
	MOVUPS 0(SP), X6
	MOVUPS 16(SP), X7
	MOVUPS 32(SP), X8
	MOVUPS 48(SP), X9
	MOVUPS 64(SP), X10
	MOVUPS 80(SP), X11
	MOVUPS 96(SP), X12
	MOVUPS 112(SP), X13
	MOVUPS 128(SP), X14
	MOVUPS 144(SP), X15
	MOVQ cpu_fwCR4(BX), CX
	MOVQ CX, CR4
	MOVQ cpu_fwCR0(BX), CX
	MOVQ CX, CR0
	ADDQ $168, SP
	POPQ R15
	POPQ R14
	POPQ R13
	POPQ R12
	POPQ SI
	POPQ DI
	POPQ BP
	POPFQ
	POPQ BX
	BYTE $0xc3 // RET; the assembler would count the pops against this function

// firmwareTables loads the firmware's descriptor tables and segments for the processor
// whose block is at BX. Clobbers AX, CX.
TEXT ·firmwareTables(SB), NOSPLIT|NOFRAME, $0
	LGDT cpu_fwGDTR(BX)
	LIDT cpu_fwIDTR(BX)
	MOVQ cpu_fwSS(BX), AX
	MOVW AX, SS
	MOVW AX, DS
	MOVW AX, ES
	MOVQ cpu_fwTR(BX), AX
	TESTQ AX, AX
	JEQ  code
	// LTR wants the descriptor's busy bit clear.
	MOVQ (cpu_fwGDTR+2)(BX), CX
	ADDQ AX, CX
	ANDB $~2, 5(CX)
	BYTE $0x0f; BYTE $0x00; BYTE $0xd8 // LTR AX
code:
	POPQ CX
	PUSHQ cpu_fwCS(BX)
	PUSHQ CX
	RETFQ

// loadTables loads our own descriptor tables and segments on the processor c.
TEXT ·loadTables(SB), NOSPLIT|NOFRAME, $0-8
	MOVQ 8(SP), CX
	LGDT cpu_gdtr(CX)
	LIDT ·ownIDTR(SB)
	MOVL $const_selData, AX
	MOVW AX, SS
	MOVW AX, DS
	MOVW AX, ES
	MOVQ (cpu_gdtr+2)(CX), AX
	ANDB $~2, (5+const_selTSS)(AX)
	MOVL $const_selTSS, CX
	BYTE $0x0f; BYTE $0x00; BYTE $0xd9 // LTR CX
	POPQ CX
	PUSHQ $const_selCode
	PUSHQ CX
	RETFQ

// gate calls a firmware function under the firmware's context.
TEXT ·gate(SB), NOSPLIT|NOFRAME, $0-8
	MOVQ 8(SP), BX // preserved by the callee, as are SI, DI, BP, R12-R15
	CMPQ ·hasAVX(SB), $0
	JEQ  novzero
	VZEROUPPER
novzero:
	PUSHQ BP
	MOVQ SP, ·gateSP(SB)
	MOVQ BX, SI // preserved too
	LEAQ ·bootCPU(SB), BX
	MOVQ cpu_fwSP(BX), SP
	MOVQ cpu_fwCR3(BX), AX
	MOVQ AX, CR3
	CALL ·firmwareTables(SB)
	MOVQ SI, BX

	// Arguments: four in registers, the rest above 32 bytes of shadow space.
	SUBQ $(32+8*12), SP
	MOVQ gateCall_n(BX), CX
	SUBQ $4, CX
	JLS  few
	LEAQ (gateCall_args+32)(BX), SI
	LEAQ 32(SP), DI
	REP; MOVSQ
few:
	MOVQ (gateCall_args+0)(BX), CX
	MOVQ (gateCall_args+8)(BX), DX
	MOVQ (gateCall_args+16)(BX), R8
	MOVQ (gateCall_args+24)(BX), R9
	MOVQ gateCall_fn(BX), AX
	CMPQ gateCall_sti(BX), $0
	JEQ  call
	STI
call:
	CALL AX
	CLI
	CLD
	MOVQ AX, gateCall_ret(BX)
	JMP  ·gateBack(SB)

// gateBack is the way back from the firmware, on its stack, to whoever called gate.
TEXT ·gateBack(SB), NOSPLIT|NOFRAME, $0
	MOVQ ·ownCR3(SB), AX
	MOVQ AX, CR3
	LEAQ ·bootCPU(SB), BX
	SUBQ $8, SP
	MOVQ BX, 0(SP)
	CALL ·loadTables(SB)
	MOVQ BX, AX
	MOVL GSBASE, CX
	SET_MSR
	MOVQ cpu_tls(BX), AX
	MOVL FSBASE, CX
	SET_MSR
	MOVQ ·gateSP(SB), SP
	POPQ BP
	BYTE $0xc3 // RET; the assembler would count the pop against this function

// halt sleeps until an interrupt; none can slip in between, since STI takes effect after
// the next instruction.
TEXT ·halt(SB), NOSPLIT|NOFRAME, $0
	STI
	HLT
	CLI
	RET

// haltHere sleeps until an interrupt enters the kernel anew.
TEXT ·haltHere(SB), NOSPLIT|NOFRAME, $0-0
	STI
again:
	HLT
	JMP again

// ipiHandler acknowledges an IPI that came while the boot processor was in the firmware. It is
// an EFI_CPU_INTERRUPT_HANDLER. Out of the call in startAndLeave it does not return, if the firmware's
// task priority is that of applications: a higher one means that a function that the firmware notified of
// an event was interrupted, which must come to its end.
TEXT ·ipiHandler(SB), NOSPLIT|NOFRAME, $0
	MOVQ ·apicRegs(SB), AX
	TESTQ AX, AX
	JEQ  x2apic
	MOVL $0, const_apicEOI(AX)
	JMP  acknowledged
x2apic:
	MOVL $(0x800+const_apicEOI/16), CX
	XORL AX, AX
	XORL DX, DX
	WRMSR
acknowledged:
	CMPL ·leaveCall(SB), $0
	JNE  leave
	RET
leave:
	SUBQ $40, SP
	MOVL $const_tplHigh, CX
	MOVQ ·raiseTPL(SB), AX
	CALL AX
	MOVQ AX, 32(SP)
	MOVQ AX, CX
	MOVQ ·restoreTPL(SB), AX
	CALL AX
	MOVQ 32(SP), AX
	ADDQ $40, SP
	CMPQ AX, $const_tplApplication
	JEQ  out
	RET
out:
	CLI
	CLD
	JMP  ·gateBack(SB)

TEXT ·ipiHandlerStub(SB), NOSPLIT, $0-8
	LEAQ ·ipiHandler(SB), AX
	MOVQ AX, ret+0(FP)
	RET

// firmwareFault is called when the boot processor faults inside the firmware: an
// EFI_CPU_INTERRUPT_HANDLER, with the vector in CX and an EFI_SYSTEM_CONTEXT in DX. It leaves
// the firmware as the gate does, but for good, on a stack that nothing else needs any more.
TEXT ·firmwareFault(SB), NOSPLIT|NOFRAME, $0
	CLI
	CLD
	MOVQ CX, R12
	MOVQ DX, R13
	LEAQ ·bootCPU(SB), BX
	LEAQ (cpu_stacks+4*const_kernelStackSize)(BX), SP
	MOVQ ·ownCR3(SB), AX
	MOVQ AX, CR3
	SUBQ $16, SP
	MOVQ BX, 0(SP)
	CALL ·loadTables(SB)
	MOVQ BX, AX
	MOVL GSBASE, CX
	SET_MSR
	MOVQ cpu_tls(BX), AX
	MOVL FSBASE, CX
	SET_MSR
	MOVQ R12, 0(SP)
	MOVQ R13, 8(SP)
	CALL ·faultInside(SB)
	UNDEF

TEXT ·firmwareFaultStub(SB), NOSPLIT, $0-8
	LEAQ ·firmwareFault(SB), AX
	MOVQ AX, ret+0(FP)
	RET

TEXT ·storeMMIO(SB), NOSPLIT, $0-12
	MOVQ addr+0(FP), AX
	MOVL v+8(FP), CX
	MOVL CX, (AX)
	RET

TEXT ·haltStub(SB), NOSPLIT, $0-8
	LEAQ ·halt(SB), AX
	MOVQ AX, ret+0(FP)
	RET

// PUSH_REST pushes what is left of a trap frame once AX and BX are on the stack.
#define PUSH_REST \
	PUSHQ CX; PUSHQ DX; PUSHQ SI; PUSHQ DI; PUSHQ BP; \
	PUSHQ R8; PUSHQ R9; PUSHQ R10; PUSHQ R11; \
	PUSHQ R12; PUSHQ R13; PUSHQ R14; PUSHQ R15

// syscallEntry is where SYSCALL lands: IP in CX, flags in R11, still on the
// caller's stack.
TEXT ·syscallEntry(SB), NOSPLIT|NOFRAME, $0
	MOVQ SP, cpu_scratch(GS)
	MOVQ cpu_stack(GS), SP
	PUSHQ $const_selData
	PUSHQ cpu_scratch(GS)
	PUSHQ R11
	PUSHQ $const_selCode
	PUSHQ CX
	PUSHQ $0
	PUSHQ $const_vecSyscall
	PUSHQ AX
	PUSHQ BX
	PUSH_REST
	JMP  ·enterKernel(SB)

TEXT ·syscallStub(SB), NOSPLIT, $0-8
	LEAQ ·syscallEntry(SB), AX
	MOVQ AX, ret+0(FP)
	RET

// vectorEntry is called by the stubs of exceptions and interrupts; the return address
// says which vector it is.
TEXT ·vectorEntry(SB), NOSPLIT|NOFRAME, $0
	PUSHQ AX
	PUSHQ BX
	MOVQ 16(SP), AX
	LEAQ ·stubs(SB), BX
	SUBQ BX, AX
	SHRQ $3, AX
	MOVQ AX, 16(SP)
	CMPQ AX, $const_vecGP
	JEQ  refused
frame:
	PUSH_REST
	MOVQ cpu_xsave(GS), DI
	TESTQ DI, DI
	JEQ  enter
	CMPQ ·hasXSAVE(SB), $0
	JEQ  fxsave
	MOVL $const_xcr0All, AX
	XORL DX, DX
	XSAVE64 (DI)
	JMP  ·enterKernel(SB)
fxsave:
	FXSAVE64 (DI)
enter:
	JMP  ·enterKernel(SB)
refused: // tryReadMSR and tryWriteMSR go on behind the instruction, with the carry flag set
	LEAQ ·rdmsr(SB), BX
	CMPQ BX, 32(SP)
	JEQ  skip
	LEAQ ·wrmsr(SB), BX
	CMPQ BX, 32(SP)
	JNE  frame
skip:
	ADDQ $2, 32(SP)
	ORQ  $1, 48(SP)
	POPQ BX
	POPQ AX
	ADDQ $16, SP
	IRETQ

// enterKernel calls trap with the trap frame at SP.
TEXT ·enterKernel(SB), NOSPLIT|NOFRAME, $0
	CLD
	MOVQ cpu_tls(GS), AX
	MOVL FSBASE, CX
	SET_MSR
	MOVQ SP, BX
	ANDQ $~15, SP
	SUBQ $16, SP
	MOVQ BX, 0(SP)
	CALL ·trap(SB)
	UNDEF

// resume continues the thread t from its registers.
TEXT ·resume(SB), NOSPLIT|NOFRAME, $0-8
	MOVQ 8(SP), BX
	MOVQ thread_fs(BX), AX
	MOVL FSBASE, CX
	SET_MSR
	CMPQ thread_vector(BX), $const_vectorSaved
	JNE  dead
	MOVQ thread_xsave(BX), DI
	CMPQ ·hasXSAVE(SB), $0
	JEQ  fxrstor
	MOVL $const_xcr0All, AX
	XORL DX, DX
	XRSTOR64 (DI)
	JMP  general
fxrstor:
	FXRSTOR64 (DI)
	JMP  general
dead:
	XORPS X15, X15 // zero in Go's ABI
general:
	PUSHQ trapFrame_ss(BX)
	PUSHQ trapFrame_sp(BX)
	PUSHQ trapFrame_flags(BX)
	PUSHQ trapFrame_cs(BX)
	PUSHQ trapFrame_ip(BX)
	MOVQ trapFrame_r15(BX), R15
	MOVQ trapFrame_r14(BX), R14
	MOVQ trapFrame_r13(BX), R13
	MOVQ trapFrame_r12(BX), R12
	MOVQ trapFrame_r11(BX), R11
	MOVQ trapFrame_r10(BX), R10
	MOVQ trapFrame_r9(BX), R9
	MOVQ trapFrame_r8(BX), R8
	MOVQ trapFrame_bp(BX), BP
	MOVQ trapFrame_di(BX), DI
	MOVQ trapFrame_si(BX), SI
	MOVQ trapFrame_dx(BX), DX
	MOVQ trapFrame_cx(BX), CX
	MOVQ trapFrame_ax(BX), AX
	MOVQ trapFrame_bx(BX), BX
	IRETQ

TEXT ·runtimeEntry(SB), NOSPLIT, $0-8
#ifdef GOOS_tamago
	LEAQ _rt0_amd64_tamago(SB), AX
#else
	LEAQ _rt0_amd64_linux(SB), AX
#endif
	MOVQ AX, ret+0(FP)
	RET

// Stubs of 8 bytes, one per vector. The processor pushes an error code for some
// exceptions; the others push a zero in its place.
#define STUB BYTE $0x6a; BYTE $0x00; CALL ·vectorEntry(SB); BYTE $0x90
#define STUBE BYTE $0x90; BYTE $0x90; CALL ·vectorEntry(SB); BYTE $0x90
#define STUB4 STUB; STUB; STUB; STUB
#define STUB16 STUB4; STUB4; STUB4; STUB4
#define STUB32 STUB16; STUB16

TEXT ·stubs(SB), NOSPLIT|NOFRAME, $0
	STUB4; STUB4                 // 0-7
	STUBE; STUB; STUBE; STUBE    // 8 #DF, 10 #TS, 11 #NP
	STUBE; STUBE; STUBE; STUB    // 12 #SS, 13 #GP, 14 #PF
	STUB; STUBE; STUB; STUB      // 17 #AC
	STUB; STUBE; STUB; STUB      // 21 #CP
	STUB4                        // 24-27
	STUB; STUBE; STUBE; STUB     // 29 #VC, 30 #SX
	STUB32; STUB32; STUB32; STUB32; STUB32; STUB32; STUB32

TEXT ·entryStub(SB), NOSPLIT, $0-16
	MOVQ vec+0(FP), AX
	LEAQ ·stubs(SB), BX
	LEAQ (BX)(AX*8), AX
	MOVQ AX, ret+8(FP)
	RET

// INT n; RET in 4 bytes, one per vector: INT takes its vector as an immediate only.
#define INT(n) BYTE $0xcd; BYTE $(n); BYTE $0xc3; BYTE $0x90
#define INT4(n) INT(n); INT(n+1); INT(n+2); INT(n+3)
#define INT16(n) INT4(n); INT4(n+4); INT4(n+8); INT4(n+12)

TEXT ·intStubs(SB), NOSPLIT|NOFRAME, $0
	INT16(0x00); INT16(0x10); INT16(0x20); INT16(0x30)
	INT16(0x40); INT16(0x50); INT16(0x60); INT16(0x70)
	INT16(0x80); INT16(0x90); INT16(0xa0); INT16(0xb0)
	INT16(0xc0); INT16(0xd0); INT16(0xe0); INT16(0xf0)

TEXT ·interruptStub(SB), NOSPLIT, $0-16
	MOVQ vec+0(FP), AX
	LEAQ ·intStubs(SB), BX
	LEAQ (BX)(AX*4), AX
	MOVQ AX, ret+8(FP)
	RET

TEXT ·readGS(SB), NOSPLIT, $0-8
	MOVQ cpu_self(GS), AX
	MOVQ AX, ret+0(FP)
	RET

TEXT ·readCR2(SB), NOSPLIT, $0-8
	MOVQ CR2, AX
	MOVQ AX, ret+0(FP)
	RET

TEXT ·readCR4(SB), NOSPLIT, $0-8
	MOVQ CR4, AX
	MOVQ AX, ret+0(FP)
	RET

TEXT ·writeCR3(SB), NOSPLIT, $0-8
	MOVQ v+0(FP), AX
	MOVQ AX, CR3
	RET

TEXT ·readMSR(SB), NOSPLIT, $0-16
	MOVQ msr+0(FP), CX
	RDMSR
	SHLQ $32, DX
	ORQ  DX, AX
	MOVQ AX, ret+8(FP)
	RET

TEXT ·writeMSR(SB), NOSPLIT, $0-16
	MOVQ msr+0(FP), CX
	MOVQ v+8(FP), AX
	SET_MSR
	RET

// rdmsr and wrmsr begin with the instruction that vectorEntry knows by its address.
TEXT ·rdmsr(SB), NOSPLIT|NOFRAME, $0
	RDMSR
	RET

TEXT ·wrmsr(SB), NOSPLIT|NOFRAME, $0
	WRMSR
	RET

TEXT ·tryReadMSR(SB), NOSPLIT, $0-17
	MOVQ msr+0(FP), CX
	CLC
	CALL ·rdmsr(SB)
	SETCC ok+16(FP)
	SHLQ $32, DX
	ORQ  DX, AX
	MOVQ AX, v+8(FP)
	RET

TEXT ·tryWriteMSR(SB), NOSPLIT, $0-17
	MOVQ msr+0(FP), CX
	MOVQ v+8(FP), AX
	MOVQ AX, DX
	SHRQ $32, DX
	CLC
	CALL ·wrmsr(SB)
	SETCC ok+16(FP)
	RET

// setPAT follows the order that Intel's SDM, volume 3, section 12.11.8 asks for, as section
// 12.12.4 says. Global pages are off, so that loading CR3 flushes the whole TLB.
TEXT ·setPAT(SB), NOSPLIT, $0-8
	MOVQ CR0, R8
	MOVQ R8, AX
	ORQ  $const_cr0CD, AX
	ANDQ $~const_cr0NW, AX
	MOVQ AX, CR0
	WBINVD
	MOVQ CR3, R9
	MOVQ R9, CR3
	MOVL $const_msrPAT, CX
	MOVQ v+0(FP), AX
	SET_MSR
	WBINVD
	MOVQ R9, CR3
	MOVQ R8, CR0
	RET

TEXT ·cpuid(SB), NOSPLIT, $0-24
	MOVL leaf+0(FP), AX
	MOVL sub+4(FP), CX
	CPUID
	MOVL AX, a+8(FP)
	MOVL BX, b+12(FP)
	MOVL CX, c+16(FP)
	MOVL DX, d+20(FP)
	RET

TEXT ·rdtsc(SB), NOSPLIT, $0-8
	RDTSC
	SHLQ $32, DX
	ORQ  DX, AX
	MOVQ AX, ret+0(FP)
	RET

TEXT ·rdrand(SB), NOSPLIT, $0-8
	MOVL $10, CX // Intel SDM: retry ten times
again:
	RDRANDQ AX
	JCS  done
	DECL CX
	JNE  again
	XORL AX, AX
done:
	MOVQ AX, ret+0(FP)
	RET

TEXT ·pause(SB), NOSPLIT, $0-0
	PAUSE
	RET

TEXT ·In8(SB), NOSPLIT, $0-9
	MOVW port+0(FP), DX
	INB
	MOVB AX, ret+8(FP)
	RET

TEXT ·Out8(SB), NOSPLIT, $0-3
	MOVW port+0(FP), DX
	MOVB v+2(FP), AX
	OUTB
	RET

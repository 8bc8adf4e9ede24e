// For tests: no emulator has firmware that uses five-level page tables, so a build with
// -asmflags=-D=FIVELEVELS switches the boot processor to them, as such firmware would
// have, with a page that nobody uses as the top level. That takes leaving long mode: see
// "Enabling 5-level paging" in Intel's SDM, volume 3, section 4.1.2.

#define FIVETOP 0x7000

TEXT ·fiveLevels(SB), NOSPLIT|NOFRAME, $0
	PUSHFQ
	CLI
	MOVQ CR4, AX
	BTL  $12, AX
	JCC  switch
	POPFQ
	RET
switch:
	MOVL $FIVETOP, R8
	MOVQ CR3, AX
	ORQ  $3, AX
	MOVQ AX, (R8)
	MOVL $511, R9
rest:
	MOVQ $0, (R8)(R9*8)
	DECL R9
	JNE  rest
	SUBQ $64, SP
	MOVQ $0, 0(SP)
	MOVQ $0x00cf9b000000ffff, AX // 08: code of 32 bits
	MOVQ AX, 8(SP)
	MOVQ $0x00cf93000000ffff, AX // 10: data
	MOVQ AX, 16(SP)
	MOVQ $0x00af9b000000ffff, AX // 18: code of 64 bits
	MOVQ AX, 24(SP)
	MOVW $31, 32(SP)
	MOVQ SP, 34(SP)
	XORL AX, AX
	MOVW CS, AX
	MOVQ AX, 48(SP)
	SGDT 54(SP)
	LGDT 32(SP)
	LEAQ ·fiveLong(SB), DX
	PUSHQ $8
	LEAQ ·fiveShort(SB), AX
	PUSHQ AX
	BYTE $0x48; BYTE $0xcb // LRETQ
	UNDEF

TEXT ·fiveShort(SB), NOSPLIT|NOFRAME, $0
	BYTE $0x0f; BYTE $0x20; BYTE $0xc0 // mov eax, cr0
	BYTE $0x25; LONG $0x7fffffff       // and eax, ~PG
	BYTE $0x0f; BYTE $0x22; BYTE $0xc0 // mov cr0, eax
	BYTE $0x0f; BYTE $0x20; BYTE $0xe0 // mov eax, cr4
	BYTE $0x0d; LONG $0x00001000       // or eax, LA57
	BYTE $0x0f; BYTE $0x22; BYTE $0xe0 // mov cr4, eax
	BYTE $0xb8; LONG $FIVETOP          // mov eax, FIVETOP
	BYTE $0x0f; BYTE $0x22; BYTE $0xd8 // mov cr3, eax
	BYTE $0x0f; BYTE $0x20; BYTE $0xc0 // mov eax, cr0
	BYTE $0x0d; LONG $0x80000000       // or eax, PG
	BYTE $0x0f; BYTE $0x22; BYTE $0xc0 // mov cr0, eax
	BYTE $0x6a; BYTE $0x18             // push 18
	BYTE $0x52                         // push edx
	BYTE $0xcb                         // retf

TEXT ·fiveLong(SB), NOSPLIT|NOFRAME, $0
	LGDT 54(SP)
	PUSHQ 48(SP)
	LEAQ ·fiveDone(SB), AX
	PUSHQ AX
	BYTE $0x48; BYTE $0xcb // LRETQ

TEXT ·fiveDone(SB), NOSPLIT|NOFRAME, $0
	ADDQ $64, SP
	POPFQ
	BYTE $0xc3 // RET; the assembler would count the pops against this function

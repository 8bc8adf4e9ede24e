// Unpacking of repacked blocks of one to four bits to panels: eight rows of a block at a time, whose body
// begins at w, and whose part of the panel at x. See layouts_amd64.go.

#include "textflag.h"
#include "go_asm.h"
#include "constants_amd64.h"
#include "trits_amd64.h"

#define BEGIN \
	MOVQ c+0(FP), AX; \
	MOVQ call_w(AX), BX; \
	MOVQ call_x(AX), DI; \
	MOVQ call_n(AX), CX; \
	VPBROADCASTB call_rows(AX), Y14

CONSTANT32(one, $0x0101010101010101)
CONSTANT32(three, $0x0303030303030303)
CONSTANT32(nibble, $0x0f0f0f0f0f0f0f0f)

// func spreadBits2(c *call): n times 32 bytes, each for four fours of columns, which are ystep apart in the
// panel; those of the next 32 bytes are step further on. rows is added to each weight.
TEXT ·spreadBits2(SB), NOSPLIT|NOFRAME, $0-8
	BEGIN
	MOVQ call_ystep(AX), R8
	LEAQ (R8)(R8*2), R9
	MOVQ call_step(AX), R10
	VMOVDQU three<>(SB), Y15
loop:
	VMOVDQU (BX), Y4
	VPSRLW $2, Y4, Y1
	VPSRLW $4, Y4, Y2
	VPSRLW $6, Y4, Y3
	VPAND Y15, Y4, Y0
	VPAND Y15, Y1, Y1
	VPAND Y15, Y2, Y2
	VPAND Y15, Y3, Y3
	VPADDB Y14, Y0, Y0
	VPADDB Y14, Y1, Y1
	VPADDB Y14, Y2, Y2
	VPADDB Y14, Y3, Y3
	VMOVDQU Y0, (DI)
	VMOVDQU Y1, (DI)(R8*1)
	VMOVDQU Y2, (DI)(R8*2)
	VMOVDQU Y3, (DI)(R9*1)
	ADDQ $32, BX
	ADDQ R10, DI
	DECQ CX
	JNE  loop
	VZEROUPPER
	RET

#define BIT(n) \
	VPSRLW $n, Y4, Y5; \
	VPAND Y15, Y5, Y5; \
	VPADDB Y5, Y5, Y5; \
	VPADDB Y14, Y5, Y5; \
	VMOVDQU Y5, 64*n(DI)

// func spreadBits1(c *call): n times 32 bytes of 32 columns. rows is added to twice each bit.
TEXT ·spreadBits1(SB), NOSPLIT|NOFRAME, $0-8
	BEGIN
	VMOVDQU one<>(SB), Y15
loop:
	VMOVDQU (BX), Y4
	BIT(0)
	BIT(1)
	BIT(2)
	BIT(3)
	BIT(4)
	BIT(5)
	BIT(6)
	BIT(7)
	ADDQ $32, BX
	ADDQ $512, DI
	DECQ CX
	JNE  loop
	VZEROUPPER
	RET

#define STORETRIT(at) \
	DIGIT(Y4); \
	VPADDB Y14, Y5, Y5; \
	VMOVDQU Y5, at(DI); \
	NEXTDIGIT(Y4)

// func spreadTrits(c *call): a body of PTQ1_0. rows is added to each digit.
TEXT ·spreadTrits(SB), NOSPLIT|NOFRAME, $0-8
	BEGIN
	MOVQ $4, CX
many:
	VMOVDQU (BX), Y4
	VPXOR trit80<>(SB), Y4, Y4
	STORETRIT(0)
	STORETRIT(256)
	STORETRIT(512)
	STORETRIT(768)
	STORETRIT(1024)
	ADDQ $32, BX
	ADDQ $64, DI
	DECQ CX
	JNE  many
	ADDQ $1024, DI // to column 80
	MOVQ $2, CX
few:
	VMOVDQU (BX), Y4
	VPXOR trit80<>(SB), Y4, Y4
	STORETRIT(0)
	STORETRIT(128)
	STORETRIT(256)
	STORETRIT(384)
	STORETRIT(512)
	ADDQ $32, BX
	ADDQ $64, DI
	DECQ CX
	JNE  few
	LASTDIGITS((BX), Y4)
	STORETRIT(512)
	NEXTDIGIT(Y4)
	STORETRIT(576)
	VZEROUPPER
	RET

DATA floats4<>+0(SB)/8, $0x0c08060403020100
DATA floats4<>+8(SB)/8, $0xf4f8fafcfdfeff00
DATA floats4<>+16(SB)/8, $0x0c08060403020100
DATA floats4<>+24(SB)/8, $0xf4f8fafcfdfeff00
GLOBL floats4<>(SB), RODATA|NOPTR, $32

// func spreadMXFP4(c *call): 128 bytes of nibbles, as signed numbers.
TEXT ·spreadMXFP4(SB), NOSPLIT|NOFRAME, $0-8
	BEGIN
	VMOVDQU nibble<>(SB), Y15
	VMOVDQU floats4<>(SB), Y14
	MOVQ $4, CX
loop:
	VMOVDQU (BX), Y1
	VPAND Y15, Y1, Y0
	VPSRLW $4, Y1, Y1
	VPAND Y15, Y1, Y1
	VPSHUFB Y0, Y14, Y0
	VPSHUFB Y1, Y14, Y1
	VMOVDQU Y0, (DI)
	VMOVDQU Y1, 256(DI)
	ADDQ $32, BX
	ADDQ $64, DI
	DECQ CX
	JNE  loop
	VZEROUPPER
	RET

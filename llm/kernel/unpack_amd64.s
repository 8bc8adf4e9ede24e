// Unpacking of weights into panels and rearranging of rows, eight at a time. Each function but fetchLines takes
// a *call: w the first row's block, step the bytes from row to row, x where the
// eight rows' part of the panel begins, n the number of blocks of 32 (where a
// block is not 256).
//
// Rows lie one after another, and a panel wants four weights of row 0, four of
// row 1, and so on: a transposition of 4-byte units. Sixteen bytes of row r and
// of row r+4 share a register, so that it happens within its halves.

#include "textflag.h"
#include "go_asm.h"
#include "constants_amd64.h"

// The lower two bytes of each four, then the upper two, in each half.
DATA wordPairs<>+0(SB)/8, $0x0d0c090805040100
DATA wordPairs<>+8(SB)/8, $0x0f0e0b0a07060302
DATA wordPairs<>+16(SB)/8, $0x0d0c090805040100
DATA wordPairs<>+24(SB)/8, $0x0f0e0b0a07060302
GLOBL wordPairs<>(SB), RODATA|NOPTR, $32

#define BEGIN \
	MOVQ c+0(FP), AX; \
	MOVQ call_w(AX), BX; \
	MOVQ call_step(AX), R8; \
	MOVQ call_n(AX), CX; \
	MOVQ call_x(AX), DI; \
	LEAQ (R8)(R8*2), R9; \
	LEAQ (BX)(R8*4), SI; \
	VPCMPEQW Y15, Y15, Y15; \
	VPSRLW $12, Y15, Y15; \
	VPACKUSWB Y15, Y15, Y15

// TRANSPOSE makes a, b, c, d the first, second, third and fourth 4 bytes of
// eight rows at offset o. t, u, v, w are clobbered.
#define TRANSPOSE(o, xa, a, xb, b, xc, c, xd, d, t, u, v, w) \
	VMOVDQU o(BX), xa; \
	VMOVDQU o(BX)(R8*1), xb; \
	VMOVDQU o(BX)(R8*2), xc; \
	VMOVDQU o(BX)(R9*1), xd; \
	VINSERTI128 $1, o(SI), a, a; \
	VINSERTI128 $1, o(SI)(R8*1), b, b; \
	VINSERTI128 $1, o(SI)(R8*2), c, c; \
	VINSERTI128 $1, o(SI)(R9*1), d, d; \
	VPUNPCKLDQ b, a, t; \
	VPUNPCKHDQ b, a, u; \
	VPUNPCKLDQ d, c, v; \
	VPUNPCKHDQ d, c, w; \
	VPUNPCKLQDQ v, t, a; \
	VPUNPCKHQDQ v, t, b; \
	VPUNPCKLQDQ w, u, c; \
	VPUNPCKHQDQ w, u, d

#define TRANSPOSE0(o) TRANSPOSE(o, X0, Y0, X1, Y1, X2, Y2, X3, Y3, Y8, Y9, Y10, Y11)

// NEXTROWS fetches what the next block of eight rows will need.
#define NEXTROWS(o) \
	PREFETCHT0 o(BX); \
	PREFETCHT0 o(BX)(R8*1); \
	PREFETCHT0 o(BX)(R8*2); \
	PREFETCHT0 o(BX)(R9*1); \
	PREFETCHT0 o(SI); \
	PREFETCHT0 o(SI)(R8*1); \
	PREFETCHT0 o(SI)(R8*2); \
	PREFETCHT0 o(SI)(R9*1)

// NIBBLES stores the low nibbles of y at lo and the high ones at hi.
#define NIBBLES(y, lo, hi) \
	VPAND Y15, y, Y8; \
	VPSRLW $4, y, y; \
	VPAND Y15, y, y; \
	VMOVDQU Y8, lo(DI); \
	VMOVDQU y, hi(DI)

// func unpackQ4K(c *call): 128 bytes of nibbles at 16; in each 32 bytes the low
// ones come before the high ones.
TEXT ·unpackQ4K(SB), NOSPLIT|NOFRAME, $0-8
	BEGIN
	NEXTROWS(160)
	NEXTROWS(224)
	MOVQ $4, CX
	ADDQ $16, BX
	ADDQ $16, SI
loop:
	TRANSPOSE0(0)
	NIBBLES(Y0, 0, 512)
	NIBBLES(Y1, 64, 576)
	NIBBLES(Y2, 128, 640)
	NIBBLES(Y3, 192, 704)
	TRANSPOSE0(16)
	NIBBLES(Y0, 256, 768)
	NIBBLES(Y1, 320, 832)
	NIBBLES(Y2, 384, 896)
	NIBBLES(Y3, 448, 960)
	ADDQ $1024, DI
	ADDQ $32, BX
	ADDQ $32, SI
	DECQ CX
	JNE  loop
	VZEROUPPER
	RET

CONSTANT32(high, $0x3030303030303030)

// JOIN6 joins the low nibbles of y with two bits of h, shifted left by lo, and the high
// ones with two others, shifted right by hi.
#define JOIN6(y, h, lo, at0, hi, at1) \
	VPAND Y15, y, Y8; \
	VPSLLW $lo, h, Y9; \
	VPAND Y14, Y9, Y9; \
	VPOR Y9, Y8, Y8; \
	VMOVDQU Y8, at0(DI); \
	VPSRLW $4, y, y; \
	VPAND Y15, y, y; \
	VPSRLW $hi, h, Y9; \
	VPAND Y14, Y9, Y9; \
	VPOR Y9, y, y; \
	VMOVDQU y, at1(DI)

// HALF6 unpacks 16 columns of each of four groups of 32 columns.
#define HALF6(lo, ho, at) \
	TRANSPOSE(ho, X4, Y4, X5, Y5, X6, Y6, X7, Y7, Y8, Y9, Y10, Y11); \
	TRANSPOSE0(lo); \
	JOIN6(Y0, Y4, 4, at, 0, at+1024); \
	JOIN6(Y1, Y5, 4, at+64, 0, at+1088); \
	JOIN6(Y2, Y6, 4, at+128, 0, at+1152); \
	JOIN6(Y3, Y7, 4, at+192, 0, at+1216); \
	TRANSPOSE0(lo+32); \
	JOIN6(Y0, Y4, 2, at+512, 2, at+1536); \
	JOIN6(Y1, Y5, 2, at+576, 2, at+1600); \
	JOIN6(Y2, Y6, 2, at+640, 2, at+1664); \
	JOIN6(Y3, Y7, 2, at+704, 2, at+1728)

// func unpackQ6K(c *call): 128 bytes of nibbles, then 64 bytes with four times
// two more bits; see rows_q8k_amd64.h.
TEXT ·unpackQ6K(SB), NOSPLIT|NOFRAME, $0-8
	BEGIN
	VMOVDQU high<>(SB), Y14
	NEXTROWS(210)
	NEXTROWS(274)
	NEXTROWS(338)
	HALF6(0, 128, 0)
	HALF6(16, 144, 256)
	HALF6(64, 160, 2048)
	HALF6(80, 176, 2304)
	VZEROUPPER
	RET

// HALVES stores the float16 at the start of eight rows' blocks as float32.
#define HALVES \
	VPXOR X0, X0, X0; \
	VPINSRW $0, (BX), X0, X0; \
	VPINSRW $1, (BX)(R8*1), X0, X0; \
	VPINSRW $2, (BX)(R8*2), X0, X0; \
	VPINSRW $3, (BX)(R9*1), X0, X0; \
	VPINSRW $4, (SI), X0, X0; \
	VPINSRW $5, (SI)(R8*1), X0, X0; \
	VPINSRW $6, (SI)(R8*2), X0, X0; \
	VPINSRW $7, (SI)(R9*1), X0, X0; \
	VCVTPH2PS X0, Y0; \
	VMOVUPS Y0, panel_scales(DX)

// func unpackQ40(c *call): a float16 and 16 bytes of nibbles, the low ones
// before the high ones.
TEXT ·unpackQ40(SB), NOSPLIT|NOFRAME, $0-8
	BEGIN
	MOVQ DI, DX
	NEXTROWS(160)
	NEXTROWS(224)
loop:
	HALVES
	TRANSPOSE0(2)
	NIBBLES(Y0, 0, 256)
	NIBBLES(Y1, 64, 320)
	NIBBLES(Y2, 128, 384)
	NIBBLES(Y3, 192, 448)
	ADDQ $512, DI
	ADDQ $64, DX
	ADDQ $18, BX
	ADDQ $18, SI
	DECQ CX
	JNE  loop
	VZEROUPPER
	RET

// func unpackQ80(c *call): a float16 and 32 int8.
TEXT ·unpackQ80(SB), NOSPLIT|NOFRAME, $0-8
	BEGIN
	MOVQ DI, DX
	NEXTROWS(272)
	NEXTROWS(336)
	NEXTROWS(400)
	NEXTROWS(464)
loop:
	HALVES
	TRANSPOSE0(2)
	VMOVDQU Y0, 0(DI)
	VMOVDQU Y1, 64(DI)
	VMOVDQU Y2, 128(DI)
	VMOVDQU Y3, 192(DI)
	TRANSPOSE0(18)
	VMOVDQU Y0, 256(DI)
	VMOVDQU Y1, 320(DI)
	VMOVDQU Y2, 384(DI)
	VMOVDQU Y3, 448(DI)
	ADDQ $512, DI
	ADDQ $64, DX
	ADDQ $34, BX
	ADDQ $34, SI
	DECQ CX
	JNE  loop
	VZEROUPPER
	RET

// func transposeRows(c *call): n times 16 bytes of eight rows to 128 bytes.
TEXT ·transposeRows(SB), NOSPLIT|NOFRAME, $0-8
	BEGIN
loop:
	TRANSPOSE0(0)
	VMOVDQU Y0, 0(DI)
	VMOVDQU Y1, 32(DI)
	VMOVDQU Y2, 64(DI)
	VMOVDQU Y3, 96(DI)
	ADDQ $128, DI
	ADDQ $16, BX
	ADDQ $16, SI
	DECQ CX
	JNE  loop
	VZEROUPPER
	RET

// BYHALVES puts the lower and then the upper halves of the eight 4-byte units of y together; Y12 is wordPairs.
#define BYHALVES(y) \
	VPSHUFB Y12, y, y; \
	VPERMQ $0xd8, y, y

// func transposeWords(c *call): 16 bytes of eight rows to 128 bytes, as transposeRows does but in units of two bytes.
TEXT ·transposeWords(SB), NOSPLIT|NOFRAME, $0-8
	BEGIN
	VMOVDQU wordPairs<>(SB), Y12
	TRANSPOSE0(0)
	BYHALVES(Y0)
	BYHALVES(Y1)
	BYHALVES(Y2)
	BYHALVES(Y3)
	VMOVDQU Y0, 0(DI)
	VMOVDQU Y1, 32(DI)
	VMOVDQU Y2, 64(DI)
	VMOVDQU Y3, 96(DI)
	VZEROUPPER
	RET

// PACKSIX stores the low four bits of numbers Y0 and, above them, b at o, and what is left of both, two bits each, at two.
// It clobbers them, Y8 and Y9.
#define PACKSIX(b, o, two) \
	VPAND Y15, Y0, Y8; \
	VPAND Y15, b, Y9; \
	VPSLLW $4, Y9, Y9; \
	VPOR Y9, Y8, Y8; \
	BYHALVES(Y8); \
	VMOVDQU Y8, o(DI); \
	VPSRLW $4, Y0, Y0; \
	VPAND Y15, Y0, Y0; \
	VPAND Y14, b, b; \
	VPOR b, Y0, Y0; \
	BYHALVES(Y0); \
	VEXTRACTI128 $1, Y0, X8; \
	VPSLLW $2, X8, X8; \
	VPOR X8, X0, X0; \
	VMOVDQU X0, two(DI)

// func packHeadK(c *call): the heads of eight rows' blocks of Q4_K or Q5_K, 16 bytes each, to the 128 of layouts_amd64.go.
TEXT ·packHeadK(SB), NOSPLIT|NOFRAME, $0-8
	BEGIN
	VMOVDQU wordPairs<>(SB), Y12
	VPSLLW $4, Y15, Y14 // 0xf0
	TRANSPOSE0(0)
	BYHALVES(Y0)
	VMOVDQU Y0, 0(DI)
	VPSLLW $2, Y15, Y13 // 0x3c
	VPAND Y14, Y13, Y13 // 0x30
	VPOR Y15, Y13, Y11  // 0x3f
	VPSRLW $2, Y1, Y4
	VPAND Y13, Y4, Y4
	VPAND Y15, Y3, Y5
	VPOR Y5, Y4, Y4     // scales 4 to 7
	VPAND Y11, Y1, Y0   // scales 0 to 3
	VPSRLW $2, Y2, Y5
	VPAND Y13, Y5, Y5
	VPSRLW $4, Y3, Y3
	VPAND Y15, Y3, Y3
	VPOR Y3, Y5, Y5     // minima 4 to 7
	VPAND Y11, Y2, Y6   // minima 0 to 3
	PACKSIX(Y4, 32, 96)
	VMOVDQA Y6, Y0
	PACKSIX(Y5, 64, 112)
	VZEROUPPER
	RET

// FIFTHS stores two bits of each byte of a, b, c and d in those of o, and shifts what follows them to their place.
#define FIFTHS(a, b, c, d, o) \
	VPAND Y14, a, Y8; \
	VPAND Y14, b, Y9; \
	VPAND Y14, c, Y10; \
	VPAND Y14, d, Y11; \
	VPSLLW $2, Y9, Y9; \
	VPSLLW $4, Y10, Y10; \
	VPSLLW $6, Y11, Y11; \
	VPOR Y9, Y8, Y8; \
	VPOR Y11, Y10, Y10; \
	VPOR Y10, Y8, Y8; \
	VMOVDQU Y8, o(DI); \
	VPSRLW $2, a, a; \
	VPSRLW $2, b, b; \
	VPSRLW $2, c, c; \
	VPSRLW $2, d, d

// func packBodyQ5K(c *call): the blocks of eight rows of Q5_K to the body of layouts_amd64.go.
TEXT ·packBodyQ5K(SB), NOSPLIT|NOFRAME, $0-8
	BEGIN
	VPSRLW $2, Y15, Y14
	VPAND Y15, Y14, Y14 // 3
	TRANSPOSE0(16)
	TRANSPOSE(32, X4, Y4, X5, Y5, X6, Y6, X7, Y7, Y8, Y9, Y10, Y11)
	MOVQ $4, CX
fifths:
	FIFTHS(Y0, Y1, Y2, Y3, 0)
	FIFTHS(Y4, Y5, Y6, Y7, 32)
	ADDQ $320, DI
	DECQ CX
	JNE  fifths
	MOVQ call_x(AX), DI
	MOVQ $4, CX
nibbles:
	TRANSPOSE0(48)
	VMOVDQU Y0, 64(DI)
	VMOVDQU Y1, 96(DI)
	VMOVDQU Y2, 128(DI)
	VMOVDQU Y3, 160(DI)
	TRANSPOSE0(64)
	VMOVDQU Y0, 192(DI)
	VMOVDQU Y1, 224(DI)
	VMOVDQU Y2, 256(DI)
	VMOVDQU Y3, 288(DI)
	ADDQ $320, DI
	ADDQ $32, BX
	ADDQ $32, SI
	DECQ CX
	JNE  nibbles
	VZEROUPPER
	RET

// func fetchLines(at uintptr, n int): fetches n lines, which need not belong to anything.
TEXT ·fetchLines(SB), NOSPLIT|NOFRAME, $0-16
	MOVQ at+0(FP), BX
	MOVQ n+8(FP), CX
line:
	PREFETCHT0 (BX)
	ADDQ $64, BX
	DECQ CX
	JNE  line
	RET

// func packSimpleRows(c *call): n blocks of eight rows, each a scale of two bytes and rows times 16 bytes:
// the scales to d, the rest to x as transposeRows does.
TEXT ·packSimpleRows(SB), NOSPLIT|NOFRAME, $0-8
	BEGIN
	MOVQ call_rows(AX), R10
	MOVQ call_d(AX), DX
block:
	MOVWLZX (BX), R11
	VMOVD R11, X0
	VPINSRW $1, (BX)(R8*1), X0, X0
	VPINSRW $2, (BX)(R8*2), X0, X0
	VPINSRW $3, (BX)(R9*1), X0, X0
	VPINSRW $4, (SI), X0, X0
	VPINSRW $5, (SI)(R8*1), X0, X0
	VPINSRW $6, (SI)(R8*2), X0, X0
	VPINSRW $7, (SI)(R9*1), X0, X0
	VMOVDQU X0, (DX)
	ADDQ $16, DX
	ADDQ $2, BX
	ADDQ $2, SI
	MOVQ R10, R11
unit:
	TRANSPOSE0(0)
	VMOVDQU Y0, 0(DI)
	VMOVDQU Y1, 32(DI)
	VMOVDQU Y2, 64(DI)
	VMOVDQU Y3, 96(DI)
	ADDQ $128, DI
	ADDQ $16, BX
	ADDQ $16, SI
	DECQ R11
	JNE  unit
	DECQ CX
	JNE  block
	VZEROUPPER
	RET

// func packMXFP4Rows(c *call): n blocks of eight rows, each a scale of one byte and 16 bytes: the scales to d, the rest
// to x as transposeRows does.
TEXT ·packMXFP4Rows(SB), NOSPLIT|NOFRAME, $0-8
	BEGIN
	MOVQ call_d(AX), DX
block:
	VPINSRB $0, (BX), X5, X5
	VPINSRB $1, (BX)(R8*1), X5, X5
	VPINSRB $2, (BX)(R8*2), X5, X5
	VPINSRB $3, (BX)(R9*1), X5, X5
	VPINSRB $4, (SI), X5, X5
	VPINSRB $5, (SI)(R8*1), X5, X5
	VPINSRB $6, (SI)(R8*2), X5, X5
	VPINSRB $7, (SI)(R9*1), X5, X5
	VMOVQ X5, (DX)
	ADDQ $8, DX
	TRANSPOSE0(1)
	VMOVDQU Y0, 0(DI)
	VMOVDQU Y1, 32(DI)
	VMOVDQU Y2, 64(DI)
	VMOVDQU Y3, 96(DI)
	ADDQ $128, DI
	ADDQ $17, BX
	ADDQ $17, SI
	DECQ CX
	JNE  block
	VZEROUPPER
	RET

// SWAP has the bits of Y0 that mask selects change places with those n bits higher, within units of SRL and SLL. It clobbers Y1.
#define SWAP(SRL, SLL, n, mask) \
	SRL $n, Y0, Y1; \
	VPXOR Y0, Y1, Y1; \
	VPAND mask, Y1, Y1; \
	VPXOR Y1, Y0, Y0; \
	SLL $n, Y1, Y1; \
	VPXOR Y1, Y0, Y0

// swapN is for bits N apart: to turn weights, two bits of a bit's number change places at a time (14 is 16-2: the fifth and the second).
CONSTANT4(swap6, $0x00cc00cc)
CONSTANT4(swap12, $0x0000f0f0)
CONSTANT4(swap14, $0x0000cccc)
CONSTANT4(swap7, $0x00aa00aa)
CONSTANT4(swap2, $0x0c0c0c0c)
CONSTANT4(swap1, $0x22222222)

// func turnRows2(c *call): in each of n times 32 bytes at w, turn2 for each 8.
TEXT ·turnRows2(SB), NOSPLIT|NOFRAME, $0-8
	BEGIN
	VPBROADCASTD swap6<>(SB), Y2
	VPBROADCASTD swap12<>(SB), Y3
loop:
	VMOVDQU (BX), Y0
	SWAP(VPSRLW, VPSLLW, 6, Y2)
	SWAP(VPSRLD, VPSLLD, 12, Y3)
	VMOVDQU Y0, (BX)
	ADDQ $32, BX
	DECQ CX
	JNE  loop
	VZEROUPPER
	RET

// func turnRows1(c *call): in each of n times 32 bytes at w, brings bit 4*p+k of each 4 to bit p of byte k.
TEXT ·turnRows1(SB), NOSPLIT|NOFRAME, $0-8
	BEGIN
	VPBROADCASTD swap14<>(SB), Y2
	VPBROADCASTD swap7<>(SB), Y3
	VPBROADCASTD swap2<>(SB), Y4
	VPBROADCASTD swap1<>(SB), Y5
loop:
	VMOVDQU (BX), Y0
	SWAP(VPSRLD, VPSLLD, 14, Y2)
	SWAP(VPSRLW, VPSLLW, 7, Y3)
	SWAP(VPSRLW, VPSLLW, 2, Y4)
	SWAP(VPSRLW, VPSLLW, 1, Y5)
	VMOVDQU Y0, (BX)
	ADDQ $32, BX
	DECQ CX
	JNE  loop
	VZEROUPPER
	RET

// func unpackRepacked(c *call): n times 16*k bytes of nibbles, as transposeRows
// left them, to a panel; the low ones come before the high ones. rows is k, and step
// the distance in bytes from one 16*k to the next.
TEXT ·unpackRepacked(SB), NOSPLIT|NOFRAME, $0-8
	BEGIN
	MOVQ call_rows(AX), R9
	MOVQ R9, R10
	SHLQ $8, R10 // bytes of a panel from the low nibbles to the high ones
	LEAQ (DI)(R10*1), DX
block:
	MOVQ R9, R11
	SHLQ $2, R11
	MOVQ BX, SI
column:
	VMOVDQU (SI), Y0
	VPAND Y15, Y0, Y1
	VPSRLW $4, Y0, Y0
	VPAND Y15, Y0, Y0
	VMOVDQU Y1, (DI)
	VMOVDQU Y0, (DX)
	ADDQ $32, SI
	ADDQ $64, DI
	ADDQ $64, DX
	DECQ R11
	JNE  column
	ADDQ R10, DI
	ADDQ R10, DX
	ADDQ R8, BX
	DECQ CX
	JNE  block
	VZEROUPPER
	RET

// func packRepackedQ6K(c *call): the 64 times 32 bytes of a panel's eight rows to 48
// times 32 bytes: the bits of every fourth register go, two by two, into the upper
// bits of the three before it.
TEXT ·packRepackedQ6K(SB), NOSPLIT|NOFRAME, $0-8
	MOVQ c+0(FP), AX
	MOVQ call_w(AX), BX
	MOVQ call_x(AX), DI
	MOVQ $16, CX
	VPCMPEQB Y15, Y15, Y15
	VPSLLW $14, Y15, Y15
	VPSRLW $8, Y15, Y14
	VPOR Y14, Y15, Y15 // 0xc0 in every byte
loop:
	VMOVDQU 192(BX), Y0
	VPSLLW $6, Y0, Y1
	VPSLLW $4, Y0, Y2
	VPSLLW $2, Y0, Y3
	VPAND Y15, Y1, Y1
	VPAND Y15, Y2, Y2
	VPAND Y15, Y3, Y3
	VPOR 0(BX), Y1, Y1
	VPOR 64(BX), Y2, Y2
	VPOR 128(BX), Y3, Y3
	VMOVDQU Y1, 0(DI)
	VMOVDQU Y2, 32(DI)
	VMOVDQU Y3, 64(DI)
	ADDQ $256, BX
	ADDQ $96, DI
	DECQ CX
	JNE  loop
	VZEROUPPER
	RET

// func unpackRepackedQ6K(c *call) is the way back.
TEXT ·unpackRepackedQ6K(SB), NOSPLIT|NOFRAME, $0-8
	MOVQ c+0(FP), AX
	MOVQ call_w(AX), BX
	MOVQ call_x(AX), DI
	MOVQ $16, CX
	VPCMPEQB Y15, Y15, Y15
	VPSRLW $10, Y15, Y15
	VPSLLW $8, Y15, Y14
	VPOR Y14, Y15, Y15 // 0x3f in every byte
loop:
	VMOVDQU 0(BX), Y0
	VMOVDQU 32(BX), Y1
	VMOVDQU 64(BX), Y2
	VPAND Y15, Y0, Y4
	VPAND Y15, Y1, Y5
	VPAND Y15, Y2, Y6
	VPXOR Y4, Y0, Y0
	VPXOR Y5, Y1, Y1
	VPXOR Y6, Y2, Y2
	VPSRLW $6, Y0, Y0
	VPSRLW $4, Y1, Y1
	VPSRLW $2, Y2, Y2
	VPOR Y1, Y0, Y0
	VPOR Y2, Y0, Y0
	VMOVDQU Y4, 0(DI)
	VMOVDQU Y5, 64(DI)
	VMOVDQU Y6, 128(DI)
	VMOVDQU Y0, 192(DI)
	ADDQ $96, BX
	ADDQ $256, DI
	DECQ CX
	JNE  loop
	VZEROUPPER
	RET

// func spreadRepacked(c *call): n registers of eight rows' weights, one after
// another, to a panel.
TEXT ·spreadRepacked(SB), NOSPLIT|NOFRAME, $0-8
	MOVQ c+0(FP), AX
	MOVQ call_w(AX), BX
	MOVQ call_n(AX), CX
	MOVQ call_x(AX), DI
loop:
	VMOVDQU (BX), Y0
	VMOVDQU Y0, (DI)
	ADDQ $32, BX
	ADDQ $64, DI
	DECQ CX
	JNE  loop
	VZEROUPPER
	RET

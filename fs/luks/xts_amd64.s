#include "textflag.h"

// func subWord(w uint32) uint32
TEXT ·subWord(SB), NOSPLIT, $0-12
	MOVL            w+0(FP), AX
	SHLQ            $32, AX // the second double word is the one that comes out first
	MOVQ            AX, X0
	AESKEYGENASSIST $0, X0, X1
	MOVQ            X1, AX
	MOVL            AX, ret+8(FP)
	RET

// func invMixColumns(to, from *byte)
TEXT ·invMixColumns(SB), NOSPLIT, $0-16
	MOVQ   to+0(FP), DI
	MOVQ   from+8(FP), SI
	MOVOU  (SI), X0
	AESIMC X0, X0
	MOVOU  X0, (DI)
	RET

// func encryptBlock(b *[16]byte, keys *byte, rounds int)
TEXT ·encryptBlock(SB), NOSPLIT, $0-24
	MOVQ  b+0(FP), DI
	MOVQ  keys+8(FP), R8
	MOVQ  rounds+16(FP), CX
	MOVOU (DI), X0
	MOVOU (R8), X8
	PXOR  X8, X0
	DECQ  CX

round:
	ADDQ       $16, R8
	MOVOU      (R8), X8
	AESENC     X8, X0
	DECQ       CX
	JNZ        round
	MOVOU      16(R8), X8
	AESENCLAST X8, X0
	MOVOU      X0, (DI)
	PXOR       X8, X8
	RET

// TWEAK puts the tweak in R10:R9 (high, low) into x and its place on the stack, loads a block, and doubles the tweak
// in GF(2^128): IEEE 1619, section 5.2.
#define TWEAK(off, x) \
	MOVQ   R9, x          \
	PINSRQ $1, R10, x     \
	MOVOU  x, off(SP)     \
	MOVOU  off(DI), X9    \
	PXOR   X9, x          \
	PXOR   X8, x          \
	MOVQ   R10, R11       \
	SARQ   $63, R11       \
	ANDQ   $0x87, R11     \
	ADDQ   R9, R9         \
	ADCQ   R10, R10       \
	XORQ   R11, R9

#define EACH(op) \
	op X8, X0 \
	op X8, X1 \
	op X8, X2 \
	op X8, X3 \
	op X8, X4 \
	op X8, X5 \
	op X8, X6 \
	op X8, X7

#define OUT(off, x) \
	MOVOU off(SP), X9 \
	PXOR  X9, x       \
	MOVOU x, off(DI)

// XTS is the body of both: BX times eight blocks at DI with DX rounds by the keys at SI and the tweak at AX, whose rounds the processor works on at once.
#define XTS(op, last) \
	MOVQ  (AX), R9          \
	MOVQ  8(AX), R10        \
	DECQ  DX                \
turn:                       \
	MOVOU (SI), X8          \
	TWEAK(0, X0)            \
	TWEAK(16, X1)           \
	TWEAK(32, X2)           \
	TWEAK(48, X3)           \
	TWEAK(64, X4)           \
	TWEAK(80, X5)           \
	TWEAK(96, X6)           \
	TWEAK(112, X7)          \
	MOVQ  SI, R8            \
	MOVQ  DX, CX            \
round:                      \
	ADDQ  $16, R8           \
	MOVOU (R8), X8          \
	EACH(op)                \
	DECQ  CX                \
	JNZ   round             \
	MOVOU 16(R8), X8        \
	EACH(last)              \
	OUT(0, X0)              \
	OUT(16, X1)             \
	OUT(32, X2)             \
	OUT(48, X3)             \
	OUT(64, X4)             \
	OUT(80, X5)             \
	OUT(96, X6)             \
	OUT(112, X7)            \
	ADDQ  $128, DI          \
	DECQ  BX                \
	JNZ   turn              \
	PXOR  X8, X8            \
	RET

// func xtsEncrypt(p *byte, n int, tweak *[16]byte, keys *byte, rounds int)
TEXT ·xtsEncrypt(SB), NOSPLIT, $128-40
	MOVQ p+0(FP), DI
	MOVQ n+8(FP), BX
	MOVQ tweak+16(FP), AX
	MOVQ keys+24(FP), SI
	MOVQ rounds+32(FP), DX
	XTS(AESENC, AESENCLAST)

// func xtsDecrypt(p *byte, n int, tweak *[16]byte, keys *byte, rounds int)
TEXT ·xtsDecrypt(SB), NOSPLIT, $128-40
	MOVQ p+0(FP), DI
	MOVQ n+8(FP), BX
	MOVQ tweak+16(FP), AX
	MOVQ keys+24(FP), SI
	MOVQ rounds+32(FP), DX
	XTS(AESDEC, AESDECLAST)

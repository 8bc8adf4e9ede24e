#include "textflag.h"

// Plain reading: loads, and as little as can be done with them. SI and DI are the ends
// of two streams, CX goes up to 0; R9 and R10 lie ahead of them, R11 and R12 a quarter as far.

#define LOADS(reg) \
	VPOR 0(reg)(CX*1), Y0, Y0; \
	VPOR 32(reg)(CX*1), Y1, Y1; \
	VPOR 64(reg)(CX*1), Y2, Y2; \
	VPOR 96(reg)(CX*1), Y3, Y3

#define PLAIN(reg, far, near) LOADS(reg)

#define NEAR(reg, far, near) \
	PREFETCHT0 (far)(CX*1); \
	PREFETCHT0 64(far)(CX*1); \
	LOADS(reg)

#define PASSING(reg, far, near) \
	PREFETCHNTA (far)(CX*1); \
	PREFETCHNTA 64(far)(CX*1); \
	LOADS(reg)

// TWICE fetches into the second-level cache first, and nearer at a quarter of the distance.
#define TWICE(reg, far, near) \
	PREFETCHT1 (far)(CX*1); \
	PREFETCHT1 64(far)(CX*1); \
	PREFETCHT0 (near)(CX*1); \
	PREFETCHT0 64(near)(CX*1); \
	LOADS(reg)

#define BEGINREAD \
	MOVQ first+0(FP), SI; \
	MOVQ second+8(FP), DI; \
	MOVQ n+16(FP), CX; \
	MOVQ ahead+24(FP), R8; \
	ADDQ CX, SI; \
	ADDQ CX, DI; \
	LEAQ (SI)(R8*1), R9; \
	LEAQ (DI)(R8*1), R10; \
	SHRQ $2, R8; \
	LEAQ (SI)(R8*1), R11; \
	LEAQ (DI)(R8*1), R12; \
	NEGQ CX

#define ONESTREAM(HOW) \
loop: \
	HOW(SI, R9, R11); \
	SUBQ $-128, CX; \
	JLT  loop; \
	VZEROUPPER; \
	RET

#define TWOSTREAMS(HOW) \
loop: \
	HOW(SI, R9, R11); \
	HOW(DI, R10, R12); \
	SUBQ $-128, CX; \
	JLT  loop; \
	VZEROUPPER; \
	RET

// func readPlain(first, second unsafe.Pointer, n, ahead int)
TEXT ·readPlain(SB), NOSPLIT|NOFRAME, $0-32
	BEGINREAD
	ONESTREAM(PLAIN)

// func readNear(first, second unsafe.Pointer, n, ahead int)
TEXT ·readNear(SB), NOSPLIT|NOFRAME, $0-32
	BEGINREAD
	ONESTREAM(NEAR)

// func readPassing(first, second unsafe.Pointer, n, ahead int)
TEXT ·readPassing(SB), NOSPLIT|NOFRAME, $0-32
	BEGINREAD
	ONESTREAM(PASSING)

// func readPlain2(first, second unsafe.Pointer, n, ahead int)
TEXT ·readPlain2(SB), NOSPLIT|NOFRAME, $0-32
	BEGINREAD
	TWOSTREAMS(PLAIN)

// func readNear2(first, second unsafe.Pointer, n, ahead int)
TEXT ·readNear2(SB), NOSPLIT|NOFRAME, $0-32
	BEGINREAD
	TWOSTREAMS(NEAR)

// func readPassing2(first, second unsafe.Pointer, n, ahead int)
TEXT ·readPassing2(SB), NOSPLIT|NOFRAME, $0-32
	BEGINREAD
	TWOSTREAMS(PASSING)

// func readTwice(first, second unsafe.Pointer, n, ahead int)
TEXT ·readTwice(SB), NOSPLIT|NOFRAME, $0-32
	BEGINREAD
	ONESTREAM(TWICE)

// func readTwice2(first, second unsafe.Pointer, n, ahead int)
TEXT ·readTwice2(SB), NOSPLIT|NOFRAME, $0-32
	BEGINREAD
	TWOSTREAMS(TWICE)

// func flush(p unsafe.Pointer, n int)
TEXT ·flush(SB), NOSPLIT|NOFRAME, $0-16
	MOVQ p+0(FP), SI
	MOVQ n+8(FP), CX
	ADDQ SI, CX
	ANDQ $~63, SI
line:
	CLFLUSH (SI)
	ADDQ $64, SI
	CMPQ SI, CX
	JB   line
	MFENCE
	RET

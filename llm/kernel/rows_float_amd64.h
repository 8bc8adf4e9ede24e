// Row kernels of types whose weights are floating-point numbers: a block is 8 of them. And
// sums of rows, which tables of keys and values need, also of Q8_0.
// LOAD makes float32 of a block, of size bytes.

#define LOAD_F32(m, y) VMOVUPS m, y

#define LOAD_F16(m, y) VCVTPH2PS m, y

// A BF16 is the upper half of a float32.
#define LOAD_BF16(m, y) \
	VPMOVZXWD m, y; \
	VPSLLD $16, y, y

#define LOAD4(LOAD, size) \
	LOAD(0(BX), Y4); \
	LOAD(size(BX), Y5); \
	LOAD(2*size(BX), Y6); \
	LOAD(3*size(BX), Y7)

#define FLOATS1(LOAD, FETCHES, size) \
	BEGIN; \
	MOVQ call_far(AX), R11; \
	EACHROW; \
	BYFOURS; \
	FETCHES(0); \
	LOAD4(LOAD, size); \
	FMADD(0(SI), Y4, Y0, Y4); \
	FMADD(32(SI), Y5, Y1, Y5); \
	FMADD(64(SI), Y6, Y2, Y6); \
	FMADD(96(SI), Y7, Y3, Y7); \
	ONEBYONE(STEP_FLOAT, size); \
	LOAD((BX), Y4); \
	FMADD((SI), Y4, Y0, Y4); \
	ENDONE(STEP_FLOAT, size); \
	JOIN(Y0, Y1, Y2, Y3); \
	ENDROW1

#define ZERO8 \
	ZERO4; \
	VXORPS Y4, Y4, Y4; \
	VXORPS Y5, Y5, Y5; \
	VXORPS Y6, Y6, Y6; \
	VXORPS Y7, Y7, Y7

#define BOTH(x, a, b) \
	VMOVUPS x, Y10; \
	FMADD(Y10, Y8, a, Y11); \
	FMADD(Y10, Y9, b, Y12)

#define BLOCK4(LOAD, wo, xo) \
	LOAD(wo(BX), Y8); \
	LOAD(wo(DI), Y9); \
	BOTH(xo(SI), Y0, Y4); \
	BOTH(xo(SI)(R8*1), Y1, Y5); \
	BOTH(xo(SI)(R8*2), Y2, Y6); \
	BOTH(xo(SI)(R9*1), Y3, Y7)

#define APART // the two rows' sums are in registers of their own

#define FLOATS4(LOAD, FETCHES, size) \
	BEGIN4; \
	PAIRS(ZERO8, BLOCK4, APART, FETCHES, LOAD, size)

TEXT rows1F32<>(SB), NOSPLIT|NOFRAME, $0-8
	FLOATS1(LOAD_F32, STREAM2, 32)

TEXT rows4F32<>(SB), NOSPLIT|NOFRAME, $0-8
	FLOATS4(LOAD_F32, LINES, 32)

TEXT rows1F16<>(SB), NOSPLIT|NOFRAME, $0-8
	FLOATS1(LOAD_F16, STREAM, 16)

TEXT rows4F16<>(SB), NOSPLIT|NOFRAME, $0-8
	FLOATS4(LOAD_F16, LINE, 16)

TEXT rows1BF16<>(SB), NOSPLIT|NOFRAME, $0-8
	FLOATS1(LOAD_BF16, STREAM, 16)

TEXT rows4BF16<>(SB), NOSPLIT|NOFRAME, $0-8
	FLOATS4(LOAD_BF16, LINE, 16)

// Sums of rows: for one vector four blocks of columns at a time, then one, for four vectors two blocks of two rows, then one.
#define SUM1(LOAD, size) \
	SUMS; \
	SUBQ $4, CX; \
	JLT  tail; \
wide: \
	VMOVUPS 0(R13), Y0; \
	VMOVUPS 32(R13), Y1; \
	VMOVUPS 64(R13), Y2; \
	VMOVUPS 96(R13), Y3; \
	COLUMNS; \
wrow: \
	BRING(2*size); \
	BRING(2*size); \
	VBROADCASTSS (SI), Y8; \
	LOAD4(LOAD, size); \
	FMADD(Y4, Y8, Y0, Y4); \
	FMADD(Y5, Y8, Y1, Y5); \
	FMADD(Y6, Y8, Y2, Y6); \
	FMADD(Y7, Y8, Y3, Y7); \
	NEXTROWS(wrow); \
	VMOVUPS Y0, 0(R13); \
	VMOVUPS Y1, 32(R13); \
	VMOVUPS Y2, 64(R13); \
	VMOVUPS Y3, 96(R13); \
	ADDQ $128, R13; \
	ADDQ $(4*size), R12; \
	SUBQ $4, CX; \
	JGE  wide; \
tail: \
	ADDQ $4, CX; \
	JEQ  done; \
one: \
	VMOVUPS (R13), Y0; \
	COLUMNS; \
row: \
	VBROADCASTSS (SI), Y8; \
	LOAD((BX), Y4); \
	FMADD(Y4, Y8, Y0, Y4); \
	NEXTROWS(row); \
	VMOVUPS Y0, (R13); \
	ADDQ $32, R13; \
	ADDQ $size, R12; \
	DECQ CX; \
	JNE  one; \
done: \
	VZEROUPPER; \
	RET

#define WEIGHTED(x, a, b) \
	VBROADCASTSS x, Y10; \
	FMADD(Y8, Y10, a, Y11); \
	FMADD(Y9, Y10, b, Y12)

#define BRINGLINES \
	BRING(64); \
	BRING(64)

#define WEIGHTED4(o) \
	WEIGHTED(o(SI), Y0, Y4); \
	WEIGHTED(o(SI)(R8*1), Y1, Y5); \
	WEIGHTED(o(SI)(R8*2), Y2, Y6); \
	WEIGHTED(o(SI)(R9*1), Y3, Y7)

#define SUM4(LOAD, BRINGTWO, size) \
	SUMS; \
	SUBQ $2, CX; \
	JLT  tail; \
wide: \
	RESULTS(FROMY, 0, Y0, Y1, Y2, Y3); \
	RESULTS(FROMY, 32, Y4, Y5, Y6, Y7); \
	COLUMNS; \
	SUBQ $2, DX; \
	JLT  odd; \
two: \
	BRINGTWO; \
	LOAD((BX), Y8); \
	LOAD(size(BX), Y9); \
	WEIGHTED4(0); \
	LOAD((BX)(R10*1), Y8); \
	LOAD(size(BX)(R10*1), Y9); \
	WEIGHTED4(4); \
	LEAQ (BX)(R10*2), BX; \
	ADDQ $8, SI; \
	SUBQ $2, DX; \
	JGE  two; \
odd: \
	INCQ DX; \
	JLT  even; \
	BRING(2*size); \
	LOAD((BX), Y8); \
	LOAD(size(BX), Y9); \
	WEIGHTED4(0); \
even: \
	RESULTS(TOY, 0, Y0, Y1, Y2, Y3); \
	RESULTS(TOY, 32, Y4, Y5, Y6, Y7); \
	ADDQ $64, R13; \
	ADDQ $(2*size), R12; \
	SUBQ $2, CX; \
	JGE  wide; \
tail: \
	ADDQ $2, CX; \
	JEQ  done; \
	RESULTS(FROMY, 0, Y0, Y1, Y2, Y3); \
	COLUMNS; \
row: \
	LOAD((BX), Y8); \
	VMOVAPS Y8, Y9; \
	WEIGHTED4(0); \
	NEXTROWS(row); \
	RESULTS(TOY, 0, Y0, Y1, Y2, Y3); \
done: \
	VZEROUPPER; \
	RET

TEXT sum1F32<>(SB), NOSPLIT|NOFRAME, $0-8
	SUM1(LOAD_F32, 32)

TEXT sum4F32<>(SB), NOSPLIT|NOFRAME, $0-8
	SUM4(LOAD_F32, BRINGLINES, 32)

TEXT sum1F16<>(SB), NOSPLIT|NOFRAME, $0-8
	SUM1(LOAD_F16, 16)

TEXT sum4F16<>(SB), NOSPLIT|NOFRAME, $0-8
	SUM4(LOAD_F16, BRING(64), 16)

// The same of Q8_0: 16 columns at a time, half a block. R14 is where they are in the block.
#define QUANTS \
	VPBROADCASTW (BX), X8; \
	VCVTPH2PS X8, Y8; \
	VPMOVSXBD (BX)(R14*1), Y9; \
	VPMOVSXBD 8(BX)(R14*1), Y10; \
	VCVTDQ2PS Y9, Y9; \
	VCVTDQ2PS Y10, Y10

#define WEIGHTED_Q8(x, a, b) \
	VBROADCASTSS x, Y11; \
	VMULPS Y8, Y11, Y11; \
	FMADD(Y9, Y11, a, Y12); \
	FMADD(Y10, Y11, b, Y13)

#define BEGINHALVES \
	SUMS; \
	SHRQ $1, CX; \
	MOVQ $2, R14

#define NEXTHALF(again) \
	ADDQ $64, R13; \
	XORQ $16, R14; \
	CMPQ R14, $2; \
	JNE  same; \
	ADDQ $34, R12; \
same: \
	DECQ CX; \
	JNE  again; \
	VZEROUPPER; \
	RET

TEXT sum1Q80<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGINHALVES
half:
	VMOVUPS 0(R13), Y0
	VMOVUPS 32(R13), Y4
	COLUMNS
row:
	PREFETCHT0 (R15)
	ADDQ $17, R15
	QUANTS
	WEIGHTED_Q8((SI), Y0, Y4)
	NEXTROWS(row)
	VMOVUPS Y0, 0(R13)
	VMOVUPS Y4, 32(R13)
	NEXTHALF(half)

TEXT sum4Q80<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGINHALVES
half:
	RESULTS(FROMY, 0, Y0, Y1, Y2, Y3)
	RESULTS(FROMY, 32, Y4, Y5, Y6, Y7)
	COLUMNS
row:
	PREFETCHT0 (R15)
	ADDQ $17, R15
	QUANTS
	WEIGHTED_Q8((SI), Y0, Y4)
	WEIGHTED_Q8((SI)(R8*1), Y1, Y5)
	WEIGHTED_Q8((SI)(R8*2), Y2, Y6)
	WEIGHTED_Q8((SI)(R9*1), Y3, Y7)
	NEXTROWS(row)
	RESULTS(TOY, 0, Y0, Y1, Y2, Y3)
	RESULTS(TOY, 32, Y4, Y5, Y6, Y7)
	NEXTHALF(half)

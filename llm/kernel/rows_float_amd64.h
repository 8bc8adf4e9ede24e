// Row kernels of types whose weights are floating-point numbers: a block is 8 of them.
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

#define FLOATS4(LOAD, size) \
	BEGIN4; \
	EACHROW; \
	TESTQ CX, CX; \
	JEQ  done; \
one: \
	LOAD((BX), Y8); \
	FMADD((SI), Y8, Y0, Y4); \
	FMADD((SI)(R8*1), Y8, Y1, Y5); \
	FMADD((SI)(R8*2), Y8, Y2, Y6); \
	FMADD((SI)(R9*1), Y8, Y3, Y7); \
	ENDONE(STEP_FLOAT, size); \
	ENDROW4

TEXT rows1F32<>(SB), NOSPLIT|NOFRAME, $0-8
	FLOATS1(LOAD_F32, FETCH2, 32)

TEXT rows4F32<>(SB), NOSPLIT|NOFRAME, $0-8
	FLOATS4(LOAD_F32, 32)

TEXT rows1F16<>(SB), NOSPLIT|NOFRAME, $0-8
	FLOATS1(LOAD_F16, FETCH, 16)

TEXT rows4F16<>(SB), NOSPLIT|NOFRAME, $0-8
	FLOATS4(LOAD_F16, 16)

TEXT rows1BF16<>(SB), NOSPLIT|NOFRAME, $0-8
	FLOATS1(LOAD_BF16, FETCH, 16)

TEXT rows4BF16<>(SB), NOSPLIT|NOFRAME, $0-8
	FLOATS4(LOAD_BF16, 16)

// Sums of rows: y[j] += sum over rows r of x[r]*w[r][j], for 8*n columns j, four
// blocks of columns at a time, then one. Here R12 is the column cursor in w, R13 in
// y, R8 the step between rows. WIDE adds four blocks, times Y8, to Y0-Y3; ONE adds
// one to Y0.

#define WIDE_F32 \
	FMADD(0(BX), Y8, Y0, Y4); \
	FMADD(32(BX), Y8, Y1, Y5); \
	FMADD(64(BX), Y8, Y2, Y6); \
	FMADD(96(BX), Y8, Y3, Y7)

#define ONE_F32 FMADD((BX), Y8, Y0, Y4)

#define WIDE_F16 \
	LOAD4(LOAD_F16, 16); \
	FMADD(Y4, Y8, Y0, Y4); \
	FMADD(Y5, Y8, Y1, Y5); \
	FMADD(Y6, Y8, Y2, Y6); \
	FMADD(Y7, Y8, Y3, Y7)

#define ONE_F16 \
	LOAD_F16((BX), Y4); \
	FMADD(Y4, Y8, Y0, Y4)

#define COLUMNS \
	MOVQ R12, BX; \
	MOVQ call_x(AX), SI; \
	MOVQ call_rows(AX), DX

#define SUMS(WIDE, ONE, size) \
	BEGIN; \
	MOVQ call_n(AX), CX; \
	MOVQ call_step(AX), R8; \
	SUBQ $4, CX; \
	JLT  tail; \
wide: \
	VMOVUPS 0(R13), Y0; \
	VMOVUPS 32(R13), Y1; \
	VMOVUPS 64(R13), Y2; \
	VMOVUPS 96(R13), Y3; \
	COLUMNS; \
wrow: \
	VBROADCASTSS (SI), Y8; \
	WIDE; \
	ADDQ R8, BX; \
	ADDQ $4, SI; \
	DECQ DX; \
	JNE  wrow; \
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
	ONE; \
	ADDQ R8, BX; \
	ADDQ $4, SI; \
	DECQ DX; \
	JNE  row; \
	VMOVUPS Y0, (R13); \
	ADDQ $32, R13; \
	ADDQ $size, R12; \
	DECQ CX; \
	JNE  one; \
done: \
	VZEROUPPER; \
	RET

TEXT sumF32<>(SB), NOSPLIT|NOFRAME, $0-8
	SUMS(WIDE_F32, ONE_F32, 32)

TEXT sumF16<>(SB), NOSPLIT|NOFRAME, $0-8
	SUMS(WIDE_F16, ONE_F16, 16)

// What the kernels of attention have in common, whatever the width of registers: products of rows
// with four vectors, and weighted sums of rows. Registers as in rows_amd64.h.

// LINE and LINES are STREAM and STREAM2 of either row; R14 says how far ahead it goes into the second-level
// cache.
#define LINE(w) \
	PREFETCHT1 (w)(R14*1); \
	PREFETCHT0 (w)(R15*1)

#define LINES(w) \
	LINE(w); \
	PREFETCHT1 64(w)(R14*1); \
	PREFETCHT0 64(w)(R15*1)

// PAIRS has four vectors go over two rows at a time, so that there are eight sums to work at while one
// waits. A last row without another is its own other. DI is the second row, R10 how far
// from the first. BLOCK4 adds the products of a block of eight numbers;
// after SPLIT the sums of the first row are in Y0-Y3, one for each vector, those of the second in Y4-Y7. Two results of a vector are
// stored at once.
#define PAIRS(ZERO8, BLOCK4, SPLIT, FETCHES, LOAD, size) \
	MOVQ call_step(AX), R10; \
	MOVQ call_far(AX), R14; \
row: \
	ROWBEGIN; \
	CMPQ DX, $1; \
	JNE  both; \
	XORL R10, R10; \
both: \
	LEAQ (R12)(R10*1), DI; \
	ZERO8; \
	SUBQ $4, CX; \
	JLT  tail; \
loop: \
	FETCHES(BX); \
	FETCHES(DI); \
	BLOCK4(LOAD, 0, 0); \
	BLOCK4(LOAD, size, 32); \
	BLOCK4(LOAD, 2*size, 64); \
	BLOCK4(LOAD, 3*size, 96); \
	ADDQ $(4*size), BX; \
	ADDQ $(4*size), DI; \
	ADDQ $128, SI; \
	SUBQ $4, CX; \
	JGE  loop; \
tail: \
	ADDQ $4, CX; \
	JEQ  done; \
one: \
	BLOCK4(LOAD, 0, 0); \
	ADDQ $size, BX; \
	ADDQ $size, DI; \
	ADDQ $32, SI; \
	DECQ CX; \
	JNE  one; \
done: \
	SPLIT; \
	FOLDED(Y0, Y2, Y8); \
	FOLDED(Y4, Y6, Y9); \
	FOLDED(Y1, Y3, Y10); \
	FOLDED(Y5, Y7, Y11); \
	PAIRED(Y8, Y9, Y0); \
	PAIRED(Y10, Y11, Y1); \
	PAIRED(Y0, Y1, Y2); \
	VEXTRACTF128 $1, Y2, X1; \
	MOVQ call_ystep(AX), CX; \
	LEAQ (R13)(CX*2), SI; \
	SUBQ $2, DX; \
	JLT  last; \
	VMOVLPS X2, (R13); \
	VMOVHPS X2, (R13)(CX*1); \
	VMOVLPS X1, (SI); \
	VMOVHPS X1, (SI)(CX*1); \
	LEAQ 8(R13), R13; \
	LEAQ (R12)(R10*2), R12; \
	JNE  row; \
	VZEROUPPER; \
	RET; \
last: \
	VMOVSS X2, (R13); \
	VEXTRACTPS $2, X2, (R13)(CX*1); \
	VMOVSS X1, (SI); \
	VEXTRACTPS $2, X1, (SI)(CX*1); \
	VZEROUPPER; \
	RET

// FOLDED adds the upper halves of two sums to their lower ones: d holds the halves of a and b. PAIRED adds pairs of neighbours
// (VHADDPS does the same and takes longer): d holds, in each half, two of a and two of b. HALVES is both for four
// sums: d holds two numbers of each of a, c, then b, d.
#define FOLDED(a, b, d) \
	VBLENDPS $0xf0, b, a, d; \
	VPERM2F128 $0x21, b, a, a; \
	VADDPS a, d, d

#define PAIRED(a, b, d) \
	VSHUFPS $0x88, b, a, d; \
	VSHUFPS $0xdd, b, a, a; \
	VADDPS a, d, d

#define HALVES(a, b, c, d, t, u) \
	FOLDED(a, b, t); \
	FOLDED(c, d, u); \
	PAIRED(t, u, d)

// SUMS begins weighted sums of rows for four vectors, y[j] += sum over rows r of x[r]*w[r][j], for 8*n
// columns j. R12 is the column cursor in w, R13 in y, R10 the step between rows, DI and R11 one and three
// steps between vectors' sums. The columns that fit in registers are summed over all rows before the next,
// so the rows come from memory the first time only. BRING fetches a line from R15 on, which are as many
// rows that follow these if the columns are many, and one R14 further into the second-level cache, and goes on by n
// bytes: each step brings as much as it uses, so that memory is never idle and never in a hurry.
#define SUMS \
	BEGIN4; \
	MOVQ call_n(AX), CX; \
	MOVQ call_step(AX), R10; \
	MOVQ call_ystep(AX), DI; \
	LEAQ (DI)(DI*2), R11; \
	MOVQ call_far(AX), R14; \
	ADDQ R12, R15

#define BRING(n) \
	PREFETCHT1 (R15)(R14*1); \
	PREFETCHT0 (R15); \
	ADDQ $(n), R15

#define COLUMNS \
	MOVQ R12, BX; \
	MOVQ call_x(AX), SI; \
	MOVQ call_rows(AX), DX

#define NEXTROWS(again) \
	ADDQ R10, BX; \
	ADDQ $4, SI; \
	DECQ DX; \
	JNE  again

// RESULTS has M move the sums to or from y, from column o on.
#define RESULTS(M, o, a, b, c, d) \
	M(o(R13), a); \
	M(o(R13)(DI*1), b); \
	M(o(R13)(DI*2), c); \
	M(o(R13)(R11*1), d)

#define FROMY(m, y) VMOVUPS m, y
#define TOY(m, y) VMOVUPS y, m

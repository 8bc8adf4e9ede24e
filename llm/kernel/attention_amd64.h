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
// from the first, R11 how far their results. BLOCK4 adds the products of a block of eight numbers;
// after SPLIT the sums of the first row are in Y0-Y3, one for each vector, those of the second in Y4-Y7.
#define PAIRS(ZERO8, BLOCK4, SPLIT, FETCHES, LOAD, size) \
	MOVQ call_step(AX), R10; \
	MOVQ $4, R11; \
	MOVQ call_far(AX), R14; \
row: \
	ROWBEGIN; \
	CMPQ DX, $1; \
	JNE  both; \
	XORL R10, R10; \
	XORL R11, R11; \
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
	HALVES(Y0, Y1, Y2, Y3, Y8, Y9); \
	HALVES(Y4, Y5, Y6, Y7, Y8, Y9); \
	VHADDPS Y7, Y3, Y0; \
	VEXTRACTF128 $1, Y0, X1; \
	MOVQ call_ystep(AX), CX; \
	LEAQ (R13)(CX*2), SI; \
	VMOVSS X0, (R13); \
	VEXTRACTPS $1, X0, (SI); \
	VMOVSS X1, (R13)(CX*1); \
	VEXTRACTPS $1, X1, (SI)(CX*1); \
	ADDQ R11, R13; \
	ADDQ R11, SI; \
	VEXTRACTPS $2, X0, (R13); \
	VEXTRACTPS $3, X0, (SI); \
	VEXTRACTPS $2, X1, (R13)(CX*1); \
	VEXTRACTPS $3, X1, (SI)(CX*1); \
	ADDQ R11, R13; \
	LEAQ (R12)(R10*2), R12; \
	SUBQ $2, DX; \
	JGT  row; \
	VZEROUPPER; \
	RET

// HALVES adds the upper halves of four sums to their lower ones and then pairs of
// neighbours, as HSUM does: d holds two numbers of each of a, c, then b, d.
#define HALVES(a, b, c, d, t, u) \
	VPERM2F128 $0x20, b, a, t; \
	VPERM2F128 $0x31, b, a, a; \
	VPERM2F128 $0x20, d, c, u; \
	VPERM2F128 $0x31, d, c, c; \
	VADDPS a, t, t; \
	VADDPS c, u, u; \
	VHADDPS u, t, d

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

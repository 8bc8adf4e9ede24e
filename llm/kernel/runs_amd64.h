// Kernels for one vector and four runs of repacked rows at once: each takes a little of every run in turn, so
// that the processor fetches ahead by itself in four places of memory. Results are the bits of repacked1_amd64.h,
// whose macros these are made of. Registers as there, but
//
//	DX groups of eight rows left in each run
//	BX weights of the run it is about, R9 their heads
//	R11 bytes from run to run, R10 three times as many

#define BEGINRUNS \
	BEGINREPACKED; \
	MOVQ call_step(AX), R11; \
	LEAQ (R11)(R11*2), R10

// RUNS does for each run what DO does for one, with a register or a place in the frame that is its own.
#define RUNS(DO, a, b, c, d) \
	DO(a); \
	ADDQ R11, BX; \
	ADDQ R11, R9; \
	DO(b); \
	ADDQ R11, BX; \
	ADDQ R11, R9; \
	DO(c); \
	ADDQ R11, BX; \
	ADDQ R11, R9; \
	DO(d); \
	SUBQ R10, BX; \
	SUBQ R10, R9

#define STORERUNS(a, b, c, d) \
	MOVQ call_ystep(AX), R14; \
	VMOVUPS a, (R13); \
	VMOVUPS b, (R13)(R14*1); \
	VMOVUPS c, (R13)(R14*2); \
	LEAQ (R14)(R14*2), R14; \
	VMOVUPS d, (R13)(R14*1)

// NEXTRUNS fetches a line of each of the runs that come next, of which nothing else would, while the last eight rows of these
// are multiplied.
#define NEXTRUNS \
	CMPQ DX, $1; \
	JNE  more; \
	MOVQ call_next(AX), R12; \
	PREFETCHT0 (R12); \
	PREFETCHT0 (R12)(R11*1); \
	PREFETCHT0 (R12)(R11*2); \
	PREFETCHT0 (R12)(R10*1); \
	ADDQ $64, call_next(AX); \
more:

#define HEADSRUN(_) FETCH(0)

#define RUN_Q4_0(sum) \
	FETCH2(0); \
	ADDBLOCK_Q4_0(sum)

#define RUN_Q8_0(sum) \
	FETCH4(0); \
	ADDBLOCK_Q8_0(sum)

#define SIMPLERUNS(DO, bytes) \
	BEGINRUNS; \
	ONES(Y13); \
group: \
	GROUP; \
	VXORPS Y2, Y2, Y2; \
	VXORPS Y3, Y3, Y3; \
	VXORPS Y11, Y11, Y11; \
	VXORPS Y12, Y12, Y12; \
super: \
	NEXTRUNS; \
	RUNS(HEADSRUN, 0, 0, 0, 0); \
	SUPER(4, 16); \
block: \
	RUNS(DO, Y2, Y3, Y11, Y12); \
	NEXTBLOCK(bytes); \
	STORERUNS(Y2, Y3, Y11, Y12); \
	NEXTGROUP

TEXT runsQ40<>(SB), NOSPLIT|NOFRAME, $0-8
	SIMPLERUNS(RUN_Q4_0, 128)

TEXT runsQ80<>(SB), NOSPLIT|NOFRAME, $0-8
	SIMPLERUNS(RUN_Q8_0, 256)

// What K types keep of a run on the stack: two times 32 bytes of scales, its sums of weights and of minima in int32, and its
// total in float32. R14 is at the scales of the columns it is about.
#define RUNSCALES 0
#define RUNSUM 64
#define RUNMINIMA 96
#define RUNTOTAL 128
#define RUNSIZE 160

#define CLEARTOTAL(at) VMOVUPS Y14, at+RUNTOTAL(SP)

// HEADRUN_K reads the head of a block of Q4_K or Q5_K.
#define HEADRUN_K(at) \
	FETCH2(0); \
	MINIMA_K; \
	VMOVDQU Y13, at+RUNMINIMA(SP); \
	SIXBYTES(32, 96); \
	VMOVDQU Y5, at+RUNSCALES(SP); \
	VMOVDQU Y6, at+RUNSCALES+32(SP); \
	VPXOR Y2, Y2, Y2; \
	VMOVDQU Y2, at+RUNSUM(SP)

#define RUN_Q4_K(at) \
	FETCH4(0); \
	VPMOVZXBW at(R14), Y8; \
	VMOVDQU at+RUNSUM(SP), Y2; \
	SUBS_Q4_K(0, 0, Y8); \
	VMOVDQU Y2, at+RUNSUM(SP)

#define RUN_Q5_K(at) \
	FETCH4(0); \
	FETCH(256); \
	VPMOVZXBW at(R14), Y8; \
	VMOVDQU at+RUNSUM(SP), Y2; \
	HALF_Q5_K(0, 64, 0); \
	HALF_Q5_K(32, 192, 16); \
	VMOVDQU Y2, at+RUNSUM(SP)

#define ENDRUN_K(at) \
	VMOVDQU at+RUNSUM(SP), Y2; \
	VMOVDQU at+RUNMINIMA(SP), Y13; \
	VMOVUPS at+RUNTOTAL(SP), Y14; \
	TOTAL_K(Y14); \
	VMOVUPS Y14, at+RUNTOTAL(SP)

#define STORETOTALRUNS \
	VMOVUPS RUNTOTAL(SP), Y0; \
	VMOVUPS RUNTOTAL+RUNSIZE(SP), Y1; \
	VMOVUPS RUNTOTAL+2*RUNSIZE(SP), Y2; \
	VMOVUPS RUNTOTAL+3*RUNSIZE(SP), Y3; \
	STORERUNS(Y0, Y1, Y2, Y3)

#define RUNSIN(DO) RUNS(DO, 0, RUNSIZE, 2*RUNSIZE, 3*RUNSIZE)

#define RUNS_K(DO, bytes) \
group: \
	GROUP; \
	RUNSIN(CLEARTOTAL); \
loop: \
	NEXTRUNS; \
	RUNSIN(HEADRUN_K); \
	MOVQ $4, R8; \
	MOVQ BX, R9; \
	ADDQ $128, BX; \
	LEAQ RUNSCALES(SP), R14; \
pair: \
	RUNSIN(DO); \
	ADDQ $16, R14; \
	ADDQ $bytes, BX; \
	ADDQ $64, SI; \
	DECQ R8; \
	JNE  pair; \
	RUNSIN(ENDRUN_K); \
	ADDQ $scaleQ8K__size, DI; \
	DECQ CX; \
	JNE  loop; \
	STORETOTALRUNS; \
	NEXTGROUP

TEXT runsQ4K<>(SB), NOSPLIT, $640-8
	BEGINRUNS
	RUNS_K(RUN_Q4_K, 256)

TEXT runsQ5K<>(SB), NOSPLIT, $640-8
	BEGINRUNS
	VMOVDQU fifthBits<>(SB), Y12
	RUNS_K(RUN_Q5_K, 320)

#define HEADSRUN_Q6_K(_) \
	FETCH4(0); \
	FETCH(256)

// RUN_Q6_K and RUN2_Q6_K add 16 columns each to sum. 32 stands for 0, and is taken off for both in the first.
#define RUN_Q6_K(sum) \
	FETCH2(0); \
	VPMOVSXBW 16(R9), Y8; \
	VPBROADCASTD scaleQ8K_sum16(DI), Y7; \
	VPMADDWD Y8, Y7, Y7; \
	VPSLLD $5, Y7, Y7; \
	VPSUBD Y7, sum, sum; \
	VPSHUFB Y10, Y8, Y9; \
	QUAD(0, 0, Y9, sum)

#define RUN2_Q6_K(sum) \
	FETCH(128); \
	VPMOVSXBW 16(R9), Y8; \
	VPSHUFB Y11, Y8, Y8; \
	QUAD(96, 16, Y8, sum)

// ENDRUN_Q6_K adds a block with a sum to the total of the run that is at at. R9 is 128 bytes behind its factors, DI 32 behind the vector's.
#define ENDRUN_Q6_K(at, sum) \
	VCVTPH2PS -128(R9), Y4; \
	VBROADCASTSS -32(DI), Y7; \
	VMULPS Y7, Y4, Y4; \
	VCVTDQ2PS sum, sum; \
	VMOVUPS at+RUNTOTAL(SP), Y5; \
	FMADD(Y4, sum, Y5, Y6); \
	VMOVUPS Y5, at+RUNTOTAL(SP)

TEXT runsQ6K<>(SB), NOSPLIT, $640-8
	BEGINRUNS
	VMOVDQU sixBits<>(SB), Y15
	VMOVDQU doubleEven<>(SB), Y10
	VMOVDQU doubleOdd<>(SB), Y11
group:
	GROUP
	RUNSIN(CLEARTOTAL)
super:
	NEXTRUNS
	RUNS(HEADSRUN_Q6_K, 0, 0, 0, 0)
	SUPER(2, 144)
block:
	VPXOR Y3, Y3, Y3
	VPXOR Y12, Y12, Y12
	VPXOR Y13, Y13, Y13
	VPXOR Y14, Y14, Y14
	MOVQ $8, R14
pair:
	RUNS(RUN_Q6_K, Y3, Y12, Y13, Y14)
	RUNS(RUN2_Q6_K, Y3, Y12, Y13, Y14)
	ADDQ $192, BX
	ADDQ $32, SI
	ADDQ $16, R9
	ADDQ $4, DI
	DECQ R14
	JNE  pair
	ENDRUN_Q6_K(0, Y3)
	ADDQ R11, R9
	ENDRUN_Q6_K(RUNSIZE, Y12)
	ADDQ R11, R9
	ENDRUN_Q6_K(2*RUNSIZE, Y13)
	ADDQ R11, R9
	ENDRUN_Q6_K(3*RUNSIZE, Y14)
	SUBQ R10, R9
	ADDQ $16, R9
	ADDQ $(scaleQ8K__size-32), DI
	DECQ R8
	JNE  block
	TESTQ CX, CX
	JNE  super
	STORETOTALRUNS
	NEXTGROUP

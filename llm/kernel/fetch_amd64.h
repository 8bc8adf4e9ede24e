// What kernels fetch from memory before they need it. BX is at the weights, R15 holds
// how far ahead lines are fetched; R14 is clobbered. See Fetch in fetch.go.
//
// STREAM fetches a line twice, the first time into the second-level cache, as far ahead as
// R11 says. Where nothing is fetched so far ahead, R11 is R15, and the line is on its way.

// AHEAD fetches the first line of a page further on, again for each of the blocks in a
// page, and FETCH a line; between them they fetch every line of the weights in the main
// loops.
#define AHEAD \
	MOVQ c+0(FP), R14; \
	MOVQ call_page(R14), R14; \
	ADDQ BX, R14; \
	ANDQ $-4096, R14; \
	PREFETCHT0 (R14)

#define FETCH(o) PREFETCHT0 o(BX)(R15*1)

#define FETCH2(o) \
	FETCH(o); \
	FETCH(o+64)

#define FETCH4(o) \
	FETCH2(o); \
	FETCH2(o+128)

#define STREAM(o) \
	PREFETCHT1 o(BX)(R11*1); \
	FETCH(o)

#define STREAM2(o) \
	STREAM(o); \
	STREAM(o+64)

#define STREAM4(o) \
	STREAM2(o); \
	STREAM2(o+128)

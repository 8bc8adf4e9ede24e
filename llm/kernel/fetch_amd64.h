// What kernels fetch from memory before they need it. BX is at the weights, R15 holds
// how far ahead lines are fetched; R14 is clobbered. See Fetch in fetch.go.

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

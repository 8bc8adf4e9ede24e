// What kernels fetch from memory before they need it. BX is at the weights; R14 is
// clobbered.

// AHEAD fetches the first line of the third page from here, again for each of the
// blocks in a page, and FETCH a line one page from here; between them they fetch
// every line of the weights in the main loops. What a processor fetches by itself
// ends with a page, and it sees only so many instructions ahead, which kernels that
// do more with each weight use up sooner. FETCH without AHEAD is slower than
// neither of them.
#define AHEAD \
	LEAQ 12288(BX), R14; \
	ANDQ $-4096, R14; \
	PREFETCHT0 (R14)

#define FETCH(o) PREFETCHT0 4096+o(BX)

#define FETCH2(o) \
	FETCH(o); \
	FETCH(o+64)

#define FETCH4(o) \
	FETCH2(o); \
	FETCH2(o+128)

// What a set's table of functions is made of: see entries in assembly_amd64.go. The
// offsets come from go_asm.h, which the go command makes of the Go declarations.

#include "textflag.h"
#include "go_asm.h"

#define ENTRY(type, kernel, f) DATA entries<>+(entries_types+type*kernels__size+kernel)(SB)/8, f

// KERNELS is the row of a type, $0 standing for what it has not. Rows must be in the
// order of the types' numbers.
#define KERNELS(type, rows1, rows3, rows4, eights1, eights4, panel, sum) \
	ENTRY(type, kernels_rows1, rows1); \
	ENTRY(type, kernels_rows3, rows3); \
	ENTRY(type, kernels_rows4, rows4); \
	ENTRY(type, kernels_eights1, eights1); \
	ENTRY(type, kernels_eights4, eights4); \
	ENTRY(type, kernels_panel, panel); \
	ENTRY(type, kernels_sum, sum)

GLOBL entries<>(SB), RODATA|NOPTR, $entries__size

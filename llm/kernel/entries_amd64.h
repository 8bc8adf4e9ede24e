// What a set's table of functions is made of: see entries in assembly_amd64.go. The
// go command makes go_asm.h, which has the offsets, from the Go declarations.

#include "textflag.h"
#include "go_asm.h"

#define ENTRY(type, kernel, f) DATA entries<>+(entries_types+type*kernels__size+kernel)(SB)/8, f

// KERNELS is the row of a type; $0 stands for a function that it does not have. Rows
// must be in the order of the types' numbers. What few types have (repacked2) is an ENTRY behind theirs.
#define KERNELS(type, rows1, rows3, rows4, repacked1, repacked4, panel, sum1, sum4) \
	ENTRY(type, kernels_rows1, rows1); \
	ENTRY(type, kernels_rows3, rows3); \
	ENTRY(type, kernels_rows4, rows4); \
	ENTRY(type, kernels_repacked1, repacked1); \
	ENTRY(type, kernels_repacked4, repacked4); \
	ENTRY(type, kernels_panel, panel); \
	ENTRY(type, kernels_sum1, sum1); \
	ENTRY(type, kernels_sum4, sum4)

GLOBL entries<>(SB), RODATA|NOPTR, $entries__size

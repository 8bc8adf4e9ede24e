// The kernels that gain by AVX-512: panels, with VNNI, and attention over keys and values.
//
// Panels are as in panels_amd64.h, but a register holds all 16 rows of four weights each,
// and one instruction multiplies them with four activations, which it broadcasts itself,
// and adds the four products of each row in 32 bits. Registers:
//
//	AX call, BX weights, DX scales, CX counter, R15 tiles left
//	SI activations, R8 and R9 one and three steps between vectors
//	DI their scales, R10 and R11 one and three steps between vectors
//	Z0-Z3 sums of a block for vectors 0 to 3, Z4-Z7 of the panel

#include "entries_amd64.h"
#include "fetch_amd64.h"
#include "rows_amd64.h"
#include "attention_amd64.h"

#define TILES \
	MOVQ c+0(FP), AX; \
	MOVQ call_xstep(AX), R8; \
	LEAQ (R8)(R8*2), R9; \
	MOVQ call_dstep(AX), R10; \
	LEAQ (R10)(R10*2), R11; \
	MOVQ call_x(AX), SI; \
	MOVQ call_d(AX), DI; \
	MOVQ call_y(AX), R13; \
	MOVQ call_rows(AX), R15; \
	MOVQ call_ystep(AX), R14; \
	LEAQ (R14)(R14*2), R12

// NEXTPANEL moves on by four vectors; SI must be n past its place.
#define NEXTPANEL(n) \
	LEAQ -n(SI)(R8*4), SI; \
	LEAQ (DI)(R10*4), DI; \
	LEAQ (R13)(R14*4), R13; \
	DECQ R15; \
	JNE  tile; \
	VZEROUPPER; \
	RET

#define TAKE(i) \
	VPDPBUSD.BCST (4*i)(SI), Z8, Z0; \
	VPDPBUSD.BCST (4*i)(SI)(R8*1), Z8, Z1; \
	VPDPBUSD.BCST (4*i)(SI)(R8*2), Z8, Z2; \
	VPDPBUSD.BCST (4*i)(SI)(R9*1), Z8, Z3

// FOUR multiplies 16 rows x 4 weights with 4 vectors; i counts fours.
#define FOUR(i) \
	VMOVDQU32 (64*i)(BX), Z8; \
	TAKE(i)

// SCALED adds the sums, times their rows' scales, to those of the panel.
#define SCALED(so) \
	VPSRAD $16, so(DX), Z9; \
	VPMULLD Z9, Z0, Z0; \
	VPMULLD Z9, Z1, Z1; \
	VPMULLD Z9, Z2, Z2; \
	VPMULLD Z9, Z3, Z3; \
	VPADDD Z0, Z4, Z4; \
	VPADDD Z1, Z5, Z5; \
	VPADDD Z2, Z6, Z6; \
	VPADDD Z3, Z7, Z7

#define BEGINSUMS \
	MOVQ call_w(AX), BX; \
	LEAQ panel_scales(BX), DX; \
	VPXORD Z4, Z4, Z4; \
	VPXORD Z5, Z5, Z5; \
	VPXORD Z6, Z6, Z6; \
	VPXORD Z7, Z7, Z7; \
	MOVQ $8, CX

// MINIMUM adds the products of pair p of minima with the pairs of sums at so.
#define MINIMUM(p, so) \
	VMOVDQU32 panel_minima+64*p(BX), Z8; \
	VPDPWSSD.BCST so(DI), Z8, Z0; \
	VPDPWSSD.BCST so(DI)(R10*1), Z8, Z1; \
	VPDPWSSD.BCST so(DI)(R10*2), Z8, Z2; \
	VPDPWSSD.BCST so(DI)(R11*1), Z8, Z3

// FINISHED adds d*da*isum - dmin*da*msum to the rows at y.
#define FINISHED(isum, msum, da, y) \
	VCVTDQ2PS isum, isum; \
	VCVTDQ2PS msum, msum; \
	VMULPS Z10, isum, isum; \
	VFNMADD231PS Z11, msum, isum; \
	VMOVUPS y, Z8; \
	VFMADD231PS.BCST da, isum, Z8; \
	VMOVUPS Z8, y

#define FINISH4 \
	VMOVUPS panel_d(BX), Z10; \
	VMOVUPS panel_dmin(BX), Z11; \
	FINISHED(Z4, Z0, (DI), (R13)); \
	FINISHED(Z5, Z1, (DI)(R10*1), (R13)(R14*1)); \
	FINISHED(Z6, Z2, (DI)(R10*2), (R13)(R14*2)); \
	FINISHED(Z7, Z3, (DI)(R11*1), (R13)(R12*1))

// PANEL_K is a complete kernel for blocks of 256 with unsigned weights: BODY adds 32
// columns, whose scales take the given bytes.
#define PANEL_K(BODY, bytes, minima) \
	TILES; \
tile: \
	BEGINSUMS; \
loop: \
	BODY; \
	ADDQ $512, BX; \
	ADDQ $32, SI; \
	ADDQ $bytes, DX; \
	DECQ CX; \
	JNE  loop; \
	MOVQ call_w(AX), BX; \
	ZERO4; \
	minima; \
	FINISH4; \
	NEXTPANEL(256)

#define LOWFOURS \
	ZERO4; \
	FOUR(0); \
	FOUR(1); \
	FOUR(2); \
	FOUR(3)

#define HIGHFOURS \
	FOUR(4); \
	FOUR(5); \
	FOUR(6); \
	FOUR(7)

#define EIGHTFOURS \
	LOWFOURS; \
	HIGHFOURS

// Scales and minima for 32.
#define BODY_U4 \
	EIGHTFOURS; \
	SCALED(0)

#define MINIMA32 \
	MINIMUM(0, scaleQ8K_sum32); \
	MINIMUM(1, scaleQ8K_sum32+4); \
	MINIMUM(2, scaleQ8K_sum32+8); \
	MINIMUM(3, scaleQ8K_sum32+12)

TEXT panelU4<>(SB), NOSPLIT|NOFRAME, $0-8
	PANEL_K(BODY_U4, 64, MINIMA32)

// Scales and minima for 16.
#define BODY_U6 \
	LOWFOURS; \
	SCALED(0); \
	ZERO4; \
	HIGHFOURS; \
	SCALED(64)

#define MINIMA16 \
	MINIMUM(0, scaleQ8K_sum16); \
	MINIMUM(1, scaleQ8K_sum16+4); \
	MINIMUM(2, scaleQ8K_sum16+8); \
	MINIMUM(3, scaleQ8K_sum16+12); \
	MINIMUM(4, scaleQ8K_sum16+16); \
	MINIMUM(5, scaleQ8K_sum16+20); \
	MINIMUM(6, scaleQ8K_sum16+24); \
	MINIMUM(7, scaleQ8K_sum16+28)

TEXT panelU6<>(SB), NOSPLIT|NOFRAME, $0-8
	PANEL_K(BODY_U6, 128, MINIMA16)

// Blocks of 32 with a factor each: the results, in Z4-Z7, grow block by block.
// What made the weights unsigned is corrected with the second number of an
// activations' scale, -8 times their sum.

#define BEGINBLOCKS \
	MOVQ call_w(AX), BX; \
	LEAQ panel_scales(BX), DX; \
	MOVQ call_n(AX), CX; \
	VMOVUPS (R13), Z4; \
	VMOVUPS (R13)(R14*1), Z5; \
	VMOVUPS (R13)(R14*2), Z6; \
	VMOVUPS (R13)(R12*1), Z7

// BLOCK adds d*(da*isum + f*sa) to y; f is in Z11, d in Z10.
#define BLOCK(isum, da, sa, y) \
	VCVTDQ2PS isum, isum; \
	VMULPS.BCST da, isum, isum; \
	VFMADD231PS.BCST sa, Z11, isum; \
	VFMADD231PS Z10, isum, y

#define BLOCKS \
	VMOVUPS (DX), Z10; \
	BLOCK(Z0, (DI), scaleQ8_sum8(DI), Z4); \
	BLOCK(Z1, (DI)(R10*1), scaleQ8_sum8(DI)(R10*1), Z5); \
	BLOCK(Z2, (DI)(R10*2), scaleQ8_sum8(DI)(R10*2), Z6); \
	BLOCK(Z3, (DI)(R11*1), scaleQ8_sum8(DI)(R11*1), Z7); \
	ADDQ $512, BX; \
	ADDQ $32, SI; \
	ADDQ $scaleQ8__size, DI; \
	ADDQ $64, DX

// PANEL_32 is a complete kernel; BODY sums up a block.
#define PANEL_32(BODY) \
tile: \
	BEGINBLOCKS; \
loop: \
	BODY; \
	BLOCKS; \
	DECQ CX; \
	JNE  loop; \
	VMOVUPS Z4, (R13); \
	VMOVUPS Z5, (R13)(R14*1); \
	VMOVUPS Z6, (R13)(R14*2); \
	VMOVUPS Z7, (R13)(R12*1); \
	MOVQ call_n(AX), CX; \
	MOVQ CX, DX; \
	SHLQ $5, CX; \
	SUBQ CX, SI; \
	SHLQ $3, DX; \
	SUBQ DX, DI; \
	NEXTPANEL(0)

DATA offsets<>+0(SB)/4, $0x3f800000 // 1: 8 from each weight
DATA offsets<>+4(SB)/4, $0x41800000 // 16: 128
DATA offsets<>+8(SB)/4, $0x80808080
GLOBL offsets<>(SB), RODATA|NOPTR, $12

// Q4_0: 8 means 0.
TEXT panelQ40<>(SB), NOSPLIT|NOFRAME, $0-8
	TILES
	VBROADCASTSS offsets<>+0(SB), Z11
	PANEL_32(EIGHTFOURS)

// SIGNED is FOUR for signed weights: 128 is added to them.
#define SIGNED(i) \
	VPXORD (64*i)(BX), Z12, Z8; \
	TAKE(i)

#define EIGHTSIGNED \
	ZERO4; \
	SIGNED(0); \
	SIGNED(1); \
	SIGNED(2); \
	SIGNED(3); \
	SIGNED(4); \
	SIGNED(5); \
	SIGNED(6); \
	SIGNED(7)

TEXT panelQ80<>(SB), NOSPLIT|NOFRAME, $0-8
	TILES
	VBROADCASTSS offsets<>+4(SB), Z11
	VPBROADCASTD offsets<>+8(SB), Z12
	PANEL_32(EIGHTSIGNED)

// Attention: to the same bits as with AVX2, since each sum is still made of the same eight or one.
// Of keys, the lower half of a register belongs to one row and the upper half to the other.

#define PAIR_F16(wo) \
	VMOVUPS wo(BX), X8; \
	VINSERTI128 $1, wo(DI), Y8, Y8; \
	VCVTPH2PS Y8, Z8

#define PAIR_F32(wo) \
	VMOVUPS wo(BX), Y8; \
	VINSERTF64X4 $1, wo(DI), Z8, Z8

#define TWICE(x, sum) \
	VBROADCASTF64X4 x, Z10; \
	VFMADD231PS Z10, Z8, sum

#define WIDEBLOCK4(PAIR, wo, xo) \
	PAIR(wo); \
	TWICE(xo(SI), Z0); \
	TWICE(xo(SI)(R8*1), Z1); \
	TWICE(xo(SI)(R8*2), Z2); \
	TWICE(xo(SI)(R9*1), Z3)

#define SPLIT \
	VEXTRACTF64X4 $1, Z0, Y4; \
	VEXTRACTF64X4 $1, Z1, Y5; \
	VEXTRACTF64X4 $1, Z2, Y6; \
	VEXTRACTF64X4 $1, Z3, Y7

// Eight rows at a time share what is loaded of the vectors, and the sums of all of them are added up together: one by one
// that takes as long as the products. BX is at the first four rows, DI at the others. A register has two rows. Z16-Z31 are
// the sums, by vectors and then pairs of rows; R14 and R15 are where lines are fetched.
#define TWO_F16(a, b, x, y, z) \
	VMOVUPS a, x; \
	VINSERTI128 $1, b, y, y; \
	VCVTPH2PS y, z

#define TWO_F32(a, b, x, y, z) \
	VMOVUPS a, y; \
	VINSERTF64X4 $1, b, z, z

#define OFEIGHT(q, a, b, c, d) \
	VFMADD231PS q, Z0, a; \
	VFMADD231PS q, Z1, b; \
	VFMADD231PS q, Z2, c; \
	VFMADD231PS q, Z3, d

#define BLOCK8(TWO, wo, xo) \
	TWO(wo(BX), wo(BX)(R10*1), X0, Y0, Z0); \
	TWO(wo(BX)(R10*2), wo(BX)(R11*1), X1, Y1, Z1); \
	TWO(wo(DI), wo(DI)(R10*1), X2, Y2, Z2); \
	TWO(wo(DI)(R10*2), wo(DI)(R11*1), X3, Y3, Z3); \
	VBROADCASTF64X4 xo(SI), Z4; \
	VBROADCASTF64X4 xo(SI)(R8*1), Z5; \
	VBROADCASTF64X4 xo(SI)(R8*2), Z6; \
	VBROADCASTF64X4 xo(SI)(R9*1), Z7; \
	OFEIGHT(Z4, Z16, Z17, Z18, Z19); \
	OFEIGHT(Z5, Z20, Z21, Z22, Z23); \
	OFEIGHT(Z6, Z24, Z25, Z26, Z27); \
	OFEIGHT(Z7, Z28, Z29, Z30, Z31)

// FETCHED fetches two lines into either cache.
#define FETCHED \
	PREFETCHT1 (R14); \
	PREFETCHT1 64(R14); \
	PREFETCHT0 (R15); \
	PREFETCHT0 64(R15); \
	SUBQ $-128, R14; \
	SUBQ $-128, R15

#define FETCHED2 \
	FETCHED; \
	FETCHED

// HALVED makes of two registers, with two rows each, one with four rows: halves are added, as FOLDED does.
#define HALVED(a, b, d) \
	VSHUFF64X2 $0x88, b, a, d; \
	VSHUFF64X2 $0xdd, b, a, a; \
	VADDPS a, d, d

#define EIGHTSUMS(a, b, c, d) \
	HALVED(a, b, Z0); \
	HALVED(c, d, Z1); \
	PAIRED(Z0, Z1, a)

#define EIGHTS(TWO, FETCHES, size) \
	BEGIN4; \
	MOVQ call_step(AX), R10; \
	LEAQ (R10)(R10*2), R11; \
	ADDQ R12, R15; \
	MOVQ call_far(AX), R14; \
	ADDQ R12, R14; \
	VMOVUPS inturn<>(SB), Z8; \
	CMPQ DX, $8; \
	JLT  less; \
eight: \
	ROWBEGIN; \
	LEAQ (R12)(R10*4), DI; \
	ZEROED(Z16, Z17, Z18, Z19); \
	ZEROED(Z20, Z21, Z22, Z23); \
	ZEROED(Z24, Z25, Z26, Z27); \
	ZEROED(Z28, Z29, Z30, Z31); \
	SUBQ $4, CX; \
	JLT  etail; \
eloop: \
	FETCHES; \
	BLOCK8(TWO, 0, 0); \
	FETCHES; \
	BLOCK8(TWO, size, 32); \
	FETCHES; \
	BLOCK8(TWO, 2*size, 64); \
	FETCHES; \
	BLOCK8(TWO, 3*size, 96); \
	ADDQ $(4*size), BX; \
	ADDQ $(4*size), DI; \
	ADDQ $128, SI; \
	SUBQ $4, CX; \
	JGE  eloop; \
etail: \
	ADDQ $4, CX; \
	JEQ  edone; \
eone: \
	FETCHES; \
	BLOCK8(TWO, 0, 0); \
	ADDQ $size, BX; \
	ADDQ $size, DI; \
	ADDQ $32, SI; \
	DECQ CX; \
	JNE  eone; \
edone: \
	EIGHTSUMS(Z16, Z17, Z18, Z19); \
	EIGHTSUMS(Z20, Z21, Z22, Z23); \
	EIGHTSUMS(Z24, Z25, Z26, Z27); \
	EIGHTSUMS(Z28, Z29, Z30, Z31); \
	PAIRED(Z16, Z20, Z0); \
	PAIRED(Z24, Z28, Z1); \
	VPERMPS Z0, Z8, Z0; \
	VPERMPS Z1, Z8, Z1; \
	MOVQ call_ystep(AX), CX; \
	LEAQ (R13)(CX*2), SI; \
	VMOVUPS Y0, (R13); \
	VEXTRACTF64X4 $1, Z0, (R13)(CX*1); \
	VMOVUPS Y1, (SI); \
	VEXTRACTF64X4 $1, Z1, (SI)(CX*1); \
	ADDQ $32, R13; \
	LEAQ (R12)(R10*8), R12; \
	SUBQ $8, DX; \
	CMPQ DX, $8; \
	JGE  eight; \
	TESTQ DX, DX; \
	JNE  less; \
	VZEROUPPER; \
	RET; \
less: \
	MOVQ call_ahead(AX), R15

#define ZEROED(a, b, c, d) \
	VPXORD a, a, a; \
	VPXORD b, b, b; \
	VPXORD c, c, c; \
	VPXORD d, d, d

// The order in which PAIRED leaves the sums of eight rows for two vectors.
DATA inturn<>+0(SB)/8, $0x0000000400000000
DATA inturn<>+8(SB)/8, $0x0000000c00000008
DATA inturn<>+16(SB)/8, $0x0000000500000001
DATA inturn<>+24(SB)/8, $0x0000000d00000009
DATA inturn<>+32(SB)/8, $0x0000000600000002
DATA inturn<>+40(SB)/8, $0x0000000e0000000a
DATA inturn<>+48(SB)/8, $0x0000000700000003
DATA inturn<>+56(SB)/8, $0x0000000f0000000b
GLOBL inturn<>(SB), RODATA|NOPTR, $64

TEXT rows4F16<>(SB), NOSPLIT|NOFRAME, $0-8
	EIGHTS(TWO_F16, FETCHED, 16)
	PAIRS(ZERO4, WIDEBLOCK4, SPLIT, LINE, PAIR_F16, 16)

TEXT rows4F32<>(SB), NOSPLIT|NOFRAME, $0-8
	EIGHTS(TWO_F32, FETCHED2, 32)
	PAIRS(ZERO4, WIDEBLOCK4, SPLIT, LINES, PAIR_F32, 32)

// Of values, 64 columns are summed at a time, or what is left of them: K1 to K4 have a bit for each
// of the 16 columns of a register that is there.

#define HERE(o, k, y) VMOVUPS.Z o(R13), k, y
#define LEFT(o, k, y) VMOVUPS y, k, o(R13)

#define WIDERESULTS(M) \
	M(0, K1, Z0); \
	M(64, K2, Z1); \
	M(128, K3, Z2); \
	M(192, K4, Z3); \
	ADDQ DI, R13; \
	M(0, K1, Z4); \
	M(64, K2, Z5); \
	M(128, K3, Z6); \
	M(192, K4, Z7); \
	ADDQ DI, R13; \
	M(0, K1, Z8); \
	M(64, K2, Z9); \
	M(128, K3, Z10); \
	M(192, K4, Z11); \
	ADDQ DI, R13; \
	M(0, K1, Z12); \
	M(64, K2, Z13); \
	M(128, K3, Z14); \
	M(192, K4, Z15); \
	SUBQ R11, R13

#define WIDE_F16(o, k, y) VCVTPH2PS.Z (o)(BX), k, y
#define WIDE_F32(o, k, y) VMOVUPS.Z (o)(BX), k, y

#define WIDEWEIGHTED(x, a, b, c, d) \
	VBROADCASTSS x, Z20; \
	VFMADD231PS Z20, Z16, a; \
	VFMADD231PS Z20, Z17, b; \
	VFMADD231PS Z20, Z18, c; \
	VFMADD231PS Z20, Z19, d

#define WIDESUM4(LOAD, FETCHES, size) \
	SUMS; \
columns: \
	MOVQ $8, DX; \
	CMPQ CX, DX; \
	CMOVQLT CX, DX; \
	SHLQ $3, DX; \
	MOVQ $-1, BX; \
	BZHIQ DX, BX, BX; \
	KMOVW BX, K1; \
	SHRQ $16, BX; \
	KMOVW BX, K2; \
	SHRQ $16, BX; \
	KMOVW BX, K3; \
	SHRQ $16, BX; \
	KMOVW BX, K4; \
	WIDERESULTS(HERE); \
	COLUMNS; \
row: \
	FETCHES; \
	LOAD(0, K1, Z16); \
	LOAD(2*size, K2, Z17); \
	LOAD(4*size, K3, Z18); \
	LOAD(6*size, K4, Z19); \
	WIDEWEIGHTED((SI), Z0, Z1, Z2, Z3); \
	WIDEWEIGHTED((SI)(R8*1), Z4, Z5, Z6, Z7); \
	WIDEWEIGHTED((SI)(R8*2), Z8, Z9, Z10, Z11); \
	WIDEWEIGHTED((SI)(R9*1), Z12, Z13, Z14, Z15); \
	NEXTROWS(row); \
	WIDERESULTS(LEFT); \
	ADDQ $256, R13; \
	ADDQ $(8*size), R12; \
	SUBQ $8, CX; \
	JGT  columns; \
	VZEROUPPER; \
	RET

#define BRING2 \
	BRING(64); \
	BRING(64)

#define BRING4 \
	BRING2; \
	BRING2

TEXT sum4F16<>(SB), NOSPLIT|NOFRAME, $0-8
	WIDESUM4(WIDE_F16, BRING2, 16)

TEXT sum4F32<>(SB), NOSPLIT|NOFRAME, $0-8
	WIDESUM4(WIDE_F32, BRING4, 32)

// The same of Q8_0: 64 columns at a time, two blocks, and then perhaps one. Z17 is a block's scale, Z18 and Z19
// its numbers.
#define BLOCKQ8(o) \
	VPBROADCASTW o(BX), Y16; \
	VCVTPH2PS Y16, Z17; \
	VPMOVSXBD o+2(BX), Z18; \
	VPMOVSXBD o+18(BX), Z19; \
	VCVTDQ2PS Z18, Z18; \
	VCVTDQ2PS Z19, Z19

#define WEIGHTEDQ8(x, a, b) \
	VBROADCASTSS x, Z20; \
	VMULPS Z17, Z20, Z20; \
	VFMADD231PS Z18, Z20, a; \
	VFMADD231PS Z19, Z20, b

#define BLOCKS2(M) \
	RESULTS(M, 0, Z0, Z2, Z4, Z6); \
	RESULTS(M, 64, Z1, Z3, Z5, Z7)

TEXT sum4Q80<>(SB), NOSPLIT|NOFRAME, $0-8
	SUMS
	SHRQ $2, CX
	SUBQ $2, CX
	JLT  last
two:
	BLOCKS2(FROMY)
	RESULTS(FROMY, 128, Z8, Z10, Z12, Z14)
	RESULTS(FROMY, 192, Z9, Z11, Z13, Z15)
	COLUMNS
row:
	BRING(34)
	BRING(34)
	BLOCKQ8(0)
	WEIGHTEDQ8((SI), Z0, Z1)
	WEIGHTEDQ8((SI)(R8*1), Z2, Z3)
	WEIGHTEDQ8((SI)(R8*2), Z4, Z5)
	WEIGHTEDQ8((SI)(R9*1), Z6, Z7)
	BLOCKQ8(34)
	WEIGHTEDQ8((SI), Z8, Z9)
	WEIGHTEDQ8((SI)(R8*1), Z10, Z11)
	WEIGHTEDQ8((SI)(R8*2), Z12, Z13)
	WEIGHTEDQ8((SI)(R9*1), Z14, Z15)
	NEXTROWS(row)
	BLOCKS2(TOY)
	RESULTS(TOY, 128, Z8, Z10, Z12, Z14)
	RESULTS(TOY, 192, Z9, Z11, Z13, Z15)
	ADDQ $256, R13
	ADDQ $68, R12
	SUBQ $2, CX
	JGE  two
last:
	ADDQ $2, CX
	JEQ  done
	BLOCKS2(FROMY)
	COLUMNS
one:
	BRING(34)
	BLOCKQ8(0)
	WEIGHTEDQ8((SI), Z0, Z1)
	WEIGHTEDQ8((SI)(R8*1), Z2, Z3)
	WEIGHTEDQ8((SI)(R8*2), Z4, Z5)
	WEIGHTEDQ8((SI)(R9*1), Z6, Z7)
	NEXTROWS(one)
	BLOCKS2(TOY)
done:
	VZEROUPPER
	RET

KERNELS(const_typeF32, $0, $0, $rows4F32<>(SB), $0, $0, $0, $0, $sum4F32<>(SB))
KERNELS(const_typeF16, $0, $0, $rows4F16<>(SB), $0, $0, $0, $0, $sum4F16<>(SB))
KERNELS(const_typeQ4_0, $0, $0, $0, $0, $0, $panelQ40<>(SB), $0, $0)
KERNELS(const_typeQ8_0, $0, $0, $0, $0, $0, $panelQ80<>(SB), $0, $sum4Q80<>(SB))
KERNELS(const_typeQ4_K, $0, $0, $0, $0, $0, $panelU4<>(SB), $0, $0)
KERNELS(const_typeQ5_K, $0, $0, $0, $0, $0, $panelU6<>(SB), $0, $0)
KERNELS(const_typeQ6_K, $0, $0, $0, $0, $0, $panelU6<>(SB), $0, $0)
KERNELS(const_typeTQ2_0, $0, $0, $0, $0, $0, $panelU4<>(SB), $0, $0)
KERNELS(const_typeMXFP4, $0, $0, $0, $0, $0, $panelQ80<>(SB), $0, $0)
KERNELS(const_typeQ1_0, $0, $0, $0, $0, $0, $panelQ40<>(SB), $0, $0)
KERNELS(const_typeQ2_0, $0, $0, $0, $0, $0, $panelQ40<>(SB), $0, $0)
KERNELS(const_typePQ2_0, $0, $0, $0, $0, $0, $panelQ40<>(SB), $0, $0)
KERNELS(const_typePTQ1_0, $0, $0, $0, $0, $0, $panelQ40<>(SB), $0, $0)

// func avx512Entries() *entries: only what gains by it.
TEXT ·avx512Entries(SB), NOSPLIT, $0-8
	LEAQ entries<>(SB), AX
	MOVQ AX, ret+0(FP)
	RET

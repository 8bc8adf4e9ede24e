// Panel kernels: many vectors times 16 rows of weights.
//
// A panel (see panels_amd64.go) holds 16 rows of 256 weights as bytes, so
// arranged that a register of weights is eight rows of four weights each. Four
// neighbouring activations, broadcast to all lanes, then give by VPMADDUBSW
// the sums of two products for each row, and no lane ever meets another: the
// result's lanes are rows, as they lie in y.
//
// The work is done in tiles of 16 rows x 4 vectors. Registers:
//
//	AX call, BX weights, DX scales, CX counter, R15 tiles left
//	SI activations, R8 and R9 one and three steps between vectors
//	DI their scales, R10 and R11 one and three steps between vectors
//	R12 activations of the next tile, to be prefetched
//	Y0-Y7 sums: even registers rows 0-7, odd ones rows 8-15, of vectors 0 to 3

#define TILES \
	MOVQ c+0(FP), AX; \
	MOVQ call_xstep(AX), R8; \
	LEAQ (R8)(R8*2), R9; \
	MOVQ call_dstep(AX), R10; \
	LEAQ (R10)(R10*2), R11; \
	MOVQ call_x(AX), SI; \
	MOVQ call_d(AX), DI; \
	MOVQ call_y(AX), R13; \
	MOVQ call_rows(AX), R15

// PREFETCH fetches the next tile's activations at the current place.
#define PREFETCH \
	LEAQ (SI)(R8*4), R12; \
	PREFETCHT0 (R12); \
	PREFETCHT0 (R12)(R8*1); \
	PREFETCHT0 (R12)(R8*2); \
	PREFETCHT0 (R12)(R9*1)

// NEXTPANEL moves on by four vectors; SI must be n past its place.
#define NEXTPANEL(n) \
	LEAQ -n(SI)(R8*4), SI; \
	LEAQ (DI)(R10*4), DI; \
	MOVQ call_ystep(AX), CX; \
	LEAQ (R13)(CX*4), R13; \
	DECQ R15; \
	JNE  tile; \
	VZEROUPPER; \
	RET

// FIRST and MORE multiply 16 rows x 4 weights with 4 vectors; i counts fours.
#define FIRST(i) \
	VMOVDQU (64*i)(BX), Y8; \
	VMOVDQU (64*i+32)(BX), Y9; \
	VPBROADCASTD (4*i)(SI), Y10; \
	VPBROADCASTD (4*i)(SI)(R8*1), Y11; \
	VPMADDUBSW Y10, Y8, Y0; \
	VPMADDUBSW Y10, Y9, Y1; \
	VPBROADCASTD (4*i)(SI)(R8*2), Y10; \
	VPMADDUBSW Y11, Y8, Y2; \
	VPMADDUBSW Y11, Y9, Y3; \
	VPBROADCASTD (4*i)(SI)(R9*1), Y11; \
	VPMADDUBSW Y10, Y8, Y4; \
	VPMADDUBSW Y10, Y9, Y5; \
	VPMADDUBSW Y11, Y8, Y6; \
	VPMADDUBSW Y11, Y9, Y7

#define MORE(i) \
	VMOVDQU (64*i)(BX), Y8; \
	VMOVDQU (64*i+32)(BX), Y9; \
	VPBROADCASTD (4*i)(SI), Y10; \
	VPBROADCASTD (4*i)(SI)(R8*1), Y11; \
	VPMADDUBSW Y10, Y8, Y12; \
	VPMADDUBSW Y10, Y9, Y13; \
	VPADDW Y12, Y0, Y0; \
	VPADDW Y13, Y1, Y1; \
	VPBROADCASTD (4*i)(SI)(R8*2), Y10; \
	VPMADDUBSW Y11, Y8, Y12; \
	VPMADDUBSW Y11, Y9, Y13; \
	VPADDW Y12, Y2, Y2; \
	VPADDW Y13, Y3, Y3; \
	VPBROADCASTD (4*i)(SI)(R9*1), Y11; \
	VPMADDUBSW Y10, Y8, Y12; \
	VPMADDUBSW Y10, Y9, Y13; \
	VPADDW Y12, Y4, Y4; \
	VPADDW Y13, Y5, Y5; \
	VPMADDUBSW Y11, Y8, Y12; \
	VPMADDUBSW Y11, Y9, Y13; \
	VPADDW Y12, Y6, Y6; \
	VPADDW Y13, Y7, Y7

// SCALEDPANEL multiplies the int16 sums with their rows' scales and adds the
// products to the int32 sums at R14.
#define SCALEDPANEL(so) \
	VMOVDQU so(DX), Y8; \
	VMOVDQU so+32(DX), Y9; \
	VPMADDWD Y8, Y0, Y0; \
	VPMADDWD Y9, Y1, Y1; \
	VPMADDWD Y8, Y2, Y2; \
	VPMADDWD Y9, Y3, Y3; \
	VPMADDWD Y8, Y4, Y4; \
	VPMADDWD Y9, Y5, Y5; \
	VPMADDWD Y8, Y6, Y6; \
	VPMADDWD Y9, Y7, Y7; \
	VPADDD 0(R14), Y0, Y0; \
	VPADDD 32(R14), Y1, Y1; \
	VPADDD 64(R14), Y2, Y2; \
	VPADDD 96(R14), Y3, Y3; \
	VPADDD 128(R14), Y4, Y4; \
	VPADDD 160(R14), Y5, Y5; \
	VPADDD 192(R14), Y6, Y6; \
	VPADDD 224(R14), Y7, Y7; \
	VMOVDQU Y0, 0(R14); \
	VMOVDQU Y1, 32(R14); \
	VMOVDQU Y2, 64(R14); \
	VMOVDQU Y3, 96(R14); \
	VMOVDQU Y4, 128(R14); \
	VMOVDQU Y5, 160(R14); \
	VMOVDQU Y6, 192(R14); \
	VMOVDQU Y7, 224(R14)

// BEGINSUMS sets the cursors to the start of the panel and the sums to 0.
#define BEGINSUMS \
	MOVQ call_w(AX), BX; \
	LEAQ panel_scales(BX), DX; \
	LEAQ panel_sums(BX), R14; \
	VPXOR Y0, Y0, Y0; \
	VMOVDQU Y0, 0(R14); \
	VMOVDQU Y0, 32(R14); \
	VMOVDQU Y0, 64(R14); \
	VMOVDQU Y0, 96(R14); \
	VMOVDQU Y0, 128(R14); \
	VMOVDQU Y0, 160(R14); \
	VMOVDQU Y0, 192(R14); \
	VMOVDQU Y0, 224(R14)

// MINIMUM adds the products of a pair of minima with the pair of sums at sa.
#define MINIMUM(p, sa) \
	VPBROADCASTD sa, Y10; \
	VPMADDWD panel_minima+64*p(BX), Y10, Y11; \
	VPMADDWD panel_minima+32+64*p(BX), Y10, Y12; \
	VPADDD Y11, Y8, Y8; \
	VPADDD Y12, Y9, Y9

// FINISHED adds d*da*isum - dmin*da*msum to the rows at y. The integer sums of
// products are at so(R14), those with minima in Y8 and Y9.
#define FINISHED(so, da, y0, y1) \
	VCVTDQ2PS Y8, Y8; \
	VCVTDQ2PS Y9, Y9; \
	VMULPS Y2, Y8, Y8; \
	VMULPS Y3, Y9, Y9; \
	VCVTDQ2PS so(R14), Y10; \
	VCVTDQ2PS so+32(R14), Y11; \
	VMULPS Y0, Y10, Y10; \
	VMULPS Y1, Y11, Y11; \
	VSUBPS Y8, Y10, Y10; \
	VSUBPS Y9, Y11, Y11; \
	VBROADCASTSS da, Y12; \
	VMOVUPS y0, Y13; \
	VMOVUPS y1, Y14; \
	FMADD(Y12, Y10, Y13, Y8); \
	FMADD(Y12, Y11, Y14, Y9); \
	VMOVUPS Y13, y0; \
	VMOVUPS Y14, y1

// LOADFACTORS brings d of the rows to Y0 and Y1, dmin to Y2 and Y3.
#define LOADFACTORS \
	MOVQ call_w(AX), BX; \
	VMOVUPS panel_d(BX), Y0; \
	VMOVUPS panel_d+32(BX), Y1; \
	VMOVUPS panel_dmin(BX), Y2; \
	VMOVUPS panel_dmin+32(BX), Y3; \
	MOVQ call_ystep(AX), CX; \
	LEAQ (CX)(CX*2), R12

#define MINIMAPANEL32(s) \
	VPXOR Y8, Y8, Y8; \
	VPXOR Y9, Y9, Y9; \
	MINIMUM(0, scaleQ8K_sum32 s); \
	MINIMUM(1, scaleQ8K_sum32+4 s); \
	MINIMUM(2, scaleQ8K_sum32+8 s); \
	MINIMUM(3, scaleQ8K_sum32+12 s)

#define MINIMAPANEL16(s) \
	VPXOR Y8, Y8, Y8; \
	VPXOR Y9, Y9, Y9; \
	MINIMUM(0, scaleQ8K_sum16 s); \
	MINIMUM(1, scaleQ8K_sum16+4 s); \
	MINIMUM(2, scaleQ8K_sum16+8 s); \
	MINIMUM(3, scaleQ8K_sum16+12 s); \
	MINIMUM(4, scaleQ8K_sum16+16 s); \
	MINIMUM(5, scaleQ8K_sum16+20 s); \
	MINIMUM(6, scaleQ8K_sum16+24 s); \
	MINIMUM(7, scaleQ8K_sum16+28 s)

#define FINISH4(minima) \
	LOADFACTORS; \
	minima((DI)); \
	FINISHED(0, (DI), 0(R13), 32(R13)); \
	minima((DI)(R10*1)); \
	FINISHED(64, (DI)(R10*1), 0(R13)(CX*1), 32(R13)(CX*1)); \
	minima((DI)(R10*2)); \
	FINISHED(128, (DI)(R10*2), 0(R13)(CX*2), 32(R13)(CX*2)); \
	minima((DI)(R11*1)); \
	FINISHED(192, (DI)(R11*1), 0(R13)(R12*1), 32(R13)(R12*1))

#define EIGHTSTEPS \
	FIRST(0); \
	MORE(1); \
	MORE(2); \
	MORE(3); \
	MORE(4); \
	MORE(5); \
	MORE(6); \
	MORE(7)

// PANEL_K is a complete kernel for blocks of 256: BODY adds 32 columns, whose scales
// take the given bytes.
#define PANEL_K(BODY, bytes, minima) \
	TILES; \
tile: \
	BEGINSUMS; \
	MOVQ $8, CX; \
loop: \
	PREFETCH; \
	BODY; \
	ADDQ $512, BX; \
	ADDQ $32, SI; \
	ADDQ $bytes, DX; \
	DECQ CX; \
	JNE  loop; \
	FINISH4(minima); \
	NEXTPANEL(256)

// Weights up to 15, scales for 32: a lane's sum of eight steps is at most
// 8*2*15*127 = 30480.
#define BODY_U4 \
	EIGHTSTEPS; \
	SCALEDPANEL(0)

TEXT panelU4<>(SB), NOSPLIT|NOFRAME, $0-8
	PANEL_K(BODY_U4, 64, MINIMAPANEL32)

// Weights up to 63, scales and minima for 16: two steps sum up to at most
// 2*2*63*127 = 32004.
#define BODY_U6 \
	FIRST(0); \
	MORE(1); \
	SCALEDPANEL(0); \
	FIRST(2); \
	MORE(3); \
	SCALEDPANEL(0); \
	FIRST(4); \
	MORE(5); \
	SCALEDPANEL(64); \
	FIRST(6); \
	MORE(7); \
	SCALEDPANEL(64)

TEXT panelU6<>(SB), NOSPLIT|NOFRAME, $0-8
	PANEL_K(BODY_U6, 128, MINIMAPANEL16)

// PANEL_32 is a complete kernel for blocks of 32 with a factor each. BODY sums up a
// block, and BLOCK multiplies the sums with the factors, in Y8 and Y9.
#define PANEL_32(BODY, BLOCK) \
	TILES; \
	ONES(Y15); \
tile: \
	MOVQ call_w(AX), BX; \
	LEAQ panel_scales(BX), DX; \
	MOVQ call_n(AX), R14; \
loop: \
	PREFETCH; \
	BODY; \
	MOVQ call_ystep(AX), CX; \
	LEAQ (CX)(CX*2), R12; \
	VMOVUPS 0(DX), Y8; \
	VMOVUPS 32(DX), Y9; \
	BLOCK(Y0, Y1, (DI), 0(R13), 32(R13)); \
	BLOCK(Y2, Y3, (DI)(R10*1), 0(R13)(CX*1), 32(R13)(CX*1)); \
	BLOCK(Y4, Y5, (DI)(R10*2), 0(R13)(CX*2), 32(R13)(CX*2)); \
	BLOCK(Y6, Y7, (DI)(R11*1), 0(R13)(R12*1), 32(R13)(R12*1)); \
	ADDQ $512, BX; \
	ADDQ $32, SI; \
	ADDQ $scaleQ8__size, DI; \
	ADDQ $64, DX; \
	DECQ R14; \
	JNE  loop; \
	MOVQ call_n(AX), R14; \
	MOVQ R14, CX; \
	SHLQ $5, R14; \
	SUBQ R14, SI; \
	SHLQ $3, CX; \
	SUBQ CX, DI; \
	NEXTPANEL(0)

// Q4_0: the second number of an activations' scale is -8 times their sum.

#define BLOCK_Q4_0(i0, i1, da, y0, y1) \
	VPMADDWD Y15, i0, i0; \
	VPMADDWD Y15, i1, i1; \
	FACTORS_Q4_0(i0, i1, da, y0, y1)

#define FACTORS_Q4_0(i0, i1, da, y0, y1) \
	VCVTDQ2PS i0, i0; \
	VCVTDQ2PS i1, i1; \
	VBROADCASTSS da, Y10; \
	VBROADCASTSS scaleQ8_sum8 da, Y11; \
	VMULPS Y10, i0, i0; \
	VMULPS Y10, i1, i1; \
	VADDPS Y11, i0, i0; \
	VADDPS Y11, i1, i1; \
	VMOVUPS y0, Y12; \
	VMOVUPS y1, Y13; \
	FMADD(Y8, i0, Y12, Y10); \
	FMADD(Y9, i1, Y13, Y11); \
	VMOVUPS Y12, y0; \
	VMOVUPS Y13, y1

TEXT panelQ40<>(SB), NOSPLIT|NOFRAME, $0-8
	PANEL_32(EIGHTSTEPS, BLOCK_Q4_0)

// Q8_0: signed weights, so the sign moves to the activations. A sum of two
// products nearly fills an int16 and is widened at once.

#define VECTORPANEL_Q8_0(xa, i0, i1) \
	VPBROADCASTD xa, Y12; \
	VPSIGNB Y8, Y12, Y13; \
	VPSIGNB Y9, Y12, Y12; \
	VPMADDUBSW Y13, Y10, Y13; \
	VPMADDUBSW Y12, Y11, Y12; \
	VPMADDWD Y15, Y13, Y13; \
	VPMADDWD Y15, Y12, Y12; \
	VPADDD Y13, i0, i0; \
	VPADDD Y12, i1, i1

#define SIGNEDPANEL(i) \
	VMOVDQU (64*i)(BX), Y8; \
	VMOVDQU (64*i+32)(BX), Y9; \
	VPABSB Y8, Y10; \
	VPABSB Y9, Y11; \
	VECTORPANEL_Q8_0((4*i)(SI), Y0, Y1); \
	VECTORPANEL_Q8_0((4*i)(SI)(R8*1), Y2, Y3); \
	VECTORPANEL_Q8_0((4*i)(SI)(R8*2), Y4, Y5); \
	VECTORPANEL_Q8_0((4*i)(SI)(R9*1), Y6, Y7)

#define BLOCK_Q8_0(i0, i1, da, y0, y1) \
	VCVTDQ2PS i0, i0; \
	VCVTDQ2PS i1, i1; \
	VBROADCASTSS da, Y10; \
	VMULPS Y8, Y10, Y11; \
	VMULPS Y9, Y10, Y10; \
	VMOVUPS y0, Y12; \
	VMOVUPS y1, Y13; \
	FMADD(Y11, i0, Y12, Y14); \
	FMADD(Y10, i1, Y13, Y14); \
	VMOVUPS Y12, y0; \
	VMOVUPS Y13, y1

#define BODY_Q8_0PANEL \
	VPXOR Y0, Y0, Y0; \
	VPXOR Y1, Y1, Y1; \
	VPXOR Y2, Y2, Y2; \
	VPXOR Y3, Y3, Y3; \
	VPXOR Y4, Y4, Y4; \
	VPXOR Y5, Y5, Y5; \
	VPXOR Y6, Y6, Y6; \
	VPXOR Y7, Y7, Y7; \
	SIGNEDPANEL(0); \
	SIGNEDPANEL(1); \
	SIGNEDPANEL(2); \
	SIGNEDPANEL(3); \
	SIGNEDPANEL(4); \
	SIGNEDPANEL(5); \
	SIGNEDPANEL(6); \
	SIGNEDPANEL(7)

TEXT panelQ80<>(SB), NOSPLIT|NOFRAME, $0-8
	PANEL_32(BODY_Q8_0PANEL, BLOCK_Q8_0)

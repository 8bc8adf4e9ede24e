// Row kernels: rows of weights w times one vector of activations ("1") or four
// ("4", each block of weights is decoded once for the four). Registers:
//
//	AX call, DX rows left, R12 row, R13 result
//	BX weights, CX blocks left, SI activations, DI their scales
//	R15 how far ahead lines are fetched
//	R8, R9 one and three steps between vectors of activations; R10, R11 of scales
//	Y0-Y3 sums, in float32, one for each vector
//
// VPMADDUBSW wants its unsigned operand second here (Go's order is reversed):
// quantized weights are made unsigned and the difference is put right by sums
// that were taken when the activations were quantized. No pair of products
// leaves the range of int16: 2*63*127 and 2*128*127 are below 32768.

// ROWBEGIN sets the cursors to the start of a row.
#define ROWBEGIN \
	MOVQ R12, BX; \
	MOVQ call_x(AX), SI; \
	MOVQ call_d(AX), DI; \
	MOVQ call_n(AX), CX

#define BEGIN \
	MOVQ c+0(FP), AX; \
	MOVQ call_w(AX), R12; \
	MOVQ call_rows(AX), DX; \
	MOVQ call_ahead(AX), R15; \
	MOVQ call_y(AX), R13

#define BEGIN4 \
	BEGIN; \
	MOVQ call_xstep(AX), R8; \
	LEAQ (R8)(R8*2), R9; \
	MOVQ call_dstep(AX), R10; \
	LEAQ (R10)(R10*2), R11

// HSUM adds the eight lanes of y, whose low half is x, into lane 0.
#define HSUM(y, x, t) \
	VEXTRACTF128 $1, y, t; \
	VADDPS t, x, x; \
	VHADDPS x, x, x; \
	VHADDPS x, x, x

#define STORE1 \
	HSUM(Y0, X0, X4); \
	VMOVSS X0, (R13); \
	ADDQ $4, R13; \
	ADDQ call_step(AX), R12

#define STORE4 \
	MOVQ call_ystep(AX), CX; \
	HSUM(Y0, X0, X4); \
	VMOVSS X0, (R13); \
	HSUM(Y1, X1, X4); \
	VMOVSS X1, (R13)(CX*1); \
	HSUM(Y2, X2, X4); \
	VMOVSS X2, (R13)(CX*2); \
	LEAQ (CX)(CX*2), CX; \
	HSUM(Y3, X3, X4); \
	VMOVSS X3, (R13)(CX*1); \
	ADDQ $4, R13; \
	ADDQ call_step(AX), R12

// STORE4TOGETHER does the same with fewer instructions, and clobbers Y8 and Y9; HALVES is in attention_amd64.h.
#define STORE4TOGETHER \
	HALVES(Y0, Y1, Y2, Y3, Y8, Y9); \
	VHADDPS Y3, Y3, Y0; \
	VEXTRACTF128 $1, Y0, X1; \
	MOVQ call_ystep(AX), CX; \
	LEAQ (R13)(CX*2), SI; \
	VMOVSS X0, (R13); \
	VEXTRACTPS $1, X0, (SI); \
	VMOVSS X1, (R13)(CX*1); \
	VEXTRACTPS $1, X1, (SI)(CX*1); \
	ADDQ $4, R13; \
	ADDQ call_step(AX), R12

#define ZERO4 \
	VXORPS Y0, Y0, Y0; \
	VXORPS Y1, Y1, Y1; \
	VXORPS Y2, Y2, Y2; \
	VXORPS Y3, Y3, Y3

// ONES makes sixteen int16 ones; NIBBLES 32 bytes of 0x0f.
#define ONES(y) \
	VPCMPEQW y, y, y; \
	VPSRLW $15, y, y

#define NIBBLES(y) \
	VPCMPEQW y, y, y; \
	VPSRLW $12, y, y; \
	VPACKUSWB y, y, y

// HALF spreads the float16 at m over the eight float32 lanes of y.
#define HALF(m, x, y) \
	VPBROADCASTW m, x; \
	VCVTPH2PS x, y

// SCALES spreads the product of the float16 at m and the float32 at da over the
// lanes of y. The float16 is left in lane 0 of hx. Most of this is done in one
// lane or four, because emulators take time for each lane.
#define SCALES(m, da, hx, x, y) \
	VPBROADCASTW m, hx; \
	VCVTPH2PS hx, hx; \
	VMULSS da, hx, x; \
	VBROADCASTSS x, y

// The loops. EACHROW begins a row, ENDROW1 and ENDROW4 end it for one vector and for
// four; between them stands
//
//	loop:
//		a block
//		NEXT
//
// or, to use the four sums of one vector in turns,
//
//	BYFOURS
//		four blocks
//	ONEBYONE
//		a block
//	ENDONE
//	JOIN
//
// STEP moves on by n blocks, for the type's form of activations; bytes is the size of
// a block.

#define EACHROW \
row: \
	ROWBEGIN; \
	ZERO4

#define ENDROW1 \
	STORE1; \
	NEXTROW

#define ENDROW4 \
	STORE4; \
	NEXTROW

#define NEXTROW \
	DECQ DX; \
	JNE  row; \
	VZEROUPPER; \
	RET

#define NEXT(STEP, bytes) \
	STEP(1, bytes); \
	DECQ CX; \
	JNE  loop

#define BYFOURS \
	SUBQ $4, CX; \
	JLT  tail; \
loop: \
	AHEAD

#define ONEBYONE(STEP, bytes) \
	STEP(4, bytes); \
	SUBQ $4, CX; \
	JGE  loop; \
tail: \
	ADDQ $4, CX; \
	JEQ  done; \
one:

#define ENDONE(STEP, bytes) \
	STEP(1, bytes); \
	DECQ CX; \
	JNE  one; \
done:

#define STEP_FLOAT(n, bytes) \
	ADDQ $(n*bytes), BX; \
	ADDQ $(n*32), SI

#define STEP_Q8(n, bytes) \
	ADDQ $(n*bytes), BX; \
	ADDQ $(n*32), SI; \
	ADDQ $(n*scaleQ8__size), DI

#define STEP_Q8K(n, bytes) \
	ADDQ $(n*bytes), BX; \
	ADDQ $(n*256), SI; \
	ADDQ $(n*scaleQ8K__size), DI

#define JOIN(a, b, c, d) \
	VADDPS b, a, a; \
	VADDPS d, c, c; \
	VADDPS c, a, a

// VECTORS4 has M take four vectors' activations, scales and sums; SCALES4 their
// scales, integer sums and sums; PRODUCTS4 their activations from xo on and integer
// sums.
#define VECTORS4(M) \
	M((SI), (DI), Y0); \
	M((SI)(R8*1), (DI)(R10*1), Y1); \
	M((SI)(R8*2), (DI)(R10*2), Y2); \
	M((SI)(R9*1), (DI)(R11*1), Y3)

#define SCALES4(M) \
	M((DI), Y4, Y0); \
	M((DI)(R10*1), Y5, Y1); \
	M((DI)(R10*2), Y6, Y2); \
	M((DI)(R11*1), Y7, Y3)

#define PRODUCTS4(M, xo) \
	M(xo(SI), Y4); \
	M(xo(SI)(R8*1), Y5); \
	M(xo(SI)(R8*2), Y6); \
	M(xo(SI)(R9*1), Y7)

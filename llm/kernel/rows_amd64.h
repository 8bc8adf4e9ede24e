// Row kernels: rows of weights w times one vector of activations ("1") or four
// ("4", each block of weights is decoded once for the four). Registers:
//
//	AX call, DX rows left, R12 row, R13 result
//	BX weights, CX blocks left, SI activations, DI their scales
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

// shuffle<> + 32*k spreads int16 number k of each half over that half.
DATA shuffle<>+0(SB)/8, $0x0100010001000100
DATA shuffle<>+8(SB)/8, $0x0100010001000100
DATA shuffle<>+16(SB)/8, $0x0100010001000100
DATA shuffle<>+24(SB)/8, $0x0100010001000100
DATA shuffle<>+32(SB)/8, $0x0302030203020302
DATA shuffle<>+40(SB)/8, $0x0302030203020302
DATA shuffle<>+48(SB)/8, $0x0302030203020302
DATA shuffle<>+56(SB)/8, $0x0302030203020302
DATA shuffle<>+64(SB)/8, $0x0504050405040504
DATA shuffle<>+72(SB)/8, $0x0504050405040504
DATA shuffle<>+80(SB)/8, $0x0504050405040504
DATA shuffle<>+88(SB)/8, $0x0504050405040504
DATA shuffle<>+96(SB)/8, $0x0706070607060706
DATA shuffle<>+104(SB)/8, $0x0706070607060706
DATA shuffle<>+112(SB)/8, $0x0706070607060706
DATA shuffle<>+120(SB)/8, $0x0706070607060706
DATA shuffle<>+128(SB)/8, $0x0908090809080908
DATA shuffle<>+136(SB)/8, $0x0908090809080908
DATA shuffle<>+144(SB)/8, $0x0908090809080908
DATA shuffle<>+152(SB)/8, $0x0908090809080908
DATA shuffle<>+160(SB)/8, $0x0b0a0b0a0b0a0b0a
DATA shuffle<>+168(SB)/8, $0x0b0a0b0a0b0a0b0a
DATA shuffle<>+176(SB)/8, $0x0b0a0b0a0b0a0b0a
DATA shuffle<>+184(SB)/8, $0x0b0a0b0a0b0a0b0a
DATA shuffle<>+192(SB)/8, $0x0d0c0d0c0d0c0d0c
DATA shuffle<>+200(SB)/8, $0x0d0c0d0c0d0c0d0c
DATA shuffle<>+208(SB)/8, $0x0d0c0d0c0d0c0d0c
DATA shuffle<>+216(SB)/8, $0x0d0c0d0c0d0c0d0c
DATA shuffle<>+224(SB)/8, $0x0f0e0f0e0f0e0f0e
DATA shuffle<>+232(SB)/8, $0x0f0e0f0e0f0e0f0e
DATA shuffle<>+240(SB)/8, $0x0f0e0f0e0f0e0f0e
DATA shuffle<>+248(SB)/8, $0x0f0e0f0e0f0e0f0e
GLOBL shuffle<>(SB), RODATA|NOPTR, $256

DATA mask3f<>+0(SB)/8, $0x3f3f3f3f3f3f3f3f
DATA mask3f<>+8(SB)/8, $0x3f3f3f3f3f3f3f3f
GLOBL mask3f<>(SB), RODATA|NOPTR, $16

DATA mask0f<>+0(SB)/8, $0x0f0f0f0f0f0f0f0f
DATA mask0f<>+8(SB)/8, $0x0f0f0f0f0f0f0f0f
GLOBL mask0f<>(SB), RODATA|NOPTR, $16

DATA mask30<>+0(SB)/8, $0x3030303030303030
DATA mask30<>+8(SB)/8, $0x3030303030303030
DATA mask30<>+16(SB)/8, $0x3030303030303030
DATA mask30<>+24(SB)/8, $0x3030303030303030
GLOBL mask30<>(SB), RODATA|NOPTR, $32

// F32: a block is 8 weights.

TEXT rows1F32<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGIN
row:
	ROWBEGIN
	ZERO4
	SUBQ $4, CX
	JLT  tail
loop:
	AHEAD
	FETCH2(0)
	VMOVUPS 0(BX), Y4
	VMOVUPS 32(BX), Y5
	VMOVUPS 64(BX), Y6
	VMOVUPS 96(BX), Y7
	FMADD(0(SI), Y4, Y0, Y4)
	FMADD(32(SI), Y5, Y1, Y5)
	FMADD(64(SI), Y6, Y2, Y6)
	FMADD(96(SI), Y7, Y3, Y7)
	ADDQ $128, BX
	ADDQ $128, SI
	SUBQ $4, CX
	JGE  loop
tail:
	ADDQ $4, CX
	JEQ  done
one:
	VMOVUPS (BX), Y4
	FMADD((SI), Y4, Y0, Y4)
	ADDQ $32, BX
	ADDQ $32, SI
	DECQ CX
	JNE  one
done:
	VADDPS Y1, Y0, Y0
	VADDPS Y3, Y2, Y2
	VADDPS Y2, Y0, Y0
	STORE1
	DECQ DX
	JNE  row
	VZEROUPPER
	RET

TEXT rows4F32<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGIN4
row:
	ROWBEGIN
	ZERO4
	TESTQ CX, CX
	JEQ  done
loop:
	VMOVUPS (BX), Y8
	FMADD((SI), Y8, Y0, Y4)
	FMADD((SI)(R8*1), Y8, Y1, Y5)
	FMADD((SI)(R8*2), Y8, Y2, Y6)
	FMADD((SI)(R9*1), Y8, Y3, Y7)
	ADDQ $32, BX
	ADDQ $32, SI
	DECQ CX
	JNE  loop
done:
	STORE4
	DECQ DX
	JNE  row
	VZEROUPPER
	RET

// F16: a block is 8 weights.

TEXT rows1F16<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGIN
row:
	ROWBEGIN
	ZERO4
	SUBQ $4, CX
	JLT  tail
loop:
	AHEAD
	FETCH(0)
	VCVTPH2PS 0(BX), Y4
	VCVTPH2PS 16(BX), Y5
	VCVTPH2PS 32(BX), Y6
	VCVTPH2PS 48(BX), Y7
	FMADD(0(SI), Y4, Y0, Y4)
	FMADD(32(SI), Y5, Y1, Y5)
	FMADD(64(SI), Y6, Y2, Y6)
	FMADD(96(SI), Y7, Y3, Y7)
	ADDQ $64, BX
	ADDQ $128, SI
	SUBQ $4, CX
	JGE  loop
tail:
	ADDQ $4, CX
	JEQ  done
one:
	VCVTPH2PS (BX), Y4
	FMADD((SI), Y4, Y0, Y4)
	ADDQ $16, BX
	ADDQ $32, SI
	DECQ CX
	JNE  one
done:
	VADDPS Y1, Y0, Y0
	VADDPS Y3, Y2, Y2
	VADDPS Y2, Y0, Y0
	STORE1
	DECQ DX
	JNE  row
	VZEROUPPER
	RET

TEXT rows4F16<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGIN4
row:
	ROWBEGIN
	ZERO4
	TESTQ CX, CX
	JEQ  done
loop:
	VCVTPH2PS (BX), Y8
	FMADD((SI), Y8, Y0, Y4)
	FMADD((SI)(R8*1), Y8, Y1, Y5)
	FMADD((SI)(R8*2), Y8, Y2, Y6)
	FMADD((SI)(R9*1), Y8, Y3, Y7)
	ADDQ $16, BX
	ADDQ $32, SI
	DECQ CX
	JNE  loop
done:
	STORE4
	DECQ DX
	JNE  row
	VZEROUPPER
	RET

// Q8_0: a block is a float16 scale and 32 int8.

#define BLOCK1_Q8_0(wo, xo, dq, acc) \
	VMOVDQU xo(SI), Y4; \
	VPABSB 2+wo(BX), Y5; \
	VPSIGNB 2+wo(BX), Y4, Y4; \
	VPMADDUBSW Y4, Y5, Y4; \
	VPMADDWD Y15, Y4, Y4; \
	VCVTDQ2PS Y4, Y4; \
	SCALES(wo(BX), dq(DI), X6, X7, Y7); \
	FMADD(Y7, Y4, acc, Y4)

TEXT rows1Q80<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGIN
	ONES(Y15)
row:
	ROWBEGIN
	ZERO4
	SUBQ $4, CX
	JLT  tail
loop:
	AHEAD
	FETCH2(0)
	FETCH(128)
	BLOCK1_Q8_0(0, 0, 0, Y0)
	BLOCK1_Q8_0(34, 32, 8, Y1)
	BLOCK1_Q8_0(68, 64, 16, Y2)
	BLOCK1_Q8_0(102, 96, 24, Y3)
	ADDQ $136, BX
	ADDQ $128, SI
	ADDQ $(4*scaleQ8__size), DI
	SUBQ $4, CX
	JGE  loop
tail:
	ADDQ $4, CX
	JEQ  done
one:
	BLOCK1_Q8_0(0, 0, 0, Y0)
	ADDQ $34, BX
	ADDQ $32, SI
	ADDQ $scaleQ8__size, DI
	DECQ CX
	JNE  one
done:
	VADDPS Y1, Y0, Y0
	VADDPS Y3, Y2, Y2
	VADDPS Y2, Y0, Y0
	STORE1
	DECQ DX
	JNE  row
	VZEROUPPER
	RET

#define VECTOR_Q8_0(xa, da, acc) \
	VMOVDQU xa, Y4; \
	VPSIGNB Y9, Y4, Y4; \
	VPMADDUBSW Y4, Y8, Y4; \
	VPMADDWD Y15, Y4, Y4; \
	VCVTDQ2PS Y4, Y4; \
	VBROADCASTSS da, Y5; \
	VMULPS Y10, Y5, Y5; \
	FMADD(Y5, Y4, acc, Y6)

TEXT rows4Q80<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGIN4
	ONES(Y15)
row:
	ROWBEGIN
	ZERO4
loop:
	VMOVDQU 2(BX), Y9
	VPABSB Y9, Y8
	HALF((BX), X10, Y10)
	VECTOR_Q8_0((SI), (DI), Y0)
	VECTOR_Q8_0((SI)(R8*1), (DI)(R10*1), Y1)
	VECTOR_Q8_0((SI)(R8*2), (DI)(R10*2), Y2)
	VECTOR_Q8_0((SI)(R9*1), (DI)(R11*1), Y3)
	ADDQ $34, BX
	ADDQ $32, SI
	ADDQ $scaleQ8__size, DI
	DECQ CX
	JNE  loop
	STORE4
	DECQ DX
	JNE  row
	VZEROUPPER
	RET

// Q4_0: a block is a float16 scale and 32 nibbles, 8 standing for 0; low
// nibbles are weights 0 to 15, high nibbles 16 to 31.

#define LOAD_Q4_0(wo) \
	VMOVDQU 2+wo(BX), X4; \
	VPSRLW $4, X4, X5; \
	VINSERTI128 $1, X5, Y4, Y4; \
	VPAND Y14, Y4, Y4

// The second scale of a block of activations is -8 times their sum.
#define BLOCK1_Q4_0(wo, xo, dq, acc) \
	LOAD_Q4_0(wo); \
	VPMADDUBSW xo(SI), Y4, Y4; \
	VPMADDWD Y15, Y4, Y4; \
	VCVTDQ2PS Y4, Y4; \
	SCALES(wo(BX), dq(DI), X6, X7, Y7); \
	FMADD(Y7, Y4, acc, Y5); \
	VMOVSS scaleQ8_sum8+dq(DI), X7; \
	FMADD(Y7, Y6, acc, Y5)

TEXT rows1Q40<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGIN
	ONES(Y15)
	NIBBLES(Y14)
row:
	ROWBEGIN
	ZERO4
	SUBQ $4, CX
	JLT  tail
loop:
	AHEAD
	FETCH2(0)
	BLOCK1_Q4_0(0, 0, 0, Y0)
	BLOCK1_Q4_0(18, 32, 8, Y1)
	BLOCK1_Q4_0(36, 64, 16, Y2)
	BLOCK1_Q4_0(54, 96, 24, Y3)
	ADDQ $72, BX
	ADDQ $128, SI
	ADDQ $(4*scaleQ8__size), DI
	SUBQ $4, CX
	JGE  loop
tail:
	ADDQ $4, CX
	JEQ  done
one:
	BLOCK1_Q4_0(0, 0, 0, Y0)
	ADDQ $18, BX
	ADDQ $32, SI
	ADDQ $scaleQ8__size, DI
	DECQ CX
	JNE  one
done:
	VADDPS Y1, Y0, Y0
	VADDPS Y3, Y2, Y2
	VADDPS Y2, Y0, Y0
	STORE1
	DECQ DX
	JNE  row
	VZEROUPPER
	RET

#define VECTOR_Q4_0(xa, da, sa, acc) \
	VPMADDUBSW xa, Y4, Y8; \
	VPMADDWD Y15, Y8, Y8; \
	VCVTDQ2PS Y8, Y8; \
	VBROADCASTSS da, Y7; \
	VMULPS Y7, Y6, Y7; \
	FMADD(Y7, Y8, acc, Y5); \
	VMOVSS sa, X7; \
	FMADD(Y7, Y6, acc, Y5)

TEXT rows4Q40<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGIN4
	ONES(Y15)
	NIBBLES(Y14)
row:
	ROWBEGIN
	ZERO4
loop:
	LOAD_Q4_0(0)
	HALF((BX), X6, Y6)
	VECTOR_Q4_0((SI), (DI), scaleQ8_sum8(DI), Y0)
	VECTOR_Q4_0((SI)(R8*1), (DI)(R10*1), scaleQ8_sum8(DI)(R10*1), Y1)
	VECTOR_Q4_0((SI)(R8*2), (DI)(R10*2), scaleQ8_sum8(DI)(R10*2), Y2)
	VECTOR_Q4_0((SI)(R9*1), (DI)(R11*1), scaleQ8_sum8(DI)(R11*1), Y3)
	ADDQ $18, BX
	ADDQ $32, SI
	ADDQ $scaleQ8__size, DI
	DECQ CX
	JNE  loop
	STORE4
	DECQ DX
	JNE  row
	VZEROUPPER
	RET

// Q4_K: a block is d and dmin (float16), eight 6-bit scales and eight 6-bit
// minima in 12 bytes, and 256 nibbles in four groups of 32 bytes: low nibbles
// are the first 32 weights of a group, high nibbles the second.
// A weight is d*scale*nibble - dmin*minimum.
//
// The activations' scale is one float32 for 256; their sums by 16 follow at
// byte 16 and by 32 at byte 48 of its 64 bytes.

// SCALES_Q4_K unpacks scales to Y8 (eight int16 in each half) and minima to X9.
// The first four of each are the low 6 bits of bytes 0-3 and 4-7. The last four
// have their low 4 bits in the nibbles of bytes 8-11 and their high 2 bits on
// top of bytes 0-3 and 4-7.
#define SCALES_Q4_K \
	VMOVQ 4(BX), X4; \
	VMOVD 12(BX), X5; \
	VPSRLW $4, X5, X6; \
	VPUNPCKLDQ X6, X5, X5; \
	VPAND mask0f<>(SB), X5, X5; \
	VPSRLW $2, X4, X6; \
	VPAND mask30<>(SB), X6, X6; \
	VPOR X6, X5, X5; \
	VPAND mask3f<>(SB), X4, X4; \
	VPUNPCKLDQ X5, X4, X4; \
	VPMOVZXBW X4, Y8; \
	VEXTRACTI128 $1, Y8, X9; \
	VINSERTI128 $1, X8, Y8, Y8

// GROUP1_Q4_K adds 64 products to the int32 lanes of Y10 and Y11.
#define GROUP1_Q4_K(wo, xo, so) \
	VMOVDQU 16+wo(BX), Y4; \
	VPAND Y15, Y4, Y5; \
	VPSRLW $4, Y4, Y4; \
	VPAND Y15, Y4, Y4; \
	VPMADDUBSW xo(SI), Y5, Y5; \
	VPMADDUBSW 32+xo(SI), Y4, Y4; \
	VPSHUFB shuffle<>+so(SB), Y8, Y6; \
	VPSHUFB shuffle<>+(32+so)(SB), Y8, Y7; \
	VPMADDWD Y6, Y5, Y5; \
	VPMADDWD Y7, Y4, Y4; \
	VPADDD Y5, Y10, Y10; \
	VPADDD Y4, Y11, Y11

TEXT rows1Q4K<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGIN
	NIBBLES(Y15)
row:
	ROWBEGIN
	VXORPS Y0, Y0, Y0
	VXORPS Y1, Y1, Y1
loop:
	AHEAD
	FETCH2(0)
	FETCH(128)
	SCALES_Q4_K
	VPXOR Y10, Y10, Y10
	VPXOR Y11, Y11, Y11
	GROUP1_Q4_K(0, 0, 0)
	GROUP1_Q4_K(32, 64, 64)
	GROUP1_Q4_K(64, 128, 128)
	GROUP1_Q4_K(96, 192, 192)
	VPADDD Y11, Y10, Y10
	VCVTDQ2PS Y10, Y10
	VBROADCASTSS (DI), Y7
	HALF((BX), X6, Y6)
	VMULPS Y7, Y6, Y6
	FMADD(Y6, Y10, Y0, Y5)
	VPMADDWD scaleQ8K_sum32(DI), X9, X9
	VCVTDQ2PS X9, X9
	HALF(2(BX), X6, Y6)
	VMULPS Y7, Y6, Y6
	FNMADD(Y6, Y9, Y1, Y5)
	ADDQ $144, BX
	ADDQ $256, SI
	ADDQ $scaleQ8K__size, DI
	DECQ CX
	JNE  loop
	VADDPS Y1, Y0, Y0
	STORE1
	DECQ DX
	JNE  row
	VZEROUPPER
	RET

#define MINIMA4_Q4_K(sa, da, acc) \
	VPMADDWD sa, X9, X13; \
	VCVTDQ2PS X13, X13; \
	VBROADCASTSS da, Y14; \
	VMULPS Y10, Y14, Y14; \
	FNMADD(Y14, Y13, acc, Y12)

#define VECTOR_Q4_K(xa, xb, isum) \
	VPMADDUBSW xa, Y11, Y13; \
	VPMADDUBSW xb, Y12, Y14; \
	VPMADDWD Y9, Y13, Y13; \
	VPMADDWD Y10, Y14, Y14; \
	VPADDD Y13, isum, isum; \
	VPADDD Y14, isum, isum

#define GROUP4_Q4_K(wo, xo, so) \
	VMOVDQU 16+wo(BX), Y12; \
	VPAND Y15, Y12, Y11; \
	VPSRLW $4, Y12, Y12; \
	VPAND Y15, Y12, Y12; \
	VPSHUFB shuffle<>+so(SB), Y8, Y9; \
	VPSHUFB shuffle<>+(32+so)(SB), Y8, Y10; \
	VECTOR_Q4_K(xo(SI), 32+xo(SI), Y4); \
	VECTOR_Q4_K(xo(SI)(R8*1), 32+xo(SI)(R8*1), Y5); \
	VECTOR_Q4_K(xo(SI)(R8*2), 32+xo(SI)(R8*2), Y6); \
	VECTOR_Q4_K(xo(SI)(R9*1), 32+xo(SI)(R9*1), Y7)

// FINISH_K adds isum, scaled by Y9 and the activations' scale, to acc.
#define FINISH_K(da, isum, acc) \
	VCVTDQ2PS isum, isum; \
	VBROADCASTSS da, Y13; \
	VMULPS Y9, Y13, Y13; \
	FMADD(Y13, isum, acc, Y12)

TEXT rows4Q4K<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGIN4
	NIBBLES(Y15)
row:
	ROWBEGIN
	ZERO4
loop:
	SCALES_Q4_K
	HALF(2(BX), X10, Y10)
	MINIMA4_Q4_K(scaleQ8K_sum32(DI), (DI), Y0)
	MINIMA4_Q4_K(scaleQ8K_sum32(DI)(R10*1), (DI)(R10*1), Y1)
	MINIMA4_Q4_K(scaleQ8K_sum32(DI)(R10*2), (DI)(R10*2), Y2)
	MINIMA4_Q4_K(scaleQ8K_sum32(DI)(R11*1), (DI)(R11*1), Y3)
	VPXOR Y4, Y4, Y4
	VPXOR Y5, Y5, Y5
	VPXOR Y6, Y6, Y6
	VPXOR Y7, Y7, Y7
	GROUP4_Q4_K(0, 0, 0)
	GROUP4_Q4_K(32, 64, 64)
	GROUP4_Q4_K(64, 128, 128)
	GROUP4_Q4_K(96, 192, 192)
	HALF((BX), X9, Y9)
	FINISH_K((DI), Y4, Y0)
	FINISH_K((DI)(R10*1), Y5, Y1)
	FINISH_K((DI)(R10*2), Y6, Y2)
	FINISH_K((DI)(R11*1), Y7, Y3)
	ADDQ $144, BX
	ADDQ $256, SI
	ADDQ $scaleQ8K__size, DI
	DECQ CX
	JNE  loop
	STORE4
	DECQ DX
	JNE  row
	VZEROUPPER
	RET

// Q6_K: a block is the low 4 bits of 256 weights (128 bytes), their high 2 bits
// (64 bytes), 16 int8 scales and d (float16); 32 stands for 0.

// SCALES_Q6_K puts the even scales into the low half of Y8 and the odd ones
// into the high half, as int16, for the same shuffles as above; and 32 times
// the sum of scale times activations into Y9, which is to be subtracted.
#define SCALES_Q6_K \
	VMOVDQU 192(BX), X4; \
	VPSLLW $8, X4, X8; \
	VPSRAW $8, X8, X8; \
	VPSRAW $8, X4, X4; \
	VINSERTI128 $1, X4, Y8, Y8; \
	VPMOVSXBW 192(BX), Y9

#define JOIN1_Q6_K(xo, so) \
	VPAND Y14, Y5, Y5; \
	VPAND Y15, Y4, Y4; \
	VPOR Y5, Y4, Y4; \
	VPMADDUBSW xo(SI), Y4, Y4; \
	VPSHUFB shuffle<>+so(SB), Y8, Y5; \
	VPMADDWD Y5, Y4, Y4

#define HALF1_Q6_K(lo, ho, xo, so) \
	VMOVDQU ho(BX), Y12; \
	VMOVDQU lo(BX), Y4; \
	VPSLLW $4, Y12, Y5; \
	JOIN1_Q6_K(xo, so); \
	VPADDD Y4, Y10, Y10; \
	VMOVDQU 32+lo(BX), Y4; \
	VPSLLW $2, Y12, Y5; \
	JOIN1_Q6_K(32+xo, (32+so)); \
	VPADDD Y4, Y11, Y11; \
	VMOVDQU lo(BX), Y4; \
	VPSRLW $4, Y4, Y4; \
	VMOVDQA Y12, Y5; \
	JOIN1_Q6_K(64+xo, (64+so)); \
	VPADDD Y4, Y10, Y10; \
	VMOVDQU 32+lo(BX), Y4; \
	VPSRLW $4, Y4, Y4; \
	VPSRLW $2, Y12, Y5; \
	JOIN1_Q6_K(96+xo, (96+so)); \
	VPADDD Y4, Y11, Y11

TEXT rows1Q6K<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGIN
	NIBBLES(Y15)
	VMOVDQU mask30<>(SB), Y14
row:
	ROWBEGIN
	VXORPS Y0, Y0, Y0
loop:
	AHEAD
	FETCH4(0)
	SCALES_Q6_K
	VPMADDWD scaleQ8K_sum16(DI), Y9, Y9
	VPSLLD $5, Y9, Y9
	VPXOR Y10, Y10, Y10
	VPXOR Y11, Y11, Y11
	HALF1_Q6_K(0, 128, 0, 0)
	HALF1_Q6_K(64, 160, 128, 128)
	VPSUBD Y9, Y10, Y10
	VPADDD Y11, Y10, Y10
	VCVTDQ2PS Y10, Y10
	VBROADCASTSS (DI), Y7
	HALF(208(BX), X6, Y6)
	VMULPS Y7, Y6, Y6
	FMADD(Y6, Y10, Y0, Y5)
	ADDQ $210, BX
	ADDQ $256, SI
	ADDQ $scaleQ8K__size, DI
	DECQ CX
	JNE  loop
	STORE1
	DECQ DX
	JNE  row
	VZEROUPPER
	RET

#define SUMS4_Q6_K(sa, isum) \
	VPMADDWD sa, Y9, isum; \
	VPSLLD $5, isum, isum; \
	VPSUBD isum, Y10, isum

#define VECTOR_Q6_K(xa, isum) \
	VPMADDUBSW xa, Y9, Y11; \
	VPMADDWD Y10, Y11, Y11; \
	VPADDD Y11, isum, isum

#define JOIN4_Q6_K(xo, so) \
	VPAND Y14, Y11, Y11; \
	VPAND Y15, Y9, Y9; \
	VPOR Y11, Y9, Y9; \
	VPSHUFB shuffle<>+so(SB), Y8, Y10; \
	VECTOR_Q6_K(xo(SI), Y4); \
	VECTOR_Q6_K(xo(SI)(R8*1), Y5); \
	VECTOR_Q6_K(xo(SI)(R8*2), Y6); \
	VECTOR_Q6_K(xo(SI)(R9*1), Y7)

#define HALF4_Q6_K(lo, ho, xo, so) \
	VMOVDQU ho(BX), Y12; \
	VMOVDQU lo(BX), Y9; \
	VPSLLW $4, Y12, Y11; \
	JOIN4_Q6_K(xo, so); \
	VMOVDQU 32+lo(BX), Y9; \
	VPSLLW $2, Y12, Y11; \
	JOIN4_Q6_K(32+xo, (32+so)); \
	VMOVDQU lo(BX), Y9; \
	VPSRLW $4, Y9, Y9; \
	VMOVDQA Y12, Y11; \
	JOIN4_Q6_K(64+xo, (64+so)); \
	VMOVDQU 32+lo(BX), Y9; \
	VPSRLW $4, Y9, Y9; \
	VPSRLW $2, Y12, Y11; \
	JOIN4_Q6_K(96+xo, (96+so))

TEXT rows4Q6K<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGIN4
	NIBBLES(Y15)
	VMOVDQU mask30<>(SB), Y14
row:
	ROWBEGIN
	ZERO4
loop:
	SCALES_Q6_K
	VPXOR Y10, Y10, Y10
	SUMS4_Q6_K(scaleQ8K_sum16(DI), Y4)
	SUMS4_Q6_K(scaleQ8K_sum16(DI)(R10*1), Y5)
	SUMS4_Q6_K(scaleQ8K_sum16(DI)(R10*2), Y6)
	SUMS4_Q6_K(scaleQ8K_sum16(DI)(R11*1), Y7)
	HALF4_Q6_K(0, 128, 0, 0)
	HALF4_Q6_K(64, 160, 128, 128)
	HALF(208(BX), X9, Y9)
	FINISH_K((DI), Y4, Y0)
	FINISH_K((DI)(R10*1), Y5, Y1)
	FINISH_K((DI)(R10*2), Y6, Y2)
	FINISH_K((DI)(R11*1), Y7, Y3)
	ADDQ $210, BX
	ADDQ $256, SI
	ADDQ $scaleQ8K__size, DI
	DECQ CX
	JNE  loop
	STORE4
	DECQ DX
	JNE  row
	VZEROUPPER
	RET

// Sums of rows: y[j] += sum over rows r of x[r]*w[r][j], for 8*N columns j.
// Here R12 is the column cursor in w, R13 in y, R8 the step between rows.

TEXT sumF32<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGIN
	MOVQ call_n(AX), CX
	MOVQ call_step(AX), R8
	SUBQ $4, CX
	JLT  tail
wide:
	VMOVUPS 0(R13), Y0
	VMOVUPS 32(R13), Y1
	VMOVUPS 64(R13), Y2
	VMOVUPS 96(R13), Y3
	MOVQ R12, BX
	MOVQ call_x(AX), SI
	MOVQ call_rows(AX), DX
wrow:
	VBROADCASTSS (SI), Y8
	FMADD(0(BX), Y8, Y0, Y4)
	FMADD(32(BX), Y8, Y1, Y5)
	FMADD(64(BX), Y8, Y2, Y6)
	FMADD(96(BX), Y8, Y3, Y7)
	ADDQ R8, BX
	ADDQ $4, SI
	DECQ DX
	JNE  wrow
	VMOVUPS Y0, 0(R13)
	VMOVUPS Y1, 32(R13)
	VMOVUPS Y2, 64(R13)
	VMOVUPS Y3, 96(R13)
	ADDQ $128, R13
	ADDQ $128, R12
	SUBQ $4, CX
	JGE  wide
tail:
	ADDQ $4, CX
	JEQ  done
one:
	VMOVUPS (R13), Y0
	MOVQ R12, BX
	MOVQ call_x(AX), SI
	MOVQ call_rows(AX), DX
row:
	VBROADCASTSS (SI), Y8
	FMADD((BX), Y8, Y0, Y4)
	ADDQ R8, BX
	ADDQ $4, SI
	DECQ DX
	JNE  row
	VMOVUPS Y0, (R13)
	ADDQ $32, R13
	ADDQ $32, R12
	DECQ CX
	JNE  one
done:
	VZEROUPPER
	RET

TEXT sumF16<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGIN
	MOVQ call_n(AX), CX
	MOVQ call_step(AX), R8
	SUBQ $4, CX
	JLT  tail
wide:
	VMOVUPS 0(R13), Y0
	VMOVUPS 32(R13), Y1
	VMOVUPS 64(R13), Y2
	VMOVUPS 96(R13), Y3
	MOVQ R12, BX
	MOVQ call_x(AX), SI
	MOVQ call_rows(AX), DX
wrow:
	VBROADCASTSS (SI), Y8
	VCVTPH2PS 0(BX), Y4
	VCVTPH2PS 16(BX), Y5
	VCVTPH2PS 32(BX), Y6
	VCVTPH2PS 48(BX), Y7
	FMADD(Y4, Y8, Y0, Y4)
	FMADD(Y5, Y8, Y1, Y5)
	FMADD(Y6, Y8, Y2, Y6)
	FMADD(Y7, Y8, Y3, Y7)
	ADDQ R8, BX
	ADDQ $4, SI
	DECQ DX
	JNE  wrow
	VMOVUPS Y0, 0(R13)
	VMOVUPS Y1, 32(R13)
	VMOVUPS Y2, 64(R13)
	VMOVUPS Y3, 96(R13)
	ADDQ $128, R13
	ADDQ $64, R12
	SUBQ $4, CX
	JGE  wide
tail:
	ADDQ $4, CX
	JEQ  done
one:
	VMOVUPS (R13), Y0
	MOVQ R12, BX
	MOVQ call_x(AX), SI
	MOVQ call_rows(AX), DX
row:
	VBROADCASTSS (SI), Y8
	VCVTPH2PS (BX), Y4
	FMADD(Y4, Y8, Y0, Y4)
	ADDQ R8, BX
	ADDQ $4, SI
	DECQ DX
	JNE  row
	VMOVUPS Y0, (R13)
	ADDQ $32, R13
	ADDQ $16, R12
	DECQ CX
	JNE  one
done:
	VZEROUPPER
	RET

// Three vectors, with the additions of each in the order of ROWS1_Q8_0: the
// results are the same to the last bit. X15 is the block's scale.

DATA onesQ8<>+0(SB)/8, $0x0001000100010001
DATA onesQ8<>+8(SB)/8, $0x0001000100010001
DATA onesQ8<>+16(SB)/8, $0x0001000100010001
DATA onesQ8<>+24(SB)/8, $0x0001000100010001
GLOBL onesQ8<>(SB), RODATA|NOPTR, $32

#define ALONE_Q8_0(w, x, da, acc) \
	VMOVDQU x, Y13; \
	VPSIGNB w, Y13, Y13; \
	VPMADDUBSW Y13, Y12, Y13; \
	VPMADDWD onesQ8<>(SB), Y13, Y13; \
	VCVTDQ2PS Y13, Y13; \
	VMULSS da, X15, X14; \
	VBROADCASTSS X14, Y14; \
	FMADD(Y14, Y13, acc, Y13)

#define BLOCK3_Q8_0(wo, xo, dq, acc0, acc1, acc2) \
	VPABSB 2+wo(BX), Y12; \
	VPBROADCASTW wo(BX), X15; \
	VCVTPH2PS X15, X15; \
	ALONE_Q8_0(2+wo(BX), xo(SI), dq(DI), acc0); \
	ALONE_Q8_0(2+wo(BX), xo(SI)(R8*1), dq(DI)(R10*1), acc1); \
	ALONE_Q8_0(2+wo(BX), xo(SI)(R8*2), dq(DI)(R10*2), acc2)

TEXT rows3Q80<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGIN4
row:
	ROWBEGIN
	ZERO4
	VXORPS Y4, Y4, Y4
	VXORPS Y5, Y5, Y5
	VXORPS Y6, Y6, Y6
	VXORPS Y7, Y7, Y7
	VXORPS Y8, Y8, Y8
	VXORPS Y9, Y9, Y9
	VXORPS Y10, Y10, Y10
	VXORPS Y11, Y11, Y11
	SUBQ $4, CX
	JLT  tail
loop:
	AHEAD
	FETCH2(0)
	FETCH(128)
	BLOCK3_Q8_0(0, 0, 0, Y0, Y4, Y8)
	BLOCK3_Q8_0(34, 32, 8, Y1, Y5, Y9)
	BLOCK3_Q8_0(68, 64, 16, Y2, Y6, Y10)
	BLOCK3_Q8_0(102, 96, 24, Y3, Y7, Y11)
	ADDQ $136, BX
	ADDQ $128, SI
	ADDQ $(4*scaleQ8__size), DI
	SUBQ $4, CX
	JGE  loop
tail:
	ADDQ $4, CX
	JEQ  done
one:
	BLOCK3_Q8_0(0, 0, 0, Y0, Y4, Y8)
	ADDQ $34, BX
	ADDQ $32, SI
	ADDQ $scaleQ8__size, DI
	DECQ CX
	JNE  one
done:
	VADDPS Y1, Y0, Y0
	VADDPS Y3, Y2, Y2
	VADDPS Y2, Y0, Y0
	VADDPS Y5, Y4, Y4
	VADDPS Y7, Y6, Y6
	VADDPS Y6, Y4, Y4
	VADDPS Y9, Y8, Y8
	VADDPS Y11, Y10, Y10
	VADDPS Y10, Y8, Y8
	HSUM(Y0, X0, X12)
	HSUM(Y4, X4, X12)
	HSUM(Y8, X8, X12)
	MOVQ call_ystep(AX), CX
	VMOVSS X0, (R13)
	VMOVSS X4, (R13)(CX*1)
	VMOVSS X8, (R13)(CX*2)
	ADDQ $4, R13
	ADDQ call_step(AX), R12
	DECQ DX
	JNE  row
	VZEROUPPER
	RET

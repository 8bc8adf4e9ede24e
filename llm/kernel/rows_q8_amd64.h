// Row kernels of types that are multiplied with Q8 activations: blocks of 32.

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
	EACHROW
	BYFOURS
	FETCH2(0)
	FETCH(128)
	BLOCK1_Q8_0(0, 0, 0, Y0)
	BLOCK1_Q8_0(34, 32, 8, Y1)
	BLOCK1_Q8_0(68, 64, 16, Y2)
	BLOCK1_Q8_0(102, 96, 24, Y3)
	ONEBYONE(STEP_Q8, 34)
	BLOCK1_Q8_0(0, 0, 0, Y0)
	ENDONE(STEP_Q8, 34)
	JOIN(Y0, Y1, Y2, Y3)
	ENDROW1

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
	EACHROW
loop:
	VMOVDQU 2(BX), Y9
	VPABSB Y9, Y8
	HALF((BX), X10, Y10)
	VECTORS4(VECTOR_Q8_0)
	NEXT(STEP_Q8, 34)
	STORE4TOGETHER
	NEXTROW

// Q4_0: a block is a float16 scale and 32 nibbles, of which 8 means 0; low
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
	EACHROW
	BYFOURS
	FETCH2(0)
	BLOCK1_Q4_0(0, 0, 0, Y0)
	BLOCK1_Q4_0(18, 32, 8, Y1)
	BLOCK1_Q4_0(36, 64, 16, Y2)
	BLOCK1_Q4_0(54, 96, 24, Y3)
	ONEBYONE(STEP_Q8, 18)
	BLOCK1_Q4_0(0, 0, 0, Y0)
	ENDONE(STEP_Q8, 18)
	JOIN(Y0, Y1, Y2, Y3)
	ENDROW1

#define VECTOR_Q4_0(xa, da, acc) \
	VPMADDUBSW xa, Y4, Y8; \
	VPMADDWD Y15, Y8, Y8; \
	VCVTDQ2PS Y8, Y8; \
	VBROADCASTSS da, Y7; \
	VMULPS Y7, Y6, Y7; \
	FMADD(Y7, Y8, acc, Y5); \
	VMOVSS scaleQ8_sum8 da, X7; \
	FMADD(Y7, Y6, acc, Y5)

TEXT rows4Q40<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGIN4
	ONES(Y15)
	NIBBLES(Y14)
	EACHROW
loop:
	LOAD_Q4_0(0)
	HALF((BX), X6, Y6)
	VECTORS4(VECTOR_Q4_0)
	NEXT(STEP_Q8, 18)
	ENDROW4

// Three vectors, whose additions are each in the order of rows1Q80, so that the
// results are the same to the last bit. X15 is the block's scale.

CONSTANT32(onesQ8, $0x0001000100010001)

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
	EACHROW
	VXORPS Y4, Y4, Y4
	VXORPS Y5, Y5, Y5
	VXORPS Y6, Y6, Y6
	VXORPS Y7, Y7, Y7
	VXORPS Y8, Y8, Y8
	VXORPS Y9, Y9, Y9
	VXORPS Y10, Y10, Y10
	VXORPS Y11, Y11, Y11
	BYFOURS
	FETCH2(0)
	FETCH(128)
	BLOCK3_Q8_0(0, 0, 0, Y0, Y4, Y8)
	BLOCK3_Q8_0(34, 32, 8, Y1, Y5, Y9)
	BLOCK3_Q8_0(68, 64, 16, Y2, Y6, Y10)
	BLOCK3_Q8_0(102, 96, 24, Y3, Y7, Y11)
	ONEBYONE(STEP_Q8, 34)
	BLOCK3_Q8_0(0, 0, 0, Y0, Y4, Y8)
	ENDONE(STEP_Q8, 34)
	JOIN(Y0, Y1, Y2, Y3)
	JOIN(Y4, Y5, Y6, Y7)
	JOIN(Y8, Y9, Y10, Y11)
	HSUM(Y0, X0, X12)
	HSUM(Y4, X4, X12)
	HSUM(Y8, X8, X12)
	MOVQ call_ystep(AX), CX
	VMOVSS X0, (R13)
	VMOVSS X4, (R13)(CX*1)
	VMOVSS X8, (R13)(CX*2)
	ADDQ $4, R13
	ADDQ call_step(AX), R12
	NEXTROW

DATA nibbles<>+0(SB)/8, $0xf6eaddcfbfad9881 // -127 -104 -83 -65 -49 -35 -22 -10
DATA nibbles<>+8(SB)/8, $0x7159453526190d01 // 1 13 25 38 53 69 89 113
DATA nibbles<>+16(SB)/8, $0xf6eaddcfbfad9881
DATA nibbles<>+24(SB)/8, $0x7159453526190d01
GLOBL nibbles<>(SB), RODATA|NOPTR, $32

// spread<> gives each of four bytes, present in both halves, to eight lanes,
// and bits<> selects one bit in each of those.
DATA spread<>+0(SB)/8, $0x0000000000000000
DATA spread<>+8(SB)/8, $0x0101010101010101
DATA spread<>+16(SB)/8, $0x0202020202020202
DATA spread<>+24(SB)/8, $0x0303030303030303
GLOBL spread<>(SB), RODATA|NOPTR, $32

CONSTANT8(bits, $0x8040201008040201)
CONSTANT8(bytes10, $0x1010101010101010)
CONSTANT4(minusEighth, $0xbe000000)

// The other types. LOAD leaves the weights in Y4 as unsigned bytes; or, when they
// are signed, their sizes in Y4 and themselves in Y8. Then PRODUCT multiplies
// them with a vector, and OFFSET corrects for what made the bytes unsigned.
// Y11-Y15 are constants.

#define LOOP1(LOAD, PRODUCT, OFFSET, bytes) \
	EACHROW; \
loop: \
	AHEAD; \
	FETCH(0); \
	LOAD; \
	HALF((BX), X6, Y6); \
	PRODUCT((SI), (DI), Y0); \
	OFFSET((DI), Y1); \
	NEXT(STEP_Q8, bytes); \
	VADDPS Y1, Y0, Y0; \
	ENDROW1

#define LOOP4(LOAD, PRODUCT, OFFSET, bytes) \
	EACHROW; \
loop: \
	LOAD; \
	HALF((BX), X6, Y6); \
	VECTORS4(PRODUCT); \
	OFFSET((DI), Y0); \
	OFFSET((DI)(R10*1), Y1); \
	OFFSET((DI)(R10*2), Y2); \
	OFFSET((DI)(R11*1), Y3); \
	NEXT(STEP_Q8, bytes); \
	ENDROW4

#define PRODUCT_UNSIGNED(xa, da, acc) \
	VPMADDUBSW xa, Y4, Y5; \
	VPMADDWD Y15, Y5, Y5; \
	VCVTDQ2PS Y5, Y5; \
	VBROADCASTSS da, Y7; \
	VMULPS Y6, Y7, Y7; \
	FMADD(Y7, Y5, acc, Y9)

#define PRODUCT_SIGNED(xa, da, acc) \
	VMOVDQU xa, Y5; \
	VPSIGNB Y8, Y5, Y5; \
	VPMADDUBSW Y5, Y4, Y5; \
	VPMADDWD Y15, Y5, Y5; \
	VCVTDQ2PS Y5, Y5; \
	VBROADCASTSS da, Y7; \
	VMULPS Y6, Y7, Y7; \
	FMADD(Y7, Y5, acc, Y9)

#define OFFSET_NONE(da, acc)

// OFFSET_MINIMUM adds the minimum, in X10, times the activations' sum, which
// they keep times -8.
#define OFFSET_MINIMUM(da, acc) \
	VMOVSS scaleQ8_sum8 da, X7; \
	VMULSS minusEighth<>(SB), X7, X7; \
	FMADD(Y7, Y10, acc, Y9)

// OFFSET_16 subtracts 16 from each weight.
#define OFFSET_16(da, acc) \
	VMOVSS scaleQ8_sum8 da, X7; \
	VADDSS X7, X7, X7; \
	FMADD(Y7, Y6, acc, Y9)

#define NIBBLES32(wo) \
	VMOVDQU wo(BX), X4; \
	VPSRLW $4, X4, X5; \
	VINSERTI128 $1, X5, Y4, Y4; \
	VPAND Y14, Y4, Y4

// FIFTH32 adds the fifth bits, in the 32 at wo.
#define FIFTH32(wo) \
	VPBROADCASTD wo(BX), Y5; \
	VPSHUFB Y13, Y5, Y5; \
	VPAND Y12, Y5, Y5; \
	VPCMPEQB Y12, Y5, Y5; \
	VPAND Y11, Y5, Y5; \
	VPOR Y5, Y4, Y4

#define CONSTANTS32 \
	ONES(Y15); \
	NIBBLES(Y14); \
	VMOVDQU spread<>(SB), Y13; \
	VPBROADCASTQ bits<>(SB), Y12; \
	VPBROADCASTQ bytes10<>(SB), Y11

// Q4_1: float16 scale and minimum, 32 nibbles.

#define LOAD_Q4_1 \
	NIBBLES32(4); \
	HALF(2(BX), X10, Y10)

TEXT rows1Q41<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGIN
	CONSTANTS32
	LOOP1(LOAD_Q4_1, PRODUCT_UNSIGNED, OFFSET_MINIMUM, 20)

TEXT rows4Q41<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGIN4
	CONSTANTS32
	LOOP4(LOAD_Q4_1, PRODUCT_UNSIGNED, OFFSET_MINIMUM, 20)

// Q5_0: float16 scale, 32 fifth bits, 32 nibbles; 16 means 0.

#define LOAD_Q5_0 \
	NIBBLES32(6); \
	FIFTH32(2)

TEXT rows1Q50<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGIN
	CONSTANTS32
	LOOP1(LOAD_Q5_0, PRODUCT_UNSIGNED, OFFSET_16, 22)

TEXT rows4Q50<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGIN4
	CONSTANTS32
	LOOP4(LOAD_Q5_0, PRODUCT_UNSIGNED, OFFSET_16, 22)

// Q5_1: float16 scale and minimum, 32 fifth bits, 32 nibbles.

#define LOAD_Q5_1 \
	NIBBLES32(8); \
	FIFTH32(4); \
	HALF(2(BX), X10, Y10)

TEXT rows1Q51<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGIN
	CONSTANTS32
	LOOP1(LOAD_Q5_1, PRODUCT_UNSIGNED, OFFSET_MINIMUM, 24)

TEXT rows4Q51<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGIN4
	CONSTANTS32
	LOOP4(LOAD_Q5_1, PRODUCT_UNSIGNED, OFFSET_MINIMUM, 24)

// IQ4_NL: float16 scale, 32 nibbles that stand for the numbers in nibbles<>.

#define LOAD_IQ4_NL \
	NIBBLES32(2); \
	VPSHUFB Y4, Y13, Y8; \
	VPABSB Y8, Y4

TEXT rows1IQ4NL<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGIN
	ONES(Y15)
	NIBBLES(Y14)
	VMOVDQU nibbles<>(SB), Y13
	LOOP1(LOAD_IQ4_NL, PRODUCT_SIGNED, OFFSET_NONE, 18)

TEXT rows4IQ4NL<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGIN4
	ONES(Y15)
	NIBBLES(Y14)
	VMOVDQU nibbles<>(SB), Y13
	LOOP4(LOAD_IQ4_NL, PRODUCT_SIGNED, OFFSET_NONE, 18)

// MXFP4: a scale of 8 bits, a power of two, and 32 nibbles that stand for the numbers in floats4<>.

DATA floats4<>+0(SB)/8, $0x0c08060403020100 // 0 1 2 3 4 6 8 12
DATA floats4<>+8(SB)/8, $0xf4f8fafcfdfeff00 // -0 -1 -2 -3 -4 -6 -8 -12
DATA floats4<>+16(SB)/8, $0x0c08060403020100
DATA floats4<>+24(SB)/8, $0xf4f8fafcfdfeff00
GLOBL floats4<>(SB), RODATA|NOPTR, $32

CONSTANT16(bytes01, $0x0101010101010101)

// LOAD_MXFP4 loads the scale, too: it is 2^(e-128), which is float32 number (e-1)<<23; 0 where
// that would not be a normal number.
#define LOAD_MXFP4 \
	NIBBLES32(1); \
	VPSHUFB Y4, Y13, Y8; \
	VPABSB Y8, Y4; \
	VPBROADCASTB (BX), X6; \
	VPSUBUSB bytes01<>(SB), X6, X6; \
	VPMOVZXBD X6, Y6; \
	VPSLLD $23, Y6, Y6

TEXT rows1MXFP4<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGIN
	ONES(Y15)
	NIBBLES(Y14)
	VMOVDQU floats4<>(SB), Y13
	EACHROW
loop:
	AHEAD
	FETCH(0)
	LOAD_MXFP4
	PRODUCT_SIGNED((SI), (DI), Y0)
	NEXT(STEP_Q8, 17)
	ENDROW1

TEXT rows4MXFP4<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGIN4
	ONES(Y15)
	NIBBLES(Y14)
	VMOVDQU floats4<>(SB), Y13
	EACHROW
loop:
	LOAD_MXFP4
	VECTORS4(PRODUCT_SIGNED)
	NEXT(STEP_Q8, 17)
	ENDROW4

// NVFP4: four scales of 8 bits, of 16 weights each; 64 nibbles as in MXFP4, but for each 16
// weights eight low ones before eight high ones. R15 is at the table of scales.

#define LOAD_NVFP4(wo, so) \
	VMOVDQU wo(BX), X4; \
	VPSRLW $4, X4, X5; \
	VPAND X14, X4, X4; \
	VPAND X14, X5, X5; \
	VPUNPCKLQDQ X5, X4, X8; \
	VPUNPCKHQDQ X5, X4, X4; \
	VINSERTI128 $1, X4, Y8, Y4; \
	VPSHUFB Y4, Y13, Y8; \
	VPABSB Y8, Y4; \
	MOVBLZX so(BX), R14; \
	VBROADCASTSS (R15)(R14*4), X6; \
	MOVBLZX so+1(BX), R14; \
	VBROADCASTSS (R15)(R14*4), X7; \
	VINSERTF128 $1, X7, Y6, Y6

#define STEP_NVFP4(n, bytes) \
	ADDQ $(n*bytes), BX; \
	ADDQ $(n*64), SI; \
	ADDQ $(n*2*scaleQ8__size), DI

#define CONSTANTS_NVFP4 \
	ONES(Y15); \
	NIBBLES(Y14); \
	VMOVDQU floats4<>(SB), Y13; \
	LEAQ ·halfUE4M3(SB), R15

TEXT rows1NVFP4<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGIN
	CONSTANTS_NVFP4
	EACHROW
	SHRQ $1, CX
loop:
	LOAD_NVFP4(4, 0)
	PRODUCT_SIGNED((SI), (DI), Y0)
	LOAD_NVFP4(20, 2)
	PRODUCT_SIGNED(32(SI), scaleQ8__size(DI), Y0)
	NEXT(STEP_NVFP4, 36)
	ENDROW1

TEXT rows4NVFP4<>(SB), NOSPLIT|NOFRAME, $0-8
	BEGIN4
	CONSTANTS_NVFP4
	EACHROW
	SHRQ $1, CX
loop:
	LOAD_NVFP4(4, 0)
	VECTORS4(PRODUCT_SIGNED)
	LOAD_NVFP4(20, 2)
	PRODUCT_SIGNED(32(SI), scaleQ8__size(DI), Y0)
	PRODUCT_SIGNED(32(SI)(R8*1), scaleQ8__size(DI)(R10*1), Y1)
	PRODUCT_SIGNED(32(SI)(R8*2), scaleQ8__size(DI)(R10*2), Y2)
	PRODUCT_SIGNED(32(SI)(R9*1), scaleQ8__size(DI)(R11*1), Y3)
	NEXT(STEP_NVFP4, 36)
	ENDROW4

// Kernels for one vector and rows rearranged by eights (see repack_amd64.go);
// included by avx2_eights_amd64.s and fma_eights_amd64.s.
//
// As in a panel, a register of weights is eight rows of four weights each, and
// four activations are broadcast to all rows. Scales, too, come eight at a time.
// Registers:
//
//	AX call, DX groups of eight rows left, R13 results
//	BX weights, CX blocks left, SI activations, DI their scales
//	Y15 nibble mask, Y14 sums in float32

#define W 0
#define ROWS 16
#define N 24
#define X 32
#define D 48
#define Y 64

#define BEGIN \
	MOVQ a+0(FP), AX; \
	MOVQ W(AX), BX; \
	MOVQ ROWS(AX), DX; \
	MOVQ Y(AX), R13; \
	VPCMPEQW Y15, Y15, Y15; \
	VPSRLW $12, Y15, Y15; \
	VPACKUSWB Y15, Y15, Y15

#define GROUP \
	MOVQ X(AX), SI; \
	MOVQ D(AX), DI; \
	MOVQ N(AX), CX; \
	VXORPS Y14, Y14, Y14

// PAIR multiplies the low nibbles at wo with activations at lo and the high ones
// with those at hi, to Y4 and Y5.
#define PAIR(wo, lo, hi) \
	VMOVDQU wo(BX), Y5; \
	VPAND Y15, Y5, Y4; \
	VPSRLW $4, Y5, Y5; \
	VPAND Y15, Y5, Y5; \
	VPBROADCASTD lo(SI), Y6; \
	VPBROADCASTD hi(SI), Y7; \
	VPMADDUBSW Y6, Y4, Y4; \
	VPMADDUBSW Y7, Y5, Y5

// MOREPAIR adds the same to Y0 and Y1.
#define MOREPAIR(wo, lo, hi) \
	PAIR(wo, lo, hi); \
	VPADDW Y4, Y0, Y0; \
	VPADDW Y5, Y1, Y1

#define FIRSTPAIR(wo, lo, hi) \
	PAIR(wo, lo, hi); \
	VMOVDQA Y4, Y0; \
	VMOVDQA Y5, Y1

// EIGHTS_Q4_0: a block is eight float16 scales and four times 32 bytes.
TEXT EIGHTS_Q4_0(SB), NOSPLIT|NOFRAME, $0-8
	BEGIN
	VPCMPEQW Y13, Y13, Y13
	VPSRLW $15, Y13, Y13
group:
	GROUP
loop:
	PREFETCHT0 320(BX)
	PREFETCHT0 384(BX)
	FIRSTPAIR(16, 0, 16)
	MOREPAIR(48, 4, 20)
	MOREPAIR(80, 8, 24)
	MOREPAIR(112, 12, 28)
	VPADDW Y1, Y0, Y0
	VPMADDWD Y13, Y0, Y0
	VCVTDQ2PS Y0, Y0
	VCVTPH2PS (BX), Y8
	VBROADCASTSS (DI), Y9
	VBROADCASTSS 4(DI), Y10
	VMULPS Y9, Y0, Y0
	VADDPS Y10, Y0, Y0
	FMADD(Y8, Y0, Y14, Y9)
	ADDQ $144, BX
	ADDQ $32, SI
	ADDQ $8, DI
	DECQ CX
	JNE  loop
	VMOVUPS Y14, (R13)
	ADDQ $32, R13
	DECQ DX
	JNE  group
	VZEROUPPER
	RET

// eightsHigh<> is the mask of the upper two of six bits.
DATA eightsHigh<>+0(SB)/8, $0x3030303030303030
DATA eightsHigh<>+8(SB)/8, $0x3030303030303030
DATA eightsHigh<>+16(SB)/8, $0x3030303030303030
DATA eightsHigh<>+24(SB)/8, $0x3030303030303030
GLOBL eightsHigh<>(SB), RODATA|NOPTR, $32

// Counts to shift the upper two bits of two pairs of scales, one in each half of
// a register, to their places: left for the first two pairs, right for the others.
DATA eightsLeft<>+0(SB)/8, $0x0000000400000004
DATA eightsLeft<>+8(SB)/8, $0x0000000400000004
DATA eightsLeft<>+16(SB)/8, $0x0000000200000002
DATA eightsLeft<>+24(SB)/8, $0x0000000200000002
GLOBL eightsLeft<>(SB), RODATA|NOPTR, $32

DATA eightsRight<>+0(SB)/8, $0x0000000000000000
DATA eightsRight<>+8(SB)/8, $0x0000000000000000
DATA eightsRight<>+16(SB)/8, $0x0000000200000002
DATA eightsRight<>+24(SB)/8, $0x0000000200000002
GLOBL eightsRight<>(SB), RODATA|NOPTR, $32

// eightsEven<> and eightsOdd<> double the first and the second int16 of a pair.
DATA eightsEven<>+0(SB)/8, $0x0504050401000100
DATA eightsEven<>+8(SB)/8, $0x0d0c0d0c09080908
DATA eightsEven<>+16(SB)/8, $0x0504050401000100
DATA eightsEven<>+24(SB)/8, $0x0d0c0d0c09080908
GLOBL eightsEven<>(SB), RODATA|NOPTR, $32

DATA eightsOdd<>+0(SB)/8, $0x0706070603020302
DATA eightsOdd<>+8(SB)/8, $0x0f0e0f0e0b0a0b0a
DATA eightsOdd<>+16(SB)/8, $0x0706070603020302
DATA eightsOdd<>+24(SB)/8, $0x0f0e0f0e0b0a0b0a
GLOBL eightsOdd<>(SB), RODATA|NOPTR, $32

// SIXBITS unpacks four pairs of 6-bit numbers of eight rows to int16 in Y8-Y11:
// their low nibbles are at lo, their upper two bits at hi.
#define SIXBITS(lo, hi) \
	VMOVDQU lo(BX), Y6; \
	VPAND Y15, Y6, Y5; \
	VPSRLW $4, Y6, Y6; \
	VPAND Y15, Y6, Y6; \
	VBROADCASTI128 hi(BX), Y7; \
	VPSLLVD eightsLeft<>(SB), Y7, Y4; \
	VPSRLVD eightsRight<>(SB), Y7, Y7; \
	VPAND eightsHigh<>(SB), Y4, Y4; \
	VPAND eightsHigh<>(SB), Y7, Y7; \
	VPOR Y4, Y5, Y5; \
	VPOR Y7, Y6, Y6; \
	VPMOVZXBW X5, Y8; \
	VEXTRACTI128 $1, Y5, X5; \
	VPMOVZXBW X5, Y9; \
	VPMOVZXBW X6, Y10; \
	VEXTRACTI128 $1, Y6, X6; \
	VPMOVZXBW X6, Y11

// MINIMA adds a pair of minima (y) times the activations' sums to Y13.
#define MINIMA(y, so) \
	VPBROADCASTD so(DI), Y4; \
	VPMADDWD y, Y4, Y4; \
	VPADDD Y4, Y13, Y13

// SUBS_Q4_K adds 64 columns of weights, with the pair of scales in y, to Y2.
#define SUBS_Q4_K(wo, xo, y) \
	FIRSTPAIR(wo, xo, 32+xo); \
	MOREPAIR(32+wo, 4+xo, 36+xo); \
	MOREPAIR(64+wo, 8+xo, 40+xo); \
	MOREPAIR(96+wo, 12+xo, 44+xo); \
	MOREPAIR(128+wo, 16+xo, 48+xo); \
	MOREPAIR(160+wo, 20+xo, 52+xo); \
	MOREPAIR(192+wo, 24+xo, 56+xo); \
	MOREPAIR(224+wo, 28+xo, 60+xo); \
	VPSHUFB eightsEven<>(SB), y, Y4; \
	VPSHUFB eightsOdd<>(SB), y, Y5; \
	VPMADDWD Y4, Y0, Y0; \
	VPMADDWD Y5, Y1, Y1; \
	VPADDD Y0, Y2, Y2; \
	VPADDD Y1, Y2, Y2

#define NEAR(o) \
	PREFETCHT0 o(BX); \
	PREFETCHT0 o+64(BX); \
	PREFETCHT0 o+128(BX); \
	PREFETCHT0 o+192(BX)

// EIGHTS_Q4_K: a block is eight d, eight dmin (float16), then for pairs of scales
// and pairs of minima 32 bytes of low nibbles each and 16 bytes of upper bits
// each, then 32 times 32 bytes of nibbles.
TEXT EIGHTS_Q4_K(SB), NOSPLIT|NOFRAME, $0-8
	BEGIN
group:
	GROUP
loop:
	VPXOR Y13, Y13, Y13
	VPXOR Y2, Y2, Y2
	SIXBITS(64, 112)
	MINIMA(Y8, 48)
	MINIMA(Y9, 52)
	MINIMA(Y10, 56)
	MINIMA(Y11, 60)
	SIXBITS(32, 96)
	NEAR(512)
	SUBS_Q4_K(128, 0, Y8)
	NEAR(768)
	SUBS_Q4_K(384, 64, Y9)
	NEAR(1024)
	SUBS_Q4_K(640, 128, Y10)
	NEAR(1280)
	SUBS_Q4_K(896, 192, Y11)
	NEAR(1536)
	VCVTPH2PS (BX), Y4
	VCVTPH2PS 16(BX), Y5
	VCVTDQ2PS Y2, Y2
	VCVTDQ2PS Y13, Y13
	VMULPS Y4, Y2, Y2
	VMULPS Y5, Y13, Y13
	VSUBPS Y13, Y2, Y2
	VBROADCASTSS (DI), Y6
	FMADD(Y6, Y2, Y14, Y7)
	ADDQ $1152, BX
	ADDQ $256, SI
	ADDQ $64, DI
	DECQ CX
	JNE  loop
	VMOVUPS Y14, (R13)
	ADDQ $32, R13
	DECQ DX
	JNE  group
	VZEROUPPER
	RET

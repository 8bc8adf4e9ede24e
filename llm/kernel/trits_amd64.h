// Digits in base 3 (PTQ1_0). A byte is a fraction of 256: its first digit is the integer part of three
// times that, and what is left of the product goes on. Bytes are taken with their upper bit turned
// over, so that signed comparisons tell the digit; the product, modulo 256, stays right.

CONSTANT32(trit42, $0x2a2a2a2a2a2a2a2a)
CONSTANT32(tritMinus43, $0xd5d5d5d5d5d5d5d5)
CONSTANT32(trit80, $0x8080808080808080)

// DIGIT puts the digits, 0 to 2, of the bytes in s into Y5, and NEXTDIGIT what is left into s. Both
// clobber Y7.
#define DIGIT(s) \
	VPCMPGTB trit42<>(SB), s, Y5; \
	VPCMPGTB tritMinus43<>(SB), s, Y7; \
	VPADDB Y7, Y5, Y5; \
	VPABSB Y5, Y5

#define NEXTDIGIT(s) \
	VPADDB s, s, Y7; \
	VPADDB Y7, s, s

// FIRSTLAST joins two bytes of each row at m, of four digits each, with three times
// themselves: four weights, and with two digits less the next four. LASTDIGITS turns their upper
// bits over.
#define FIRSTLAST(m, s) \
	VPMOVZXWD m, s; \
	VPADDB s, s, Y7; \
	VPADDB s, Y7, Y7; \
	VPSLLD $16, Y7, Y7; \
	VPOR Y7, s, s

#define LASTDIGITS(m, s) \
	FIRSTLAST(m, s); \
	VPXOR trit80<>(SB), s, s

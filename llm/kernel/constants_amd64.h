// Constants of 4 bytes, or of 8, 16 or 32 that repeat the same eight.

#define CONSTANT4(name, v) \
	DATA name<>+0(SB)/4, v; \
	GLOBL name<>(SB), RODATA|NOPTR, $4

#define CONSTANT8(name, v) \
	DATA name<>+0(SB)/8, v; \
	GLOBL name<>(SB), RODATA|NOPTR, $8

#define CONSTANT16(name, v) \
	DATA name<>+0(SB)/8, v; \
	DATA name<>+8(SB)/8, v; \
	GLOBL name<>(SB), RODATA|NOPTR, $16

#define CONSTANT32(name, v) \
	DATA name<>+0(SB)/8, v; \
	DATA name<>+8(SB)/8, v; \
	DATA name<>+16(SB)/8, v; \
	DATA name<>+24(SB)/8, v; \
	GLOBL name<>(SB), RODATA|NOPTR, $32

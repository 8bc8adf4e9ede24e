// Panel kernels that multiply, then add: see avx2_amd64.s.

#include "textflag.h"

#define PANEL_U4 ·avx2PanelU4
#define PANEL_U6 ·avx2PanelU6
#define PANEL_Q4_0 ·avx2PanelQ40
#define PANEL_Q8_0 ·avx2PanelQ80

#define FMADD(a, b, acc, t) \
	VMULPS a, b, t; \
	VADDPS t, acc, acc

#include "panels_amd64.h"

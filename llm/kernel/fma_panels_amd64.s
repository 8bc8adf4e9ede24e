// Panel kernels that fuse multiplication and addition.

#include "textflag.h"

#define PANEL_U4 ·fmaPanelU4
#define PANEL_U6 ·fmaPanelU6
#define PANEL_Q4_0 ·fmaPanelQ40
#define PANEL_Q8_0 ·fmaPanelQ80

#define FMADD(a, b, acc, t) \
	VFMADD231PS a, b, acc

#include "panels_amd64.h"

package kernel

import "unsafe"

// call tells an assembly kernel what to do; rows_amd64.h knows the layout.
type call struct {
	w     unsafe.Pointer // first row of weights
	step  uintptr        // bytes from row to row
	rows  uintptr        // at least 1
	n     uintptr        // blocks in a row; F32 and F16 count 8 elements as a block
	x     unsafe.Pointer // activations of the first vector
	xstep uintptr        // bytes from vector to vector
	d     unsafe.Pointer // scales of the first vector's blocks
	dstep uintptr        // bytes from vector to vector
	y     unsafe.Pointer // first result of the first vector, float32; rows follow each other
	ystep uintptr        // bytes from vector to vector
}

//go:noescape
func avx2Rows1F32(a *call)

//go:noescape
func avx2Rows4F32(a *call)

//go:noescape
func avx2Rows1F16(a *call)

//go:noescape
func avx2Rows4F16(a *call)

//go:noescape
func avx2Rows1Q80(a *call)

//go:noescape
func avx2Rows3Q80(a *call)

//go:noescape
func avx2Rows4Q80(a *call)

//go:noescape
func avx2Rows1Q40(a *call)

//go:noescape
func avx2Rows4Q40(a *call)

//go:noescape
func avx2Rows1Q4K(a *call)

//go:noescape
func avx2Rows4Q4K(a *call)

//go:noescape
func avx2Rows1Q6K(a *call)

//go:noescape
func avx2Rows4Q6K(a *call)

//go:noescape
func avx2SumF32(a *call)

//go:noescape
func avx2SumF16(a *call)

//go:noescape
func fmaRows1F32(a *call)

//go:noescape
func fmaRows4F32(a *call)

//go:noescape
func fmaRows1F16(a *call)

//go:noescape
func fmaRows4F16(a *call)

//go:noescape
func fmaRows1Q80(a *call)

//go:noescape
func fmaRows3Q80(a *call)

//go:noescape
func fmaRows4Q80(a *call)

//go:noescape
func fmaRows1Q40(a *call)

//go:noescape
func fmaRows4Q40(a *call)

//go:noescape
func fmaRows1Q4K(a *call)

//go:noescape
func fmaRows4Q4K(a *call)

//go:noescape
func fmaRows1Q6K(a *call)

//go:noescape
func fmaRows4Q6K(a *call)

//go:noescape
func fmaSumF32(a *call)

//go:noescape
func fmaSumF16(a *call)

//go:noescape
func quantizeQ8(a *call)

//go:noescape
func quantizeQ8K(a *call)

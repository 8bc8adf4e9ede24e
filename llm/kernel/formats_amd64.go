package kernel

import "alphaos/llm/gguf"

// The kernels of formats_amd64.h by type; see rows_amd64.go for the call.

//go:noescape
func avx2Rows1BF16(a *call)

//go:noescape
func avx2Rows4BF16(a *call)

//go:noescape
func avx2Rows1Q41(a *call)

//go:noescape
func avx2Rows4Q41(a *call)

//go:noescape
func avx2Rows1Q50(a *call)

//go:noescape
func avx2Rows4Q50(a *call)

//go:noescape
func avx2Rows1Q51(a *call)

//go:noescape
func avx2Rows4Q51(a *call)

//go:noescape
func avx2Rows1IQ4NL(a *call)

//go:noescape
func avx2Rows4IQ4NL(a *call)

//go:noescape
func avx2Rows1Q2K(a *call)

//go:noescape
func avx2Rows4Q2K(a *call)

//go:noescape
func avx2Rows1Q3K(a *call)

//go:noescape
func avx2Rows4Q3K(a *call)

//go:noescape
func avx2Rows1Q5K(a *call)

//go:noescape
func avx2Rows4Q5K(a *call)

//go:noescape
func avx2Rows1IQ4XS(a *call)

//go:noescape
func avx2Rows4IQ4XS(a *call)

//go:noescape
func fmaRows1BF16(a *call)

//go:noescape
func fmaRows4BF16(a *call)

//go:noescape
func fmaRows1Q41(a *call)

//go:noescape
func fmaRows4Q41(a *call)

//go:noescape
func fmaRows1Q50(a *call)

//go:noescape
func fmaRows4Q50(a *call)

//go:noescape
func fmaRows1Q51(a *call)

//go:noescape
func fmaRows4Q51(a *call)

//go:noescape
func fmaRows1IQ4NL(a *call)

//go:noescape
func fmaRows4IQ4NL(a *call)

//go:noescape
func fmaRows1Q2K(a *call)

//go:noescape
func fmaRows4Q2K(a *call)

//go:noescape
func fmaRows1Q3K(a *call)

//go:noescape
func fmaRows4Q3K(a *call)

//go:noescape
func fmaRows1Q5K(a *call)

//go:noescape
func fmaRows4Q5K(a *call)

//go:noescape
func fmaRows1IQ4XS(a *call)

//go:noescape
func fmaRows4IQ4XS(a *call)

func formatRows1(t gguf.Type, fma bool, c *call) {
	if fma {
		switch t {
		case gguf.BF16:
			fmaRows1BF16(c)
		case gguf.Q4_1:
			fmaRows1Q41(c)
		case gguf.Q5_0:
			fmaRows1Q50(c)
		case gguf.Q5_1:
			fmaRows1Q51(c)
		case gguf.IQ4_NL:
			fmaRows1IQ4NL(c)
		case gguf.Q2_K:
			fmaRows1Q2K(c)
		case gguf.Q3_K:
			fmaRows1Q3K(c)
		case gguf.Q5_K:
			fmaRows1Q5K(c)
		case gguf.IQ4_XS:
			fmaRows1IQ4XS(c)
		}
		return
	}
	switch t {
	case gguf.BF16:
		avx2Rows1BF16(c)
	case gguf.Q4_1:
		avx2Rows1Q41(c)
	case gguf.Q5_0:
		avx2Rows1Q50(c)
	case gguf.Q5_1:
		avx2Rows1Q51(c)
	case gguf.IQ4_NL:
		avx2Rows1IQ4NL(c)
	case gguf.Q2_K:
		avx2Rows1Q2K(c)
	case gguf.Q3_K:
		avx2Rows1Q3K(c)
	case gguf.Q5_K:
		avx2Rows1Q5K(c)
	case gguf.IQ4_XS:
		avx2Rows1IQ4XS(c)
	}
}

func formatRows4(t gguf.Type, fma bool, c *call) {
	if fma {
		switch t {
		case gguf.BF16:
			fmaRows4BF16(c)
		case gguf.Q4_1:
			fmaRows4Q41(c)
		case gguf.Q5_0:
			fmaRows4Q50(c)
		case gguf.Q5_1:
			fmaRows4Q51(c)
		case gguf.IQ4_NL:
			fmaRows4IQ4NL(c)
		case gguf.Q2_K:
			fmaRows4Q2K(c)
		case gguf.Q3_K:
			fmaRows4Q3K(c)
		case gguf.Q5_K:
			fmaRows4Q5K(c)
		case gguf.IQ4_XS:
			fmaRows4IQ4XS(c)
		}
		return
	}
	switch t {
	case gguf.BF16:
		avx2Rows4BF16(c)
	case gguf.Q4_1:
		avx2Rows4Q41(c)
	case gguf.Q5_0:
		avx2Rows4Q50(c)
	case gguf.Q5_1:
		avx2Rows4Q51(c)
	case gguf.IQ4_NL:
		avx2Rows4IQ4NL(c)
	case gguf.Q2_K:
		avx2Rows4Q2K(c)
	case gguf.Q3_K:
		avx2Rows4Q3K(c)
	case gguf.Q5_K:
		avx2Rows4Q5K(c)
	case gguf.IQ4_XS:
		avx2Rows4IQ4XS(c)
	}
}

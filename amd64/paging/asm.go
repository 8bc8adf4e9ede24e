package paging

func invlpg(addr uintptr)
func zero(addr, n uintptr)          // n a multiple of 8
func copyBytes(to, from, n uintptr) // n a multiple of 8

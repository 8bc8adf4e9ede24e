package amd64

// Functions that need assembly; see asm_amd64.s.

func resume(t *thread)
func gate(call *gateCall)
func leave(status uintptr)
func loadTables(c *cpu)
func haltHere()

func entryStub(vec uintptr) uintptr
func interruptStub(vec uintptr) uintptr
func haltStub() uintptr
func apStub() uintptr
func ipiHandlerStub() uintptr
func firmwareFaultStub() uintptr
func syscallStub() uintptr
func runtimeEntry() uintptr

func readGS() uintptr
func readCR2() uintptr
func readCR4() uintptr
func writeCR3(v uintptr)
func readMSR(msr uintptr) uintptr
func writeMSR(msr, v uintptr)
func tryReadMSR(msr uintptr) (v uintptr, ok bool) // not ok: the processor has no such register
func tryWriteMSR(msr, v uintptr) (ok bool)        // or not this value
func setPAT(v uintptr)
func cpuid(leaf, sub uint32) (a, b, c, d uint32)
func rdtsc() uint64
func rdrand() uint64
func pause()
func storeMMIO(addr uintptr, v uint32)

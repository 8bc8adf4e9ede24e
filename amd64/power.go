package amd64

import (
	"math/bits"
	"time"
	"unsafe"
)

// How fast the processors compute. Firmware may leave them at a low ratio, so each is asked
// for the most it can do while it is ours, and what it was asked before is put back when the
// firmware gets it back. What a processor then really does is counted by itself: APERF counts
// its cycles and MPERF those of the time-stamp counter, both only while it does not sleep.
//
// Few of these registers exist everywhere, and one that does not is a general protection
// fault. So exists asks CPUID, as Intel's SDM says for each of them, and hypervisors, which
// have none to give away, are not asked; and should one be missing all the same, tryReadMSR
// and tryWriteMSR survive that.

// The registers, in the order in which they are read: whether one exists may depend on
// what others hold.
const (
	regMPERF = iota
	regAPERF
	regPlatformInfo // MSR_PLATFORM_INFO
	regTurboLimit   // MSR_TURBO_RATIO_LIMIT
	regPerfCtl      // IA32_PERF_CTL
	regTherm        // IA32_THERM_STATUS
	regPackageTherm // IA32_PACKAGE_THERM_STATUS
	regPowerCtl     // MSR_POWER_CTL
	regPMEnable     // IA32_PM_ENABLE
	regHWPCaps      // IA32_HWP_CAPABILITIES
	regHWPRequest   // IA32_HWP_REQUEST
	regPStateLimit  // AMD's
	regPStateCtl    // AMD's

	speedRegs
)

// speedMSRs are their numbers (Intel SDM volume 4; AMD's volume 2, section 17.1).
var speedMSRs = [speedRegs]uintptr{0xe7, 0xe8, 0xce, 0x1ad, 0x199, 0x19c, 0x1b1, 0x1fc, 0x770, 0x771, 0x774, 0xc0010061, 0xc0010062}

// speedState is what one processor said of itself.
type speedState struct {
	id   cpuID
	have uint32 // registers that were read
	reg  [speedRegs]uint64
}

// cpuID is what CPUID says of speeds.
type cpuID struct {
	vendor         uint32 // leaf 0, EBX: the first four letters
	signature      uint32 // leaf 1, EAX
	features       uint32 // leaf 1, ECX
	moreFeatures   uint32 // leaf 1, EDX
	hybrid         bool   // leaf 7, EDX bit 15
	power, counted uint32 // leaf 6, EAX and ECX
	mostMHz        uint32 // leaf 0x16, EBX
	advanced       uint32 // leaf 0x80000007, EDX
}

const (
	vendorIntel = 0x756e6547 // "Genu"
	vendorAMD   = 0x68747541 // "Auth"
	vendorHygon = 0x6f677948 // "Hygo"

	featureEIST       = 1 << 7  // in features
	featureAVX        = 1 << 28 //
	featureHypervisor = 1 << 31 //
	featureACPI       = 1 << 22 // in moreFeatures: thermal registers
	powerTurbo        = 1 << 1  // in power; clear where turbo is switched off
	powerPackage      = 1 << 6  // thermal management of the package
	powerHWP          = 1 << 7  // hardware-controlled performance states
	powerHWPLimits    = 1 << 7  // the thermal registers tell of limits on current, too
	powerEPP          = 1 << 10 // with an energy performance preference
	countedAPERF      = 1 << 0  // in counted
	advancedPState    = 1 << 7  // in advanced: AMD's registers
	advancedTSC       = 1 << 8  // the counter's rate never changes
)

func (id *cpuID) read() {
	most, vendor, _, _ := cpuid(0, 0)
	id.vendor = vendor
	id.signature, _, id.features, id.moreFeatures = cpuid(1, 0)
	if most >= 6 {
		id.power, _, id.counted, _ = cpuid(6, 0)
	}
	if most >= 7 {
		_, _, _, d := cpuid(7, 0)
		id.hybrid = d>>15&1 != 0
	}
	if most >= 0x16 {
		_, b, _, _ := cpuid(0x16, 0)
		id.mostMHz = b & 0xffff
	}
	if most, _, _, _ := cpuid(0x80000000, 0); most >= 0x80000007 {
		_, _, _, id.advanced = cpuid(0x80000007, 0)
	}
}

func (id *cpuID) intel() bool { return id.vendor == vendorIntel }
func (id *cpuID) amd() bool   { return id.vendor == vendorAMD || id.vendor == vendorHygon }
func (id *cpuID) guest() bool { return id.features&featureHypervisor != 0 }

// nehalem reports whether the processor is Nehalem or later: of family 6, with a counter whose
// rate never changes. Xeon Phi, whose turbo ratios stand elsewhere, is none.
func (id *cpuID) nehalem() bool {
	model := id.signature>>4&15 | id.signature>>12&0xf0
	return id.intel() && id.signature>>8&15 == 6 && model != 0x57 && model != 0x85 && id.advanced&advancedTSC != 0
}

// sandyBridge reports whether it is of the Core line and Sandy Bridge or later, where
// ratios in IA32_PERF_CTL stand in bits 15:8 and nothing else must be set with them.
func (id *cpuID) sandyBridge() bool { return id.nehalem() && id.features&featureAVX != 0 }

// exists reports whether the processor has a register.
func (s *speedState) exists(reg int) bool {
	id := &s.id
	switch reg {
	case regMPERF, regAPERF:
		return id.counted&countedAPERF != 0 && (id.intel() || id.amd())
	case regPlatformInfo:
		return id.nehalem() && !id.guest()
	case regTurboLimit:
		return id.nehalem() && !id.guest() && id.power&powerTurbo != 0
	case regPerfCtl:
		return id.sandyBridge() && !id.guest() && id.features&featureEIST != 0
	case regTherm:
		return id.intel() && !id.guest() && id.moreFeatures&featureACPI != 0
	case regPackageTherm:
		return id.intel() && !id.guest() && id.power&powerPackage != 0
	case regPowerCtl:
		return id.sandyBridge() && !id.guest()
	case regPMEnable:
		return id.intel() && !id.guest() && id.power&powerHWP != 0
	case regHWPCaps, regHWPRequest: // section 15.4.2: not before HWP is enabled
		return s.hwp()
	case regPStateLimit, regPStateCtl:
		return id.amd() && !id.guest() && id.advanced&advancedPState != 0
	}
	return false
}

func (s *speedState) has(reg int) bool { return s.have>>reg&1 != 0 }

// hwp reports whether the firmware has enabled hardware-controlled performance states. We
// do not: only a reset ends that.
func (s *speedState) hwp() bool { return s.has(regPMEnable) && s.reg[regPMEnable]&1 != 0 }

// note files what a register holds.
func (s *speedState) note(reg int, v uint64) { s.have, s.reg[reg] = s.have|1<<reg, v }

// read asks this processor.
func (s *speedState) read() {
	s.id.read()
	for i := 0; i < speedRegs; i++ {
		if s.exists(i) {
			if v, ok := tryReadMSR(speedMSRs[i]); ok {
				s.note(i, uint64(v))
			}
		}
	}
}

// ratios returns the processor's ratios to its bus clock: rated, and the highest of all; 0
// where it does not tell.
func (s *speedState) ratios() (rated, most uint64) {
	if s.has(regPlatformInfo) {
		rated = s.reg[regPlatformInfo] >> 8 & 0xff
	}
	if s.has(regTurboLimit) {
		most = s.reg[regTurboLimit] & 0xff // while one core works
	}
	return rated, max(rated, most)
}

// request returns the register that asks for the highest speed and what is to be written
// there; none is -1.
func (s *speedState) request() (reg int, v uint64) {
	switch {
	case s.hwp():
		if !s.has(regHWPCaps) || !s.has(regHWPRequest) {
			return -1, 0
		}
		// IA32_HWP_REQUEST: minimum, maximum and desired performance, of which 0 leaves the
		// choice to the processor, the preference of energy over speed, and in bit 42 that
		// the package's request counts instead.
		const packageControl = 1 << 42
		highest := s.reg[regHWPCaps] & 0xff
		if highest == 0 {
			return -1, 0
		}
		v = s.reg[regHWPRequest]&^(0xffffff|packageControl) | highest | highest<<8
		if s.id.power&powerEPP != 0 {
			v &^= 0xff << 24
		}
		return regHWPRequest, v
	case s.has(regPerfCtl):
		const noTurbo = 1 << 32
		_, most := s.ratios()
		if most == 0 {
			return -1, 0
		}
		return regPerfCtl, s.reg[regPerfCtl]&^(0xffff|noTurbo) | most<<8
	case s.has(regPStateCtl):
		return regPStateCtl, s.reg[regPStateCtl] &^ 7
	}
	return -1, 0
}

// tune makes this processor ours: fast, and able to combine what it writes.
func tune(c *cpu) {
	tunePAT(c)
	var s speedState
	s.read()
	c.mperf, c.aperf = s.reg[regMPERF], s.reg[regAPERF]
	if reg, v := s.request(); reg >= 0 && v != s.reg[reg] && tryWriteMSR(speedMSRs[reg], uintptr(v)) {
		c.speedMSR, c.fwSpeed = speedMSRs[reg], uintptr(s.reg[reg])
	}
}

// untune gives this processor back as tune found it.
func untune(c *cpu) {
	if c.speedMSR != 0 {
		tryWriteMSR(c.speedMSR, c.fwSpeed)
		c.speedMSR = 0
	}
	untunePAT(c)
}

// speedSample is what the kernel answers to sysSpeed.
type speedSample struct {
	speedState
	cpu          uintptr // which processor this is
	mperf, aperf uint64  // its counters when it became ours
}

func sampleSpeed(c *cpu, p uintptr) uintptr {
	if !touch(p, unsafe.Sizeof(speedSample{}), true) {
		return errno(eFAULT)
	}
	s := at[speedSample](p)
	*s = speedSample{cpu: c.apic, mperf: c.mperf, aperf: c.aperf}
	s.read()
	return 0
}

// Limits are reasons why a processor runs slower than it was asked to.
type Limits uint8

const (
	TooHot      Limits = 1 << iota // it, or another part of its package
	FromOutside                    // another part of the machine holds it back: PROCHOT#
	PowerLimit                     // the power it may take
	CurrentLimit
)

// Speed is how fast a processor computes, in Hz; 0 where it does not tell.
type Speed struct {
	Now     uint64 // just now, computing
	Average uint64 // since the start, while it did not sleep
	Rated   uint64 // of the time-stamp counter, which goes at the rated speed
	Most    uint64 // what one core alone can reach

	Held    Limits // what holds it back now
	WasHeld Limits // or has since that was last forgotten, which is when the machine was switched on
	Cooler  int    // how many degrees below its limit it is; -1: not known

	Asked string // how it was asked for its highest speed
	BD    bool   // other parts of the machine can hold it back: bidirectional PROCHOT#
}

// ProcessorSpeed measures how fast the processor that it runs on computes, which takes
// some 20 ms.
func ProcessorSpeed() Speed {
	if !Booted() {
		return Speed{Cooler: -1}
	}
	const window, attempts = 20 * time.Millisecond, 5
	var before, after speedSample
	for range attempts {
		kernelCall(sysSpeed, unsafe.Pointer(&before), 0)
		if before.has(regAPERF) {
			for began := SinceStart(); SinceStart()-began < window; {
				compute()
			}
		}
		kernelCall(sysSpeed, unsafe.Pointer(&after), 0)
		if after.cpu == before.cpu {
			break // else the goroutine has moved to another processor
		}
	}
	return speed(&before, &after, Clock().Rate)
}

var computed uint64

//go:noinline
func compute() {
	for range 10_000 {
		computed = computed*0x9e3779b97f4a7c15 + 1
	}
}

// speed tells what two samples of a processor mean. rate is that of the time-stamp counter.
func speed(before, after *speedSample, rate uint64) Speed {
	s := &after.speedState
	v := Speed{Rated: rate, Most: s.most(rate), Cooler: -1, Asked: s.asked()}
	if before.has(regAPERF) && before.has(regMPERF) && s.has(regAPERF) && s.has(regMPERF) {
		if after.cpu == before.cpu {
			v.Now = frequency(rate, s.reg[regAPERF]-before.reg[regAPERF], s.reg[regMPERF]-before.reg[regMPERF])
		}
		v.Average = frequency(rate, s.reg[regAPERF]-after.aperf, s.reg[regMPERF]-after.mperf)
	}
	if s.has(regPackageTherm) {
		v.limits(s.reg[regPackageTherm], s.id.power)
		v.Cooler = int(s.reg[regPackageTherm] >> 16 & 0x7f)
	}
	if s.has(regTherm) {
		v.limits(s.reg[regTherm], s.id.power)
		const valid = 1 << 31
		if below := int(s.reg[regTherm] >> 16 & 0x7f); s.reg[regTherm]&valid != 0 && (v.Cooler < 0 || below < v.Cooler) {
			v.Cooler = below
		}
	}
	// A processor whose PROCHOT# is held from outside may call itself hot, far from its limit.
	const far = 10
	if v.Held&FromOutside != 0 && v.Cooler >= far {
		v.Held &^= TooHot
	}
	if s.has(regPStateLimit) && s.reg[regPStateLimit]&7 != 0 {
		v.Held |= PowerLimit // or heat: AMD's register does not say
	}
	v.BD = s.has(regPowerCtl) && s.reg[regPowerCtl]&1 != 0
	return v
}

// frequency is what the counters have grown by as a frequency, 0 when that makes no sense.
func frequency(rate, aperf, mperf uint64) uint64 {
	hi, lo := bits.Mul64(rate, aperf)
	if hi >= mperf { // also without a divisor
		return 0
	}
	hz, _ := bits.Div64(hi, lo, mperf)
	if hz > 20e9 {
		return 0 // a counter was reset
	}
	return hz
}

// most is the highest frequency. The bus clock follows from the rated ratio, whose multiple of
// it is the time-stamp counter's rate.
func (s *speedState) most(rate uint64) uint64 {
	rated, most := s.ratios()
	switch {
	case rated == 0: // CPUID knows, or nobody
		if s.id.guest() {
			return 0
		}
		return uint64(s.id.mostMHz) * 1e6
	case s.has(regHWPCaps) && !s.id.hybrid: // with two kinds of cores its numbers are no ratios
		if highest := s.reg[regHWPCaps] & 0xff; highest != 0 {
			most = highest
		}
	}
	return rate / rated * most
}

// asked names how the processor was asked for its highest speed.
func (s *speedState) asked() string {
	switch reg, _ := s.request(); reg {
	case regHWPRequest:
		return "HWP"
	case regPerfCtl:
		return "PERF_CTL"
	case regPStateCtl:
		return "P-state 0"
	}
	return ""
}

// limits adds what a thermal status register says (Intel SDM volume 3, sections 15.8.2.2 and
// 15.8.4): pairs of bits, a limit now and one since the bit was last cleared.
func (v *Speed) limits(status uint64, power uint32) {
	pair := func(bit uint, l Limits) {
		if status>>bit&1 != 0 {
			v.Held |= l
		}
		if status>>(bit+1)&1 != 0 {
			v.WasHeld |= l
		}
	}
	pair(0, TooHot)
	pair(2, FromOutside)
	pair(4, TooHot) // out of specification
	pair(10, PowerLimit)
	if power&powerHWPLimits != 0 {
		pair(12, CurrentLimit)
	}
}

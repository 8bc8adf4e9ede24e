package amd64

import "testing"

// fakeCPU is a processor: what CPUID says and the registers that it has, by number.
type fakeCPU struct {
	name string
	id   cpuID
	msrs map[uintptr]uint64
}

const (
	ghz  = 1_000_000_000
	hwp  = powerHWP | powerEPP
	core = featureAVX | featureEIST
)

var (
	kabyLake = cpuID{vendor: vendorIntel, signature: 0x806e9, features: core, moreFeatures: featureACPI,
		power: powerTurbo | powerPackage | hwp, counted: countedAPERF, mostMHz: 3500, advanced: advancedTSC}
	ivyBridge = cpuID{vendor: vendorIntel, signature: 0x306a9, features: core, moreFeatures: featureACPI,
		power: powerTurbo | powerPackage, counted: countedAPERF, advanced: advancedTSC}
	zen = cpuID{vendor: vendorAMD, signature: 0x870f10, features: core, counted: countedAPERF, advanced: advancedPState | advancedTSC}
)

// with returns the registers in a, and those in b instead.
func with(a, b map[uintptr]uint64) map[uintptr]uint64 {
	m := map[uintptr]uint64{}
	for _, from := range []map[uintptr]uint64{a, b} {
		for k, v := range from {
			m[k] = v
		}
	}
	return m
}

// A register that is not listed is one whose reading would fault.
var (
	kabyLakeMSRs = map[uintptr]uint64{0xe7: 1000, 0xe8: 2000, 0xce: 0x80838f1011900, 0x1ad: 0x21212323, 0x199: 0x0800,
		0x19c: 0x88400000, 0x1b1: 0x88420000, 0x1fc: 0x4005d, 0x770: 0} // HWP off: its other registers fault
	ivyBridgeMSRs = map[uintptr]uint64{0xe7: 1000, 0xe8: 2000, 0xce: 0x81010f0011900, 0x1ad: 0x1d1d1f20, 0x199: 0x1_0000_0c00,
		0x19c: 0x88300000, 0x1b1: 0x88310000, 0x1fc: 0x4005d}
	zenMSRs = map[uintptr]uint64{0xe7: 1000, 0xe8: 2000, 0xc0010061: 0x20, 0xc0010062: 2}
)

var fakeCPUs = []struct {
	fakeCPU
	rate    uint64
	reg     int    // that asks for the most; -1: none
	request uint64 // what it is to hold
	most    uint64 // Hz
}{
	{fakeCPU{"Kaby Lake, HWP not enabled", kabyLake, kabyLakeMSRs}, 2_496_000_000, regPerfCtl, 0x2300, 3_494_400_000},
	{fakeCPU{"Kaby Lake, HWP enabled", kabyLake, with(kabyLakeMSRs, map[uintptr]uint64{0x770: 1, 0x771: 0x01081923, 0x774: 1<<42 | 0x80001904})},
		2_496_000_000, regHWPRequest, 0x2323, 3_494_400_000},
	{fakeCPU{"the same without a preference", func() cpuID { id := kabyLake; id.power &^= powerEPP; return id }(),
		with(kabyLakeMSRs, map[uintptr]uint64{0x770: 1, 0x771: 0x01081923, 0x774: 0x80001904})}, 2_496_000_000, regHWPRequest, 0x80002323, 3_494_400_000},
	{fakeCPU{"HWP without a highest performance", kabyLake, with(kabyLakeMSRs, map[uintptr]uint64{0x770: 1, 0x771: 0, 0x774: 0x1904})},
		2_496_000_000, -1, 0, 3_494_400_000},
	{fakeCPU{"Kaby Lake, turbo switched off", func() cpuID { id := kabyLake; id.power &^= powerTurbo; return id }(), kabyLakeMSRs},
		2_496_000_000, regPerfCtl, 0x1900, 2_496_000_000},
	{fakeCPU{"Ivy Bridge, turbo disengaged", ivyBridge, ivyBridgeMSRs}, 2_500_000_000, regPerfCtl, 0x2000, 3_200_000_000},
	{fakeCPU{"two kinds of cores", func() cpuID { id := kabyLake; id.hybrid, id.signature = true, 0x906a3; return id }(),
		with(kabyLakeMSRs, map[uintptr]uint64{0x770: 1, 0x771: 0x01081c3c, 0x774: 0})}, 2_500_000_000, regHWPRequest, 0x3c3c, 3_500_000_000},
	{fakeCPU{"Nehalem", cpuID{vendor: vendorIntel, signature: 0x106a5, features: featureEIST, moreFeatures: featureACPI,
		power: powerTurbo, counted: countedAPERF, advanced: advancedTSC},
		map[uintptr]uint64{0xe7: 0, 0xe8: 0, 0xce: 0x1400, 0x1ad: 0x15151516, 0x19c: 0}}, 2_666_000_000, -1, 0, 2_932_600_000},
	{fakeCPU{"Core 2", cpuID{vendor: vendorIntel, signature: 0x10676, features: featureEIST, moreFeatures: featureACPI, counted: countedAPERF},
		map[uintptr]uint64{0xe7: 0, 0xe8: 0, 0x19c: 0}}, 2_400_000_000, -1, 0, 0},
	{fakeCPU{"Xeon Phi", cpuID{vendor: vendorIntel, signature: 0x50670, features: core, moreFeatures: featureACPI, power: powerTurbo,
		counted: countedAPERF, advanced: advancedTSC}, map[uintptr]uint64{0xe7: 0, 0xe8: 0, 0x19c: 0}}, 1_300_000_000, -1, 0, 0},
	{fakeCPU{"Zen", zen, zenMSRs}, 3_600_000_000, regPStateCtl, 0, 0},
	{fakeCPU{"Hygon", cpuID{vendor: vendorHygon, counted: countedAPERF, advanced: advancedPState}, zenMSRs}, 2 * ghz, regPStateCtl, 0, 0},
	{fakeCPU{"AMD without P-states", cpuID{vendor: vendorAMD}, nil}, 2 * ghz, -1, 0, 0},
	{fakeCPU{"a guest of KVM's", func() cpuID { id := kabyLake; id.features |= featureHypervisor; return id }(),
		map[uintptr]uint64{0xe7: 0, 0xe8: 0}}, 2_496_000_000, -1, 0, 0},
	{fakeCPU{"a guest on AMD", cpuID{vendor: vendorAMD, features: featureHypervisor | core, advanced: advancedPState | advancedTSC}, nil}, 2 * ghz, -1, 0, 0},
	{fakeCPU{"QEMU's own", cpuID{vendor: vendorAMD, signature: 0x60fb1, features: featureHypervisor, moreFeatures: featureACPI, power: 1 << 2}, nil}, ghz, -1, 0, 0},
	{fakeCPU{"Zhaoxin, all bits set", cpuID{vendor: 0x68532020, features: 1<<31 - 1, moreFeatures: 1<<32 - 1, power: 1<<32 - 1, counted: 1<<32 - 1, advanced: 1<<32 - 1}, nil}, ghz, -1, 0, 0},
}

// read is speedState.read on a fake processor. Reading a register that it lacks is an error.
func (c *fakeCPU) read(t *testing.T) *speedState {
	s := &speedState{id: c.id}
	for i := 0; i < speedRegs; i++ {
		if !s.exists(i) {
			continue
		}
		v, ok := c.msrs[speedMSRs[i]]
		if !ok {
			t.Errorf("%s: register %#x is read, which would fault", c.name, speedMSRs[i])
			continue
		}
		s.note(i, v)
	}
	return s
}

func TestSpeedRequests(t *testing.T) {
	for _, c := range fakeCPUs {
		s := c.read(t)
		reg, v := s.request()
		if reg != c.reg || v != c.request {
			t.Errorf("%s: register %d is to hold %#x, want %d, %#x", c.name, reg, v, c.reg, c.request)
		}
		if got := s.most(c.rate); got != c.most {
			t.Errorf("%s: %d Hz at most, want %d", c.name, got, c.most)
		}
		if (s.asked() == "") != (c.reg < 0) {
			t.Errorf("%s: asked by %q", c.name, s.asked())
		}
		for reg, msr := range speedMSRs {
			if _, ok := c.msrs[msr]; ok && !s.has(reg) && (reg != regTurboLimit || c.id.power&powerTurbo != 0) {
				t.Errorf("%s: register %#x is not read", c.name, msr)
			}
		}
	}
}

// A register that CPUID promises and that is missing all the same changes nothing.
func TestSpeedWithoutPromisedRegisters(t *testing.T) {
	for _, c := range fakeCPUs {
		s := &speedState{id: c.id}
		if reg, v := s.request(); reg >= 0 {
			t.Errorf("%s: register %d is to hold %#x, of which nothing was read", c.name, reg, v)
		}
		v := speed(&speedSample{speedState: *s}, &speedSample{speedState: *s}, c.rate)
		if v.Now != 0 || v.Average != 0 || v.Held != 0 || v.Cooler != -1 || v.Rated != c.rate {
			t.Errorf("%s: %+v", c.name, v)
		}
	}
}

func TestFrequency(t *testing.T) {
	for _, c := range []struct{ rate, aperf, mperf, want uint64 }{
		{2_500_000_000, 50_000_000, 50_000_000, 2_500_000_000},
		{2_500_000_000, 24_000_000, 50_000_000, 1_200_000_000},
		{2_496_000_000, 1 << 60, 1 << 61, 1_248_000_000},
		{2_500_000_000, 1, 0, 0},
		{2_500_000_000, 0, 0, 0},
		{2_500_000_000, 0, 100, 0},
		{2_500_000_000, 1<<64 - 1000, 50_000_000, 0}, // APERF went back
		{2_500_000_000, 50_000_000, 1<<64 - 1000, 0}, // MPERF did
		{2_500_000_000, 100, 1, 0},
	} {
		if got := frequency(c.rate, c.aperf, c.mperf); got != c.want {
			t.Errorf("%+v: %d Hz", c, got)
		}
	}
}

func TestSpeed(t *testing.T) {
	const rate = 2_500_000_000
	sample := func(cpu uintptr, mperf, aperf uint64, msrs map[uintptr]uint64) *speedSample {
		c := fakeCPU{"Kaby Lake", kabyLake, with(with(kabyLakeMSRs, msrs), map[uintptr]uint64{0xe7: mperf, 0xe8: aperf})}
		return &speedSample{speedState: *c.read(t), cpu: cpu, mperf: 1000, aperf: 1000}
	}
	before := sample(1, 101_000, 61_000, nil)
	for _, c := range []struct {
		name  string
		after *speedSample
		want  Speed
	}{
		{"turbo", sample(1, 201_000, 181_000, nil), Speed{Now: 3 * ghz, Average: 2_250_000_000}},
		{"another processor", sample(2, 201_000, 181_000, nil), Speed{Average: 2_250_000_000}},
		{"held from outside", sample(1, 201_000, 109_000, map[uintptr]uint64{0x19c: 0x8836000c, 0x1b1: 0x0036000c}),
			Speed{Now: 1_200_000_000, Average: 1_350_000_000, Held: FromOutside, WasHeld: FromOutside, Cooler: 0x36}},
		{"and called hot, far from the limit", sample(1, 201_000, 109_000, map[uintptr]uint64{0x19c: 0x8836000f, 0x1b1: 0x0036000f}),
			Speed{Now: 1_200_000_000, Average: 1_350_000_000, Held: FromOutside, WasHeld: FromOutside | TooHot, Cooler: 0x36}},
		{"hot", sample(1, 201_000, 109_000, map[uintptr]uint64{0x19c: 0x88010003, 0x1b1: 0x00000002}),
			Speed{Now: 1_200_000_000, Average: 1_350_000_000, Held: TooHot, WasHeld: TooHot, Cooler: 0}},
		{"another core is hot", sample(1, 201_000, 109_000, map[uintptr]uint64{0x1b1: 0x00030003}),
			Speed{Now: 1_200_000_000, Average: 1_350_000_000, Held: TooHot, WasHeld: TooHot, Cooler: 3}},
		{"out of specification", sample(1, 201_000, 109_000, map[uintptr]uint64{0x19c: 0x88000030}),
			Speed{Now: 1_200_000_000, Average: 1_350_000_000, Held: TooHot, WasHeld: TooHot, Cooler: 0}},
		{"limits on power and current", sample(1, 201_000, 109_000, map[uintptr]uint64{0x19c: 0x88403c00}),
			Speed{Now: 1_200_000_000, Average: 1_350_000_000, Held: PowerLimit | CurrentLimit, WasHeld: PowerLimit | CurrentLimit}},
		{"once", sample(1, 201_000, 109_000, map[uintptr]uint64{0x19c: 0x88402802}),
			Speed{Now: 1_200_000_000, Average: 1_350_000_000, WasHeld: PowerLimit | CurrentLimit | TooHot}},
		{"no valid readout of its own", sample(1, 201_000, 109_000, map[uintptr]uint64{0x19c: 0x00010000}),
			Speed{Now: 1_200_000_000, Average: 1_350_000_000}},
	} {
		want := c.want
		want.Rated, want.Most, want.Asked, want.BD = rate, 3_500_000_000, "PERF_CTL", true
		if want.Cooler == 0 && c.want.Held&TooHot == 0 {
			want.Cooler = 0x40 // as kabyLakeMSRs have it
			if c.after.reg[regTherm]&(1<<31) == 0 {
				want.Cooler = 0x42
			}
		}
		if got := speed(before, c.after, rate); got != want {
			t.Errorf("%s:\n%+v, want\n%+v", c.name, got, want)
		}
	}
	limited := fakeCPU{"Zen", zen, with(zenMSRs, map[uintptr]uint64{0xc0010061: 0x21})}
	s := &speedSample{speedState: *limited.read(t)}
	if got := speed(s, s, rate); got.Held != PowerLimit || got.Cooler != -1 || got.Asked != "P-state 0" {
		t.Errorf("Zen: %+v", got)
	}
}

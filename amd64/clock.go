package amd64

import (
	"math/bits"
	"sync/atomic"

	"alphaos/uefi"
)

// Time. The monotonic clock is the time-stamp counter since entry, whose rate is
// taken from CPUID where the processor or a hypervisor reports it, and otherwise measured
// against the firmware's Stall. The wall clock is the firmware's time at entry plus that. It
// counts from 1970 when that cannot be right, and takes a clock without a time zone for UTC:
// whoever knows better corrects what it shows. It is never set, since TamaGo's
// monotonic clock is the same.
//
// Each processor has a counter of its own. Firmware ought to have set them all to the same
// value; a processor that comes up compares its counter with the boot processor's all the
// same, and keeps the difference.

var (
	tscStart uint64
	tscMult  uint64 // nanoseconds per tick, 32.32 fixed point
	wallBase int64  // Unix time of entry in ns

	// A processor that compares counters asks by adding one to tscAsked; the boot
	// processor answers with its own counter and sets tscAnswered to the same.
	tscTurn     uint32 // a lock: one asks at a time
	tscAsked    uint32
	tscAnswered uint32
	tscAnswer   uint64
)

// counter is the time-stamp counter that all processors share.
func counter() uint64 { return rdtsc() + thisCPU().tscOffset }

// now returns nanoseconds since entry.
func now() int64 { return nanoseconds(counter() - tscStart) }

func nanoseconds(ticks uint64) int64 {
	hi, lo := bits.Mul64(ticks, tscMult)
	return int64(hi<<32 | lo>>32)
}

// answerCounter, on the boot processor, answers a processor that compares counters.
func answerCounter() {
	if n := atomic.LoadUint32(&tscAsked); n != atomic.LoadUint32(&tscAnswered) {
		tscAnswer = counter()
		atomic.StoreUint32(&tscAnswered, n)
	}
}

// compareCounters corrects this processor's counter by the boot processor's. The answer is
// read at some moment between the question and its own arrival, so the quickest of many
// answers is the most precise. A difference that the delay can explain counts as none.
func compareCounters(c *cpu) {
	const questions = 64
	c.tscOffset = wrongCounter
	for !atomic.CompareAndSwapUint32(&tscTurn, 0, 1) {
		pause()
	}
	quickest, off := uint64(1<<64-1), uint64(0)
ask:
	for i := 0; i < questions; i++ {
		sent := counter()
		for n := atomic.AddUint32(&tscAsked, 1); atomic.LoadUint32(&tscAnswered) != n; pause() {
			if nanoseconds(counter()-sent) > 1e9 {
				break ask // the boot processor has gone on without this one
			}
		}
		if trip := counter() - sent; trip < quickest {
			quickest, off = trip, tscAnswer-sent-trip/2
		}
	}
	atomic.StoreUint32(&tscTurn, 0)
	if quickest == 1<<64-1 {
		return
	}
	c.tscWithin = quickest / 2
	if size := max(int64(off), -int64(off)); uint64(size) > c.tscWithin {
		c.tscApart = off
		c.tscOffset += off
	}
}

func setRate(hz uint64) { tscMult = 1e9 << 32 / hz }

// tscRate is the rate that CPUID leaf 0x15 (Intel SDM, "Time Stamp Counter and
// Nominal Core Crystal Clock") or a hypervisor's leaf 0x40000010 reports, else 0.
func tscRate() uint64 {
	if max, _, _, _ := cpuid(0, 0); max >= 0x15 {
		den, num, crystal, _ := cpuid(0x15, 0)
		if den != 0 && num != 0 {
			if crystal == 0 {
				// Skylake and Kaby Lake client parts do not report their 24 MHz (SDM table 18-85).
				if family := cpuModel(); family == 0x4e || family == 0x5e || family == 0x8e || family == 0x9e {
					crystal = 24e6
				}
			}
			if crystal != 0 {
				return uint64(crystal) * uint64(num) / uint64(den)
			}
		}
	}
	if _, _, c, _ := cpuid(1, 0); c>>31 != 0 { // under a hypervisor
		if max, _, _, _ := cpuid(0x40000000, 0); max >= 0x40000010 && max < 0x40010000 {
			kHz, _, _, _ := cpuid(0x40000010, 0)
			return uint64(kHz) * 1000
		}
	}
	return 0
}

// cpuModel is the display model of an Intel family 6 processor, else 0.
func cpuModel() uint32 {
	sig, _, _, _ := cpuid(1, 0)
	_, b, _, _ := cpuid(0, 0)
	if sig>>8&15 != 6 || b != 0x756e6547 { // "Genu"
		return 0
	}
	return sig>>4&15 | sig>>12&0xf0
}

// UnixTime returns the time that a firmware's clock shows, in seconds since 1970: in UTC when
// zoned, else the clock's own time as if that were UTC. It is not ok when that is no date, or
// in a year that a real-time clock does not keep: EDK2's driver takes 1998 to 2097. Garbage for
// a zone, which some firmware leaves there, counts as none (UEFI 2.10, section 8.3.1).
func UnixTime(t *uefi.Time) (s int64, zoned, ok bool) {
	y, m := int64(t.Year), int64(t.Month)
	if y < 1998 || y > 2097 || m < 1 || m > 12 || t.Day < 1 || int64(t.Day) > daysIn(y, m) ||
		t.Hour > 23 || t.Minute > 59 || t.Second > 59 {
		return 0, false, false
	}
	if m <= 2 {
		y--
		m += 12
	}
	// Days since 1970-01-01 in the proleptic Gregorian calendar, years from March.
	days := 365*y + y/4 - y/100 + y/400 + (153*(m-3)+2)/5 + int64(t.Day) - 1 - 719468
	s = ((days*24+int64(t.Hour))*60+int64(t.Minute))*60 + int64(t.Second)
	if t.TimeZone < -uefi.MaxTimeZone || t.TimeZone > uefi.MaxTimeZone { // also uefi.UnspecifiedTimeZone
		return s, false, true
	}
	return s + int64(t.TimeZone)*60, true, true
}

func daysIn(year, month int64) int64 {
	if month == 2 {
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 30 + (month+month>>3)&1
}

func clockGettime(id, p uintptr) uintptr {
	const realtime, realtimeCoarse = 0, 5
	if !touch(p, 16, true) {
		return errno(eFAULT)
	}
	ns := now()
	if id == realtime || id == realtimeCoarse {
		ns += wallBase
	}
	*at[int64](p) = ns / 1e9
	*at[int64](p + 8) = ns % 1e9
	return 0
}

// readTimespec returns the nanoseconds of the struct timespec at p.
func readTimespec(p uintptr) (int64, bool) {
	if !touch(p, 16, false) {
		return 0, false
	}
	s, ns := *at[int64](p), *at[int64](p + 8)
	if s < 0 || ns < 0 || s > 1<<32 {
		s, ns = 0, 0
	}
	return s*1e9 + ns, true
}

var hasRDRAND uintptr

// random fills [p, p+n) from RDRAND, mixed with the time-stamp counter, which is
// all there is on a processor without it.
func random(p, n uintptr) {
	state := rdtsc()
	for i := uintptr(0); i < n; i += 8 {
		v := uint64(0)
		if hasRDRAND != 0 {
			v = rdrand()
		}
		// SplitMix64 (Steele, Lea, Flood 2014).
		state += 0x9e3779b97f4a7c15 + rdtsc()
		z := state
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		v ^= z ^ z>>31
		for j := uintptr(0); j < 8 && i+j < n; j++ {
			*at[byte](p + i + j) = byte(v >> (8 * j))
		}
	}
}

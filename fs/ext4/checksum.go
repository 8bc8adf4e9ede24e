package ext4

// The checksums of ext4 and of its journal. All are used without the final inversion that
// hash/crc32 makes, so that a sum goes on where another ended.

import "hash/crc32"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// crc32c continues the sum crc over b.
func crc32c(crc uint32, b []byte) uint32 { return ^crc32.Update(^crc, castagnoli, b) }

// crc32cNumber continues the sum crc over the number n, in little-endian order.
func crc32cNumber(crc, n uint32) uint32 {
	return crc32c(crc, []byte{byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24)})
}

// crc32cHole continues the sum crc over b as if its size bytes from at on were zeros, as a sum
// is computed that lies in what it is of.
func crc32cHole(crc uint32, b []byte, at, size int) uint32 {
	var zeros [4]byte
	crc = crc32c(crc, b[:at])
	crc = crc32c(crc, zeros[:size])
	return crc32c(crc, b[at+size:])
}

// crc16 continues the sum crc over b: the older checksum of group descriptors.
func crc16(crc uint16, b []byte) uint16 {
	for _, c := range b {
		crc ^= uint16(c)
		for range 8 {
			odd := crc & 1
			crc = crc>>1 ^ odd*0xA001
		}
	}
	return crc
}

// crc32be continues the sum crc over b, highest bits first: the journal's first checksum.
func crc32be(crc uint32, b []byte) uint32 {
	for _, c := range b {
		crc = crc<<8 ^ bigEndian[byte(crc>>24)^c]
	}
	return crc
}

var bigEndian = func() (t [256]uint32) {
	for i := range t {
		crc := uint32(i) << 24
		for range 8 {
			crc = crc<<1 ^ crc>>31*0x04C11DB7
		}
		t[i] = crc
	}
	return t
}()

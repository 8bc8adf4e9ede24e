//go:build !amd64

package luks

const haveAES = false

type schedule struct{}

func newSchedule([]byte) *schedule               { panic("no AES instructions") }
func (*schedule) sector([]byte, *[16]byte, bool) { panic("no AES instructions") }

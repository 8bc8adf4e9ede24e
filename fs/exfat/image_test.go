package exfat

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"io"
	"path"
	"strings"
	"testing"
	"time"

	"alphaos/fs/exfat/exfattest"
)

type (
	item   = exfattest.Item
	memory = exfattest.Memory
)

var le = binary.LittleEndian

// want is what a walk should find, by path.
func want(items []item) map[string][]byte {
	m := map[string][]byte{}
	for _, it := range items {
		if it.Size < 1<<30 && !strings.HasSuffix(it.Path, "/") {
			b := make([]byte, max(it.Size, int64(len(it.Data))))
			copy(b, it.Data[:cmp.Or(it.Valid, int64(len(it.Data)))])
			m[path.Clean(it.Path)] = b
		}
	}
	return m
}

func content(seed byte, n int) []byte {
	b := make([]byte, n)
	x := uint32(seed)*2654435761 + 1
	for i := range b {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		b[i] = byte(x)
	}
	return b
}

// sample is what most test volumes hold. Its size is some three hundred clusters of unit
// bytes.
func sample(unit int) []item {
	items := []item{
		{Path: "empty.txt"},
		{Path: "one byte", Data: content(1, 1)},
		{Path: "models/contiguous.gguf", Data: content(2, 20*unit+17)},
		{Path: "models/scattered.gguf", Data: content(3, 30*unit+1), Scattered: true},
		{Path: "models/chained.gguf", Data: content(4, 8*unit), Chained: true},
		{Path: "models/begun.gguf", Data: content(5, 9*unit), Valid: int64(3*unit + 100)},
		{Path: "models/begun and scattered.gguf", Data: content(6, 9*unit), Valid: int64(unit), Scattered: true},
		{Path: "models/reserved.gguf", Size: int64(5 * unit), Valid: 1, Data: content(6, 1)},
		{Path: "nothing/"},
		{Path: "a/b/c/d/e/deep.txt", Data: content(7, 100)},
		{Path: "Grüße aus Köln.md", Data: content(8, 5000)},
		{Path: "日本語のファイル名.txt", Data: content(9, 4096)},
		{Path: "Ελληνικά.bin", Data: content(10, 4097)},
		{Path: "smile 😀.txt", Data: content(11, 3)},
		{Path: "fifteen12345678", Data: content(12, 15)},
		{Path: strings.Repeat("long", 63) + ".gz", Data: content(13, 1000)},
		{Path: "summer.txt", Data: content(14, 10), Modified: time.Date(2023, 7, 1, 23, 30, 15, 500e6, time.UTC), Zone: 330},
		{Path: "west.txt", Data: content(15, 10), Modified: time.Date(2023, 7, 1, 1, 30, 16, 0, time.UTC), Zone: -480},
		{Path: "local.txt", Data: content(16, 10), Modified: time.Date(2107, 12, 31, 23, 59, 58, 0, time.UTC), NoZone: true},
	}
	for i := range 60 {
		items = append(items, item{Path: fmt.Sprintf("many/file number %03d.txt", i), Data: content(byte(i), i)})
	}
	for i := range 20 {
		items = append(items, item{Path: fmt.Sprintf("in the root %02d", i), Data: content(byte(i), i)})
	}
	return items
}

// newImage returns a volume in memory that holds items.
func newImage(size int64, sectorShift, clusterShift, tables int, items []item) (memory, map[string]int64) {
	m := make(memory, size)
	exfattest.Format(m, size, sectorShift, clusterShift, tables, "STICK ä")
	return m, exfattest.Write(m, items)
}

// check compares a mounted volume with what was written.
func check(t *testing.T, v *FS, items []item) {
	t.Helper()
	for name, data := range want(items) {
		got, err := v.ReadFile(name)
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: %d bytes, want %d; error %v", name, len(got), len(data), err)
		}
		f, err := v.Open(strings.ToUpper(name))
		if err != nil {
			t.Errorf("in capitals: %v", err)
			continue
		}
		if got, err := io.ReadAll(f); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: read %d bytes, want %d; error %v", name, len(got), len(data), err)
		}
		f.Close()
		info, err := v.Stat(name)
		if err != nil || info.Size() != int64(len(data)) || info.Name() != path.Base(name) {
			t.Errorf("%s: %v, error %v", name, info, err)
		}
	}
}

package llmtest

import (
	"errors"
	"io/fs"
	"os"
	"testing"

	"alphaos/llm/gguf"
)

// Open opens a file, such as one of the reference models, until the test ends,
// and returns its size as well. The test is skipped where there is none.
func Open(t testing.TB, name string) (*os.File, int64) {
	t.Helper()
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		t.Skipf("reference data is absent: %v", err)
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	return f, info.Size()
}

// OpenTables returns what package gguf reads of such a file.
func OpenTables(t testing.TB, name string) (*gguf.File, error) {
	t.Helper()
	f, size := Open(t, name)
	defer f.Close()
	return gguf.Read(f, size)
}

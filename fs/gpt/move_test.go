package gpt

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"alphaos/fs/fstest"
)

// TestMove writes the table of a medium that sgdisk divided on larger and smaller ones, and
// has sgdisk look at these.
func TestMove(t *testing.T) {
	if _, err := exec.LookPath("sgdisk"); err != nil {
		t.Skip("sgdisk is not installed (package gdisk)")
	}
	img := filepath.Join(t.TempDir(), "medium")
	if err := os.WriteFile(img, make([]byte, 16<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("sgdisk", "-n", "1:2048:+2M", "-n", "3:0:+4M", "-t", "3:EF00", "-c", "3:data", img).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	b, err := os.ReadFile(img)
	if err != nil {
		t.Fatal(err)
	}
	want, err := Read(fstest.NewDevice(b, 512))
	if err != nil || len(want.Partitions) != 2 {
		t.Fatal(want, err)
	}
	for _, size := range []int{8 << 20, 16 << 20, 16<<20 + 512, 50 << 20} {
		out := make([]byte, size)
		copy(out, b[:512])
		dev := fstest.NewDevice(out, 512)
		moved := *want
		moved.Partitions = append([]Partition{}, want.Partitions...)
		moved.Partitions[1].Last = moved.LastUsable(dev.Blocks())/2048*2048 - 1
		if err := moved.Move(dev); err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		got, err := Read(dev)
		if err != nil || len(got.Notes()) > 0 || got.DiskGUID != want.DiskGUID {
			t.Fatalf("%d bytes: %v, %q", size, err, got.Notes())
		}
		for i, p := range got.Partitions {
			if p != moved.Partitions[i] {
				t.Errorf("%d bytes: %+v, want %+v", size, p, moved.Partitions[i])
			}
		}
		name := filepath.Join(t.TempDir(), "moved")
		if err := os.WriteFile(name, out, 0o600); err != nil {
			t.Fatal(err)
		}
		if msg, err := exec.Command("sgdisk", "-v", name).CombinedOutput(); err != nil || !strings.Contains(string(msg), "No problems found") || strings.Contains(string(msg), "Warning") {
			t.Errorf("%d bytes: %v\n%s", size, err, msg)
		}
	}
	small := make([]byte, 4<<20)
	if err := want.Move(fstest.NewDevice(small, 512)); err == nil || !bytes.Equal(small, make([]byte, 4<<20)) {
		t.Errorf("on a medium that is smaller than a partition: %v", err)
	}
	if err := want.Move(fstest.NewDevice(make([]byte, 16<<20), 4096)); err == nil {
		t.Error("blocks of another size")
	}
}

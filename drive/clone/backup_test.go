package clone

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"alphaos/drive/media"
	"alphaos/fs"
	"alphaos/fs/fstest"
)

func quiet(int64) {}

func backup(t testing.TB, d *Drive) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := d.Backup(&b, quiet); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func open(t testing.TB, file []byte) *Backup {
	t.Helper()
	b, err := OpenBackup(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

func TestBackup(t *testing.T) {
	img := newDrive(t)
	d := examine(t, source(t, img))
	file := backup(t, d)
	b := open(t, file)
	if err := b.Verify(quiet); err != nil {
		t.Fatal(err)
	}
	// Restored to its own size it is the drive, but for what nobody needs.
	want, _ := os.ReadFile(img)
	clear(want[bytes.Index(want, []byte("junkjunk")):][:16<<10])
	same, _ := examine(t, b).mustTo(t, 72*mib)
	if got, err := os.ReadFile(same); err != nil || !bytes.Equal(got, want) {
		t.Errorf("what was restored differs, %v", err)
	}
	larger, _ := examine(t, b).mustTo(t, 200*mib)
	sameFiles(t, larger, img)
	sound(t, larger)
	if again := backup(t, examine(t, b)); !bytes.Equal(again, file) {
		t.Error("a backup of a backup differs")
	}
	if err := b.WriteBlocks(0, make([]byte, 512)); !errors.Is(err, fs.ErrReadOnly) {
		t.Error(err)
	}

	// Any zstd makes the same of it.
	if _, err := exec.LookPath("zstd"); err != nil {
		t.Skip("zstd is not installed (package zstd)")
	}
	name := filepath.Join(t.TempDir(), "x.img.zst")
	if err := os.WriteFile(name, file, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("zstd", "-q", "-d", name).CombinedOutput(); err != nil {
		t.Fatalf("zstd -d: %v\n%s", err, out)
	}
	if got, err := os.ReadFile(strings.TrimSuffix(name, ".zst")); err != nil || !bytes.Equal(got, want) {
		t.Errorf("zstd -d makes something else, %v", err)
	}
}

func TestBackupTo(t *testing.T) {
	d := examine(t, source(t, newDrive(t)))
	out := media.Out{Image: filepath.Join(t.TempDir(), "x.img.zst"), Verify: true, Progress: func(string, int64) func(int64) { return quiet }}
	size, verified, err := d.BackupTo(out)
	if fi, serr := os.Stat(out.Image); err != nil || serr != nil || fi.Size() != size || verified == "" {
		t.Errorf("%d, %q, %v, %v", size, verified, err, serr)
	}
	if _, _, err := d.BackupTo(out); err == nil || !strings.Contains(err.Error(), "exists; add --yes") {
		t.Error(err)
	}
}

// TestBackupOdd backs up media of odd sizes and contents: nothing, all zeros, a few blocks.
func TestBackupOdd(t *testing.T) {
	for _, n := range []int{1, 3, chunkSize/512 - 1, chunkSize / 512, chunkSize/512 + 1, 5*chunkSize/512 + 7} {
		for _, at := range []int{-1, 0, n - 1, n / 2} {
			data := make([]byte, n*512)
			if at >= 0 {
				data[at*512+100] = 1
			}
			b := open(t, backup(t, examine(t, fstest.NewDevice(data, 512))))
			got := make([]byte, len(data))
			if err := b.ReadBlocks(0, got); err != nil || !bytes.Equal(got, data) || b.Size() != int64(len(data)) || b.BlockSize() != 512 {
				t.Errorf("%d blocks, with one at %d: %v", n, at, err)
			}
			if err := b.ReadBlocks(uint64(n), make([]byte, 512)); !errors.Is(err, fs.ErrOutOfRange) {
				t.Error(err)
			}
		}
	}
}

// TestBackupDamage changes a bit, or leaves out the end: what is read then is right or an
// error says that it is not.
func TestBackupDamage(t *testing.T) {
	data := append(random(chunkSize+5000), make([]byte, 2*chunkSize+280)...)
	data = append(data, bytes.Repeat([]byte("text "), 2000)...)
	data = data[:len(data)/512*512]
	file := backup(t, examine(t, fstest.NewDevice(data, 512)))
	check := func(what string, file []byte) {
		t.Helper()
		b, err := OpenBackup(bytes.NewReader(file), int64(len(file)))
		if err == nil {
			defer b.Close()
			got := make([]byte, len(data))
			if rerr := b.ReadBlocks(0, got); rerr == nil && !bytes.Equal(got, data) {
				t.Errorf("%s: something else is read", what)
			}
			err = b.Verify(quiet)
		}
		if err != nil && !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", what, err)
		}
		if err == nil {
			got := make([]byte, len(data))
			if b.ReadBlocks(0, got); !bytes.Equal(got, data) {
				t.Errorf("%s: it is said to be right", what)
			}
		}
	}
	check("nothing", file)
	for i := 0; i < len(file); i += 1 + len(file)/40 {
		bad := bytes.Clone(file)
		bad[i] ^= 1 << (i % 8)
		check("a bit", bad)
	}
	for i := 1; i <= 400; i += 7 { // the list and the footer
		bad := bytes.Clone(file)
		bad[len(bad)-i] ^= 0x10
		if _, err := OpenBackup(bytes.NewReader(bad), int64(len(bad))); i <= footerSize && !errors.Is(err, ErrDamaged) {
			t.Errorf("byte %d from the end: %v", i, err)
		}
	}
	for _, n := range []int{0, 1, footerSize, len(file) / 2, len(file) - 1} {
		if _, err := OpenBackup(bytes.NewReader(file[:n]), int64(n)); !errors.Is(err, ErrDamaged) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	full := errors.New("no space left on device")
	if err := examine(t, fstest.NewDevice(data, 512)).Backup(failing{full}, quiet); !errors.Is(err, full) {
		t.Error(err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// FuzzBackup seals what it is given as a backup, since nothing else gets past the checksum.
func FuzzBackup(f *testing.F) {
	file := backup(f, examine(f, fstest.NewDevice(append(random(1024), make([]byte, 1024)...), 512)))
	end := len(file) - footerSize
	f.Add(file[:end-entrySize-8], file[end-entrySize:end], int64(2048), false)
	f.Add([]byte{}, []byte{}, int64(1<<40), true)
	f.Fuzz(func(t *testing.T, frames, list []byte, size int64, large bool) {
		le := binary.LittleEndian
		block := map[bool]uint32{false: 512, true: 4096}[large]
		list = list[:len(list)/entrySize*entrySize]
		body := le.AppendUint64(bytes.Clone(list), uint64(size))
		body = le.AppendUint64(body, uint64(len(list)/entrySize))
		body = le.AppendUint32(body, block)
		sum := sha256.Sum256(body)
		body = append(append(body, sum[:]...), backupMark...)
		file := append(le.AppendUint64(bytes.Clone(frames), 0), body...)
		b, err := OpenBackup(bytes.NewReader(file), int64(len(file)))
		if err != nil {
			return
		}
		defer b.Close()
		b.Verify(quiet)
		p := make([]byte, 4096)
		for _, lba := range []uint64{0, 7, b.Blocks() - 1, b.Blocks() / 2} {
			b.ReadBlocks(lba, p)
		}
		for off, i := int64(0), 0; off < b.Size() && i < 100; i++ {
			start, end := b.Data(off)
			if start < off || end < start || end > b.Size() {
				t.Fatalf("from %d on: %d to %d", off, start, end)
			}
			off = end
		}
	})
}

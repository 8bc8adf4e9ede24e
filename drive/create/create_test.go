package create

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"alphaos/drive"
	"alphaos/drive/media"
	"alphaos/fs"
	"alphaos/fs/fat"
	"alphaos/fs/gpt"
	"alphaos/fs/volume"
	"alphaos/internal/fsck"
	"alphaos/internal/looptest"
	"alphaos/internal/petest"
	"alphaos/llm"
	"alphaos/llm/gguf"
)

var stamp = time.Date(2026, 3, 1, 12, 34, 56, 0, time.UTC)

// efiFile writes a file that has the headers of an EFI application.
func efiFile(t testing.TB) string {
	t.Helper()
	code := make([]byte, 300<<10)
	for i := range code {
		code[i] = byte(i * 7)
	}
	return hostTemp(t, "BOOTX64.EFI", petest.Application(code))
}

func hostTemp(t testing.TB, name string, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// model writes a GGUF file of size bytes, or more if its head alone has more.
func model(t testing.TB, name string, size int) string {
	t.Helper()
	return hostTemp(t, name, modelBytes(t, "tensor", size))
}

func modelBytes(t testing.TB, tensor string, size int, meta ...gguf.KeyValue) []byte {
	t.Helper()
	head := func(n int) []byte {
		b, err := gguf.Head(meta, []gguf.Tensor{{Name: tensor, Type: gguf.I8, Dims: []uint64{uint64(n)}}})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	n := max(size-len(head(1)), 1)
	b := head(n)
	for i := range n {
		b = append(b, byte(i>>9+i))
	}
	return b
}

// part is part no of count of a split model.
func part(t testing.TB, no, count int) []byte {
	t.Helper()
	return modelBytes(t, fmt.Sprint("tensor", no), 1000,
		gguf.KeyValue{Key: "split.no", Value: uint16(no)}, gguf.KeyValue{Key: "split.count", Value: uint16(count)})
}

func create(t testing.TB, o Options) *Result {
	t.Helper()
	r, err := Drive(o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// medium opens an image as what it is one of.
func medium(t testing.TB, img string) fs.BlockDevice {
	t.Helper()
	f, err := os.OpenFile(img, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	fi, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	dev, err := fs.NewFileDevice(f, fi.Size(), gpt.BlockSize(f, fi.Size()))
	if err != nil {
		t.Fatal(err)
	}
	return dev
}

// mount opens the only volume of an image.
func mount(t testing.TB, img string) (*fat.FS, volume.Volume) {
	t.Helper()
	dev := medium(t, img)
	tab, err := gpt.Read(dev)
	if err != nil || tab.Damage != nil {
		t.Fatalf("partition table: %v, damage %v", err, tab.Damage)
	}
	m, err := volume.List(dev)
	if err != nil || len(m.Volumes) != 1 {
		t.Fatalf("%+v, error %v", m, err)
	}
	v, err := fat.Mount(m.Volumes[0])
	if err != nil {
		t.Fatal(err)
	}
	return v, m.Volumes[0]
}

// tool runs a program of another maker over the image, which must succeed.
func tool(t testing.TB, name string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("%s is not installed (packages gdisk, dosfstools, mtools)", name)
	}
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "TZ=UTC")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// sound has sgdisk look at the partition table of an image or a drive.
func sound(t testing.TB, img string) {
	t.Helper()
	if out := tool(t, "sgdisk", "-v", img); !strings.Contains(out, "No problems found") || strings.Contains(out, "Warning") || strings.Contains(out, "Caution") {
		t.Errorf("sgdisk -v:\n%s", out)
	}
}

// verify has sgdisk and fsck.fat look at an image.
func verify(t testing.TB, img string) {
	t.Helper()
	sound(t, img)
	if out := tool(t, "sgdisk", "-i", "1", img); !strings.Contains(out, "EFI system partition") || !strings.Contains(out, "'ALPHAOS'") {
		t.Errorf("sgdisk -i 1:\n%s", out)
	}
	_, vol := mount(t, img)
	fsck.Sound(t, vol)
}

func TestCreate(t *testing.T) {
	dir := t.TempDir()
	img := filepath.Join(dir, "alphaos.img")
	names := []string{"stories260K.gguf", "Llama-3.2-3B-Instruct-Q4_K_M.gguf", "llama-3.2-3b-instruct-q8_0.gguf", "größe 日本 😀.gguf", "MODEL.GUF", strings.Repeat("x", 243) + ".gguf"}
	var models []string
	for i, name := range names {
		models = append(models, model(t, name, 1000*(i+1)*(i+1)))
	}
	efi := efiFile(t)
	r := create(t, Options{Out: img, Size: 512 * mib, Models: models, EFI: efi, Journal: 3*mib + 100, State: 100 << 10, Time: stamp,
		Extra: []Extra{{"docs/deep/down/Read me.txt", []byte("hello")}, {"empty file", nil}}})
	if r.Size != 512*mib || r.Models != len(models) {
		t.Errorf("result %+v", r)
	}
	if fi, err := os.Stat(img); err != nil || fi.Size() != 512*mib {
		t.Errorf("size %d, error %v", fi.Size(), err)
	}
	v, vol := mount(t, img)
	if v.Label() != drive.Label || vol.Name != drive.Label || vol.TypeGUID != gpt.EFISystem || vol.First != 2048 {
		t.Errorf("label %q, partition %q of type %s at %d", v.Label(), vol.Name, vol.TypeGUID, vol.First)
	}
	same := func(path, host string) {
		t.Helper()
		want, err := os.ReadFile(host)
		if err != nil {
			t.Fatal(err)
		}
		got, err := iofs.ReadFile(v, path)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s differs from %s, error %v", path, host, err)
		}
	}
	same(drive.EFIPath, efi)
	for path, magic := range map[string]string{drive.PickerLabel: "\x01", drive.PickerLabel2x: "\x01", drive.PickerIcon: "icns", drive.PickerName: "AlphaOS"} {
		if b, err := iofs.ReadFile(v, path); err != nil || !strings.HasPrefix(string(b), magic) {
			t.Errorf("%s begins with %q, error %v", path, b[:min(len(b), 8)], err)
		}
	}
	for i, name := range names {
		same(drive.ModelsDir+"/"+name, models[i])
	}
	list, err := iofs.ReadDir(v, drive.ModelsDir)
	if err != nil || len(list) != 2*len(names) {
		t.Errorf("%d models and checksums, error %v", len(list), err)
	}
	if b, err := iofs.ReadFile(v, "docs/deep/down/Read me.txt"); err != nil || string(b) != "hello" {
		t.Errorf("extra file: %q, error %v", b, err)
	}
	if fi, err := iofs.Stat(v, drive.EFIPath); err != nil || !fi.ModTime().Equal(stamp) {
		t.Errorf("time %v, error %v", fi.ModTime(), err)
	}
	if err := fstest.TestFS(v, drive.EFIPath, drive.ConfigPath, drive.JournalPath, "data/conversations", "empty file"); err != nil {
		t.Error(err)
	}
	j, err := v.OpenInPlace(drive.JournalPath)
	if err != nil {
		t.Fatal(err)
	}
	if j.Size() != 3*mib+100 {
		t.Errorf("journal of %d bytes", j.Size())
	}
	if s, err := v.OpenInPlace(drive.StatePath); err != nil || s.Size() != 100<<10 {
		t.Errorf("a saved state of 100 KiB: %v", err)
	}
	p := make([]byte, j.Size())
	if _, err := j.ReadAt(p, 0); err != nil || !bytes.Equal(p, make([]byte, len(p))) {
		t.Errorf("the journal is not all zeros, error %v", err)
	}
	verify(t, img)

	// Writing the journal leaves the volume sound and everything else alone.
	if _, err := j.WriteAt(bytes.Repeat([]byte("journal"), 100000), 12345); err != nil {
		t.Fatal(err)
	}
	if err := j.Sync(); err != nil {
		t.Fatal(err)
	}
	verify(t, img)
	for i, name := range names {
		same(drive.ModelsDir+"/"+name, models[i])
	}
}

// Beside each model lies its checksum, which sha256sum takes.
func TestChecksums(t *testing.T) {
	dir := t.TempDir()
	var models []string
	for name, b := range map[string][]byte{
		"named-00001-of-00002.gguf": modelBytes(t, "whole", 100), "big.gguf": modelBytes(t, "tensor", 3*mib+17), "größe 😀 .x.gguf": modelBytes(t, "tensor", 5000),
		"s-00001-of-00002.gguf": part(t, 0, 2), "s-00002-of-00002.gguf": part(t, 1, 2),
		"whole-00001-of-00001.gguf": modelBytes(t, "tensor", 700), "whole-00002-of-00003.gguf": modelBytes(t, "tensor", 800), // a name proves nothing
	} {
		models = append(models, filepath.Join(dir, name))
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	img := filepath.Join(dir, "image")
	create(t, Options{Out: img, EFI: efiFile(t), Models: models, Time: stamp})
	v, _ := mount(t, img)
	copied := t.TempDir()
	list, err := iofs.ReadDir(v, drive.ModelsDir)
	if err != nil {
		t.Fatal(err)
	}
	sums := []string{"--strict", "-c"}
	for _, e := range list {
		b, err := iofs.ReadFile(v, drive.ModelsDir+"/"+e.Name())
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(copied, e.Name()), b, 0o600); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(e.Name(), ".sha256") {
			sums = append(sums, e.Name())
			continue
		}
		want := fmt.Sprintf("%x  %s\n", sha256.Sum256(b), e.Name())
		if got, err := iofs.ReadFile(v, drive.ModelsDir+"/"+e.Name()+".sha256"); err != nil || string(got) != want {
			t.Errorf("beside %s lies %q, %v; want %q", e.Name(), got, err, want)
		}
		f, err := llm.Open(v, drive.ModelsDir+"/"+e.Name())
		if err != nil {
			t.Fatal(err)
		}
		if !f.Checked() {
			t.Errorf("%s has no checksum", e.Name())
		}
		if err := errors.Join(f.Verify(), f.Close()); err != nil {
			t.Error(err)
		}
	}
	if len(sums) != 2+len(models) {
		t.Errorf("%d checksums of %d models", len(sums)-2, len(models))
	}
	if _, err := exec.LookPath("sha256sum"); err != nil {
		t.Skip(err)
	}
	cmd := exec.Command("sha256sum", sums...)
	cmd.Dir = copied
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("sha256sum -c: %v\n%s", err, out)
	}
}

func TestMtoolsAgree(t *testing.T) {
	img := filepath.Join(t.TempDir(), "alphaos.img")
	m := model(t, "llama-3.2-1b-instruct.Q8_0.gguf", 54321)
	efi := efiFile(t)
	create(t, Options{Out: img, Models: []string{m}, EFI: efi, Time: stamp})
	at := fmt.Sprintf("%s@@%d", img, partitionAt)
	for path, host := range map[string]string{drive.EFIPath: efi, drive.ModelsDir + "/" + filepath.Base(m): m} {
		want, err := os.ReadFile(host)
		if err != nil {
			t.Fatal(err)
		}
		if got := tool(t, "mtype", "-i", at, "::"+path); got != string(want) {
			t.Errorf("mtype %s gives %d bytes that differ from the %d of %s", path, len(got), len(want), host)
		}
	}
	out := tool(t, "mdir", "-i", at, "-a", "-/", "::")
	for _, want := range []string{"Volume in drive : is ALPHAOS", "llama-3.2-1b-instruct.Q8_0.gguf", "LLAMA-~1 GGU", "BOOTX64  EFI", "JOURNAL  LOG", "journal.log", "DATA  ", "conversations", ".contentDetails", "2026-03-01  12:34"} {
		if !strings.Contains(out, want) {
			t.Errorf("mdir does not show %q:\n%s", want, out)
		}
	}
	for _, path := range []string{drive.PickerLabel, drive.PickerLabel2x, drive.PickerName, drive.PickerIcon} {
		if out := tool(t, "mattrib", "-i", at, "::"+path); !strings.Contains(out, " H ") {
			t.Errorf("mattrib does not say that %s is hidden: %s", path, out)
		}
	}
	if got := tool(t, "mtype", "-i", at, "::data/config.json"); got != "{\n  \"version\": 1\n}\n" {
		t.Errorf("config.json is %q", got)
	}
}

// TestSizes has other programs check volumes of every cluster size. The
// images are sparse.
func TestSizes(t *testing.T) {
	efi := efiFile(t)
	for _, size := range []int64{52 * mib, 100 * mib, 200 * mib, 300 * mib, 1 << 30, 10 << 30, 20 << 30, 64 << 30} {
		t.Run(FormatSize(size), func(t *testing.T) {
			img := filepath.Join(t.TempDir(), "image")
			r := create(t, Options{Out: img, Layout: "minimal", Size: size, EFI: efi, Models: []string{model(t, "stories.gguf", 100000)}, Time: stamp})
			if r.Free() <= 0 || r.Free() >= size {
				t.Errorf("%d bytes free", r.Free())
			}
			v, _ := mount(t, img)
			if _, err := iofs.ReadFile(v, drive.EFIPath); err != nil {
				t.Error(err)
			}
			if size < 2<<30 { // reading a large sparse partition takes long
				verify(t, img)
			}
		})
	}
}

func TestDeterministic(t *testing.T) {
	efi, m := efiFile(t), model(t, "m.gguf", 5000)
	make := func(at time.Time) []byte {
		img := filepath.Join(t.TempDir(), "image")
		create(t, Options{Out: img, Size: 60 * mib, EFI: efi, Models: []string{m}, Time: at})
		b, err := os.ReadFile(img)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	if !bytes.Equal(make(stamp), make(stamp)) {
		t.Error("the same options and time gave different bytes")
	}
	if bytes.Equal(make(stamp), make(stamp.Add(time.Hour))) {
		t.Error("another time gave the same bytes")
	}
	if bytes.Equal(make(time.Time{}), make(time.Time{})) {
		t.Error("two drives have the same identifiers")
	}
}

func TestGrowsToFit(t *testing.T) {
	efi := efiFile(t)
	big := filepath.Join(t.TempDir(), "big.gguf")
	if err := os.WriteFile(big, modelBytes(t, "tensor", 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(big, 600*mib); err != nil {
		t.Fatal(err)
	}
	root, _, err := contents(Options{EFI: efi, Journal: DefaultJournal, Models: []string{big}}, drive.Minimal, stamp)
	if err != nil {
		t.Fatal(err)
	}
	size, err := imageSize(0, 512, root[0])
	if err != nil || size < 650*mib || size > 720*mib {
		t.Errorf("size %s, error %v", FormatSize(size), err)
	}
	// What the refusal of a small size recommends must be enough.
	_, err = imageSize(512*mib, 512, root[0])
	if err == nil {
		t.Fatal("600 MiB fit on 512")
	}
	var need int64
	if i := strings.Index(err.Error(), "--size "); i < 0 {
		t.Fatalf("error %q names no size", err)
	} else if _, serr := fmt.Sscanf(err.Error()[i:], "--size %dM", &need); serr != nil {
		t.Fatalf("error %q: %v", err, serr)
	}
	if _, err := imageSize(need*mib, 512, root[0]); err != nil {
		t.Errorf("%d MiB were recommended: %v", need, err)
	}
	if _, err := imageSize((need-1)*mib, 512, root[0]); err == nil {
		t.Errorf("%d MiB were recommended but less is enough", need)
	}
}

func TestRefusals(t *testing.T) {
	efi := efiFile(t)
	good := model(t, "good.gguf", 5000)
	dir := t.TempDir()
	existing := filepath.Join(dir, "existing")
	if err := os.WriteFile(existing, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	huge := filepath.Join(dir, "huge.gguf")
	if err := os.WriteFile(huge, []byte("GGUF"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(huge, 4<<30); err != nil {
		t.Fatal(err)
	}
	file := func(name string, b []byte) string {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, b, 0o600)); err != nil {
			t.Fatal(err)
		}
		return path
	}
	wrong := file("wrong.gguf", modelBytes(t, "tensor", 5000))
	file("wrong.gguf.sha256", []byte(strings.Repeat("0", 64)+"  wrong.gguf\n"))
	for _, folder := range []string{"", "cut/"} {
		file(folder+"s-00001-of-00002.gguf", part(t, 0, 2))
		file(folder+"s-00002-of-00002.gguf", part(t, 1, 2)[:1000-25*len(folder)])
	}
	pe := func(change func([]byte)) string {
		b, err := os.ReadFile(efi)
		if err != nil {
			t.Fatal(err)
		}
		change(b)
		return hostTemp(t, "app.efi", b)
	}
	out := filepath.Join(dir, "out")
	for _, c := range []struct {
		name, want string
		o          Options
	}{
		{"exists", "add --yes to replace it", Options{Out: existing, EFI: efi}},
		{"device", "is a device", Options{Out: "/dev/null", EFI: efi, Replace: true}},
		{"directory", "not an ordinary file", Options{Out: dir, EFI: efi, Replace: true}},
		{"no directory", "no such file", Options{Out: filepath.Join(dir, "no", "out"), EFI: efi}},
		{"layout", "layout \"fuller\" is not known", Options{Out: out, EFI: efi, Layout: "fuller"}},
		{"partition of no layout", "for --layout full", Options{Out: out, EFI: efi, System: mib}},
		{"full too small", "too small for the full layout", Options{Out: out, EFI: efi, Layout: "full", Size: 80 * mib}},
		{"partition too small", "--system 1 MiB is too small: the files and the file system need ", Options{Out: out, EFI: efi, Layout: "full", System: mib}},
		{"partitions too large", "other sizes of --esp and --system", Options{Out: out, EFI: efi, Size: 20 << 30, ESP: 1 << 30, System: 19 << 30}},
		{"document missing", "no such file", Options{Out: out, EFI: efi, Documents: []string{filepath.Join(dir, "none")}}},
		{"too small", "too small", Options{Out: out, EFI: efi, Size: 20 * mib}},
		{"tiny", "too small", Options{Out: out, EFI: efi, Size: 1}},
		{"too large", "FAT32 ends at", Options{Out: out, EFI: efi, Size: 3 << 40}},
		{"journal", "journal", Options{Out: out, EFI: efi, Journal: 5 << 30}},
		{"state", "saved state", Options{Out: out, EFI: efi, State: 5 << 30}},
		{"efi missing", "no such file", Options{Out: out, EFI: filepath.Join(dir, "none")}},
		{"efi elf", "alphaos efi pack", Options{Out: out, EFI: hostTemp(t, "elf", []byte("\x7fELF"+strings.Repeat("x", 100)))}},
		{"efi empty", "no PE header", Options{Out: out, EFI: hostTemp(t, "e", nil)}},
		{"efi offset", "no PE header", Options{Out: out, EFI: pe(func(b []byte) { b[63] = 0xFF })}},
		{"efi machine", "for x86-64", Options{Out: out, EFI: pe(func(b []byte) { b[0x45] = 1 })}},
		{"efi subsystem", "not an EFI application", Options{Out: out, EFI: pe(func(b []byte) { b[0x58+68] = 3 })}},
		{"model magic", "is not a GGUF model", Options{Out: out, EFI: efi, Models: []string{hostTemp(t, "x.gguf", []byte("GGML1234"))}}},
		{"model empty", "is not a GGUF model", Options{Out: out, EFI: efi, Models: []string{hostTemp(t, "x.gguf", nil)}}},
		{"model directory", "not an ordinary file", Options{Out: out, EFI: efi, Models: []string{dir}}},
		{"model huge", "no more than 4 GiB", Options{Out: out, EFI: efi, Models: []string{huge}}},
		{"model version", "old.gguf cannot be used: this GGUF file is not supported", Options{Out: out, EFI: efi, Models: []string{hostTemp(t, "old.gguf", append([]byte("GGUF\x01"), make([]byte, 100)...))}}},
		{"model cut short", "cut.gguf cannot be used: corrupt GGUF file: tensor \"tensor\" ends beyond the file's 4990 bytes, so the file is cut short: download or copy it again",
			Options{Out: out, EFI: efi, Models: []string{good, hostTemp(t, "cut.gguf", modelBytes(t, "tensor", 5000)[:4990])}}},
		{"model cut in its head", "download or copy it again", Options{Out: out, EFI: efi, Models: []string{hostTemp(t, "cut.gguf", modelBytes(t, "tensor", 5000)[:60])}}},
		{"model's checksum", "wrong.gguf does not match its checksum in wrong.gguf.sha256", Options{Out: out, EFI: efi, Models: []string{wrong}}},
		{"part missing", "part 2 of 2 of the model, a-00002-of-00002.gguf, is missing", Options{Out: out, EFI: efi, Models: []string{hostTemp(t, "a-00001-of-00002.gguf", part(t, 0, 2))}}},
		{"part not named", "name that one, too", Options{Out: out, EFI: efi, Models: []string{filepath.Join(dir, "s-00002-of-00002.gguf")}}},
		{"part cut short", "s-00002-of-00002.gguf: corrupt GGUF file: tensor \"tensor1\" ends beyond the file's 900 bytes",
			Options{Out: out, EFI: efi, Models: []string{filepath.Join(dir, "cut", "s-00001-of-00002.gguf"), filepath.Join(dir, "cut", "s-00002-of-00002.gguf")}}},
		{"model twice", "two files", Options{Out: out, EFI: efi, Models: []string{good, model(t, "GOOD.gguf", 10)}}},
		{"model name", "does not allow", Options{Out: out, EFI: efi, Models: []string{model(t, "a:b.gguf", 10)}}},
		{"model dot", "full stop", Options{Out: out, EFI: efi, Models: []string{model(t, "a.gguf.", 10)}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Drive(c.o)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %q, want one line about %q", err, c.want)
			}
		})
	}
	if b, _ := os.ReadFile(existing); string(b) != "precious" {
		t.Error("the existing file was changed")
	}
	if list, _ := filepath.Glob(filepath.Join(dir, ".*")); len(list) != 0 {
		t.Errorf("left behind: %v", list)
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("a refused drive was made")
	}
	create(t, Options{Out: existing, EFI: efi, Replace: true, Size: 64 * mib})
	if fi, err := os.Stat(existing); err != nil || fi.Size() != 64*mib {
		t.Error("--yes did not replace the file")
	}
}

func TestParseSize(t *testing.T) {
	for s, want := range map[string]int64{"0": 0, "512": 512, "512M": 512 << 20, "512MiB": 512 << 20, "512mb": 512 << 20, "32G": 32 << 30, "1T": 1 << 40, "64k": 64 << 10, "7B": 7} {
		if got, err := ParseSize(s); err != nil || got != want {
			t.Errorf("ParseSize(%q) = %d, %v; want %d", s, got, err, want)
		}
	}
	for _, s := range []string{"", "M", "-1M", "1.5G", "1X", "1 M", "1MM", "99999999999999999999", "999999999999999T", "1iB", "1Bi"} {
		if got, err := ParseSize(s); err == nil {
			t.Errorf("ParseSize(%q) = %d, want an error", s, got)
		}
	}
	for n, want := range map[int64]string{0: "0 bytes", 1023: "1023 bytes", 1 << 20: "1 MiB", 3 << 29: "1.5 GiB"} {
		if got := FormatSize(n); got != want {
			t.Errorf("FormatSize(%d) = %q, want %q", n, got, want)
		}
	}
}

func BenchmarkCreate(b *testing.B) {
	efi := efiFile(b)
	for _, size := range []int{1 << 20, 256 << 20} {
		b.Run(FormatSize(int64(size)), func(b *testing.B) {
			m := model(b, "m.gguf", size)
			img := filepath.Join(b.TempDir(), "image")
			b.SetBytes(int64(size))
			for b.Loop() {
				create(b, Options{Out: img, EFI: efi, Models: []string{m}, Replace: true})
			}
		})
	}
}

// TestDevice makes drives on loop devices that are full of something else, and has sgdisk and
// fsck.fat look at them.
func TestDevice(t *testing.T) {
	for _, c := range []struct {
		sector int
		size   int64
	}{{512, 80*mib + 4096}, {4096, 280*mib + 4096}} {
		t.Run(fmt.Sprint(c.sector), func(t *testing.T) { testDevice(t, c.sector, c.size) })
	}
	o := Options{EFI: efiFile(t), Disk: &media.Disk{Path: "/dev/x", Size: 80 * mib, BlockSize: 512}, Size: 80 * mib}
	if _, err := Drive(o); err == nil || !strings.Contains(err.Error(), "a size is for images only") {
		t.Error(err)
	}
	o.Size, o.Sector = 0, 4096
	if _, err := Drive(o); err == nil || !strings.Contains(err.Error(), "a size of sectors is for images only") {
		t.Error(err)
	}
	o.Sector, o.Disk.BlockSize = 0, 520
	if _, err := Drive(o); err == nil || !strings.Contains(err.Error(), "sectors of 520 bytes cannot be made") {
		t.Error(err)
	}
}

func testDevice(t *testing.T, sector int, size int64) {
	img := hostTemp(t, "medium", bytes.Repeat([]byte{0xA5}, int(size)))
	d, detach := looptest.Disk(t, img, sector)
	o := Options{Disk: &d, Journal: 1 << 20, EFI: efiFile(t), Models: []string{model(t, "m.gguf", 3<<20)}, Verify: true, Time: stamp}
	r := create(t, o)
	if r.Size != size || r.Verified == "" || r.Sector != int64(sector) {
		t.Errorf("%+v", r)
	}
	sound(t, d.Path)
	detach()
	o.Disk, o.Out, o.Size, o.Sector = nil, filepath.Join(t.TempDir(), "same.img"), size/mib*mib, int64(sector)
	create(t, o)
	on, volume := mount(t, img)
	if volume.BlockSize() != sector {
		t.Errorf("sectors of %d bytes", volume.BlockSize())
	}
	fsck.Sound(t, volume)
	in, _ := mount(t, o.Out)
	if err := iofs.WalkDir(in, ".", func(path string, e iofs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		want, err := in.ReadFile(path)
		if err != nil {
			return err
		}
		if got, err := on.ReadFile(path); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s differs from that in an image: %v", path, err)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

// With --limine the firmware starts Limine, and that AlphaOS.
func TestLimine(t *testing.T) {
	manager := petest.Application([]byte("a boot manager that reads /limine.conf"))
	o := Options{EFI: efiFile(t), Limine: filepath.Dir(hostTemp(t, "BOOTX64.EFI", manager)), Size: 64 * mib, Journal: mib, Out: filepath.Join(t.TempDir(), "image")}
	create(t, o)
	d := mountDrive(t, list(t, o.Out))
	program, err := os.ReadFile(o.EFI)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{drive.EFIPath: string(manager), drive.ChainedPath: string(program), drive.LiminePath: limineConf} {
		if got, err := iofs.ReadFile(d, path); err != nil || string(got) != want {
			t.Errorf("%s has %d bytes of %d, error %v", path, len(got), len(want), err)
		}
	}
	for want, dir := range map[string]string{
		"has no BOOTX64.EFI; --limine takes the folder":                           t.TempDir(),
		"BOOTX64.EFI does not read limine.conf: it is not Limine, or one from be": filepath.Dir(hostTemp(t, "BOOTX64.EFI", petest.Application([]byte("limine.cfg")))),
		"BOOTX64.EFI is not an EFI application":                                   filepath.Dir(hostTemp(t, "BOOTX64.EFI", []byte("limine.conf"))),
	} {
		o.Limine, o.Replace = dir, true
		if _, err := Drive(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

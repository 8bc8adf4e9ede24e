package create

import (
	"bytes"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"alphaos/drive"
	"alphaos/fs"
	"alphaos/fs/fat"
	"alphaos/fs/gpt"
	"alphaos/fs/volume"
	"alphaos/internal/fsck"
	"alphaos/internal/looptest"
)

// fullDrive makes a small drive of the full layout and returns its volumes.
func fullDrive(t testing.TB, o Options) (img string, volumes []volume.Volume) {
	t.Helper()
	o.Out, o.Layout = filepath.Join(t.TempDir(), "full.img"), "full"
	r := create(t, o)
	if r.Layout != drive.Full || len(r.Volumes) != 3 {
		t.Fatalf("made %+v", r)
	}
	return o.Out, list(t, o.Out)
}

// list returns the volumes of an image whose partition table is sound.
func list(t testing.TB, img string) []volume.Volume {
	t.Helper()
	m, err := volume.List(medium(t, img))
	if err != nil || len(m.Notes) > 0 {
		t.Fatalf("%+v, error %v", m, err)
	}
	return m.Volumes
}

// device is a volume as package drive wants it.
type device struct{ fs.BlockDevice }

func (device) ReadOnly() bool { return false }
func (device) String() string { return "an image" }

// mountDrive mounts a drive of any layout as it is at run time: from the partition that the
// firmware knows, and the others of its disk.
func mountDrive(t testing.TB, volumes []volume.Volume) *drive.Drive {
	t.Helper()
	var others []drive.Partition
	for _, v := range volumes[1:] {
		others = append(others, drive.Partition{Device: device{v}, TypeGUID: v.TypeGUID, Name: v.Name})
	}
	d, err := drive.Mount(device{volumes[0]}, others...)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// Both layouts hold the same, as far as a program that knows logical paths can tell.
func TestLayouts(t *testing.T) {
	efi, m, notes := efiFile(t), model(t, "stories260K.gguf", 300000), hostTemp(t, "größe of notes.txt", []byte("what I noted"))
	o := Options{Size: 160 * mib, EFI: efi, Models: []string{m}, Documents: []string{notes}, Journal: 256 << 10, State: 100 << 10, Time: stamp,
		Config: []byte(`{"safe": true}`), Extra: []Extra{{"limine.conf", []byte("for Limine")}}}
	for i := range 2 * len(drive.Layouts) {
		i, large := i%len(drive.Layouts), i >= len(drive.Layouts)
		name := drive.Layouts[i]
		t.Run(fmt.Sprintf("%s, large sectors %v", name, large), func(t *testing.T) {
			o := o
			o.Layout, o.Out = name, filepath.Join(t.TempDir(), "image")
			if large {
				o.Sector, o.Size = 4096, 1200*mib
			}
			create(t, o)
			d := mountDrive(t, list(t, o.Out))
			if d.Layout != drive.Layout(i) || !d.Ours() || len(d.Notes()) > 0 || len(d.Volumes()) != d.Layout.Count() {
				t.Errorf("layout %v, ours: %v, notes %q", d.Layout, d.Ours(), d.Notes())
			}
			for path, host := range map[string]string{drive.EFIPath: efi, drive.ModelsDir + "/" + filepath.Base(m): m, drive.DocumentsDir + "/" + filepath.Base(notes): notes} {
				want, err := os.ReadFile(host)
				if err != nil {
					t.Fatal(err)
				}
				if got, err := iofs.ReadFile(d, path); err != nil || !bytes.Equal(got, want) {
					t.Errorf("%s differs from %s, error %v", path, host, err)
				}
			}
			for path, want := range map[string]string{drive.ConfigPath: `{"safe": true}`, "limine.conf": "for Limine"} {
				if got, err := iofs.ReadFile(d, path); err != nil || string(got) != want {
					t.Errorf("%s holds %q, error %v", path, got, err)
				}
			}
			for _, path := range []string{drive.JournalPath, drive.StatePath, drive.CrashPath, drive.BootLogPath, drive.ProcessorsPath} {
				v, at, err := d.On(path)
				if err != nil {
					t.Fatal(err)
				}
				// A crash writes blocks of a file in one piece.
				if e, err := v.Extents(at); err != nil || len(e) != 1 {
					t.Errorf("%s lies in %v, error %v", path, e, err)
				}
				if _, err := d.OpenInPlace(path); err != nil {
					t.Error(err)
				}
			}
			for _, path := range d.Layout.Dirs() {
				if _, err := d.ReadDir(path); err != nil {
					t.Error(err)
				}
			}
			if list, err := d.ReadDir(drive.ModelsDir); err != nil || len(list) != 2 {
				t.Errorf("%d models and checksums, error %v", len(list), err)
			}
			s, _, err := d.OpenJournal(time.Now)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(s.Begin(), s.AddUser("hello"), s.End()); err != nil {
				t.Fatal(err)
			}
			s, _, err = mountDrive(t, list(t, o.Out)).OpenJournal(time.Now)
			if err != nil || len(s.Conversation()) != 1 {
				t.Errorf("the journal holds %v, error %v", s.Conversation(), err)
			}
			name, _, err := d.SaveReport(stamp, []byte("fine"))
			if err != nil {
				t.Fatal(err)
			}
			where := d.Where(drive.ReportPath(stamp, 1))
			if got, err := iofs.ReadFile(d, drive.ReportPath(stamp, 1)); err != nil || !strings.HasPrefix(string(got), "fine\n") || name != where {
				t.Errorf("the report %s, not %s, holds %.10q, error %v", name, where, got, err)
			}
		})
	}
}

// TestFull looks at what the full layout promises of partitions and of who can read them.
func TestFull(t *testing.T) {
	m := model(t, "stories260K.gguf", 300000)
	o := Options{Size: 130*mib + 12345, ESP: 40 * mib, System: 45*mib + 1, EFI: efiFile(t), Models: []string{m}, Journal: 64 << 10, State: 100 << 10, Time: stamp}
	img, volumes := fullDrive(t, o)
	want := []struct {
		label string
		kind  gpt.GUID
		size  uint64 // MiB
		holds []string
	}{
		{"ALPHAOS_ESP", gpt.EFISystem, 40, []string{"EFI/BOOT/BOOTX64.EFI", "EFI/BOOT/.disk_label", ".VolumeIcon.icns", "logs/crash.txt", "logs/boot.log", "logs/processors.txt"}},
		{"ALPHAOS_SYS", gpt.BasicData, 45, []string{"models/stories260K.gguf", "models/stories260K.gguf.sha256", "config/config.json", "tools", "fonts"}},
		{"ALPHAOS_DATA", gpt.BasicData, 43, []string{"conversations", "documents", "backup", "journal/journal.log", "cache/session.kv"}},
	}
	at := uint64(2048)
	guids, serials := map[gpt.GUID]bool{}, map[string]bool{}
	for i, w := range want {
		v := volumes[i]
		if v.Index != i+1 || v.Name != w.label || v.TypeGUID != w.kind || v.First != at || v.Blocks() != w.size*2048 || v.Kind != volume.FAT32 {
			t.Errorf("partition %d: %q of type %s, blocks %d+%d, %v", v.Index, v.Name, v.TypeGUID, v.First, v.Blocks(), v.Kind)
		}
		at += v.Blocks()
		guids[v.GUID] = true
		f, err := fat.Mount(v)
		if err != nil {
			t.Fatal(err)
		}
		if want := drive.Parts[i].Volume; f.Label() != want || len(want) > 11 {
			t.Errorf("volume %d is called %q", i+1, f.Label())
		}
		for _, path := range w.holds {
			if _, err := f.Stat(path); err != nil {
				t.Error(err)
			}
		}
		boot := make([]byte, 512)
		if err := v.ReadBlocks(0, boot); err != nil {
			t.Fatal(err)
		}
		serials[string(boot[67:71])] = true
		if hidden := uint64(boot[28]) | uint64(boot[29])<<8 | uint64(boot[30])<<16 | uint64(boot[31])<<24; hidden != v.First {
			t.Errorf("volume %d is said to begin at block %d, not %d", i+1, hidden, v.First)
		}
	}
	if len(guids) != 3 || len(serials) != 3 {
		t.Errorf("%d GUIDs and %d serial numbers of 3 partitions", len(guids), len(serials))
	}

	t.Run("sgdisk", func(t *testing.T) {
		sound(t, img)
		for i, kind := range []string{"EFI system partition", "Microsoft basic data", "Microsoft basic data"} {
			out := tool(t, "sgdisk", "-i", fmt.Sprint(i+1), img)
			if !strings.Contains(out, kind) || !strings.Contains(out, "'"+want[i].label+"'") || !strings.Contains(out, "Attribute flags: 0000000000000000") {
				t.Errorf("sgdisk -i %d:\n%s", i+1, out)
			}
		}
	})
	t.Run("parted", func(t *testing.T) {
		out := tool(t, "parted", "-s", "-m", img, "unit", "MiB", "print")
		for _, line := range []string{"1:1.00MiB:41.0MiB:40.0MiB:fat32:ALPHAOS_ESP:boot, esp;", "2:41.0MiB:86.0MiB:45.0MiB:fat32:ALPHAOS_SYS:msftdata;", "3:86.0MiB:129MiB:43.0MiB:fat32:ALPHAOS_DATA:msftdata;"} {
			if !strings.Contains(out, line) {
				t.Errorf("parted does not say %q:\n%s", line, out)
			}
		}
	})
	t.Run("fsck", func(t *testing.T) {
		for _, v := range volumes {
			fsck.Sound(t, v)
		}
	})
	t.Run("mtools", func(t *testing.T) {
		inside := func(i int) string { return fmt.Sprintf("%s@@%d", img, volumes[i].First*512) }
		file, err := os.ReadFile(m)
		if err != nil {
			t.Fatal(err)
		}
		if got := tool(t, "mtype", "-i", inside(1), "::models/stories260K.gguf"); got != string(file) {
			t.Error("mtype of the model differs")
		}
		tool(t, "mcopy", "-i", inside(2), m, "::documents/copied by mtools.gguf")
		d := mountDrive(t, volumes)
		if got, err := iofs.ReadFile(d, drive.DocumentsDir+"/copied by mtools.gguf"); err != nil || !bytes.Equal(got, file) {
			t.Errorf("what mtools copied differs, error %v", err)
		}
	})

	again, _ := fullDrive(t, o)
	a, err := os.ReadFile(again)
	if err != nil {
		t.Fatal(err)
	}
	again, _ = fullDrive(t, o)
	if b, err := os.ReadFile(again); err != nil || !bytes.Equal(a, b) {
		t.Errorf("the same options and time gave different bytes, error %v", err)
	}
}

// TestChosenLayout tells which layout and sizes are chosen when nobody says.
func TestChosenLayout(t *testing.T) {
	big := hostTemp(t, "big.gguf", modelBytes(t, "tensor", 1000))
	if err := os.Truncate(big, 600*mib); err != nil {
		t.Fatal(err)
	}
	const gib = 1 << 30
	for _, c := range []struct {
		o    Options
		want []int64 // MiB
	}{
		{Options{}, []int64{510}},
		{Options{Size: 16*gib - mib}, []int64{16*1024 - 3}},
		{Options{Size: 16 * gib}, []int64{512, 8192, 16*1024 - 512 - 8192 - 2}},
		{Options{Layout: "full"}, []int64{512, 8192, 16*1024 - 512 - 8192 - 2}},
		{Options{Layout: "full", Size: gib}, []int64{128, 512, 1024 - 128 - 512 - 2}},
		{Options{Layout: "full", Size: gib, Models: []string{big}}, []int64{128, 604, 1024 - 128 - 604 - 2}},
		{Options{Layout: "full", System: 20 * gib}, []int64{512, 20480, 64 + 80}},
	} {
		c.o.Out, c.o.EFI = filepath.Join(t.TempDir(), "image"), efiFile(t)
		var got []int64
		for _, v := range create(t, c.o).Volumes {
			got = append(got, v.Size/mib)
		}
		if len(got) != len(c.want) {
			t.Errorf("%+v gives partitions of %d MiB, want %d", c.o, got, c.want)
			continue
		}
		for i, n := range got {
			// The smallest size that something fits in is not the point here.
			if d := n - c.want[i]; d < -32 || d > 32 || c.o.Models == nil && c.o.System == 0 && d != 0 {
				t.Errorf("%+v gives partitions of %d MiB, want %d", c.o, got, c.want)
			}
		}
	}
}

// BenchmarkFull makes the layout of a large drive on a sparse image.
func BenchmarkFull(b *testing.B) {
	o := Options{Out: filepath.Join(b.TempDir(), "image"), EFI: efiFile(b), Size: 256 << 30, Replace: true}
	b.ReportAllocs()
	for b.Loop() {
		create(b, o)
	}
}

// TestLargeSectors has other programs look at images in sectors of 4096 bytes. A partition table
// in these they know only on a device that has them.
func TestLargeSectors(t *testing.T) {
	m := model(t, "stories260K.gguf", 300000)
	file, err := os.ReadFile(m)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Size: 1200 * mib, Sector: 4096, EFI: efiFile(t), Models: []string{m}, Journal: 64 << 10, State: 100 << 10, Time: stamp}
	for _, name := range drive.Layouts {
		o.Layout, o.Out = name, filepath.Join(t.TempDir(), "image")
		create(t, o)
		volumes := list(t, o.Out)
		models := volumes[min(int(drive.System), len(volumes)-1)]
		t.Run(name, func(t *testing.T) {
			inside := fmt.Sprintf("%s@@%d", o.Out, models.First*4096)
			if got := tool(t, "mtype", "-i", inside, "::models/stories260K.gguf"); got != string(file) {
				t.Error("mtype of the model differs")
			}
			tool(t, "mcopy", "-i", inside, m, "::models/copied by mtools.gguf")
			d := mountDrive(t, volumes)
			if got, err := iofs.ReadFile(d, drive.ModelsDir+"/copied by mtools.gguf"); err != nil || !bytes.Equal(got, file) {
				t.Errorf("what mtools copied differs, error %v", err)
			}
			if r, err := fat.Check(models, fat.CheckOptions{}); err != nil || len(r.Problems) > 0 {
				t.Errorf("%v\n%s", err, r)
			}
			for _, v := range volumes {
				if v.BlockSize() != 4096 || v.First%256 != 0 || v.Blocks()%256 != 0 {
					t.Errorf("volume %d has %d sectors of %d bytes from %d on", v.Index, v.Blocks(), v.BlockSize(), v.First)
				}
				fsck.Sound(t, v)
			}
		})
		t.Run(name+" on a device", func(t *testing.T) {
			d, _ := looptest.Disk(t, o.Out, 4096)
			sound(t, d.Path)
			if out := tool(t, "parted", "-s", "-m", d.Path, "unit", "MiB", "print"); !strings.Contains(out, ":4096:4096:gpt:") || strings.Count(out, ":fat32:") != len(volumes) || !strings.Contains(out, "boot, esp;") {
				t.Errorf("parted says\n%s", out)
			}
		})
	}
	for _, sector := range []int64{1, 1024, 8192} {
		if _, err := Drive(Options{Out: filepath.Join(t.TempDir(), "image"), EFI: o.EFI, Sector: sector}); err == nil || !strings.Contains(err.Error(), "512 and 4096 are what drives have") {
			t.Errorf("sectors of %d bytes: %v", sector, err)
		}
	}
}

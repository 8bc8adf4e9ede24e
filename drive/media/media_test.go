package media

import (
	"errors"
	"io/fs"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
)

// tree returns the files of a testdata archive.
func tree(t testing.TB, name string) fstest.MapFS {
	t.Helper()
	a, err := txtar.ParseFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	m := fstest.MapFS{}
	for _, f := range a.Files {
		if name, target, link := strings.Cut(f.Name, " -> "); link {
			m[name] = &fstest.MapFile{Data: []byte(target), Mode: fs.ModeSymlink | 0o777}
		} else {
			m[f.Name] = &fstest.MapFile{Data: f.Data, Mode: 0o444}
		}
	}
	return m
}

func desktop(t testing.TB) []Disk {
	t.Helper()
	root := tree(t, "desktop.txtar")
	root["sys/devices/pci0000:00/0000:00:17.0/ata1/host0/target0:0:0/0:0:0:0/block/sda/device/vpd_pg80"] = &fstest.MapFile{Data: []byte("\x00\x80\x00\x14     S5Y1NJ0R\x1b[2J123")}
	sys, err := fs.Sub(root, "sys")
	if err != nil {
		t.Fatal(err)
	}
	disks, err := linuxDisks(sys, string(root["proc/self/mountinfo"].Data), string(root["proc/swaps"].Data))
	if err != nil {
		t.Fatal(err)
	}
	return disks
}

func mac(t testing.TB) []Disk {
	t.Helper()
	files := tree(t, "mac.txtar")
	disks, err := darwinDisks(files["list"].Data, files["ioreg"].Data, files.ReadFile)
	if err != nil {
		t.Fatal(err)
	}
	return disks
}

func TestLinux(t *testing.T) {
	same(t, desktop(t), []Disk{
		{Name: "loop0", Path: "/dev/loop0", Size: 64 << 20, BlockSize: 512, Bus: "loop", Virtual: true},
		{Name: "mmcblk0", Path: "/dev/mmcblk0", Size: 62537072640, BlockSize: 512, Bus: "eMMC", Model: "DF4064"},
		{Name: "mmcblk1", Path: "/dev/mmcblk1", Size: 31914983424, BlockSize: 512, Bus: "SD", Model: "SL32G", Serial: "0x5a3c1f20", External: true, ReadOnly: true},
		{Name: "nvme0n1", Path: "/dev/nvme0n1", Size: 512110190592, BlockSize: 512, Bus: "NVMe", Model: "WD_BLACK SN850X 500GB", Serial: "21513A800057", System: true,
			Mounts: []string{"/", "/boot/efi", "/home"}, Uses: []string{"LVM on nvme0n1p2", "encryption on nvme0n1p2", "swap on nvme0n1p2"}},
		{Name: "nvme1n1", Path: "/dev/nvme1n1", Size: 1024209543168, BlockSize: 512, Bus: "NVMe", Model: "Samsung Portable SSD X5", External: true},
		{Name: "sda", Path: "/dev/sda", Size: 1000204886016, BlockSize: 512, Bus: "SATA", Model: "Samsung SSD 870", Serial: "S5Y1NJ0R[2J123"},
		{Name: "sdb", Path: "/dev/sdb", Size: 30752000000, BlockSize: 512, Bus: "USB", Model: "SanDisk Ultra", Serial: "4C530001230505113364", External: true, Mounts: []string{"/media/ada/My stick"}},
		{Name: "sdc", Path: "/dev/sdc", Size: 256060514304, BlockSize: 4096, Bus: "USB", Model: "Portable SSD T5", External: true},
		{Name: "sde", Path: "/dev/sde", Size: 4000787030016, BlockSize: 512, Bus: "SATA", Mounts: []string{"/srv/archive"}, Uses: []string{"RAID on sde"}},
	})
}

func TestMac(t *testing.T) {
	same(t, mac(t), []Disk{
		{Name: "disk0", Path: "/dev/disk0", Size: 251000193024, BlockSize: 4096, Bus: "PCIe", Model: "APPLE SSD AP0256M", System: true, Mounts: []string{"/", "/System/Volumes/Data"}},
		{Name: "disk1", Path: "/dev/disk1", Size: 250685575168, BlockSize: 4096, Bus: "PCIe", Model: "AppleAPFSMedia", Virtual: true, System: true, Mounts: []string{"/", "/System/Volumes/Data"}},
		{Name: "disk2", Path: "/dev/disk2", Size: 30752000000, BlockSize: 512, Bus: "USB", Model: "Ultra", Serial: "4C530001230505113364", External: true, Mounts: []string{"/Volumes/Fotos & Co"}},
		{Name: "disk3", Path: "/dev/disk3", Size: 41943040, BlockSize: 512, Bus: "Disk Image", Model: "Disk Image", External: true, Virtual: true, ReadOnly: true},
	})
}

func same(t *testing.T, got, want []Disk) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		var g, w Disk
		if i < len(got) {
			g = got[i]
		}
		if i < len(want) {
			w = want[i]
		}
		if !reflect.DeepEqual(g, w) {
			t.Errorf("drive %d:\n%+v, want\n%+v", i, g, w)
		}
	}
}

func TestDangers(t *testing.T) {
	for path, want := range map[string][]string{
		"/dev/nvme0n1": {"holds the system that is running", "is inside this computer", "is mounted at /, /boot/efi, /home", "is in use (LVM on nvme0n1p2, encryption on nvme0n1p2, swap on nvme0n1p2)"},
		"/dev/sda":     {"is inside this computer"},
		"/dev/sdb":     {"is mounted at /media/ada/My stick"},
		"/dev/sdc":     nil,
		"/dev/loop0":   nil,
		"/dev/mmcblk0": {"is inside this computer"},
	} {
		d, err := Find(desktop(t), path)
		if err != nil || !reflect.DeepEqual(d.Dangers(), want) {
			t.Errorf("%s: %q, %v; want %q", path, d.Dangers(), err, want)
		}
	}
}

// A drive that has another's path is not the one that a person agreed to erase.
func TestStill(t *testing.T) {
	d, err := Find(desktop(t), "/dev/sdb")
	if err != nil {
		t.Fatal(err)
	}
	if err := d.still(desktop(t)); err != nil {
		t.Error(err)
	}
	for what, change := range map[string]func(d *Disk){
		"gone":        func(d *Disk) { d.Name, d.Path = "sdz", "/dev/sdz" },
		"larger":      func(d *Disk) { d.Size += 512 },
		"another":     func(d *Disk) { d.Model = "SanDisk Cruzer" },
		"its twin":    func(d *Disk) { d.Serial = "4C530001230505113365" },
		"elsewhere":   func(d *Disk) { d.Bus = "SATA" },
		"the systems": func(d *Disk) { d.System = true },
	} {
		now := desktop(t)
		for i := range now {
			if now[i].Name == "sdb" {
				change(&now[i])
			}
		}
		if err := d.still(now); err == nil || !strings.Contains(err.Error(), "/dev/sdb") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestCandidates(t *testing.T) {
	names := func(list []Disk) (names []string) {
		for _, d := range Candidates(list) {
			names = append(names, d.Name)
		}
		return names
	}
	if got := names(desktop(t)); !slices.Equal(got, []string{"nvme1n1", "sdb", "sdc"}) {
		t.Errorf("Linux: %q", got)
	}
	if got := names(mac(t)); !slices.Equal(got, []string{"disk2"}) {
		t.Errorf("macOS: %q", got)
	}
}

func TestFind(t *testing.T) {
	all := append(desktop(t), mac(t)...)
	for _, c := range []struct{ path, name, err string }{
		{"/dev/sdb", "sdb", ""},
		{"/dev/rdisk2", "disk2", ""},
		{"/dev/sdb1", "", "/dev/sdb1 is a partition; name the whole drive, /dev/sdb"},
		{"/dev/nvme0n1p1", "", "name the whole drive, /dev/nvme0n1"},
		{"/dev/rdisk2s1", "", "name the whole drive, /dev/disk2"},
		{"/dev/sdz", "", "there is no drive /dev/sdz"},
		{"/dev/", "", "there is no drive /dev/"},
	} {
		d, err := Find(all, c.path)
		if d.Name != c.name || (err != nil) != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %q, %v", c.path, d.Name, err)
		}
	}
}

func TestPlist(t *testing.T) {
	v, err := parsePlist([]byte(`<?xml version="1.0"?><!-- c --><plist><dict><key>a</key><array><integer>-0x10</integer><integer>99999999999999999999</integer><real>1.5</real><true/><false></false>
		<string>x&lt;<!-- y -->z</string><date>2026-03-01T00:00:00Z</date><data> aGV
		sbG8= </data><dict/><array/></array></dict></plist>`))
	want := map[string]any{"a": []any{int64(-16), "99999999999999999999", 1.5, true, false, "x<z", "2026-03-01T00:00:00Z", []byte("hello"), map[string]any{}, []any{}}}
	if err != nil || !reflect.DeepEqual(v, want) {
		t.Errorf("%#v, %v", v, err)
	}
	deep := strings.Repeat("<array>", 1000) + strings.Repeat("</array>", 1000)
	for _, bad := range []string{"", "bplist00", "<plist/>", "<dict/>", "<plist><dict><string>x</string></dict></plist>", "<plist><dict><key>a</key></dict></plist>",
		"<plist><integer>x</integer></plist>", "<plist><data>!</data></plist>", "<plist><set/></plist>",
		"<plist><string>a<b/></string></plist>", "<plist><array>text</array></plist>", "<plist><array>", "<plist>" + deep + "</plist>"} {
		if v, err := parsePlist([]byte(bad)); err == nil {
			t.Errorf("%.40q is %v", bad, v)
		}
	}
}

func TestDarwinErrors(t *testing.T) {
	files := tree(t, "mac.txtar")
	gone := errors.New("it is gone")
	if _, err := darwinDisks(files["list"].Data, nil, func(string) ([]byte, error) { return nil, gone }); !errors.Is(err, gone) {
		t.Error(err)
	}
	if _, err := darwinDisks([]byte("Password:"), nil, files.ReadFile); err == nil {
		t.Error("no property list is accepted")
	}
	for _, odd := range []string{"<plist><array/></plist>", "<plist><dict><key>AllDisksAndPartitions</key><array><string>x</string><dict/></array></dict></plist>"} {
		if disks, err := darwinDisks([]byte(odd), []byte(odd), files.ReadFile); len(disks) > 0 || err != nil {
			t.Errorf("%s: %v, %v", odd, disks, err)
		}
	}
}

func FuzzDarwin(f *testing.F) {
	files := tree(f, "mac.txtar")
	f.Add(files["list"].Data, files["disk0"].Data)
	f.Add(files["disk2"].Data, files["list"].Data)
	f.Add(files["list"].Data, files["ioreg"].Data)
	f.Fuzz(func(t *testing.T, list, info []byte) {
		disks, _ := darwinDisks(list, info, func(string) ([]byte, error) { return info, nil })
		for _, d := range disks {
			if d.Size <= 0 || d.Name == "" {
				t.Errorf("%+v", d)
			}
		}
	})
}

func FuzzLinux(f *testing.F) {
	root := tree(f, "desktop.txtar")
	f.Add("../devices/virtual/block/sda", "123", "sda", string(root["proc/self/mountinfo"].Data), string(root["proc/swaps"].Data))
	f.Add("../devices/pci0000:00/usb2/block/sda", "-1", "dm-0", `1 2 0:1 / /a\040\777 - b /dev/sda`, "/dev/sda partition")
	f.Fuzz(func(t *testing.T, link, size, holder, mounts, swaps string) {
		sys := fstest.MapFS{"block/sda/size": {Data: []byte(size)}, "block/sda/removable": {Data: []byte(size)}, "block/sda/dev": {Data: []byte("8:0")},
			"block/dm-0/size": {Data: []byte(size)}, "block/dm-0/holders/dm-0/x": {}}
		if fs.ValidPath("block/sda/holders/" + holder) {
			sys["block/sda/holders/"+holder] = &fstest.MapFile{}
		}
		disks, err := linuxDisks(sys, mounts, swaps)
		if err != nil {
			t.Error(err)
		}
		for _, d := range disks {
			if d.Size <= 0 {
				t.Errorf("%+v", d)
			}
		}
		bus(link)
	})
}

// What this computer has must be read without an error, whatever it is.
func TestHere(t *testing.T) {
	disks, err := List()
	if err != nil && !strings.Contains(err.Error(), "on this system alphaos works on image files only") {
		t.Fatal(err)
	}
	for _, d := range disks {
		t.Logf("%+v", d)
	}
}

func TestMeter(t *testing.T) {
	for _, c := range []struct {
		done, total, recent int64
		in                  time.Duration
		want                string
	}{
		{0, 1 << 30, 0, 0, "Writing: 0 bytes of 1 GiB, 0 %"},
		{1 << 29, 1 << 30, 1 << 25, time.Second, "Writing: 512 MiB of 1 GiB, 50 %, 32 MiB/s, 16 s left"},
		{1 << 29, 1 << 40, 1 << 25, time.Second, "Writing: 512 MiB of 1 TiB, 0 %, 32 MiB/s, 9 h 5 min left"},
		{5, 0, 5, 0, "Writing: 5 bytes of 0 bytes, 500 %"},
	} {
		if got := progressLine("Writing", c.done, c.total, c.recent, c.in); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
	var b strings.Builder
	m := Meter{W: &b}
	done := m.Step("Writing", 100)
	done(50)
	done(100)
	done(100)
	if got, want := b.String(), "\rWriting: 50 bytes of 100 bytes, 50 %\rWriting: 100 bytes in less than a second\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

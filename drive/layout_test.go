package drive_test

import (
	iofs "io/fs"
	"strings"
	"testing"
	"time"

	"alphaos/drive"
	"alphaos/fs"
	"alphaos/fs/fat"
	"alphaos/fs/gpt"
)

func TestAt(t *testing.T) {
	for _, c := range []struct {
		path, full string
		part       drive.Part
	}{
		{drive.EFIPath, drive.EFIPath, drive.ESP},
		{drive.CrashPath, "logs/crash.txt", drive.ESP},
		{drive.ModelsDir, "models", drive.System},
		{drive.ModelsDir + "/a.gguf", "models/a.gguf", drive.System},
		{drive.ModelsDir + "2", "models2", drive.ESP}, // another name
		{drive.ConfigPath, "config/config.json", drive.System},
		{drive.JournalPath, "journal/journal.log", drive.Knowledge},
		{drive.StatePath, "cache/session.kv", drive.Knowledge},
		{drive.DocumentsDir + "/x/y", "documents/x/y", drive.Knowledge},
		{drive.BackupDir + "/1", "backup/1", drive.Knowledge},
		{".", ".", drive.ESP},
	} {
		if part, at := drive.Full.At(c.path); part != c.part || at != c.full {
			t.Errorf("%s is %s on partition %d, want %s on %d", c.path, at, part, c.full, c.part)
		}
		if part, at := drive.Minimal.At(c.path); part != drive.ESP || at != c.path {
			t.Errorf("%s is %s on partition %d of the minimal layout", c.path, at, part)
		}
	}
	if got := []string{drive.Full.Where(drive.ConfigPath), drive.Full.Where(drive.CrashPath), drive.Minimal.Where(drive.CrashPath)}; got[0] != drive.FullConfig || got[1] != drive.FullCrash || got[2] != "/"+drive.CrashPath {
		t.Errorf("%q", got)
	}
}

// volumeOf returns a volume of that label that holds files, each of 64 KiB.
func volumeOf(t *testing.T, label string, files ...string) device {
	t.Helper()
	var tree fat.Tree
	for _, name := range files {
		if err := tree.Add(name, fat.Content{Size: 64 << 10}); err != nil {
			t.Fatal(err)
		}
	}
	return labelled(t, label, &tree)
}

// Partitions are known by their type and by what the table calls them, or else by their label.
func TestMountFull(t *testing.T) {
	efi := volumeOf(t, "ALPHAOS_ESP", drive.EFIPath)
	sys, data, other := volumeOf(t, "ALPHAOS_SYS", "models/a.gguf"), volumeOf(t, "ALPHAOSDATA", "journal/journal.log"), volumeOf(t, "OTHER", "models/b.gguf")
	named := func(d device, name string) drive.Partition {
		return drive.Partition{Device: d, TypeGUID: gpt.BasicData, Name: name}
	}
	hidden := named(data, "ALPHAOS_DATA")
	hidden.TypeGUID = gpt.EFISystem
	for _, c := range []struct {
		name         string
		others       []drive.Partition
		models, ours bool
		notes        string
	}{
		{"whole", []drive.Partition{named(sys, "ALPHAOS_SYS"), named(data, "ALPHAOS_DATA")}, true, true, ""},
		{"in another order, with others", []drive.Partition{named(other, "x"), named(data, "ALPHAOS_DATA"), named(sys, "ALPHAOS_SYS")}, true, true, ""},
		{"without names", []drive.Partition{named(other, ""), named(sys, ""), named(data, "")}, true, true, ""},
		{"with another label", []drive.Partition{named(other, "ALPHAOS_SYS"), named(data, "ALPHAOS_DATA")}, false, true, ""},
		{"without the system", []drive.Partition{named(data, "ALPHAOS_DATA")}, false, true, "system partition, ALPHAOS_SYS, cannot be used: it is not on the drive"},
		{"without data", []drive.Partition{named(sys, "ALPHAOS_SYS")}, true, false, "knowledge partition, ALPHAOSDATA, cannot be used"},
		{"data of another type", []drive.Partition{named(sys, "ALPHAOS_SYS"), hidden}, true, false, "knowledge partition"},
		{"alone", nil, false, false, "system partition"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, err := drive.Mount(efi, c.others...)
			if err != nil {
				t.Fatal(err)
			}
			_, err = iofs.Stat(d, drive.ModelsDir+"/a.gguf")
			if notes := strings.Join(d.Notes(), "\n"); d.Layout != drive.Full || (err == nil) != c.models || d.Ours() != c.ours || !strings.Contains(notes, c.notes) || c.notes == "" && notes != "" {
				t.Errorf("layout %v, models: %v, ours: %v, notes %q", d.Layout, err, d.Ours(), notes)
			}
			if _, _, err := d.OpenJournal(time.Now); !c.ours && (err == nil || !strings.Contains(err.Error(), "there is no knowledge partition")) {
				t.Error(err)
			}
		})
	}
	// One partition with everything is another layout, whatever else is on the disk.
	d, err := drive.Mount(volumeOf(t, "ALPHAOS", drive.JournalPath), named(other, "x"))
	if err != nil || d.Layout != drive.Minimal || !d.Ours() || len(d.Notes()) > 0 {
		t.Errorf("%+v, error %v", d, err)
	}
	// A damaged volume is told of, and is no reason not to start.
	d, err = drive.Mount(efi, named(sys, "ALPHAOS_SYS"), named(device{BlockDevice: fs.Section(efi, 0, 0)}, "ALPHAOS_DATA"))
	if err != nil || len(d.Notes()) != 1 {
		t.Errorf("notes %q, error %v", d.Notes(), err)
	}
}

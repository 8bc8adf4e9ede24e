package drive

// The layouts of a drive: which partitions it has, and where on them each thing lives.
//
// Everybody else names a thing by its logical path, which is its place on a drive of the
// minimal layout. Places says where it is in the full layout; At asks it. A path that it
// does not know is where the firmware finds it: on the EFI system partition, as it is.

import (
	"fmt"
	"slices"
	"strings"

	"alphaos/fs/gpt"
)

// Layout is how a drive is divided.
type Layout int

const (
	Minimal Layout = iota // one partition for everything
	Full                  // three: for the firmware, for models and settings, for what is said and known
)

// Layouts are the names of the layouts.
var Layouts = [...]string{Minimal: "minimal", Full: "full"}

func (l Layout) String() string { return Layouts[l] }

// Part is a partition of a drive. The minimal layout has the first one only.
type Part int

const (
	ESP       Part = iota // the EFI system partition: what the firmware starts, and reports of what went wrong
	System                // models and settings
	Knowledge             // conversations and documents
)

// PartInfo describes a partition.
type PartInfo struct {
	Name     string   // in a sentence
	Label    string   // of the partition, in the full layout
	Volume   string   // of the volume there, which FAT cuts off after 11 characters
	TypeGUID gpt.GUID // the one by which every system mounts it
}

// Parts describes the partitions in their order on the drive.
var Parts = [...]PartInfo{
	ESP:       {"EFI system", "ALPHAOS_ESP", "ALPHAOS_ESP", gpt.EFISystem},
	System:    {"system", "ALPHAOS_SYS", "ALPHAOS_SYS", gpt.BasicData},
	Knowledge: {"knowledge", "ALPHAOS_DATA", "ALPHAOSDATA", gpt.BasicData},
}

// Count is how many partitions the layout has.
func (l Layout) Count() int {
	if l == Full {
		return len(Parts)
	}
	return 1
}

// Labels returns the label of a partition of the layout and that of its volume.
func (l Layout) Labels(p Part) (partition, volume string) {
	if l == Full {
		return Parts[p].Label, Parts[p].Volume
	}
	return Label, Label
}

// OurLabel tells whether a volume with that label may be one of an AlphaOS drive.
func OurLabel(label string) bool {
	for part := range Parts {
		if label == Label || Parts[part].labelled(label) {
			return true
		}
	}
	return false
}

// Further tells whether a partition of that name, whose volume has that label, is one of a drive of the
// full layout other than the first.
func Further(name, label string) bool {
	for _, p := range Parts[System:] {
		if p.Label == name || p.labelled(label) {
			return true
		}
	}
	return false
}

// Places says where in the full layout things are that lie elsewhere than in the minimal
// one. A directory stands for all that is below it.
var Places = []struct {
	Path string // logical
	Part Part
	Full string // its path on that partition
}{
	{ModelsDir, System, ModelsDir},
	{ToolsDir, System, ToolsDir},
	{FontsDir, System, FontsDir},
	{ManifestPath, System, ManifestPath},
	{ManifestSigPath, System, ManifestSigPath},
	{ConfigPath, System, "config/config.json"},
	{BadConfigPath, System, "config/config.bad"},
	{ConversationDir, Knowledge, "conversations"},
	{DocumentsDir, Knowledge, DocumentsDir},
	{journalDir, Knowledge, "journal"},
	{StatePath, Knowledge, "cache/session.kv"},
	{namesPath, Knowledge, "cache/names"},
	{BackupDir, Knowledge, "backup"},
	{IndexPath, Knowledge, "knowledge.idx"},
	{DatabasePath, Knowledge, "knowledge.db"},
	{DatabasePath + "-journal", Knowledge, "knowledge.db-journal"}, // while SQLite changes it
	{"data/knowledge-other.db", Knowledge, "knowledge-other.db"},   // another program's, moved out of its way
	// What tells why a start failed must be readable when the other partitions are not.
	{reportsDir, ESP, "logs"},
}

// At returns where the logical path name is: the partition and the path there.
func (l Layout) At(name string) (Part, string) {
	if l == Full {
		for _, p := range Places {
			if rest, ok := strings.CutPrefix(name, p.Path); ok && (rest == "" || rest[0] == '/') {
				return p.Part, p.Full + rest
			}
		}
	}
	return ESP, name
}

// Where in the full layout the files are that a crash names, as Where says it.
const (
	FullConfig = "/config/config.json on ALPHAOS_SYS"
	FullCrash  = "/logs/crash.txt on ALPHAOS_ESP"
)

// Where says in words where the logical path name is, for a person who looks for it.
func (l Layout) Where(name string) string {
	part, at := l.At(name)
	if l == Full {
		return fmt.Sprintf("/%s on %s", at, Parts[part].Volume)
	}
	return "/" + at
}

// Dirs returns the logical paths of the directories that a new drive has, even if they are
// empty.
func (l Layout) Dirs() []string {
	dirs := []string{ConversationDir, ModelsDir, DocumentsDir}
	if l == Full {
		dirs = append(dirs, ToolsDir, FontsDir, BackupDir)
	}
	return dirs
}

// ParseLayout returns the layout of that name.
func ParseLayout(name string) (Layout, error) {
	if i := slices.Index(Layouts[:], name); i >= 0 {
		return Layout(i), nil
	}
	return 0, fmt.Errorf("layout %q is not known; use --layout %s", name, strings.Join(Layouts[:], " or --layout "))
}

package main

// The floor plan of the house and its laws, held against what `go list` says of the source:
// who imports whom, which texts stand where, how large each room is.

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"alphaos/drive"
)

// plan is the house from the roof to the ground. A package imports only packages of lower
// floors: none of its own floor, none above. A name that ends in /... is the packages below
// that folder as well. A new package needs a place here.
var plan = []struct{ rooms, what string }{
	{"tests/...", "end-to-end tests, and the programs that they boot"},
	{"internal/vmtest", "boots the machine for tests"},
	{"internal/...", "what else only tests import"},
	{"tools/alphaos", "the host command"},
	{"tools/guide tools/pe tools/secureboot tools/train ovmf", "the guide's text, packing, signing, training; a machine to run images in"},
	{"drive/create drive/clone drive/check drive/update drive/encrypt drive/erase", "makes a drive; copies one, and keeps copies in backups; checks and mends one; adds files to one; encrypts one where it lies; makes one unreadable"},
	{"drive/content", "files of the host that go on one"},
	{"drive/picker drive/media", "its name and icon for a Mac's start-up picker; the drives of the host"},
	{".", "main.go: the order of a start"},
	{"machine", "console, drive, facts, crash screen and power, made of the two below"},
	{"efi", "the firmware's services, as block devices, keys and screens"},
	{"goos", "what TamaGo's runtime asks of amd64"},
	{"amd64", "the machine below Go"},
	{"amd64/paging", "its page frames, page tables and VMAs"},
	{"boot", "what happens before the conversation"},
	{"assistant", "the conversation"},
	{"engine archive", "a model that answers; conversations as files"},
	{"drive/database drive/manifest", "keeps the database of a drive; says what was signed of it"},
	{"models", "the guide model"},
	{"models/rules", "what is answered by rule in its place"},
	{"drive", "where each thing lives on the drive"},
	{"llm/llmtest", "models for tests"},
	{"llm/synth llm/quantize", "makes up weights; rounds them"},
	{"llm/draft", "tokens guessed ahead of the model"},
	{"llm", "weights and graphs"},
	{"llm/chat", "a conversation as a prompt"},
	{"llm/chat/jinja llm/tokenizer llm/kernel llm/sample", "the template language, text as tokens, arithmetic, the choice of a token"},
	{"fs/fstest fs/exfat/exfattest fs/fat/fattest", "failing media, exFAT volumes and damaged FAT32 ones, for tests"},
	{"fs/volume", "what is on a medium, and reading any of it"},
	{"fs/fatsize", "FAT32 volumes as copies of another size"},
	{"fs/fat fs/exfat fs/ext4 fs/gpt fs/luks", "FAT32, exFAT and ext4 volumes, GUID partition tables, encrypted volumes"},
	{"fs/mbr fs/readfs", "other partition tables, the open files of all volumes"},
	{"knowledge/db", "what is on the drive as a SQLite file"},
	{"knowledge", "the library: documents as passages, found by words and by meaning, cited"},
	{"knowledge/docs", "what of a document is text"},
	{"knowledge/docs/pdf", "the lines of PDF files"},
	{"fs console console/keyboard store llm/gguf uefi uefi/authenticode", "the ground: block devices, the screen, keyboard layouts, the journal, model files, the UEFI specification, signatures"},
	{"console/unifont", "a picture of nearly every character"},
}

// floor returns how far below the roof a package is, or -1.
func floor(pkg string) int {
	return slices.IndexFunc(plan, func(f struct{ rooms, what string }) bool { return within(pkg, f.rooms) })
}

// within tells whether a package is one of rooms.
func within(pkg, rooms string) bool {
	return slices.ContainsFunc(strings.Fields(rooms), func(room string) bool {
		above, below := strings.CutSuffix(room, "/...")
		return pkg == above || below && strings.HasPrefix(pkg, above+"/")
	})
}

// laws say who may know of whom, directly or through others.
var laws = []struct {
	what      string
	all, but  string // the rooms that it binds, and those that it does not
	only, not string // all that they may depend on in the house, beside themselves; what they may not
}{
	{what: "only what is made of the machine knows the machine", all: "...", but: ". machine efi goos amd64/... tests/... internal/...", not: "machine efi amd64/..."},
	{what: "machine alone joins efi and amd64", all: "...", but: ". machine tests/...", not: "efi"},
	{what: "console imports no other room", all: "console/...", only: "console/unifont"},
	{what: "fs imports no other room", all: "fs/...", only: "fs/..."},
	{what: "store imports no other room", all: "store/..."},
	{what: "llm/gguf imports no other room", all: "llm/gguf/..."},
	{what: "uefi imports no other room", all: "uefi/..."},
	{what: "knowledge stands alone", all: "knowledge/...", only: "knowledge/..."},
	{what: "llm stands alone", all: "llm/...", only: "llm/..."},
	{what: "amd64 knows nothing of the product", all: "amd64/...", only: "amd64/... uefi"},
	{what: "efi knows devices, not the product", all: "efi/...", only: "amd64/... uefi fs console console/unifont"},
	{what: "the product needs no tool", all: ". machine boot assistant engine drive store models/... llm/... fs/... console", but: "drive/create", not: "tools/... ovmf drive/create drive/clone drive/check drive/update drive/encrypt drive/erase drive/content drive/media"},
}

// A pkg is a package of the house. Paths are without the module's name: main.go's is ".".
type pkg struct {
	ImportPath, Dir, Name string
	Deps                  []string // also through others

	imports map[string]bool // of all its files, whatever they are built for
	files   map[string]*ast.File
	lines   int
}

const module = "alphaos"

var fset = token.NewFileSet()

// house returns the packages with all files that are no tests.
func house(t *testing.T) []*pkg {
	list, err := read()
	if err != nil {
		t.Fatal(err)
	}
	if len(list) < 30 {
		t.Fatalf("go list knows only %d packages", len(list))
	}
	return list
}

var read = sync.OnceValues(func() (list []*pkg, err error) {
	out, err := exec.Command("go", "list", "-e", "-json=ImportPath,Dir,Name,Deps", "./...").Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		p := &pkg{imports: map[string]bool{}, files: map[string]*ast.File{}}
		if err := d.Decode(p); errors.Is(err, io.EOF) {
			return list, nil
		} else if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		p.ImportPath = ours(p.ImportPath)
		// Reading the folder lets go test know that a file more makes this test anew.
		entries, err := os.ReadDir(p.Dir)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			name := e.Name()
			if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
				continue
			}
			f, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, parser.ParseComments)
			if err != nil {
				return nil, err
			}
			p.files[name], p.lines = f, p.lines+fset.File(f.FileStart).LineCount()-1
			for _, i := range f.Imports {
				p.imports[ours(text(i.Path))] = true
			}
		}
		list = append(list, p)
	}
})

// ours cuts the module's name off a path in it; others get a colon, which none of ours has.
func ours(path string) string {
	if path == module {
		return "."
	}
	if rest, ok := strings.CutPrefix(path, module+"/"); ok {
		return rest
	}
	return ":" + path
}

func text(l *ast.BasicLit) string {
	s, _ := strconv.Unquote(l.Value)
	return s
}

// forTests tells whether a package is there for tests alone.
func forTests(pkg string) bool {
	return within(pkg, "tests/... internal/... :testing/...") || strings.HasSuffix(pkg, "test")
}

func TestFloors(t *testing.T) {
	for _, p := range house(t) {
		if floor(p.ImportPath) < 0 {
			t.Errorf("package %s is on no floor of the plan in house_test.go: give it one", p.ImportPath)
		}
		for i := range p.imports {
			if forTests(i) && !forTests(p.ImportPath) {
				t.Errorf("%s imports %s, which is for tests", p.ImportPath, i)
			}
			if i[0] == ':' || within(p.ImportPath, "tests/...") && within(i, "tests/...") {
				continue
			}
			if floor(i) <= floor(p.ImportPath) {
				t.Errorf("%s imports %s, which is no lower in the house", p.ImportPath, i)
			}
		}
	}
}

func TestLaws(t *testing.T) {
	packages := house(t)
	for _, law := range laws {
		bound := 0
		for _, p := range packages {
			if law.all != "..." && !within(p.ImportPath, law.all) || within(p.ImportPath, law.but) {
				continue
			}
			bound++
			known := map[string]bool{}
			for i := range p.imports {
				known[i] = true
			}
			for _, d := range p.Deps {
				known[ours(d)] = true
			}
			for k := range known {
				if k[0] == ':' || k == p.ImportPath {
					continue
				}
				if law.not != "" && within(k, law.not) || law.not == "" && !within(k, law.only) {
					t.Errorf("%s: but %s depends on %s", law.what, p.ImportPath, k)
				}
			}
		}
		if bound == 0 {
			t.Errorf("%s: binds no package", law.what)
		}
	}
}

// literals calls f for the texts in p.
func (p *pkg) literals(f func(at token.Position, s string)) {
	for _, file := range p.files {
		ast.Inspect(file, func(n ast.Node) bool {
			if _, ok := n.(*ast.ImportSpec); ok {
				return false
			}
			if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING {
				f(fset.Position(l.Pos()), text(l))
			}
			return true
		})
	}
}

// The words of a crash are handed to amd64, as are the paths that they name.
func TestMachineSaysNothingOfTheProduct(t *testing.T) {
	product := regexp.MustCompile(`(?i)alphaos|drive|journal|conversation|model|assistant|answer|\.(json|txt|log|gguf)|(^|\W)/[a-z?]|[{}]`)
	seen := 0
	for _, p := range house(t) {
		if within(p.ImportPath, "amd64/...") {
			p.literals(func(at token.Position, s string) {
				seen++
				if product.MatchString(s) {
					t.Errorf("%v: amd64 says %q; let its user hand it over", at, s)
				}
			})
		}
	}
	if seen < 50 {
		t.Errorf("amd64 has only %d texts", seen)
	}
}

func TestDriveOwnsItsPaths(t *testing.T) {
	var paths []string
	owned := func(s string) bool {
		return slices.ContainsFunc(paths, func(p string) bool { return strings.Contains(s, p) })
	}
	packages := house(t)
	for _, p := range packages {
		if p.ImportPath == "drive" {
			p.literals(func(_ token.Position, s string) {
				if strings.Contains(s, "/") && s != "/" && !strings.Contains(s, " ") {
					paths = append(paths, s, path.Dir(s)+"/")
				}
			})
		}
	}
	paths = append(paths, drive.ModelsDir+"/")
	for _, p := range []string{drive.JournalPath, drive.StatePath, drive.ConfigPath, drive.CrashPath, drive.BootLogPath, drive.EFIPath} {
		if !owned(p) {
			t.Errorf("this test does not know %s", p)
		}
	}
	for _, p := range packages {
		if within(p.ImportPath, "drive/... tests/... internal/...") {
			continue
		}
		p.literals(func(at token.Position, s string) {
			if owned(s) {
				t.Errorf("%v: %q has a path that package drive owns", at, s)
			}
		})
	}
}

// What a file or a medium is known by stands once, where it is read and written.
func TestFormatsHaveOneOwner(t *testing.T) {
	owners := map[string]string{
		"GGUF": "llm/gguf", "EFI PART": "fs/gpt", "FAT32": "fs/fat", "ALPHAJ": "store", "ALPHAKV": "llm", "ALPHAIX": "knowledge", "SQLite format 3": "knowledge/db",
	}
	found := map[string]int{}
	for _, p := range house(t) {
		if within(p.ImportPath, "tools/guide") { // writes prose
			continue
		}
		p.literals(func(at token.Position, s string) {
			for magic, owner := range owners {
				if rest, ok := strings.CutPrefix(s, magic); !ok || strings.TrimRight(rest, " \n\x00\x01") != "" {
					continue
				}
				if found[magic]++; p.ImportPath != owner || found[magic] > 1 {
					t.Errorf("%v: %q is known in %s; ask there", at, s, owner)
				}
			}
		})
	}
	for magic := range owners {
		if found[magic] == 0 {
			t.Errorf("nobody knows %q", magic)
		}
	}
}

func TestOneRoomKnowsSQLite(t *testing.T) {
	found := false
	for _, p := range house(t) {
		for i := range p.imports {
			if strings.Contains(i, "sqlite") {
				if found = true; p.ImportPath != "knowledge/db" {
					t.Errorf("%s imports %s, which only knowledge/db may", p.ImportPath, i[1:])
				}
			}
		}
	}
	if !found {
		t.Error("nobody imports SQLite")
	}
}

func TestRootIsComposition(t *testing.T) {
	for _, p := range house(t) {
		if p.ImportPath == "." && (len(p.files) > 3 || p.lines > 250) {
			t.Errorf("the root has %d files and %d lines; what does something belongs in a room", len(p.files), p.lines)
		}
	}
}

// A program can be read file by file: none uses one that uses it.
func TestNoCircleOfFiles(t *testing.T) {
	programs := 0
	for _, p := range house(t) {
		if p.Name != "main" || within(p.ImportPath, "tests/...") {
			continue
		}
		programs++
		for _, c := range circles(uses(p)) {
			t.Errorf("%s: these files use each other in a circle: %s", p.ImportPath, c)
		}
	}
	if programs < 2 {
		t.Errorf("only %d programs", programs)
	}
}

// uses returns which file of a package uses what which other ones declare.
func uses(p *pkg) map[string][]string {
	// Other packages are left out, and what is built for other machines declares some
	// names twice: of the errors that this makes none matters here.
	info := &types.Info{Uses: map[*ast.Ident]types.Object{}}
	config := types.Config{Error: func(error) {}, Importer: nothing{}, FakeImportC: true}
	var files []*ast.File
	for _, f := range p.files {
		files = append(files, f)
	}
	config.Check(p.ImportPath, fset, files, info)
	name := func(at token.Pos) string { return filepath.Base(fset.Position(at).Filename) }
	users := map[string][]string{}
	for id, o := range info.Uses {
		if !o.Pos().IsValid() {
			continue
		}
		if from, to := name(id.Pos()), name(o.Pos()); from != to && !slices.Contains(users[from], to) {
			users[from] = append(users[from], to)
		}
	}
	return users
}

// nothing is where there are no packages.
type nothing struct{}

func (nothing) Import(path string) (*types.Package, error) { return nil, errors.New("left out") }

// circles returns the ways from a file back to itself, one for each file on any.
func circles(users map[string][]string) (found []string) {
	for start := range users {
		seen := map[string]bool{}
		var walk func(at string, way []string) bool
		walk = func(at string, way []string) bool {
			way = append(way, at)
			for _, to := range users[at] {
				if to == start {
					found = append(found, strings.Join(append(way, to), " -> "))
					return true
				}
				if !seen[to] {
					seen[to] = true
					if walk(to, way) {
						return true
					}
				}
			}
			return false
		}
		walk(start, nil)
	}
	slices.Sort(found)
	return found
}

func TestCircles(t *testing.T) {
	got := circles(map[string][]string{"a": {"b", "c"}, "b": {"c"}, "c": {"b", "d"}})
	if want := []string{"b -> c -> b", "c -> b -> c"}; !reflect.DeepEqual(got, want) {
		t.Errorf("%q", got)
	}
}

// A room that has more than a quarter of the lines is divided into packages that do not.
func TestNoRoomTooLarge(t *testing.T) {
	total := 0
	packages := slices.DeleteFunc(slices.Clone(house(t)), func(p *pkg) bool { return forTests(p.ImportPath) })
	for _, p := range packages {
		total += p.lines
	}
	for _, p := range packages {
		if 4*p.lines > total {
			t.Errorf("package %s has %d of the %d lines: divide it", p.ImportPath, p.lines, total)
		}
	}
}

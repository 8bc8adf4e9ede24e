package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The documentation lists all habits, in the order in which they are declared.
func TestHabitsAreDocumented(t *testing.T) {
	root, err := sourceRoot()
	if err != nil {
		t.Fatal(err)
	}
	names, err := habitNames(filepath.Join(root, chainDir, "habits.go"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "docs", "machine.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "\n### Run a drive under them\n")
	var told []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z0-9-]+)` \\|").FindAllStringSubmatch(table, -1) {
		told = append(told, m[1])
	}
	if !slices.Equal(told, names) {
		t.Errorf("docs/machine.md lists %q, and there are %q", told, names)
	}
}

func TestHabitsWithoutGo(t *testing.T) {
	t.Setenv("PATH", "")
	if _, err := habitDrive(t.TempDir(), "nonx, fullmap"); err == nil || !strings.Contains(err.Error(), "takes Go, which is not installed here") {
		t.Error(err)
	}
}

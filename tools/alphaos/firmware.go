package main

// qemu run --firmware: OVMF with habits of other firmware. A program of the tests, tests/chain,
// gives it those and then starts what another drive has. It is built here, from the source, and
// lies on a small drive of its own that is started before the person's.

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"alphaos/drive/create"
	"alphaos/tools/pe"
)

const chainDir = "tests/chain"

// habitDrive makes a drive in dir that gives the firmware habits, a list with commas between.
func habitDrive(dir, list string) (image string, err error) {
	root, err := sourceRoot()
	if err != nil {
		return "", err
	}
	names, err := habitNames(filepath.Join(root, chainDir, "habits.go"))
	if err != nil {
		return "", err
	}
	for name := range strings.FieldsFuncSeq(list, func(r rune) bool { return r == ',' || r == ' ' }) {
		if !slices.Contains(names, name) {
			return "", fmt.Errorf("no firmware has the habit %q: there are %s", name, strings.Join(names, ", "))
		}
	}
	program, err := pe.Build(root, "./"+chainDir, "-tags=lean")
	if err != nil {
		return "", err
	}
	efi := filepath.Join(dir, "chain.efi")
	if err := os.WriteFile(efi, program, 0o600); err != nil {
		return "", err
	}
	image = filepath.Join(dir, "habits.img")
	_, err = create.Drive(create.Options{Out: image, EFI: efi, Size: 64 << 20, Journal: 1 << 20, State: -1,
		Extra: []create.Extra{{Path: "habits", Content: []byte(list)}}})
	return image, err
}

// sourceRoot is the folder of the source tree that the command is called in.
func sourceRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, chainDir, "habits.go")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("--firmware builds a part of AlphaOS's source, which is not here: call it in the folder of the source")
		}
		dir = filepath.Dir(dir)
	}
}

// habitNames reads the names of all habits where they are declared: the strings of the variable
// names.
func habitNames(file string) (names []string, err error) {
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		return nil, fmt.Errorf("reading the habits of firmware: %w", err)
	}
	ast.Inspect(f, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok || v.Names[0].Name != "names" || len(v.Values) != 1 {
			return true
		}
		ast.Inspect(v.Values[0], func(n ast.Node) bool {
			if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING {
				name, _ := strconv.Unquote(l.Value)
				names = append(names, name)
			}
			return true
		})
		return false
	})
	if len(names) == 0 {
		return nil, fmt.Errorf("reading the habits of firmware: %s declares none", file)
	}
	return names, nil
}

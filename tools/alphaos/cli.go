package main

// The habits of the command line. A command that was called wrongly, by a name or a flag that is none or with too
// few arguments, exits with 2 and says what may have been meant; one that could not do its work exits with 1. Usage
// is shown when it is asked for.

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"alphaos/drive/media"
)

// version is set by the linker.
var version string

func versionText() string {
	v := version
	if v == "" {
		v = "of no version"
		if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
			v = info.Main.Version
		}
	}
	return fmt.Sprintf("alphaos %s (%s, %s/%s)", v, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// exitCode is the error of a command that has told why it failed.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// execute runs the command and returns its exit status.
func execute(root *cobra.Command, errs io.Writer) int {
	began := false
	root.InitDefaultCompletionCmd() // before its commands are prepared
	root.InitDefaultHelpCmd()
	prepare(root, &began)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		var unknown interface{ GetSpecifiedName() string }
		if errors.As(err, &unknown) {
			return meant(err, "--", unknown.GetSpecifiedName(), flagNames(cmd))
		}
		return err
	})
	cmd, err := root.ExecuteC()
	var exit exitCode
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return int(exit)
	}
	fmt.Fprintln(errs, "alphaos:", err)
	if !began {
		if cmd.Name() == "help" {
			cmd = root
		}
		fmt.Fprintf(errs, "%s --help tells how it is used.\n", cmd.CommandPath())
		return 2
	}
	return 1
}

// prepare has each command tell when it begins its work, and those that only hold others know what they hold.
func prepare(cmd *cobra.Command, began *bool) {
	for _, c := range cmd.Commands() {
		prepare(c, began)
	}
	if cmd.HasSubCommands() {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return noCommand(cmd, args[0])
		}
		cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		return
	}
	if cmd.Flags().Lookup("model") != nil {
		completeFiles(cmd, "model", "gguf")
	}
	if cmd.Name() == "help" {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if about, rest, err := cmd.Root().Find(args); err == nil && about.HasSubCommands() && len(rest) > 0 {
				return noCommand(about, rest[0])
			}
			return nil
		}
		return
	}
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		*began = true
		return run(cmd, args)
	}
}

// noCommand is the error about a name that no command below one has.
func noCommand(cmd *cobra.Command, name string) error {
	err := fmt.Errorf("%s has no command %q", cmd.CommandPath(), name)
	if cmd.Flags().Lookup(name) != nil {
		return fmt.Errorf("%w; did you mean --%s?", err, name)
	}
	var names []string
	for _, c := range cmd.Commands() {
		names = append(names, c.Name())
	}
	return meant(err, "", name, names)
}

// meant adds to an error about a name the one that it is likely to stand for.
func meant(err error, prefix, name string, names []string) error {
	if len(names) == 0 {
		return err
	}
	best := slices.MinFunc(names, func(a, b string) int { return distance(name, a) - distance(name, b) })
	if distance(name, best) > max(len(name)/3, 1) {
		for _, n := range names {
			if len(name) > 1 && strings.HasPrefix(n, name) {
				return fmt.Errorf("%w; did you mean %s%s?", err, prefix, n)
			}
		}
		return err
	}
	return fmt.Errorf("%w; did you mean %s%s?", err, prefix, best)
}

// distance is how many letters must be added, left out or replaced to make a of b, or neighbours exchanged.
func distance(a, b string) int {
	d := make([][]int, len(a)+1)
	for i := range d {
		d[i] = make([]int, len(b)+1)
		for j := range d[i] {
			switch {
			case i == 0 || j == 0:
				d[i][j] = i + j
				continue
			case a[i-1] == b[j-1]:
				d[i][j] = d[i-1][j-1]
			default:
				d[i][j] = 1 + min(d[i-1][j-1], d[i-1][j], d[i][j-1])
			}
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d[i][j] = min(d[i][j], d[i-2][j-2]+1)
			}
		}
	}
	return d[len(a)][len(b)]
}

func flagNames(cmd *cobra.Command) (names []string) {
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	return names
}

// completeFiles has a shell complete a flag with files of some extensions.
func completeFiles(cmd *cobra.Command, flag string, extensions ...string) {
	if err := cmd.MarkFlagFilename(flag, extensions...); err != nil {
		panic(err) // there is no such flag
	}
}

// completeWith has a shell complete a flag with words. f is given what was typed of it.
func completeWith(cmd *cobra.Command, flag string, f func(text string) []string) {
	err := cmd.RegisterFlagCompletionFunc(flag, func(_ *cobra.Command, _ []string, text string) ([]string, cobra.ShellCompDirective) {
		how := cobra.ShellCompDirectiveNoFileComp
		list := f(text)
		if len(list) > 0 && strings.HasSuffix(list[0], "=") {
			how |= cobra.ShellCompDirectiveNoSpace
		}
		return list, how
	})
	if err != nil {
		panic(err)
	}
}

// completeDrives has a shell complete the first argument with the drives of this computer, and files.
func completeDrives(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveDefault
	}
	disks, err := media.List()
	if err != nil {
		return nil, cobra.ShellCompDirectiveDefault
	}
	var list []string
	for _, d := range disks {
		if !d.Virtual {
			list = append(list, fmt.Sprintf("%s\t%s %s", d.Path, media.FormatSize(d.Size), d.Model))
		}
	}
	return list, cobra.ShellCompDirectiveDefault
}

// completeHabits completes the last of a list of habits.
func completeHabits(text string) (list []string) {
	root, err := sourceRoot()
	if err != nil {
		return nil
	}
	names, err := habitNames(filepath.Join(root, chainDir, "habits.go"))
	if err != nil {
		return nil
	}
	before := text[:strings.LastIndexByte(text, ',')+1]
	for _, n := range names {
		if !slices.Contains(strings.Split(before, ","), n) {
			list = append(list, before+n)
		}
	}
	return list
}

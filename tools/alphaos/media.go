package main

// Drives of the host: listing them, and asking before one is erased.

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"alphaos/drive/media"
)

func driveListCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the drives of this computer, and say what keeps one from being erased",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			disks, err := media.List()
			if err != nil {
				return err
			}
			return listDisks(cmd.OutOrStdout(), disks)
		},
	}
}

func listDisks(w io.Writer, disks []media.Disk) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, d := range disks {
		if d.Virtual {
			continue
		}
		notes := strings.Join(d.Dangers(), "; ")
		if d.ReadOnly {
			notes = strings.TrimPrefix(notes+"; is write-protected", "; ")
		}
		if d.BlockSize != 512 {
			notes = strings.TrimPrefix(fmt.Sprintf("%s; has sectors of %d bytes", notes, d.BlockSize), "; ")
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", d.Path, media.FormatSize(d.Size), d.Bus, d.Model, notes)
	}
	return t.Flush()
}

// outFlags are the options of all commands that write a drive.
type outFlags struct {
	yes, noVerify bool
	name          string
}

func (o *outFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVar(&o.yes, "yes", false, "do not ask, and replace an image that exists; the drive that this system runs from is refused all the same")
	f.StringVar(&o.name, "name", "", "the `name` of the drive, such as sdb, in place of typing it when the drive is internal or mounted")
	f.BoolVar(&o.noVerify, "no-verify", false, "do not read back and compare what was written")
}

// out returns where to write: an image file, or a drive that the person agreed to erase.
func (o *outFlags) out(cmd *cobra.Command, target string) (media.Out, error) {
	meter := meterOf(cmd)
	out := media.Out{Image: target, Replace: o.yes, Verify: !o.noVerify, Progress: meter.Step}
	d, err := diskOf(target)
	if d == nil || err != nil {
		return out, err
	}
	out.Disk = d
	if err := out.Check(); err != nil {
		return out, err
	}
	return out, o.confirm(*d, cmd.InOrStdin(), cmd.ErrOrStderr())
}

// sayVerified tells how what was written was read back, if it was.
func sayVerified(cmd *cobra.Command, how string) {
	if how != "" {
		fmt.Fprintf(cmd.OutOrStdout(), "All that was written was read back, %s, and is right.\n", how)
	}
}

// meterOf tells about progress on the terminal of cmd, if it has one.
func meterOf(cmd *cobra.Command) *media.Meter {
	if f := terminal(cmd.ErrOrStderr()); f != nil {
		return &media.Meter{W: f}
	}
	return &media.Meter{W: io.Discard}
}

// diskOf returns the drive that is named, or nil for the name of an image file.
func diskOf(name string) (*media.Disk, error) {
	if !media.IsDevice(name) {
		return nil, nil
	}
	disks, err := media.List()
	if err != nil {
		return nil, err
	}
	path := name
	if real, err := filepath.EvalSymlinks(name); err == nil { // /dev/disk/by-id/...
		path = real
	}
	d, err := media.Find(disks, path)
	if err != nil {
		return nil, fmt.Errorf("%w; %s", err, candidates(disks))
	}
	return &d, nil
}

// candidates says which drives one may have meant.
func candidates(disks []media.Disk) string {
	list := media.Candidates(disks)
	if len(list) == 0 {
		return "no drive that can be taken away is plugged in"
	}
	s := "these can be taken away:"
	for _, d := range list {
		s += "\n  " + d.Title()
	}
	return s
}

var errDeclined = errors.New("nothing was written")

// confirm asks before d is erased, and unmounts it.
func (o *outFlags) confirm(d media.Disk, in io.Reader, out io.Writer) error {
	dangers := strings.Join(d.Dangers(), ", ")
	lines := bufio.NewReader(in)
	ask := func(format string, args ...any) string {
		fmt.Fprintf(out, format, args...)
		line, _ := lines.ReadString('\n')
		return strings.TrimSpace(line)
	}
	switch {
	case d.System:
		return fmt.Errorf("%s %s, so it cannot be erased from here", d.Title(), dangers)
	case dangers == "":
	case o.name == d.Name:
	case o.name != "" || o.yes:
		return fmt.Errorf("%s %s; if it is to be erased all the same, add --name %s", d.Title(), dangers, d.Name)
	default:
		if ask("%s %s.\nIf all data on it is to be erased all the same, type its name, %s: ", d.Title(), dangers, d.Name) != d.Name {
			return fmt.Errorf("that is not the name of the drive; %w", errDeclined)
		}
	}
	if !o.yes {
		answer := ask("WARNING: this will erase all data on %s. Continue? [y/N] ", d.Title())
		if !strings.EqualFold(answer, "y") && !strings.EqualFold(answer, "yes") {
			return errDeclined
		}
	}
	if len(d.Mounts) > 0 {
		return media.Unmount(d)
	}
	return nil
}

// besideProgram returns the file of a name that lies beside this program, if there is one.
func besideProgram(name string) string {
	self, err := os.Executable()
	if err != nil {
		return ""
	}
	path := filepath.Join(filepath.Dir(self), name)
	if _, err := os.Stat(path); err != nil {
		return ""
	}
	return path
}

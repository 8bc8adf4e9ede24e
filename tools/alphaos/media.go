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
		Use:     "list",
		Short:   "List the drives of this computer, and say what keeps one from being erased",
		Example: `  alphaos drive list`,
		Args:    cobra.NoArgs,
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
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", d.Path, media.FormatSize(d.Size), d.Bus, d.Model, d.Serial, notes)
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

// notListed warns of a model's name.
const notListed = "note: %s will not be in the list of models, which has files whose names end in .gguf and do not begin with a full stop; rename it\n"

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
	q := questions{bufio.NewReader(in), out}
	if err := q.sure(d, "erased", "all data on it is to be erased", o.name, o.yes); err != nil {
		return err
	}
	if !o.yes {
		answer := q.ask("WARNING: this will erase all data on %s. Continue? [y/N] ", d.Title())
		if !strings.EqualFold(answer, "y") && !strings.EqualFold(answer, "yes") {
			return errDeclined
		}
	}
	if len(d.Mounts) > 0 {
		return media.Unmount(d)
	}
	return nil
}

// questions are put to a person.
type questions struct {
	in  *bufio.Reader
	out io.Writer
}

func (q questions) ask(format string, args ...any) string {
	fmt.Fprintf(q.out, format, args...)
	line, _ := q.in.ReadString('\n')
	return strings.TrimSpace(line)
}

// sure lets only a person who has named it, or types its name now, do something to a drive with
// dangers: it is to be erased, say. Nobody may do it to the drive of the running system.
func (q questions) sure(d media.Disk, done, wish, name string, script bool) error {
	why := strings.Join(d.Dangers(), ", ")
	switch {
	case d.System:
		return fmt.Errorf("%s %s, so it cannot be %s from here", d.Title(), why, done)
	case why == "" || name == d.Name:
	case name != "" || script:
		return fmt.Errorf("%s %s; if it is to be %s all the same, add --name %s", d.Title(), why, done, d.Name)
	default:
		if q.ask("%s %s.\nIf %s all the same, type its name, %s: ", d.Title(), why, wish, d.Name) != d.Name {
			return fmt.Errorf("that is not the name of the drive; %w", errDeclined)
		}
	}
	return nil
}

// targetFlags are the options of all commands that change something on a drive.
type targetFlags struct{ name string }

func (t *targetFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&t.name, "name", "", "the `name` of the drive, such as sdb, in place of typing it when the drive is internal")
}

// open opens the drive or image target. To have it written, a person may have to type its name; one that is
// mounted is refused.
func (t *targetFlags) open(cmd *cobra.Command, target string, write bool) (*media.InPlace, error) {
	d, err := diskOf(target)
	if err != nil {
		return nil, err
	}
	if d != nil && write && (d.System || len(d.Mounts) == 0) {
		q := questions{bufio.NewReader(cmd.InOrStdin()), cmd.ErrOrStderr()}
		if err := q.sure(*d, "changed", "something on it is to be changed", t.name, false); err != nil {
			return nil, err
		}
	}
	return media.OpenInPlace(target, d, write)
}

// change has f change something on the drive or image target.
func (t *targetFlags) change(cmd *cobra.Command, target string, f func(dev *media.InPlace) error) error {
	dev, err := t.open(cmd, target, true)
	if err != nil {
		return err
	}
	err = f(dev)
	if cerr := dev.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("%s: %w", target, err)
	}
	return nil
}

// programFile returns the file of the EFI application: the one that is named, or that beside this program.
func programFile(name string) (string, error) {
	if name != "" {
		return name, nil
	}
	self, err := os.Executable()
	if err == nil {
		name = filepath.Join(filepath.Dir(self), "BOOTX64.EFI")
		_, err = os.Stat(name)
	}
	if err != nil {
		return "", errors.New("no EFI application was named; add --efi BOOTX64.EFI (make builds build/BOOTX64.EFI)")
	}
	return name, nil
}

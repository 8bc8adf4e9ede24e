package main

// What changes a drive and keeps what is on it: checks, further files, a newer program.

import (
	"errors"
	"fmt"
	"path"
	"time"

	"github.com/spf13/cobra"

	"alphaos/drive"
	"alphaos/drive/check"
	"alphaos/drive/media"
	"alphaos/drive/update"
	"alphaos/engine"
)

func driveCheckCommand() *cobra.Command {
	var target targetFlags
	var o check.Options
	cmd := &cobra.Command{
		Use:   "check TARGET [--repair]",
		Short: "Look whether a drive or an image is in order, and mend it",
		Long: `Look whether a drive or an image is in order, and mend it.

The partition table and its backup, and all FAT32 volumes are looked at, and the
journal is read. Without --repair nothing is written. With it, what is wrong is put
right as far as it can be: the journal is never touched. The exit status is 0 if
nothing is wrong, or all was mended, else 1.`,
		Example: `  sudo alphaos drive check /dev/sdb
  sudo alphaos drive check /dev/sdb --repair`,
		Args: one("TARGET, an image or a drive, for example: alphaos drive check /dev/sdb"),
		RunE: func(cmd *cobra.Command, args []string) error {
			dev, err := target.open(cmd, args[0], o.Repair)
			if err != nil {
				return err
			}
			defer dev.Close()
			o.Time, o.Unlock = time.Now(), unlocker(cmd)
			r, err := check.Drive(dev, o)
			fmt.Fprint(cmd.OutOrStdout(), r)
			if err == nil && o.Repair {
				err = dev.Flush()
			}
			switch {
			case err != nil:
				return fmt.Errorf("%s: %w", args[0], err)
			case r.Found == 0:
				fmt.Fprintln(cmd.OutOrStdout(), "Nothing is wrong.")
			case !o.Repair:
				return fmt.Errorf("%s: %s found; the same command with --repair mends what can be mended", args[0], problems(r.Found))
			case r.Mended < r.Found:
				return fmt.Errorf("%s: %s found, and %d of them could not be mended", args[0], problems(r.Found), r.Found-r.Mended)
			default:
				fmt.Fprintf(cmd.OutOrStdout(), "%s found and mended.\n", problems(r.Found))
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.Repair, "repair", false, "mend what is wrong")
	f.BoolVar(&o.SaveLost, "save-lost", false, "with --repair: make files FSCKnnnn.REC of room that no file has, in place of freeing it")
	target.add(cmd)
	return cmd
}

func driveAddCommand() *cobra.Command {
	var target targetFlags
	var noVerify bool
	var o update.Options
	cmd := &cobra.Command{
		Use:   "add TARGET FILE...",
		Short: "Put models, documents and fonts on a drive that there is",
		Long: `Put models, documents and fonts on a drive that there is, or on an image.

By the ends of their names models go to /models, each with its checksum, documents to
/documents and fonts to /fonts, wherever the drive's layout has these. All else on the
drive stays. Nothing is written if not all fits. What was written is read back and
compared.`,
		Example: `  sudo alphaos drive add /dev/sdb llama-3.2-1b-q8.gguf notes.pdf
  alphaos drive add alphaos.img recipe.md --to documents/kitchen`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 2 {
				return errors.New("name TARGET and the files to add, for example: alphaos drive add /dev/sdb notes.pdf")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return target.change(cmd, args[0], func(dev *media.InPlace) error {
				o.Verify, o.Progress, o.Unlock = !noVerify, meterOf(cmd).Step, unlocker(cmd)
				r, err := update.Add(dev, args[1:], o)
				if err != nil {
					return err
				}
				for _, f := range r.Files {
					if path.Dir(f.Name) == drive.ModelsDir && !engine.Listed(path.Base(f.Name)) {
						fmt.Fprintf(cmd.ErrOrStderr(), notListed, path.Base(f.Name))
					}
				}
				sayUpdated(cmd, args[0], r)
				return nil
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.To, "to", "", "`directory` on the drive for all of the files, such as documents/kitchen (default: where each belongs)")
	f.BoolVar(&o.Replace, "replace", false, "give files that there are this content")
	f.BoolVar(&noVerify, "no-verify", false, "do not read back and compare what was written")
	target.add(cmd)
	return cmd
}

func driveUpdateCommand() *cobra.Command {
	var target targetFlags
	var noVerify bool
	var efi string
	var signing signFlags
	cmd := &cobra.Command{
		Use:   "update TARGET [--efi BOOTX64.EFI]",
		Short: "Give a drive a newer AlphaOS, and keep all that is on it",
		Long: `Give a drive, or an image, a newer AlphaOS, and keep all that is on it.

Only the EFI application is replaced: /` + drive.EFIPath + `, or on a drive
with a boot manager in that place /` + drive.ChainedPath + `. Whenever the power
goes, the old one or the new one is there, whole.

With --sign the list of files that alphaos drive sign makes gets the new program, too. What
it says of models and fonts stays; they are not read, and what is there of them
is signed by alphaos drive sign only.`,
		Example: `  sudo alphaos drive update /dev/sdb --efi BOOTX64.EFI`,
		Args:    one("TARGET, an image or a drive, for example: alphaos drive update /dev/sdb"),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			program, err := programFile(efi)
			if err != nil {
				return err
			}
			program, _, key, remove, err := signing.program(cmd, program)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, remove()) }()
			return target.change(cmd, args[0], func(dev *media.InPlace) error {
				now, err := sourceTime()
				if err != nil {
					return err
				}
				r, err := update.Program(dev, program, update.Options{Verify: !noVerify, Progress: meterOf(cmd).Step, Sign: key, Time: now})
				if errors.Is(err, update.ErrSame) {
					fmt.Fprintf(cmd.OutOrStdout(), "%s has this program already; nothing was written.\n", args[0])
					return nil
				}
				if err != nil {
					return err
				}
				sayUpdated(cmd, args[0], r)
				return nil
			})
		},
	}
	signing.add(cmd)
	cmd.Flags().StringVar(&efi, "efi", "", "the EFI application, BOOTX64.EFI (default: the one beside this program)")
	cmd.Flags().BoolVar(&noVerify, "no-verify", false, "do not read back and compare what was written")
	target.add(cmd)
	return cmd
}

// sayUpdated tells what was written on a drive.
func sayUpdated(cmd *cobra.Command, name string, r *update.Result) {
	w := cmd.OutOrStdout()
	for _, s := range r.Said {
		fmt.Fprintln(w, s)
	}
	fmt.Fprintf(w, "%s: written, and %s are free now:\n", name, media.FormatSize(r.Free))
	for _, f := range r.Files {
		fmt.Fprintf(w, "  %s, %s\n", f.Where, media.FormatSize(f.Size))
	}
	sayVerified(cmd, r.Verified)
}

func problems(n int) string {
	if n == 1 {
		return "1 problem was"
	}
	return fmt.Sprintf("%d problems were", n)
}

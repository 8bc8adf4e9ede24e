package main

// What changes a drive and keeps what is on it: checks, further files, a newer program.

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"alphaos/drive/check"
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
			o.Time = time.Now()
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

func problems(n int) string {
	if n == 1 {
		return "1 problem was"
	}
	return fmt.Sprintf("%d problems were", n)
}

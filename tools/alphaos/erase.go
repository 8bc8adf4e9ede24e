package main

// Encrypting a drive where it lies, and erasing one.

import (
	"bufio"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"alphaos/drive"
	"alphaos/drive/encrypt"
	"alphaos/drive/erase"
	"alphaos/drive/media"
	"alphaos/fs/gpt"
	"alphaos/fs/luks"
	"alphaos/fs/volume"
)

func driveEncryptCommand() *cobra.Command {
	var target targetFlags
	var cost luks.Cost
	var recovery bool
	cmd := &cobra.Command{
		Use:   "encrypt TARGET",
		Short: "Encrypt the conversations and documents on a drive that there is",
		Long: `Encrypt the conversations and documents on a drive that there is, where they lie.

The drive must have the full layout, with the partition ALPHAOS_DATA, and be in order. The
last 33 MiB of that partition must be free. All of it is read and written once, so it takes as
long as copying it. When the power goes meanwhile, nothing is lost: the same command, with the
same passphrase, goes on where it was. Until then AlphaOS starts without that partition.

Nothing of what was there is left in its place. What flash memory keeps where no computer
can ask for it, and what is in backups of the drive, stays as it is.`,
		Example: `  sudo alphaos drive encrypt /dev/sdb --recovery`,
		Args:    one("TARGET, an image or a drive, for example: alphaos drive encrypt /dev/sdb"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return target.change(cmd, args[0], func(dev *media.InPlace) error {
				m, err := volume.List(dev)
				if err != nil {
					return err
				}
				want := drive.Parts[drive.Knowledge]
				var part *volume.Volume
				for i, v := range m.Volumes {
					if v.Name == want.Label {
						part = &m.Volumes[i]
					}
				}
				if part == nil {
					return fmt.Errorf("it has no partition %s: only drives of the full layout can be encrypted. Make one with alphaos drive create --encrypt, and copy what you have with alphaos store merge", want.Label)
				}
				begun := encrypt.Begun(part)
				o := encrypt.Options{Cost: cost}
				var key string
				if begun {
					fmt.Fprintln(cmd.ErrOrStderr(), "Encrypting it was begun; it goes on with the passphrase that was given then.")
					o.Passphrase, err = askPassphrase(cmd, passphraseFile, "Passphrase: ")
				} else {
					o.Passphrase, err = newPassphrase(cmd, passphraseFile)
				}
				if err != nil {
					return err
				}
				defer clear(o.Passphrase)
				if recovery && !begun {
					if key, err = luks.NewRecoveryKey(); err != nil {
						return err
					}
					// Shown before it is needed: the power may go.
					showRecovery(cmd, key)
					o.Recovery = []byte(key)
				}
				var tell func(done int64)
				o.Progress = func(done, total int64) {
					if tell == nil {
						tell = meterOf(cmd).Step("Encrypting", total)
					}
					tell(done)
				}
				err = encrypt.Partition(part, o)
				if err != nil && !errors.Is(err, encrypt.ErrDone) {
					return err
				}
				if m.Scheme == volume.GPT && part.TypeGUID != drive.LockedType {
					t, terr := gpt.Read(dev)
					if terr == nil {
						terr = t.SetType(dev, part.Index, drive.LockedType)
					}
					if terr != nil {
						return fmt.Errorf("all is encrypted, but the partition table still says that it is not: %w", terr)
					}
				}
				if err == nil {
					fmt.Fprintln(cmd.OutOrStdout(), "All that is said and known on this drive is encrypted.")
				}
				return err
			})
		},
	}
	target.add(cmd)
	f := cmd.Flags()
	f.BoolVar(&recovery, "recovery", false, "make a recovery key for paper, too, and show it")
	f.Int64Var(&cost.Memory, "key-memory", 64<<20, "bytes of memory that an attempt at the passphrase takes, also when the drive is started")
	f.IntVar(&cost.Passes, "key-passes", 0, "passes over that memory (default: what takes a second here)")
	return cmd
}

func driveEraseCommand() *cobra.Command {
	var flags outFlags
	var quick bool
	cmd := &cobra.Command{
		Use:   "erase TARGET",
		Short: "Erase a drive, or an image, so that nothing of it can be read again",
		Long: `Erase a drive, or an image, so that nothing of it can be read again.

First the keyslots of encrypted partitions are overwritten, which makes all in them useless at
once; then the drive is told that it need not keep anything (discard), where that can be; then
all of it is overwritten with zeros, and pieces are read back. With --quick only its beginning
and its end are overwritten, which is enough for what was encrypted all along.

Flash memory keeps some old content where no computer can ask for it: of a drive that was not
encrypted, who opens its chips may find parts.`,
		Example: `  sudo alphaos drive erase /dev/sdb`,
		Args:    one("TARGET, an image or a drive, for example: alphaos drive erase /dev/sdb"),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := diskOf(args[0])
			if err != nil {
				return err
			}
			if d != nil {
				if err = flags.confirm(*d, cmd.InOrStdin(), cmd.ErrOrStderr()); err == nil {
					d.Mounts = nil // they were unmounted
				}
			} else if !flags.yes {
				q := questions{bufio.NewReader(cmd.InOrStdin()), cmd.ErrOrStderr()}
				if answer := q.ask("All in the image %s will be erased. Continue? [y/N] ", args[0]); answer != "y" && answer != "yes" {
					err = errDeclined
				}
			}
			if err != nil {
				return err
			}
			dev, err := media.OpenInPlace(args[0], d, true)
			if err != nil {
				return err
			}
			r, err := erase.Drive(dev, erase.Options{Quick: quick, Discard: dev.Discard, Uncache: func() { dev.Uncache() }, Progress: meterOf(cmd).Step})
			if cerr := dev.Close(); err == nil {
				err = cerr
			}
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			if r.Keyslots > 0 {
				fmt.Fprintln(cmd.OutOrStdout(), "What opened its encrypted partition is destroyed.")
			}
			if r.Discarded {
				fmt.Fprintln(cmd.OutOrStdout(), "The drive was told to give up all of its blocks.")
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: %s overwritten.\n", args[0], media.FormatSize(r.Bytes))
			return nil
		},
	}
	f := cmd.Flags()
	f.BoolVar(&flags.yes, "yes", false, "do not ask")
	f.StringVar(&flags.name, "name", "", "the `name` of the drive, such as sdb, in place of typing it when the drive is internal or mounted")
	f.BoolVar(&quick, "quick", false, "overwrite only keyslots, and the beginning and the end of the drive")
	return cmd
}

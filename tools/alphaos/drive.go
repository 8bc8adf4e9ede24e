package main

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"alphaos/drive"
	"alphaos/drive/create"
	"alphaos/drive/media"
	"alphaos/engine"
)

func driveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "drive",
		Short: "Make, fill, check, copy and keep AlphaOS drives",
	}
	cmd.AddCommand(
		driveListCommand(),
		driveCreateCommand(),
		driveCheckCommand(),
		driveAddCommand(),
		driveUpdateCommand(),
		driveSignCommand(),
		driveVerifyCommand(),
		driveCloneCommand(),
		driveBackupCommand(),
		driveRestoreCommand(),
		drivePassphraseCommand(),
		driveEncryptCommand(),
		driveEraseCommand(),
	)
	passphraseFlag(cmd)
	for _, c := range cmd.Commands() {
		c.ValidArgsFunction = completeDrives
	}
	return cmd
}

func driveCreateCommand() *cobra.Command {
	var o create.Options
	var target outFlags
	var encryption encryptionFlags
	var size, esp, system, journal, state, filesystem string
	var signing signFlags
	cmd := &cobra.Command{
		Use:   "create TARGET --efi BOOTX64.EFI [--model FILE]...",
		Short: "Make a drive, or an image of one, that a Mac, a PC or QEMU can start from",
		Long: `Make a drive, or an image of one, that a Mac, a PC or QEMU can start from.

TARGET is the image file to make or, on Linux and macOS, a whole drive of
alphaos drive list, such as /dev/sdb or /dev/disk2, all of which is replaced.
A drive that is inside the computer or mounted is taken only when its name is
typed. What was written is read back and compared.

A drive has sectors of 512 or 4096 bytes, and what is on it must have the same. An image
for a drive that has 4096 is made with --sector-size 4096.

Both layouts have a GUID partition table and FAT32, which every computer reads. The
minimal one has one partition, flagged esp, for everything. The full one, which drives
of 16G and more have unless --layout says otherwise, has three: ALPHAOS_ESP with the EFI
application, ALPHAOS_SYS with models and settings, and ALPHAOSDATA, as large as is left,
with conversations and documents. With --encrypt that one is encrypted, as Linux does it
(LUKS2), and AlphaOS asks for the passphrase when it starts. With --filesystem ext4 it is
ext4, which Linux reads and writes, and Windows and macOS don't. What the drive held before
is not overwritten where nothing new is written.

With SOURCE_DATE_EPOCH in the environment the same input gives the same bytes,
unless they are encrypted or on ext4.`,
		Example: `  sudo alphaos drive create /dev/sdb --efi BOOTX64.EFI --model llama-3.2-1b-q8.gguf
  alphaos drive create alphaos.img --efi build/BOOTX64.EFI --model llama-3.2-1b-q8.gguf
  alphaos drive create alphaos.img --size 32G --efi build/BOOTX64.EFI --model a.gguf --model b.gguf --yes
  sudo alphaos drive create /dev/sdb --efi BOOTX64.EFI --encrypt --recovery
  sudo alphaos drive create /dev/sdb --efi BOOTX64.EFI --encrypt --filesystem ext4
  alphaos drive create alphaos.img --size 256G --efi build/BOOTX64.EFI --system 16G --document notes.pdf`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 1 {
				return nil
			}
			err := errors.New("name one image file to make, or one drive, for example: alphaos drive create alphaos.img --efi BOOTX64.EFI")
			if disks, lerr := media.List(); lerr == nil && len(args) == 0 {
				err = fmt.Errorf("%w; %s", err, candidates(disks))
			}
			return err
		},
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if o.EFI, err = programFile(o.EFI); err != nil {
				return err
			}
			var remove func() error
			if o.EFI, o.Extra, o.Sign, remove, err = signing.program(cmd, o.EFI); err != nil {
				return err
			}
			defer func() { err = errors.Join(err, remove()) }()
			if size != "" {
				if o.Size, err = create.ParseSize(size); err != nil {
					return fmt.Errorf("--size: %w", err)
				}
				if o.Size == 0 {
					return errors.New("--size: a drive of 0 bytes cannot be made")
				}
			}
			for _, p := range []struct {
				flag, text string
				size       *int64
			}{{"--esp", esp, &o.ESP}, {"--system", system, &o.System}} {
				if p.text == "" {
					continue
				}
				if *p.size, err = create.ParseSize(p.text); err == nil && *p.size == 0 {
					err = errors.New("a partition of 0 bytes cannot be made")
				}
				if err != nil {
					return fmt.Errorf("%s: %w", p.flag, err)
				}
			}
			if o.Journal, err = create.ParseSize(journal); err != nil {
				return fmt.Errorf("--journal: %w", err)
			}
			if o.Journal == 0 {
				return errors.New("--journal: a drive needs a journal; choose from 64K up to 4095M")
			}
			if state != "" {
				if o.State, err = create.ParseSize(state); err != nil {
					return fmt.Errorf("--state: %w", err)
				}
				if o.State == 0 {
					o.State = -1
				}
			}
			switch filesystem {
			case "fat32":
			case "ext4":
				o.Ext4 = true
			default:
				return fmt.Errorf("--filesystem %s: the partition for conversations and documents can be fat32 or ext4", filesystem)
			}
			if o.Time, err = epoch(); err != nil {
				return err
			}
			out, err := target.out(cmd, args[0])
			if err != nil {
				return err
			}
			passphrase, recovery, err := encryption.keys(cmd)
			if err != nil {
				return err
			}
			defer clear(passphrase)
			if encryption.encrypt {
				o.Encrypt = &create.Encryption{Passphrase: passphrase, Cost: encryption.cost}
				if recovery != "" {
					o.Encrypt.Recovery = []byte(recovery)
				}
			}
			o.Config = create.FirstStart
			o.Out, o.Disk, o.Replace, o.Verify, o.Progress = out.Image, out.Disk, out.Replace, out.Verify, out.Progress
			r, err := create.Drive(o)
			if err != nil {
				return err
			}
			for _, m := range o.Models {
				if name := filepath.Base(m); !engine.Listed(name) {
					fmt.Fprintf(cmd.ErrOrStderr(), notListed, name)
				}
			}
			held := fmt.Sprintf("%d models", r.Models)
			switch r.Models {
			case 0:
				held = "no model but the guide in the program (add others with --model)"
			case 1:
				held = "1 model"
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: %s%s, %s, journal %s, %s free\n", out.Name(), create.FormatSize(r.Size), sectors(int(r.Sector)), held, create.FormatSize(r.Journal), create.FormatSize(r.Free()))
			if r.Layout == drive.Full {
				for _, v := range r.Volumes {
					fmt.Fprintf(cmd.OutOrStdout(), "  %-12s  %s, %s free\n", v.Label, create.FormatSize(v.Size), create.FormatSize(v.Free))
				}
			}
			sayVerified(cmd, r.Verified)
			if o.Sign != nil {
				saySigned(cmd, r.Signed, o.Sign)
			}
			if recovery != "" {
				showRecovery(cmd, recovery)
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Layout, "layout", "", "layout of the drive: minimal or full (default full if --size is 16G or more, else minimal)")
	f.StringVar(&filesystem, "filesystem", "fat32", "of the full layout's partition for conversations and documents: fat32 or ext4")
	f.StringVar(&size, "size", "", "size of an image, such as 512M or 32G (default 512M, in the full layout 16G, or what the models need)")
	f.Int64Var(&o.Sector, "sector-size", 0, "bytes in a sector of an image: 512, or 4096 for a drive that has those (default 512; of a drive its own)")
	f.StringVar(&esp, "esp", "", "size of the full layout's EFI system partition (default 512M, or an eighth of a small drive)")
	f.StringVar(&system, "system", "", "size of the full layout's partition for models (default 8G, half of a small drive, or what the models need)")
	f.StringArrayVar(&o.Models, "model", nil, "GGUF `file` to put into /models; may be repeated (default: none; the guide model is part of the program)")
	f.StringArrayVar(&o.Documents, "document", nil, "`file` to put among the documents; may be repeated")
	f.StringVar(&o.EFI, "efi", "", "the EFI application, BOOTX64.EFI (default: the one beside this program)")
	f.StringVar(&o.Limine, "limine", "", "the `folder` with Limine's BOOTX64.EFI, a boot manager, which then starts AlphaOS (default: the firmware does)")
	f.StringVar(&journal, "journal", "16M", "size of the preallocated journal")
	f.StringVar(&state, "state", "", "space for what a model remembers of the last conversation, so that the next start goes on at once; 0: none (default 64M, or a sixteenth of a drive below 1G)")
	signing.add(cmd)
	completeFiles(cmd, "efi", "EFI", "efi")
	completeWith(cmd, "filesystem", func(string) []string { return []string{"fat32", "ext4"} })
	completeWith(cmd, "layout", func(string) []string { return []string{"minimal", "full"} })
	target.add(cmd)
	encryption.add(cmd)
	return cmd
}

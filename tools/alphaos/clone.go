package main

// Copies of drives, and backups of them.

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"alphaos/drive/clone"
	"alphaos/drive/create"
	"alphaos/drive/media"
	"alphaos/fs"
)

func driveCloneCommand() *cobra.Command {
	var target outFlags
	var size string
	cmd := &cobra.Command{
		Use:   "clone FROM TO",
		Short: "Copy a drive or an image to another, of whatever size",
		Long: `Copy a drive or an image to another, of whatever size.

Only what is used is copied: of FAT32 volumes the clusters that files have, of
others what is not zeros. The partition table is written for the size of TO, and
the last volume, if it is FAT32, gets the room that there is. FROM can also be a
backup. A drive that is mounted is not copied, since it may change meanwhile. The
copy has sectors of the same size: a drive with others, 512 and 4096 bytes are
usual, is refused.`,
		Example: `  sudo alphaos drive clone /dev/sdb /dev/sdc
  alphaos drive clone alphaos.img larger.img --size 64G`,
		Args: two("FROM and TO, for example: alphaos drive clone /dev/sdb /dev/sdc"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return copyDrive(cmd, args[0], args[1], size, &target)
		},
	}
	target.add(cmd)
	cmd.Flags().StringVar(&size, "size", "", "size of TO, such as 32G, if it is an image (default: that of FROM)")
	return cmd
}

func driveRestoreCommand() *cobra.Command {
	var target outFlags
	var size string
	cmd := &cobra.Command{
		Use:   "restore IN.img.zst TARGET",
		Short: "Write a backup to a drive or an image, of whatever size",
		Long: `Write a backup to a drive or an image, of whatever size. All that is read of it
is compared with its checksums. A drive whose sectors are of another size than those
of the one that was backed up is refused.`,
		Example: `  sudo alphaos drive restore monday.img.zst /dev/sdb`,
		Args:    two("a backup and TARGET, for example: alphaos drive restore monday.img.zst /dev/sdb"),
		RunE: func(cmd *cobra.Command, args []string) error {
			b, f, err := openBackup(args[0])
			if err != nil {
				return err
			}
			b.Close()
			f.Close()
			return copyDrive(cmd, args[0], args[1], size, &target)
		},
	}
	target.add(cmd)
	cmd.Flags().StringVar(&size, "size", "", "size of TARGET, such as 32G, if it is an image (default: that of the drive that was backed up)")
	return cmd
}

func driveBackupCommand() *cobra.Command {
	var yes, noVerify, verify bool
	cmd := &cobra.Command{
		Use:   "backup TARGET OUT.img.zst | backup --verify IN.img.zst",
		Short: "Keep a drive or an image in a compressed file, or check such a file",
		Long: `Keep a drive or an image in a compressed file, or check such a file.

Only what is used is kept. The file has checksums, and zstd -d makes an image
of it, too. With --verify all of a backup is read and compared with them.`,
		Example: `  sudo alphaos drive backup /dev/sdb monday.img.zst
  alphaos drive backup --verify monday.img.zst`,
		Args: func(cmd *cobra.Command, args []string) error {
			if verify {
				if len(args) != 1 {
					return fmt.Errorf("name the backup to check, for example: alphaos drive backup --verify monday.img.zst")
				}
				return nil
			}
			return two("TARGET and the backup to make, for example: alphaos drive backup /dev/sdb monday.img.zst")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			meter := meterOf(cmd)
			if verify {
				b, f, err := openBackup(args[0])
				if err != nil {
					return err
				}
				defer f.Close()
				defer b.Close()
				if err := b.Verify(meter.Step(media.Verifying, fileSize(f))); err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s is right: a drive of %s%s\n", args[0], media.FormatSize(b.Size()), sectors(b.BlockSize()))
				return nil
			}
			src, err := openDrive(args[0])
			if err != nil {
				return err
			}
			defer src.Close()
			d, err := clone.Examine(src)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			size, verified, err := d.BackupTo(media.Out{Image: args[1], Replace: yes, Verify: !noVerify, Progress: meter.Step})
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: a drive of %s%s in %s\n", args[1], media.FormatSize(d.Size()), sectors(d.BlockSize()), media.FormatSize(size))
			sayVerified(cmd, verified)
			return nil
		},
	}
	f := cmd.Flags()
	f.BoolVar(&yes, "yes", false, "replace OUT.img.zst if it exists")
	f.BoolVar(&noVerify, "no-verify", false, "do not read back and compare what was written")
	f.BoolVar(&verify, "verify", false, "check a backup that was made before")
	return cmd
}

func one(what string) cobra.PositionalArgs { return named(1, what) }
func two(what string) cobra.PositionalArgs { return named(2, what) }

func named(n int, what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != n {
			return fmt.Errorf("name %s", what)
		}
		return nil
	}
}

// copyDrive copies from, a drive, an image or a backup, to another.
func copyDrive(cmd *cobra.Command, from, to, size string, target *outFlags) error {
	src, err := openDrive(from)
	if err != nil {
		return err
	}
	defer src.Close()
	if same(from, to) {
		return fmt.Errorf("%s cannot be copied to itself", from)
	}
	d, err := clone.Examine(src)
	if err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	n := d.Size()
	disk, err := diskOf(to)
	switch {
	case err != nil:
		return err
	case disk != nil && size != "":
		return fmt.Errorf("--size is for images only: of %s all is used", to)
	case disk != nil:
		n = disk.Size
	case size != "":
		if n, err = create.ParseSize(size); err != nil {
			return fmt.Errorf("--size: %w", err)
		}
	}
	if err := d.Fits(n, disk); err != nil { // before anybody is asked
		return err
	}
	out, err := target.out(cmd, to)
	if err != nil {
		return err
	}
	r, err := d.To(out, n)
	if err != nil {
		return err
	}
	what := ""
	switch {
	case r.Grown > 0:
		what = fmt.Sprintf(", its last volume larger by %s", media.FormatSize(r.Grown))
	case r.Grown < 0:
		what = fmt.Sprintf(", its last volume smaller by %s", media.FormatSize(-r.Grown))
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s: a copy of %s with %s%s%s; %s copied\n", out.Name(), from, media.FormatSize(r.Size), sectors(d.BlockSize()), what, media.FormatSize(r.Copied))
	sayVerified(cmd, r.Verified)
	return nil
}

// sectors tells of sectors that are not of the usual size.
func sectors(size int) string {
	if size == 512 {
		return ""
	}
	return fmt.Sprintf(" in sectors of %d bytes", size)
}

// same tells whether two names are those of one file or drive. On macOS a drive has two.
func same(a, b string) bool {
	if da, err := diskOf(a); err == nil && da != nil {
		db, err := diskOf(b)
		return err == nil && db != nil && da.Name == db.Name
	}
	fa, err := os.Stat(a)
	if err != nil {
		return false
	}
	fb, err := os.Stat(b)
	return err == nil && os.SameFile(fa, fb)
}

// driveSource is what a drive is read from.
type driveSource struct {
	clone.Source
	io.Closer
	data func(off int64) (start, end int64)
}

func (s driveSource) Data(off int64) (start, end int64) { return s.data(off) }

// openDrive opens a drive, an image or a backup for reading.
func openDrive(name string) (*driveSource, error) {
	disk, err := diskOf(name)
	if err != nil {
		return nil, err
	}
	f, err := media.OpenSource(name, disk)
	if err != nil {
		return nil, err
	}
	s := &driveSource{Closer: f, data: f.Data}
	if disk == nil && clone.IsBackup(f, f.Size) {
		b, err := clone.OpenBackup(f, f.Size)
		if err != nil {
			f.Close()
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		s.Source, s.data = b, b.Data
		return s, nil
	}
	dev, err := fs.NewFileDevice(f, f.Size, f.BlockSize)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	s.Source = fs.ReadOnly(dev)
	return s, nil
}

func openBackup(name string) (*clone.Backup, *os.File, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, nil, err
	}
	b, err := clone.OpenBackup(f, fileSize(f))
	if err != nil {
		f.Close()
		return nil, nil, fmt.Errorf("%s: %w", name, err)
	}
	return b, f, nil
}

func fileSize(f *os.File) int64 {
	fi, err := f.Stat()
	if err != nil {
		return 0
	}
	return fi.Size()
}

package main

// What was said on a drive, dealt with on a host: verified, counted, exported, merged.

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"alphaos/archive"
	"alphaos/drive"
	"alphaos/drive/database"
	"alphaos/drive/media"
	"alphaos/fs"
	"alphaos/store"
)

func storeCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "store", Short: "Verify, count, export and merge the conversations on drives"}
	cmd.AddCommand(storeVerifyCommand(), storeStatsCommand(), storeExportCommand(), storeMergeCommand())
	return cmd
}

// readStore has f read what was said on a drive or image.
func readStore(cmd *cobra.Command, name string, f func(*store.Store, store.Recovery) error) error {
	return readDrive(cmd, name, func(_ *drive.Drive, s *store.Store, r store.Recovery) error { return f(s, r) })
}

// readDrive has f read a drive or image, with what was said on it.
func readDrive(cmd *cobra.Command, name string, f func(*drive.Drive, *store.Store, store.Recovery) error) error {
	var target targetFlags
	dev, err := target.open(cmd, name, false)
	if err != nil {
		return err
	}
	defer dev.Close()
	d, err := drive.Open(fs.ReadOnly(dev), true)
	if err == nil {
		var s *store.Store
		var r store.Recovery
		if s, r, err = d.OpenJournal(time.Now); err == nil {
			err = f(d, s, r)
		}
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func storeVerifyCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "verify TARGET",
		Short:   "Read both copies of all that was said and the knowledge database, and tell what is damaged",
		Long:    "Read both copies of all that was said, and the knowledge database, and tell what is damaged.\nNothing is written. The exit status is 0 if nothing is.",
		Example: `  sudo alphaos store verify /dev/sdb`,
		Args:    one("TARGET, an image or a drive, for example: alphaos store verify /dev/sdb"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return readDrive(cmd, args[0], func(d *drive.Drive, s *store.Store, r store.Recovery) error {
				done := meterOf(cmd).Step("Reading", s.Checkable())
				h, err := s.Check(cmd.Context(), done)
				if err != nil {
					return err
				}
				base, err := database.Check(cmd.Context(), d)
				if err != nil {
					return err
				}
				var wrong error
				if base.Wrong != "" {
					wrong = fmt.Errorf("/%s: %s; a start of AlphaOS makes it anew", drive.DatabasePath, base.Wrong)
				}
				w := cmd.OutOrStdout()
				fmt.Fprintf(w, "%d records in %s\n", h.Records, counted(len(s.Conversations()), "conversation"))
				if r.Unclean {
					fmt.Fprintf(w, "The last session did not end properly; all is there up to %s.\n", r.UpTo.UTC().Format(time.RFC3339))
				}
				lost := h.Lost + r.Lost()
				if lost == 0 && h.Sound() {
					fmt.Fprintln(w, "Both copies are whole.")
				} else {
					wrong = errors.Join(fmt.Errorf("%d records damaged in the first copy only, %d in the second only, %d lost, %d blocks that can't be read; a start of AlphaOS mends what is whole in one copy",
						h.Hurt[0], h.Hurt[1], lost, h.Unread), wrong)
				}
				switch {
				case base.Wrong != "":
				case base.Missing:
					fmt.Fprintln(w, "There is no knowledge database; a start of AlphaOS makes one.")
				default:
					fmt.Fprintf(w, "The knowledge database is whole: %s, %s, %s, %s.\n", counted(base.Said, "conversation"), counted(base.Messages, "message"),
						counted(base.Documents, "document"), counted(base.Chunks, "passage"))
					if base.Cut {
						fmt.Fprintln(w, "The last change to it was cut off and is taken back.")
					}
				}
				return wrong
			})
		},
	}
}

func storeStatsCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "stats TARGET",
		Short:   "Count what was said on a drive",
		Example: `  sudo alphaos store stats /dev/sdb`,
		Args:    one("TARGET, an image or a drive, for example: alphaos store stats /dev/sdb"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return readStore(cmd, args[0], func(s *store.Store, r store.Recovery) error {
				w, list := cmd.OutOrStdout(), s.Conversations()
				messages := 0
				for _, c := range list {
					messages += c.Messages
				}
				used, total := s.Usage()
				fmt.Fprintf(w, "conversations  %d\nmessages       %d\nsessions       %d\njournal        %s of %s used, everything twice\n",
					len(list), messages, r.Sessions, media.FormatSize(used), media.FormatSize(total))
				if len(list) > 0 {
					fmt.Fprintf(w, "from           %s\nto             %s\n", list[0].Started.UTC().Format(time.RFC3339), r.UpTo.UTC().Format(time.RFC3339))
				}
				if s.Deleted() {
					fmt.Fprintln(w, "Something that was deleted is still in the journal, until AlphaOS is shut down.")
				}
				return nil
			})
		},
	}
}

func storeExportCommand() *cobra.Command {
	var form string
	cmd := &cobra.Command{
		Use:   "export TARGET DIRECTORY",
		Short: "Write each conversation on a drive into a file",
		Long:  "Write each conversation on a drive into a file of a new or empty directory, as Markdown\nor, for programs and with what was replaced, as JSON.",
		Example: `  sudo alphaos store export /dev/sdb conversations
  alphaos store export alphaos.img conversations --format json`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return errors.New("name TARGET and DIRECTORY, for example: alphaos store export /dev/sdb conversations")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if form != "md" && form != "json" {
				return fmt.Errorf("--format %s is not known; use md or json", form)
			}
			return readStore(cmd, args[0], func(s *store.Store, _ store.Recovery) error {
				dir := args[1]
				if err := os.MkdirAll(dir, 0o777); err != nil {
					return err
				}
				if there, err := os.ReadDir(dir); err != nil || len(there) > 0 {
					return errors.Join(err, fmt.Errorf("%s is not empty; name a new directory", dir))
				}
				list, unread := s.Conversations(), 0
				for _, c := range list {
					file := archive.Conversation{Conversation: c, Said: s.Messages(c.ID), Replaced: s.Branches(c.ID)}
					for _, m := range file.Said {
						if m.Unread {
							unread++
						}
					}
					content, err := archive.Markdown(file, time.Local), error(nil)
					if form == "json" {
						content, err = archive.JSON(file)
					}
					if err != nil {
						return err
					}
					name := archive.Name(file, time.Local, form)
					for n := 2; ; n++ {
						var f *os.File
						if f, err = os.OpenFile(filepath.Join(dir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666); errors.Is(err, os.ErrExist) {
							name = fmt.Sprintf("%s-%d.%s", strings.TrimSuffix(archive.Name(file, time.Local, form), "."+form), n, form)
							continue
						}
						if err == nil {
							_, err = f.Write(content)
							err = errors.Join(err, f.Close())
						}
						break
					}
					if err != nil {
						return err
					}
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s written to %s.\n", counted(len(list), "conversation"), dir)
				if unread > 0 {
					return fmt.Errorf("%s could not be read now; the files say where", counted(unread, "message"))
				}
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&form, "format", "md", "md or json")
	return cmd
}

func storeMergeCommand() *cobra.Command {
	var target targetFlags
	cmd := &cobra.Command{
		Use:   "merge TARGET FROM",
		Short: "Add the conversations of one drive to those of another",
		Long: `Add the conversations of the drive or image FROM to those of TARGET, with their times
and titles. FROM is only read. A conversation that TARGET has already is not added
again, so a merge can be repeated. What was replaced in a conversation stays on FROM.`,
		Example: `  sudo alphaos store merge /dev/sdb old-drive.img`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return errors.New("name TARGET and FROM, for example: alphaos store merge /dev/sdb old-drive.img")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return target.change(cmd, args[0], func(dev *media.InPlace) error {
				d, err := drive.Open(dev, false)
				if err != nil {
					return err
				}
				s, _, err := d.OpenJournal(time.Now)
				if err != nil {
					return err
				}
				var m store.Merged
				err = readStore(cmd, args[1], func(from *store.Store, _ store.Recovery) (err error) {
					m, err = s.Merge(cmd.Context(), from)
					return err
				})
				if err = errors.Join(err, s.End(), d.Close(), dev.Flush()); err != nil {
					return err
				}
				remembered := ""
				if m.Facts > 0 {
					remembered = ", " + counted(m.Facts, "fact") + " to remember"
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s added, %s went on, %d were there already; %s%s.\n",
					counted(m.Added, "conversation"), counted(m.Grown, "conversation"), m.Known, counted(m.Messages, "message"), remembered)
				return nil
			})
		},
	}
	target.add(cmd)
	return cmd
}

// counted is a number of things.
func counted(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

package main

// What was said on a drive, dealt with on a host: verified, counted, exported, merged.

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"alphaos/archive"
	"alphaos/drive"
	"alphaos/drive/database"
	"alphaos/drive/media"
	"alphaos/store"
)

func storeCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "store", Short: "Verify, count, export, import, merge and restore the conversations on drives"}
	cmd.AddCommand(storeVerifyCommand(), storeStatsCommand(), storeExportCommand(), storeImportCommand(), storeMergeCommand(), storeRestoreCommand())
	passphraseFlag(cmd)
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
	d, err := mountDrive(cmd, dev, true)
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
			return readStore(cmd, args[0], func(s *store.Store, _ store.Recovery) error { return exportTo(cmd, args[1], form, s) })
		},
	}
	cmd.Flags().StringVar(&form, "format", "md", "md or json")
	return cmd
}

// exportTo writes each conversation into a file of a new or empty directory.
func exportTo(cmd *cobra.Command, dir, form string, s *store.Store) error {
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
}

// changeStore has f change what is said on a drive or image, and tells what it did.
func changeStore(cmd *cobra.Command, target *targetFlags, name string, f func(*store.Store) (store.Merged, error)) error {
	return target.change(cmd, name, func(dev *media.InPlace) error {
		d, err := mountDrive(cmd, dev, false)
		if err != nil {
			return err
		}
		s, _, err := d.OpenJournal(time.Now)
		if err != nil {
			return err
		}
		m, err := f(s)
		return changed(cmd, m, errors.Join(err, s.End(), d.Close(), dev.Flush()))
	})
}

func changed(cmd *cobra.Command, m store.Merged, err error) error {
	if err == nil {
		remembered := ""
		if m.Facts > 0 {
			remembered = ", " + counted(m.Facts, "fact") + " to remember"
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s added, %s went on, %d were there already; %s%s.\n",
			counted(m.Added, "conversation"), counted(m.Grown, "conversation"), m.Known, counted(m.Messages, "message"), remembered)
	}
	return err
}

func storeImportCommand() *cobra.Command {
	var target targetFlags
	cmd := &cobra.Command{
		Use:   "import TARGET FILE...",
		Short: "Add conversations from files to those on a drive",
		Long: `Add the conversations in files to those on the drive or image TARGET, with their times and titles.
FILE is what alphaos store export or /export wrote (.md or .json), a directory of these, or an
export of ChatGPT: its conversations.json, or the .zip with that. Of ChatGPT's come the messages of the
person and the answers, with those that were replaced; pictures and files are named only, and what tools
were asked and said is left out. A conversation that TARGET has already is not added again.`,
		Example: `  sudo alphaos store import /dev/sdb chatgpt-export.zip
  alphaos store import alphaos.img conversations/`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 2 {
				return errors.New("name TARGET and FILE, for example: alphaos store import /dev/sdb conversations.json")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			files, err := conversationFiles(args[1:])
			if err != nil {
				return err
			}
			return changeStore(cmd, &target, args[0], func(s *store.Store) (store.Merged, error) {
				left := archive.Skipped(0)
				m, err := s.Add(func(add func(store.Talk) error) error {
					for _, name := range files {
						n, err := importFile(name, func(t store.Talk) error {
							if err := cmd.Context().Err(); err != nil {
								return err
							}
							return add(t)
						})
						if left += n; err != nil {
							return fmt.Errorf("%s: %w", name, err)
						}
					}
					return nil
				})
				if left > 0 {
					fmt.Fprintf(cmd.OutOrStdout(), "%s of tools and instructions left out.\n", counted(int(left), "message"))
				}
				return m, err
			})
		},
	}
	target.add(cmd)
	return cmd
}

func importFile(name string, add func(store.Talk) error) (archive.Skipped, error) {
	f, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return archive.Import(f, info.Size(), add)
}

// conversationFiles are the files that are named, and those of directories that may have conversations.
func conversationFiles(names []string) (files []string, err error) {
	for _, name := range names {
		info, err := os.Stat(name)
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			files = append(files, name)
			continue
		}
		entries, err := os.ReadDir(name)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if ext := filepath.Ext(e.Name()); !e.IsDir() && (ext == ".md" || ext == ".json" || ext == ".zip") {
				files = append(files, filepath.Join(name, e.Name()))
			}
		}
	}
	return files, nil
}

func storeRestoreCommand() *cobra.Command {
	var target targetFlags
	var form string
	cmd := &cobra.Command{
		Use:   "restore TARGET BACKUP",
		Short: "Get back what a backup has",
		Long: `Get back what was said and set from a backup that AlphaOS made. BACKUP is a file, or the name of
one in the folder of backups on TARGET. TARGET is a drive or image: if nothing was said on it, it
gets all as it was; else what it lacks is added, and nothing of it changes. If TARGET is a
directory, or a name that there is not, each conversation is written there as a file.`,
		Example: `  sudo alphaos store restore /dev/sdb journal-2026-11-29-1949.jsonl.zst
  alphaos store restore said/ journal-2026-11-29-1949.jsonl.zst --format json`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return errors.New("name TARGET and BACKUP, for example: alphaos store restore /dev/sdb journal-2026-11-29-1949.jsonl.zst")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if form != "md" && form != "json" {
				return fmt.Errorf("--format %s is not known; use md or json", form)
			}
			info, err := os.Stat(args[0])
			if err == nil && info.IsDir() || errors.Is(err, os.ErrNotExist) && filepath.Ext(args[0]) != ".img" {
				return fromBackup(args[1], nil, func(r io.Reader) error {
					s, err := store.OpenBackup(r, time.Now)
					if err != nil {
						return err
					}
					return exportTo(cmd, args[0], form, s)
				})
			}
			return target.change(cmd, args[0], func(dev *media.InPlace) error {
				d, err := mountDrive(cmd, dev, false)
				if err != nil {
					return err
				}
				s, rec, err := d.OpenJournal(time.Now)
				if err != nil {
					return err
				}
				if rec.New {
					err = fromBackup(args[1], d, func(r io.Reader) error { return d.RestoreJournal(r, time.Now) })
					if err = errors.Join(err, d.Close(), dev.Flush()); err == nil {
						fmt.Fprintln(cmd.OutOrStdout(), "All of the backup is on the drive.")
					}
					return err
				}
				var m store.Merged
				err = fromBackup(args[1], d, func(r io.Reader) (err error) {
					m, err = s.Recover(cmd.Context(), r)
					return err
				})
				return changed(cmd, m, errors.Join(err, s.End(), d.Close(), dev.Flush()))
			})
		},
	}
	target.add(cmd)
	cmd.Flags().StringVar(&form, "format", "md", "md or json, of files in a directory")
	return cmd
}

// fromBackup has f read a backup: a file, or one of that name on the drive. It is read once before, so that nothing is written of one
// that is damaged.
func fromBackup(name string, d *drive.Drive, f func(io.Reader) error) error {
	read := func(f func(io.Reader) error) error {
		var in io.ReadCloser
		in, err := os.Open(name)
		if err != nil && d != nil && filepath.Base(name) == name {
			if on, derr := d.Open(drive.BackupDir + "/" + name); derr == nil {
				in, err = on, nil
			}
		}
		if err != nil {
			return err
		}
		defer in.Close()
		z, err := archive.Unpack(in)
		if err != nil {
			return err
		}
		defer z.Close()
		return f(z)
	}
	check := func(r io.Reader) error {
		if _, err := store.CheckBackup(r); err != nil {
			return fmt.Errorf("%s is no backup, or a damaged one, so nothing was changed; take another: %w", name, err)
		}
		return nil
	}
	if err := read(check); err != nil {
		return err
	}
	return read(f)
}

func storeMergeCommand() *cobra.Command {
	var target targetFlags
	cmd := &cobra.Command{
		Use:   "merge TARGET FROM",
		Short: "Add the conversations of one drive to those of another",
		Long: `Add the conversations of the drive or image FROM to those of TARGET, with their times
and titles. FROM is only read. A conversation that TARGET has already is not added
again, so a merge can be repeated.`,
		Example: `  sudo alphaos store merge /dev/sdb old-drive.img`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return errors.New("name TARGET and FROM, for example: alphaos store merge /dev/sdb old-drive.img")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return changeStore(cmd, &target, args[0], func(s *store.Store) (m store.Merged, err error) {
				err = readStore(cmd, args[1], func(from *store.Store, _ store.Recovery) (err error) {
					m, err = s.Merge(cmd.Context(), from)
					return err
				})
				return m, err
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

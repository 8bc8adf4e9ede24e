package main

// index and search: the documents on a drive, or in a folder, as the library that AlphaOS has of them.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"alphaos/drive"
	"alphaos/drive/media"
	"alphaos/knowledge"
	"alphaos/llm"
)

// folderIndex is the name of the index in a folder.
const folderIndex = ".alphaos-index"

// A shelf is a place that has documents, and keeps an index of them.
type shelf struct {
	documents iofs.FS
	open      func() (iofs.File, error)                 // the index
	save      func(write func(w io.Writer) error) error // puts another in its place
	close     func() error
	embedder  knowledge.Embedder
	model     string // its name; empty: there is none
}

// libraryFlags are the options of both commands.
type libraryFlags struct {
	model, kernel string
	threads       int
	target        targetFlags
}

func (o *libraryFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVarP(&o.model, "model", "m", "", "a model for embeddings, a GGUF `file`: find by meaning as well")
	f.IntVarP(&o.threads, "threads", "t", 0, "threads to compute with (0: choose)")
	kernelFlag(cmd, &o.kernel)
	o.target.add(cmd)
	passphraseFlag(cmd)
}

// shelf opens a folder, an image or a drive.
func (o *libraryFlags) shelf(cmd *cobra.Command, target string, write bool) (s *shelf, err error) {
	if info, e := os.Stat(target); e == nil && info.IsDir() {
		s = folderShelf(target)
	} else {
		s = &shelf{}
		dev, err := o.target.open(cmd, target, write)
		if err != nil {
			return nil, err
		}
		d, err := mountDrive(cmd, dev, !write)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", target, err), dev.Close())
		}
		s.documents = d.Documents()
		s.open = func() (iofs.File, error) { return d.Open(drive.IndexPath) }
		s.save = func(write func(w io.Writer) error) error { return d.SaveIndex(time.Now(), write) }
		s.close = func() error {
			if !write {
				return dev.Close()
			}
			return errors.Join(d.Close(), dev.Close())
		}
	}
	if o.model == "" {
		return s, nil
	}
	m, err := openModel(o.model)
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	loaded, err := m.load(llm.Options{Threads: o.threads, Kernel: o.kernel})
	if err == nil && !loaded.Embedder() {
		loaded.Close()
		err = errors.New("this model continues texts; searching by meaning takes one for embeddings, such as all-MiniLM-L6-v2")
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", o.model, err), m.Close(), s.close())
	}
	s.embedder, s.model = loaded, filepath.Base(o.model)
	closeShelf := s.close
	s.close = func() error {
		loaded.Close()
		return errors.Join(m.Close(), closeShelf())
	}
	return s, nil
}

// load returns the library that the index says, or an empty one with the reason.
func (s *shelf) load() (*knowledge.Library, error) {
	f, err := s.open()
	if err != nil {
		return knowledge.New(s.embedder, s.model), err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return knowledge.New(s.embedder, s.model), err
	}
	l, err := knowledge.Load(f, info.Size(), s.embedder, s.model)
	if err != nil {
		return knowledge.New(s.embedder, s.model), err
	}
	return l, nil
}

// folderShelf is a folder with its index.
func folderShelf(dir string) *shelf {
	name := filepath.Join(dir, folderIndex)
	return &shelf{
		documents: os.DirFS(dir),
		open:      func() (iofs.File, error) { return os.Open(name) },
		save: func(write func(w io.Writer) error) error {
			return media.Atomically(name, func(f *os.File) error { return write(f) })
		},
		close: func() error { return nil },
	}
}

func indexCommand() *cobra.Command {
	var o libraryFlags
	cmd := &cobra.Command{
		Use:   "index DRIVE_OR_IMAGE_OR_FOLDER",
		Short: "Read the documents on a drive, or in a folder, so that they can be searched",
		Long: `Read the documents on an AlphaOS drive, an image of one, or in a folder, and keep an
index of them: on the drive at /` + drive.IndexPath + `, in a folder as ` + folderIndex + `.

Only what is new or has changed is read again. What cannot be read is listed with the
reason. When the command is stopped, what it has read so far is kept.`,
		Example: `  alphaos index alphaos.img
  alphaos index ~/Documents -m all-MiniLM-L6-v2-Q8_0.gguf`,
		Args: one("a drive, an image or a folder, for example: alphaos index ~/Documents"),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			s, err := o.shelf(cmd, args[0], true)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, s.close()) }()
			return s.index(cmd, args[0])
		},
	}
	o.add(cmd)
	return cmd
}

// index brings the index up to date.
func (s *shelf) index(cmd *cobra.Command, target string) error {
	out := cmd.OutOrStdout()
	l, why := s.load()
	if why != nil && !errors.Is(why, iofs.ErrNotExist) {
		fmt.Fprintf(out, "%s: %v.\n", target, why)
	}
	save := func() error { return s.save(l.Save) }
	from, saved := time.Now(), time.Now()
	read, removed, size := 0, 0, int64(0)
	err := l.Scan(cmd.Context(), s.documents, func(c knowledge.Change) error {
		switch {
		case c.Removed:
			removed++
			return nil
		case c.Note != "":
			fmt.Fprintf(out, "%s: %s\n", c.Name, c.Note)
		case c.Name != "":
			read++
			size += c.Bytes
		}
		if time.Since(saved) < time.Minute { // what was read in a minute is not read again after a cut
			return nil
		}
		saved = time.Now()
		return save()
	})
	if read+removed > 0 || why != nil || err == nil {
		err = errors.Join(err, save())
	}
	if err != nil {
		return fmt.Errorf("%s: %w", target, err)
	}
	documents, chunks := l.Documents()
	fmt.Fprintf(out, "%s: %d documents in %d passages. Read now: %d, %s, in %.1f s; removed: %d.\n",
		target, documents, chunks, read, media.FormatSize(size), time.Since(from).Seconds(), removed)
	return nil
}

func searchCommand() *cobra.Command {
	var o libraryFlags
	var k int
	var full, asJSON bool
	cmd := &cobra.Command{
		Use:   "search DRIVE_OR_IMAGE_OR_FOLDER WORDS...",
		Short: "Find passages in the documents on a drive, or in a folder",
		Long: `Find passages in the documents on an AlphaOS drive, an image of one, or in a folder.

Nothing is written. The index that alphaos index made is used; what is new since then, or
all if there is none, is read first. "How many documents do I have about …" and "which
documents …" are answered from the list of documents.`,
		Example: `  alphaos search ~/Documents boiler service
  alphaos search alphaos.img "which documents mention XC23"`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 2 {
				return errors.New("name a drive, an image or a folder, and the words to look for, for example: alphaos search ~/Documents boiler")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			s, err := o.shelf(cmd, args[0], false)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, s.close()) }()
			l, why := s.load()
			unread := 0
			if err := l.Scan(cmd.Context(), s.documents, func(c knowledge.Change) error {
				if c.Note != "" {
					unread++
				}
				return nil
			}); err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			if why != nil {
				fmt.Fprintf(cmd.ErrOrStderr(), "There is no index to use, so all was read just now; \"alphaos index %s\" makes one. What cannot be read: %d.\n", args[0], unread)
			}
			return find(cmd.Context(), cmd.OutOrStdout(), l, strings.Join(args[1:], " "), k, full, asJSON)
		},
	}
	f := cmd.Flags()
	f.IntVarP(&k, "passages", "k", 5, "how many passages to show at most")
	f.BoolVar(&full, "full", false, "show them whole")
	f.BoolVar(&asJSON, "json", false, "print a JSON array of the passages")
	o.add(cmd)
	return cmd
}

func find(ctx context.Context, out io.Writer, l *knowledge.Library, query string, k int, full, asJSON bool) error {
	if r, ok := knowledge.Route(query); ok && !asJSON {
		fmt.Fprintln(out, l.Reply(r))
		return nil
	}
	passages, err := l.Search(ctx, query, k)
	if err != nil {
		return err
	}
	if asJSON {
		if passages == nil {
			passages = []knowledge.Passage{}
		}
		return json.NewEncoder(out).Encode(passages)
	}
	if len(passages) == 0 {
		fmt.Fprintln(out, "Not found in the documents.")
		return nil
	}
	for i, p := range passages {
		fmt.Fprintf(out, "[%d] %s", i+1, p.Document)
		if p.Locator != "" {
			fmt.Fprintf(out, ", %s", p.Locator)
		}
		text := p.Text
		if !full {
			text = excerpt(text, l.Mark(query, p))
		}
		fmt.Fprintf(out, "\n    %s\n", strings.ReplaceAll(text, "\n", "\n    "))
	}
	return nil
}

// excerpt returns the part of a text, of some 300 bytes, that has most marks.
func excerpt(text string, marks [][2]int) string {
	from, to := knowledge.Excerpt(text, marks, 300)
	s := strings.TrimSpace(text[from:to])
	if from > 0 {
		s = "… " + s
	}
	if to < len(text) {
		s += " …"
	}
	return s
}

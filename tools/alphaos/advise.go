package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"alphaos/console"
	"alphaos/llm"
)

// modelAdviseCommand tells which models will run here, and how fast.
func modelAdviseCommand() *cobra.Command {
	var memory int
	var threads int
	cmd := &cobra.Command{
		Use:   "advise [FILE|FOLDER]...",
		Short: "Tell which models run on this machine, and how fast",
		Long: `Tells for each model how many tokens of an answer a second are to be expected of this machine's processors, its memory and the drive
that the model is on, and how long it takes to load. Nothing is loaded: how fast weights of each type are multiplied is measured with made-up ones, and how fast the
drive is by reading a little of the model. Without arguments the models in this folder and in ./models are taken.`,
		Example: `  alphaos model advise
  alphaos model advise --memory 6 /media/stick/models`,
		RunE: func(cmd *cobra.Command, args []string) error {
			files, err := adviceFiles(args)
			if err != nil {
				return err
			}
			speeds := llm.NewSpeeds(llm.SpeedOptions{Threads: threads})
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "model\tsize\ttokens/s\tloads in\t")
			for _, name := range files {
				advise(w, speeds, name, int64(memory)<<30)
			}
			return w.Flush()
		},
	}
	cmd.Flags().IntVar(&memory, "memory", 0, "`GiB` for weights; 0: enough for any")
	cmd.Flags().IntVar(&threads, "threads", 0, "how many threads compute; 0: one for each processor")
	return cmd
}

// adviceFiles are the models that the arguments name.
func adviceFiles(args []string) (files []string, err error) {
	if len(args) == 0 {
		args = []string{".", "models"}
	}
	for _, arg := range args {
		info, err := os.Stat(arg)
		switch {
		case err != nil && arg == "models":
			continue
		case err != nil:
			return nil, err
		case !info.IsDir():
			files = append(files, arg)
			continue
		}
		found, err := filepath.Glob(filepath.Join(arg, "*.gguf"))
		if err != nil {
			return nil, err
		}
		files = append(files, found...)
	}
	if len(files) == 0 {
		return nil, errors.New("there are no models here; name a file that ends in .gguf, or a folder with some")
	}
	return files, nil
}

func advise(w io.Writer, speeds *llm.Speeds, name string, budget int64) {
	m, err := openModel(name)
	if err != nil {
		fmt.Fprintf(w, "%s\t\t\t\t%v\n", filepath.Base(name), err)
		return
	}
	defer m.Close()
	drive := driveRate(m)
	e, err := speeds.Expect(m.tables, budget, drive)
	if err != nil {
		fmt.Fprintf(w, "%s\t%s\t\t\t%v\n", m.Name(), console.Bytes(m.Size()), err)
		return
	}
	where := "all in memory"
	if e.Streamed > 0 {
		where = console.Bytes(e.Streamed) + " of each token come from the drive"
	}
	loads := "" // the drive can't be read
	if d := e.Loading(drive); d > 0 {
		loads = fmt.Sprintf("%.1f s", d.Seconds())
	}
	fmt.Fprintf(w, "%s\t%s\t%.1f\t%s\t%s\n", m.Name(), console.Bytes(m.Size()), e.Tokens, loads, where)
}

// driveRate is how many bytes a second can be read of the model, 0 if none can.
func driveRate(m *modelFile) float64 {
	const piece, pieces = 8 << 20, 8
	b := make([]byte, piece)
	began, read := time.Now(), 0
	for i := range int64(pieces) {
		n, err := m.ReadAt(b, m.Size()/pieces*i)
		read += n
		if err != nil && err != io.EOF {
			break
		}
	}
	return float64(read) / time.Since(began).Seconds()
}

package main

// model peer: measures a model here and with llama-bench in turn, each time in a process of
// its own, so that both meet the same minutes of a machine.

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

type peerOptions struct {
	bench, prompt, generate, threads string
	pages, output, kernel, table     string
	rounds                           int
}

// peerResult is one test of one model with one number of threads.
type peerResult struct {
	Processor string      `json:"processor"`
	Model     string      `json:"model"`
	Kernel    string      `json:"kernel"`
	Fetch     string      `json:"fetch,omitempty"`
	Pages     string      `json:"pages"`
	Threads   int         `json:"threads"`
	Prompt    int         `json:"prompt"`
	Generate  int         `json:"generate"`
	Rounds    []peerRound `json:"rounds"`
	Ours      float64     `json:"ours"`   // tokens a second, median
	Theirs    float64     `json:"theirs"` // the same of llama-bench
	Ratio     float64     `json:"ratio"`  // median of the rounds' ratios
	Limit     float64     `json:"limit,omitempty"`
	Share     float64     `json:"share,omitempty"` // of it in decoding, median
}

type peerRound struct {
	Ours   float64 `json:"ours"`
	Theirs float64 `json:"theirs"`
	Limit  float64 `json:"limit,omitempty"` // bytes a second that memory gives at most
	Share  float64 `json:"share,omitempty"`
}

func modelPeerCommand() *cobra.Command {
	var o peerOptions
	cmd := &cobra.Command{
		Use:   "peer --bench LLAMA-BENCH MODEL...",
		Short: "Measure models here and with llama.cpp's llama-bench, in turn",
		Long: `Measure models here and with llama.cpp's llama-bench, in turn, and compare: the
ratio is the median of the rounds' ratios. All rounds are in the JSON output.

With 2 MiB pages llama-bench is asked for them as well (through glibc, without
mapping the file). Build it for the instruction sets that are to be compared.`,
		Example: `  alphaos model peer --bench llama.cpp/build/bin/llama-bench -t 1,2 1b.gguf`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.table != "" {
				var results []*peerResult
				text, err := os.ReadFile(o.table)
				if err == nil {
					err = json.Unmarshal(text, &results)
				}
				if err != nil {
					return fmt.Errorf("the results cannot be read: %w", err)
				}
				return peerTable(cmd.OutOrStdout(), results)
			}
			if len(args) == 0 || o.bench == "" {
				return errors.New("name llama-bench and models, for example: alphaos model peer --bench build/bin/llama-bench 1b.gguf")
			}
			return peer(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), o, args)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.bench, "bench", "", "the llama-bench program")
	f.StringVarP(&o.prompt, "n-prompt", "p", "512", "lengths of prompts; 0: none")
	f.StringVarP(&o.generate, "n-gen", "n", "64", "lengths of answers; 0: none")
	f.StringVarP(&o.threads, "threads", "t", "1,2", "numbers of threads")
	f.IntVarP(&o.rounds, "rounds", "r", 5, "how often each side is measured")
	f.StringVar(&o.pages, "pages", "2m", "memory pages of the weights: 2m or 4k")
	f.StringVar(&o.table, "table", "", "write the table of results in this JSON file, and measure nothing")
	f.StringVarP(&o.output, "output", "o", "md", "md (a table) or json")
	kernelFlag(cmd, &o.kernel)
	return cmd
}

func peer(ctx context.Context, out, progress io.Writer, o peerOptions, models []string) error {
	if o.rounds < 1 {
		return fmt.Errorf("-r %d: at least one round is needed", o.rounds)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	tests := []string{"-p", o.prompt, "-n", o.generate, "-t", o.threads, "-o", "json"}
	var results []*peerResult
	for _, model := range models {
		for round := range o.rounds {
			fmt.Fprintf(progress, "%s: round %d of %d\n", filepath.Base(model), round+1, o.rounds)
			ours, err := runBench(ctx, self, nil, append([]string{"model", "bench", "-m", model, "-r", "1", "--bandwidth", "--pages", o.pages, "--kernel", o.kernel}, tests...))
			if err != nil {
				return err
			}
			var env, how []string
			if o.pages == "2m" {
				env, how = []string{"GLIBC_TUNABLES=glibc.malloc.hugetlb=1"}, []string{"-lm", "none"}
			}
			theirs, err := runBench(ctx, o.bench, env, append(append([]string{"-m", model, "-r", "1"}, how...), tests...))
			if err != nil {
				return err
			}
			for _, a := range ours {
				i := slices.IndexFunc(theirs, func(b benchResult) bool {
					return b.Threads == a.Threads && b.Prompt == a.Prompt && b.Generate == a.Generate
				})
				if i < 0 {
					return fmt.Errorf("%s: llama-bench did not measure %d and %d tokens with %d threads", model, a.Prompt, a.Generate, a.Threads)
				}
				r := resultOf(&results, peerResult{Processor: processorName(), Model: a.Type, Kernel: a.Kernel, Pages: a.Pages, Threads: a.Threads, Prompt: a.Prompt, Generate: a.Generate})
				r.Fetch = a.Fetch // of the last round
				r.Rounds = append(r.Rounds, peerRound{a.Average, theirs[i].Average, a.Limit, a.Share})
			}
		}
	}
	for _, r := range results {
		middle := func(f func(peerRound) float64) float64 {
			var all []float64
			for _, round := range r.Rounds {
				all = append(all, f(round))
			}
			slices.Sort(all)
			return all[len(all)/2]
		}
		r.Ours, r.Theirs = middle(func(r peerRound) float64 { return r.Ours }), middle(func(r peerRound) float64 { return r.Theirs })
		r.Ratio = middle(func(r peerRound) float64 { return r.Ours / r.Theirs })
		r.Limit, r.Share = middle(func(r peerRound) float64 { return r.Limit }), middle(func(r peerRound) float64 { return r.Share })
	}
	if o.output == "json" {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		return e.Encode(results)
	}
	return peerTable(out, results)
}

func peerTable(out io.Writer, results []*peerResult) error {
	if len(results) > 0 {
		r := results[0]
		fmt.Fprintf(out, "%s, kernel %s, medians of %d rounds, %s pages\n\n", r.Processor, r.Kernel, len(r.Rounds), r.Pages)
	}
	w := tabwriter.NewWriter(out, 0, 0, 1, ' ', 0)
	fmt.Fprintln(w, "| model\t| test\t| threads\t| AlphaOS\t| llama.cpp\t| ratio\t| memory at most\t| share\t|")
	fmt.Fprintln(w, "| ---\t| ---\t| ---:\t| ---:\t| ---:\t| ---:\t| ---:\t| ---:\t|")
	for _, r := range results {
		test, limit := fmt.Sprintf("pp%d", r.Prompt), "\t| "
		if r.Generate > 0 {
			test = fmt.Sprintf("tg%d", r.Generate)
			limit = fmt.Sprintf("%.1f GB/s\t| %.0f %%", r.Limit/1e9, 100*r.Share)
		}
		fmt.Fprintf(w, "| %s\t| %s\t| %d\t| %.1f\t| %.1f\t| **%.2f**\t| %s\t|\n", r.Model, test, r.Threads, r.Ours, r.Theirs, r.Ratio, limit)
	}
	return w.Flush()
}

// resultOf finds or adds the result that is like r in all but what is measured.
func resultOf(results *[]*peerResult, r peerResult) *peerResult {
	for _, old := range *results {
		if old.Model == r.Model && old.Threads == r.Threads && old.Prompt == r.Prompt && old.Generate == r.Generate {
			return old
		}
	}
	*results = append(*results, &r)
	return &r
}

// runBench runs a program that writes results as llama-bench does.
func runBench(ctx context.Context, program string, env, args []string) (results []benchResult, err error) {
	c := exec.CommandContext(ctx, program, args...)
	c.Env = append(os.Environ(), env...)
	var said strings.Builder
	c.Stderr = &said
	text, err := c.Output()
	if err != nil {
		lines := strings.Split(strings.TrimSpace(said.String()), "\n")
		return nil, fmt.Errorf("%s: %w: %s", program, err, lines[len(lines)-1])
	}
	if err := json.Unmarshal(text, &results); err != nil {
		return nil, fmt.Errorf("%s did not write results as JSON: %w", program, err)
	}
	return results, nil
}

// processorName is what Linux calls the processor, with family and model, by which those
// whose hypervisor hides the name can be told apart.
func processorName() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown processor"
	}
	facts := map[string]string{}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		if name = strings.TrimSpace(name); facts[name] == "" {
			facts[name] = strings.TrimSpace(value)
		}
	}
	return fmt.Sprintf("%s (family %s, model %s)", strings.Join(strings.Fields(cmp.Or(facts["model name"], "unknown processor")), " "), facts["cpu family"], facts["model"])
}

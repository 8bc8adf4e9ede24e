package main

// model bench: measures a model in llama-bench's manner, so that its figures
// stand beside llama-bench's: pp N is a prompt of N tokens given at once to an
// empty context, tg N is N tokens given one by one to an empty context; each is
// repeated, after one repetition that is not counted. Random tokens serve,
// because speed does not depend on them.

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"alphaos/llm"
)

type benchOptions struct {
	model            string
	prompt, generate []int
	threads          []int
	repeat           int
	kernel, output   string
	cache, pages     string
	fetch            string
	bandwidth        bool
}

// benchResult is one measurement; the JSON names are llama-bench's.
type benchResult struct {
	File       string    `json:"model_filename"`
	Type       string    `json:"model_type"`
	Bytes      int64     `json:"model_size"`
	Parameters int64     `json:"model_n_params"`
	Kernel     string    `json:"backends"`
	Pages      string    `json:"pages"`
	Threads    int       `json:"n_threads"`
	Prompt     int       `json:"n_prompt"`
	Generate   int       `json:"n_gen"`
	AverageNs  int64     `json:"avg_ns"`
	Average    float64   `json:"avg_ts"`
	Deviation  float64   `json:"stddev_ts"`
	Samples    []float64 `json:"samples_ts"`
	Fetch      string    `json:"fetch"`
	Limit      float64   `json:"limit_bytes_per_second,omitempty"` // the best plain read of memory, median over the repetitions
	Way        string    `json:"limit_way,omitempty"`
	Share      float64   `json:"limit_share,omitempty"` // of it, median of the repetitions
}

func modelBenchCommand() *cobra.Command {
	var o benchOptions
	cmd := &cobra.Command{
		Use:   "bench -m FILE",
		Short: "Measure how fast a model reads prompts and writes answers",
		Long: `Measure how fast a model reads prompts (pp) and writes answers (tg), in tokens a
second, mean and standard deviation, in llama-bench's manner. Of a model that
makes embeddings, pp is the embedding of a text.`,
		Example: `  alphaos model bench -m 1b.gguf -p 512 -n 64 -t 1,2 -r 3
  alphaos model bench -m 1b.gguf -o json --pages 4k`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return bench(cmd.Context(), cmd.OutOrStdout(), o)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.model, "model", "m", "", "the model's GGUF file")
	f.IntSliceVarP(&o.prompt, "n-prompt", "p", []int{512}, "lengths of prompts; 0: none")
	f.IntSliceVarP(&o.generate, "n-gen", "n", []int{128}, "lengths of answers; 0: none")
	f.IntSliceVarP(&o.threads, "threads", "t", []int{0}, "numbers of threads (0: choose)")
	f.IntVarP(&o.repeat, "repetitions", "r", 5, "how often each is measured")
	f.StringVarP(&o.output, "output", "o", "md", "md (a table) or json")
	kernelFlag(cmd, &o.kernel)
	f.StringVar(&o.fetch, "fetch", os.Getenv("ALPHAOS_FETCH"), "what kernels fetch ahead, also $ALPHAOS_FETCH: none, 512, 1024, 2048, 4096, 2048+10240, 4096+12288, 2048,8192: into the second-level cache first, or 4x256, 4x512, 4x1024, 4x4096: four runs of rows in turn (default: measure and choose)")
	f.BoolVar(&o.bandwidth, "bandwidth", false, "measure how fast memory can be read at most, in turn with answers")
	f.StringVar(&o.cache, "cache", "f16", "keys and values as f32, f16 or q8_0")
	f.StringVar(&o.pages, "pages", "2m", "memory pages of the weights: 2m (if the system has any) or 4k")
	return cmd
}

func bench(ctx context.Context, out io.Writer, o benchOptions) error {
	switch {
	case o.repeat < 1:
		return fmt.Errorf("-r %d: at least one repetition is needed", o.repeat)
	case o.output != "md" && o.output != "json":
		return fmt.Errorf("-o %q: the forms of output are md and json", o.output)
	case o.pages != "2m" && o.pages != "4k":
		return fmt.Errorf("--pages %q: the sizes of pages are 2m and 4k", o.pages)
	}
	longest := 0
	for _, list := range [][]int{o.prompt, o.generate} {
		for _, n := range list {
			if n < 0 {
				return fmt.Errorf("a text of %d tokens cannot be measured", n)
			}
			longest = max(longest, n)
		}
	}
	if longest == 0 {
		return errors.New("nothing is to be measured: -p and -n are both 0")
	}
	m, err := openModel(o.model)
	if err != nil {
		return err
	}
	defer m.Close()
	var results []benchResult
	for _, threads := range o.threads {
		r, err := benchThreads(ctx, m, o, threads, longest)
		if err != nil {
			return fmt.Errorf("%s: %w", o.model, err)
		}
		results = append(results, r...)
	}
	if o.output == "json" {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		return e.Encode(results)
	}
	w := tabwriter.NewWriter(out, 0, 0, 1, ' ', 0)
	fmt.Fprintln(w, "| model\t| size\t| params\t| kernel\t| pages\t| threads\t| test\t| t/s\t|")
	fmt.Fprintln(w, "| ---\t| ---:\t| ---:\t| ---\t| ---\t| ---:\t| ---:\t| ---:\t|")
	for _, r := range results {
		test := fmt.Sprintf("pp%d", r.Prompt)
		if r.Generate > 0 {
			test = fmt.Sprintf("tg%d", r.Generate)
		}
		fmt.Fprintf(w, "| %s\t| %.2f MiB\t| %.2f M\t| %s\t| %s\t| %d\t| %s\t| %.2f ± %.2f\t|\n", r.Type, float64(r.Bytes)/(1<<20),
			float64(r.Parameters)/1e6, r.Kernel, r.Pages, r.Threads, test, r.Average, r.Deviation)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, r := range results {
		if r.Limit > 0 {
			fmt.Fprintf(out, "\ntg%d with %d threads: %.0f %% of what reading memory allows (%.1f GB/s: %s); fetched ahead: %s\n",
				r.Generate, r.Threads, 100*r.Share, r.Limit/1e9, r.Way, cmp.Or(r.Fetch, "not measured"))
		}
	}
	return nil
}

func benchThreads(ctx context.Context, m *modelFile, o benchOptions, threads, longest int) ([]benchResult, error) {
	alloc, free := weightMemory(o.pages == "2m")
	model, err := m.load(llm.Options{Threads: threads, Kernel: o.kernel, Fetch: o.fetch, Cache: o.cache, Alloc: alloc, Free: free})
	if err != nil {
		return nil, err
	}
	defer model.Close()
	info := model.Info()
	read := func(ids []int32) error { _, err := model.Embed(ctx, ids); return err }
	empty := func() {}
	if model.Embedder() {
		if longest > info.Context {
			return nil, fmt.Errorf("this model takes texts of at most %d tokens: measure with -p %d", info.Context, info.Context)
		}
		o.generate = nil
	} else {
		s, err := model.NewSession(min(longest, info.Context))
		if err != nil {
			return nil, err
		}
		read = func(ids []int32) error { _, err := s.Eval(ctx, ids); return err }
		empty = func() { s.Truncate(0) }
	}
	ids := make([]int32, longest)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range ids {
		ids[i] = r.Int32N(int32(info.Vocabulary))
	}
	var results []benchResult
	measure := func(prompt, generate int, run func() error) error {
		result := benchResult{File: filepath.Base(o.model), Type: info.Architecture + " " + info.Quantization, Bytes: info.Bytes,
			Parameters: info.Parameters, Kernel: info.Kernel, Pages: o.pages, Threads: info.Threads, Prompt: prompt, Generate: generate}
		var limits, shares []float64
		for i := range o.repeat + 1 {
			empty()
			start := time.Now()
			if err := run(); err != nil {
				return err
			}
			t := time.Since(start)
			if i > 0 {
				result.Samples = append(result.Samples, float64(prompt+generate)/t.Seconds())
				result.AverageNs += t.Nanoseconds() / int64(o.repeat)
			}
			if i > 0 && o.bandwidth && generate > 0 {
				rates, err := model.Bandwidth(ctx, 3)
				if err != nil {
					return err
				}
				if len(rates) > 0 {
					result.Way = rates[0].Way.String()
					limits = append(limits, rates[0].Median)
					shares = append(shares, float64(info.PerToken)*float64(generate)/t.Seconds()/rates[0].Median)
				}
			}
		}
		if len(limits) > 0 {
			slices.Sort(limits)
			slices.Sort(shares)
			result.Limit, result.Share = limits[len(limits)/2], shares[len(shares)/2]
		}
		result.Average, result.Deviation = meanDeviation(result.Samples)
		result.Fetch = model.Info().Fetch // chosen while it was measured
		results = append(results, result)
		return nil
	}
	for _, n := range o.prompt {
		if n > 0 {
			if err := measure(n, 0, func() error { return read(ids[:n]) }); err != nil {
				return nil, err
			}
		}
	}
	for _, n := range o.generate {
		if n > 0 {
			err := measure(0, n, func() error {
				for i := range n {
					if err := read(ids[i : i+1]); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				return nil, err
			}
		}
	}
	return results, nil
}

// meanDeviation is the mean and the standard deviation of a sample.
func meanDeviation(x []float64) (mean, deviation float64) {
	for _, v := range x {
		mean += v / float64(len(x))
	}
	if len(x) < 2 {
		return mean, 0
	}
	for _, v := range x {
		deviation += (v - mean) * (v - mean) / float64(len(x)-1)
	}
	return mean, math.Sqrt(deviation)
}

package knowledge

// An experiment: does a model of meaning of our own, small and made of text that Debian's packages carry, find more than words do? Here
// it is the simplest that there is, a vector for each word, counted from what stands around it. See docs/knowledge.md.

import (
	"bufio"
	"cmp"
	"compress/gzip"
	"context"
	"flag"
	"io"
	iofs "io/fs"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var static = flag.String("static", "", "folders, separated by commas, with the text for TestStaticVectors: manual pages (.gz) and WordNet's data.*")

const (
	staticWords  = 30000 // that have a vector
	staticWindow = 5     // words on each side that count as being around one
	staticDim    = 256
)

// paragraphs calls f with pieces of text of all files.
func paragraphs(t *testing.T, f func(string)) {
	for _, dir := range strings.Split(*static, ",") {
		if err := filepath.WalkDir(dir, func(name string, e iofs.DirEntry, err error) error {
			glosses := strings.HasPrefix(e.Name(), "data.")
			if err != nil || !e.Type().IsRegular() || !glosses && filepath.Ext(name) != ".gz" {
				return err
			}
			file, err := os.Open(name)
			if err != nil {
				return err
			}
			defer file.Close()
			var r io.Reader = file
			if !glosses {
				if r, err = gzip.NewReader(file); err != nil {
					return nil
				}
			}
			var text strings.Builder
			s := bufio.NewScanner(r)
			s.Buffer(nil, 1<<20)
			for s.Scan() {
				line := s.Text()
				switch {
				case glosses:
					words, gloss, ok := strings.Cut(line, "|")
					if ok && !strings.HasPrefix(line, " ") {
						f(strings.Join(strings.FieldsFunc(words, func(r rune) bool { return r != '-' && (r < 'a' || r > 'z') }), " ") + gloss)
					}
				case strings.HasPrefix(line, ".") || line == "":
					if text.Len() > 0 {
						f(text.String())
						text.Reset()
					}
				default:
					text.WriteString(roff.Replace(line) + " ")
				}
			}
			f(text.String())
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
}

var roff = strings.NewReplacer(`\fB`, "", `\fI`, "", `\fR`, "", `\fP`, "", `\-`, "-", `\&`, "")

// wordVectors makes texts the weighted sum of their words' vectors.
type wordVectors struct {
	index  map[string]int
	rows   [][]float32
	weight []float32
}

func (w *wordVectors) EmbedTexts(_ context.Context, texts []string) (list [][]float32, err error) {
	a := &analyzer{lang: 1}
	for _, text := range texts {
		v := make([]float32, staticDim)
		v[0] = 1e-6
		a.terms(text, func(t term) {
			if i, ok := w.index[t.text]; ok {
				for k, x := range w.rows[i] {
					v[k] += w.weight[i] * x
				}
			}
		})
		list = append(list, normalized(v))
	}
	return list, nil
}

func normalized(v []float32) []float32 {
	sum := 0.
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	if sum > 0 {
		for i := range v {
			v[i] /= float32(math.Sqrt(sum))
		}
	}
	return v
}

type cooccurrence struct {
	col int32
	x   float32
}

// learnWords factors the positive pointwise mutual information of words that stand near each other (Levy, Goldberg and Dagan 2015).
func learnWords(t *testing.T) *wordVectors {
	a := &analyzer{lang: 1}
	count := map[string]int{}
	total := 0
	paragraphs(t, func(p string) { a.terms(p, func(x term) { count[x.text]++; total++ }) })
	words := slices.SortedFunc(maps.Keys(count), func(x, y string) int {
		if count[x] != count[y] {
			return count[y] - count[x]
		}
		return strings.Compare(x, y)
	})
	words = words[:min(len(words), staticWords)]
	w := &wordVectors{index: map[string]int{}}
	for i, x := range words {
		w.index[x] = i
		p := float64(count[x]) / float64(total)
		w.weight = append(w.weight, float32(1e-3/(1e-3+p)))
	}
	pairs := make([]map[int32]float32, len(words))
	paragraphs(t, func(p string) {
		var line []int32
		a.terms(p, func(x term) {
			if i, ok := w.index[x.text]; ok {
				line = append(line, int32(i))
			}
		})
		for i, x := range line {
			for d := 1; d <= staticWindow && i+d < len(line); d++ {
				for _, e := range [2][2]int32{{x, line[i+d]}, {line[i+d], x}} {
					if pairs[e[0]] == nil {
						pairs[e[0]] = map[int32]float32{}
					}
					pairs[e[0]][e[1]] += 1 / float32(d)
				}
			}
		}
	})
	around, smooth, all := make([]float64, len(words)), make([]float64, len(words)), 0.
	for i, row := range pairs {
		for _, n := range row {
			around[i] += float64(n)
		}
		smooth[i] = math.Pow(around[i], .75)
		all += smooth[i]
	}
	rows, stored := make([][]cooccurrence, len(words)), 0
	for i, row := range pairs {
		for _, j := range slices.Sorted(maps.Keys(row)) {
			if x := math.Log(float64(row[j]) * all / (around[i] * smooth[j])); x > 0 {
				rows[i] = append(rows[i], cooccurrence{j, float32(x)})
				stored++
			}
		}
	}
	t.Logf("%d words of text, %d with vectors, %d pairs", total, len(words), stored)
	w.rows = factor(rows)
	return w
}

// factor returns the rows of the left singular vectors of a nearly symmetric matrix, times the square roots of the singular values: by subspace
// iteration from random vectors.
func factor(rows [][]cooccurrence) [][]float32 {
	r := rand.New(rand.NewPCG(1, 1))
	q := make([][]float32, len(rows))
	for i := range q {
		q[i] = make([]float32, staticDim)
		for k := range q[i] {
			q[i][k] = float32(r.NormFloat64())
		}
	}
	var lengths []float64
	for range 4 {
		next := make([][]float32, len(rows))
		for i, row := range rows {
			v := make([]float32, staticDim)
			for _, e := range row {
				for k, x := range q[e.col] {
					v[k] += e.x * x
				}
			}
			next[i] = v
		}
		lengths = orthonormal(next)
		q = next
	}
	for _, row := range q {
		for k := range row {
			row[k] *= float32(math.Sqrt(lengths[k]))
		}
		normalized(row)
	}
	return q
}

// orthonormal makes columns so (Gram and Schmidt, modified), and returns how long they were.
func orthonormal(m [][]float32) (lengths []float64) {
	columns := make([][]float32, staticDim)
	for k := range columns {
		columns[k] = make([]float32, len(m))
		for i := range m {
			columns[k][i] = m[i][k]
		}
	}
	for k, c := range columns {
		for _, before := range columns[:k] {
			d := 0.
			for i := range c {
				d += float64(c[i]) * float64(before[i])
			}
			for i := range c {
				c[i] -= float32(d) * before[i]
			}
		}
		sum := 0.
		for _, x := range c {
			sum += float64(x) * float64(x)
		}
		lengths = append(lengths, math.Sqrt(sum))
		normalized(c)
		for i := range m {
			m[i][k] = c[i]
		}
	}
	return lengths
}

// TestStaticVectors measures search on Cranfield by words alone, and with vectors that were learned from other text.
func TestStaticVectors(t *testing.T) {
	if *static == "" {
		t.Skip("needs text: run with -static /usr/share/man/man1,/usr/share/man/man3,/usr/share/man/man7,/usr/share/wordnet")
	}
	c := cranfield(t)
	w := learnWords(t)
	words := c.library(t, nil)
	ndcg, _, precision := c.measure(t, words)
	t.Logf("words alone: nDCG@10 %.4f, MAP %.4f", ndcg, precision)
	both := c.library(t, w)
	embed(t, both)
	for _, share := range []float32{.05, .1, .2, .3, .5, 1} {
		ndcg, _, precision = c.measureBy(func(question string) []Passage {
			const first = 60 // as Search has it
			score, at := map[string]float32{}, map[string]Passage{}
			for i, p := range search(t, words, question, 1000) {
				if _, ok := at[p.Document]; !ok {
					score[p.Document], at[p.Document] = 1/float32(first+i+1), p
				}
			}
			vector, _ := w.EmbedTexts(t.Context(), []string{question})
			seen := map[string]bool{}
			for i, h := range both.vectors.nearest(vector[0], 1000, func(uint32) bool { return true }) {
				if p := both.passage(h.chunk); !seen[p.Document] {
					seen[p.Document] = true
					score[p.Document] += share / float32(first+i+1)
					at[p.Document] = p
				}
			}
			return slices.SortedFunc(maps.Values(at), func(a, b Passage) int {
				return cmp.Or(cmp.Compare(score[b.Document], score[a.Document]), cmp.Compare(a.Document, b.Document))
			})
		})
		t.Logf("fused with a share of %.2f of vectors: nDCG@10 %.4f, MAP %.4f", share, ndcg, precision)
	}
}

package rules

// People say it in words that nobody thought of. So beside the phrases stands a
// second judge, a linear classifier over pieces of words, words, and pairs of
// words near one another. It learns from the messages in testdata and the questions of
// tools/guide (train_test.go); what it has learnt lies in weights.bin. It tells only
// that a message is distress, not of which kind.

import (
	_ "embed"
	"math"
	"slices"
	"strings"
)

// threshold is the score above which a message is distress, by the language it is
// written in.
var threshold = map[string]float64{english: 0.33, "de": 0.5, "es": 0.5, "fr": 0.5}

// weights are one int8 for each bucket of features, in units of 1/unit.
//
//go:embed weights.bin
var weights string

const (
	buckets   = 1 << 16
	unit      = 32
	damp      = 30 // features are added in the mean, or few would weigh much
	pairWords = 4  // words are a pair that are no further apart
	fewest    = 4  // words; of shorter messages only the phrases judge
	partWords = 40 // longer parts of a message are cut
)

// feature is a hash (FNV-1a) of a piece of text and of what it is taken for.
func feature(tag byte, pieces ...string) uint16 {
	h := (uint32(2166136261) ^ uint32(tag)) * 16777619
	for _, p := range pieces {
		for i := range len(p) {
			h = (h ^ uint32(p[i])) * 16777619
		}
		h = (h ^ ' ') * 16777619
	}
	return uint16(h>>16 ^ h)
}

// features returns the buckets that words fall into, each once, in order.
func features(words []string) []uint16 {
	var list []uint16
	for i, w := range words {
		list = append(list, feature('w', w))
		for d := 1; d <= pairWords && i+d < len(words); d++ {
			tag := byte('p') // in this order, near
			if d == 1 {
				tag = 'b'
			}
			list = append(list, feature(tag, w, words[i+d]))
		}
		w = "_" + w + "_"
		for n := 3; n <= 5; n++ {
			for at := 0; at+n <= len(w); at++ {
				list = append(list, feature('c', w[at:at+n]))
			}
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// sentences puts each sentence on a line of its own.
var sentences = strings.NewReplacer(". ", "\n", "! ", "\n", "? ", "\n")

// score tells how much a message sounds like distress: above threshold it is taken
// for it. A sentence counts as much as the whole, so that what is said beside it
// doesn't hide it.
func score(message string) float64 {
	best := math.Inf(-1)
	judge := func(words []string) {
		if len(words) < fewest {
			return
		}
		f := features(words)
		sum := 0
		for _, i := range f {
			sum += int(int8(weights[i]))
		}
		best = max(best, float64(sum)/unit/math.Sqrt(float64(len(f))+damp))
	}
	for _, part := range append(strings.Split(sentences.Replace(message), "\n"), message) {
		words := plain(part)
		for len(words) > partWords {
			judge(words[:partWords])
			words = words[partWords/2:]
		}
		judge(words)
	}
	return best
}

package rules

import (
	"bytes"
	"flag"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "train the weights anew and write them")

// An example is a message, and whether it is distress.
type example struct {
	group    string // its language, or where it is from
	message  string
	distress bool
	last     bool // of the last round
}

// examples are all messages that the weights are trained on, in a fixed order.
func examples(t *testing.T) []example {
	t.Helper()
	var list []example
	for _, name := range []string{"en", "de", "es", "fr"} {
		b, err := os.ReadFile("testdata/distress-" + name + ".txt")
		if err != nil {
			t.Fatal(err)
		}
		_, after, ok := strings.Cut(string(b), lastRound)
		if !ok {
			t.Fatalf("distress-%s.txt has no line %q", name, lastRound)
		}
		fresh := len(strings.Split(strings.TrimSpace(after), "\n")) - 1
		all := lines(t, "distress-"+name+".txt")
		for i, s := range all {
			list = append(list, example{name, s, true, i >= len(all)-fresh})
		}
		for _, s := range lines(t, "kinds-"+name+".txt") {
			_, s, _ = strings.Cut(s, ": ")
			list = append(list, example{name, s, true, false})
		}
		for _, s := range lines(t, "everyday-"+name+".txt") {
			list = append(list, example{name, s, false, false})
		}
		if name != english {
			for _, s := range lines(t, "questions-"+name+".txt") {
				list = append(list, example{name, s, false, false})
			}
		}
	}
	for _, s := range lines(t, "harmless.txt") {
		name := identify(s)
		if name == "" {
			name = english
		}
		list = append(list, example{name, s, false, false})
	}
	for _, s := range lines(t, "questions-other.txt") {
		_, s, _ = strings.Cut(s, ": ")
		list = append(list, example{"other", s, false, false})
	}
	told := map[string]bool{}
	for _, s := range lines(t, "told.txt") {
		told[s] = true
	}
	asked := guideQuestions(t)
	for _, file := range slices.Sorted(maps.Keys(asked)) {
		for _, q := range asked[file] {
			if !told[q] {
				list = append(list, example{english, q, false, false})
			}
		}
	}
	return list
}

// train finds weights by which all examples are told apart by as wide a margin as
// possible: a linear support vector machine with squared loss, by descent along
// one dual variable after the other (Hsieh et al. 2008). The more
// messages a language has of one sort, the less weighs each: there are a hundred harmless
// ones in English for one of distress.
// It uses nothing but exactly rounded operations, so that all machines
// find the same bits.
func train(list []example) []byte {
	const rounds = 12
	count := map[string]int{}
	group := func(e example) string {
		if e.distress {
			return e.group + "!"
		}
		return e.group
	}
	for _, e := range list {
		count[group(e)]++
	}
	w := make([]float64, buckets)
	alpha := make([]float64, len(list))
	order := make([]int, len(list))
	feats := make([][]uint16, len(list))
	for i, e := range list {
		order[i], feats[i] = i, features(plain(e.message))
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range rounds {
		random.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for _, i := range order {
			f := feats[i]
			if len(f) == 0 {
				continue
			}
			y := -1.0
			if list[i].distress {
				y = 1
			}
			sum := 0.0
			for _, k := range f {
				sum += w[k]
			}
			x := 1 / math.Sqrt(float64(len(f))+damp)                    // the value of each feature
			slack := math.Sqrt(float64(count[group(list[i])])/500) / 16 // the reciprocal of its weight
			step := max((1-float64(y*x*sum)-float64(slack*alpha[i]))/(float64(float64(len(f))*x*x)+slack), -alpha[i])
			alpha[i] += step
			for _, k := range f {
				w[k] += float64(step * y * x)
			}
		}
	}
	out := make([]byte, buckets)
	for i, v := range w {
		out[i] = byte(int8(max(-127, min(127, math.Round(v*unit)))))
	}
	return out
}

// lastRound is the heading of those messages that came last.
const lastRound = "# Round 6"

// What the classifier alone does with messages that it was not trained on: the last
// round of distress, and every other one of the rest.
func TestUnseen(t *testing.T) {
	list := examples(t)
	unseen := func(i int) bool { return list[i].last || !list[i].distress && i%2 == 0 }
	var seen []example
	for i, e := range list {
		if !unseen(i) {
			seen = append(seen, e)
		}
	}
	defer func(w string) { weights = w }(weights)
	weights = string(train(seen))
	found, all := map[example]int{}, map[example]int{}
	for i, e := range list {
		if !unseen(i) || threshold[e.group] == 0 {
			continue
		}
		k := example{group: e.group, distress: e.distress}
		all[k]++
		if score(e.message) > threshold[e.group] {
			found[k]++
		}
	}
	for _, name := range []string{"en", "de", "es", "fr"} {
		d, h := example{group: name, distress: true}, example{group: name}
		t.Logf("%s: %d of %d found, %d of %d taken for distress", name, found[d], all[d], found[h], all[h])
		if found[d]*10 < all[d]*3 || name == english && found[h]*400 > all[h] || found[h]*8 > all[h] {
			t.Errorf("%s: that is not good enough", name)
		}
	}
}

// The weights are those that the texts give.
func TestWeights(t *testing.T) {
	got := train(examples(t))
	if *update {
		if err := os.WriteFile("weights.bin", got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(got, []byte(weights)) {
		t.Error("weights.bin is not what the texts give; if they changed, run go test ./models/rules -run TestWeights -update")
	}
}

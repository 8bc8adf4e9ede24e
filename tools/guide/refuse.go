package guide

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"strconv"
	"strings"
)

// refusals are the honest answers to what the guide cannot know, by the name that the
// lines "R:" of refuse/ have for them. All name the small guide model, so that a person
// learns who is talking and that another model would know more. The first wording of a
// kind is the usual one.
var refusals = map[string][]string{
	"general": {
		"I'm the small guide model: I can only talk about AlphaOS. For that, copy a larger GGUF model to /models.",
		"I'm the small guide model and know only AlphaOS. For that, copy a larger GGUF model to /models.",
	},
	"maths": {
		"I'm the small guide model and cannot calculate: I can only talk about AlphaOS. For that, copy a larger GGUF model to /models.",
	},
	"code": {
		"I'm the small guide model and cannot write programs: I can only talk about AlphaOS. For that, copy a larger GGUF model to /models.",
	},
	"text": {
		"I'm the small guide model and cannot write or translate texts: I can only talk about AlphaOS. For that, copy a larger GGUF model to /models.",
	},
	"today": {
		"I'm the small guide model and know nothing of today: AlphaOS uses no network. I can only talk about AlphaOS.",
	},
	"health": {
		"I'm the small guide model and can give no advice about health. Please ask a doctor; in an emergency call for help at once.",
	},
	"law": {
		"I'm the small guide model and can give no advice about law or money. Please ask a professional.",
	},
	"personal": {
		"I'm the small guide model and can give no good advice about life: I can only talk about AlphaOS. Somebody you trust may help, or a larger GGUF model in /models.",
	},
	"danger": {
		"I'm the small guide model, and I do not help with anything that can hurt people or do damage. I can only talk about AlphaOS.",
	},
	"crisis": {
		"I'm sorry that you feel this way. I'm only the small guide model. Please talk to somebody you trust, or call your local emergency number now.",
	},
}

// A subject is a kind of question that is refused.
type subject struct {
	where     string
	kind      string   // of refusals
	topics    []string // what {x} stands for
	templates []string // questions
}

// subjects reads refuse/: blocks of one line "R: KIND", lines "X: TOPIC, TOPIC, ..." and
// lines "Q: QUESTION". In a question {x} is one of the topics, {name} a made-up name of
// a person or place, {n} a number.
func subjects(fsys fs.FS) ([]subject, error) {
	blocks, err := readBlocks(fsys, "refuse", "R", "X", "Q")
	var list []subject
	for _, b := range blocks {
		s := subject{where: b.where, templates: b.values("Q")}
		for _, x := range b.values("X") {
			for topic := range strings.SplitSeq(x, ",") {
				s.topics = append(s.topics, strings.TrimSpace(topic))
			}
		}
		kind := b.values("R")
		uses := strings.Contains(strings.Join(s.templates, " "), "{x}")
		switch {
		case len(kind) != 1 || refusals[kind[0]] == nil:
			err = errors.Join(err, fmt.Errorf("%s: a block needs one line \"R:\" that names a kind of refusal", b.where))
			continue
		case len(s.templates) == 0:
			err = errors.Join(err, fmt.Errorf("%s: a block needs a line \"Q:\"", b.where))
			continue
		case uses != (len(s.topics) > 0):
			err = errors.Join(err, fmt.Errorf("%s: topics (lines \"X:\") and {x} belong together", b.where))
			continue
		}
		s.kind = kind[0]
		list = append(list, s)
	}
	return list, err
}

// fill makes a question of a template and a topic. {noise} is what a cat types.
func fill(r *rand.Rand, template, topic string) string {
	s := strings.ReplaceAll(template, "{x}", topic)
	for strings.Contains(s, "{name}") {
		s = strings.Replace(s, "{name}", madeUp(r), 1)
	}
	for strings.Contains(s, "{noise}") {
		s = strings.Replace(s, "{noise}", noise(r), 1)
	}
	for strings.Contains(s, "{n}") {
		n := r.IntN(100)
		if r.IntN(3) == 0 {
			n = r.IntN(10000)
		}
		s = strings.Replace(s, "{n}", strconv.Itoa(n), 1)
	}
	return s
}

var (
	onsets = strings.Fields("b br c ch cl d dr f fr g gr h j k kl l m n p pl qu r s sch sh sl st t th tr v w z")
	nuclei = strings.Fields("a e i o u ai au ea ee ei ia ie oo ou y")
	codas  = strings.Fields("- - - b d g k l ll m n nd ng nt r rd rn rt s ss st t th x z")
	ends   = strings.Fields("- - - a o us son ez ski ini ville ton land ia burg er ich")
)

// madeUp returns a name that nobody knows, as most names are to a small model.
func madeUp(r *rand.Rand) string {
	pick := func(list []string) string { return strings.TrimPrefix(list[r.IntN(len(list))], "-") }
	word := func() string {
		s := pick(onsets) + pick(nuclei) + pick(codas)
		if r.IntN(2) == 0 {
			s += pick(onsets) + pick(nuclei) + pick(codas)
		}
		return upperFirst(s + pick(ends))
	}
	if r.IntN(3) == 0 {
		return word() + " " + word()
	}
	return word()
}

func noise(r *rand.Rand) string {
	const keys = "qwertyuiopasdfghjklzxcvbnm"
	at := r.IntN(len(keys))
	b := make([]byte, 3+r.IntN(6))
	for i := range b {
		b[i] = keys[at]
		at = (at + 1 + r.IntN(3) + len(keys)*r.IntN(2)) % len(keys)
		if r.IntN(3) == 0 {
			at = r.IntN(len(keys))
		}
	}
	return string(b)
}

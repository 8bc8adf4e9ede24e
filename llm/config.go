package llm

import (
	"fmt"
	"math"
	"slices"

	"alphaos/llm/gguf"
)

// config is the shape of a model, from the metadata of its file. Once
// read without an error every number is within sane bounds; the tensors are
// checked against it when they are bound.
type config struct {
	arch   *architecture
	embeds bool // it makes embeddings or ranks, and does not continue texts

	context     int
	embedding   int
	layers      int
	layer       []layerShape
	heads       int // of the layer that has most of them, and so
	kvHeads     int
	feedForward int
	group       int // heads that share keys and values
	head        int // length of a head
	queries     int // numbers in all queries of a token, which are also what attention gives
	keys        int // numbers in all keys of a token, and in all values
	wide        int // numbers of what else a layer makes of a token
	remembered  int // numbers that all layers together remember of a token
	vocabulary  int

	epsilon    float64
	ropes      []ropeShape
	activation activation

	// Factors and limits; 0: none.
	embeddingScale, residualScale, logitScale float32
	scoreCap, logitCap                        float32
	temperature, temperatureFrom              float64 // queries grow with the position: see rope

	experts   expertsShape
	recurrent recurrentShape
	latent    latentShape
	perLayer  int // length of what each layer gets of each token by itself
	nextn     int // blocks behind the layers, which only guess

	pooling pooling
	labels  int // scores of a text, of a reranking model
}

// layerShape is what may differ from layer to layer.
type layerShape struct {
	heads, kvHeads, feedForward int

	mixer  mixer
	head   int     // length of a query and a key
	value  int     // length of a value
	rope   int     // which of config.ropes turns them; -1: none
	window int     // a token sees so many, itself included; 0: all
	scale  float32 // of scores
	source int     // the layer whose keys and values it uses, in most its own
	mixed  bool    // its feed-forward network is a mixture of experts
}

// A mixer is what lets tokens see others.
type mixer uint8

const (
	attention      mixer = iota
	gatedAttention       // what attention gives is times sigmoid of a gate, which comes with the queries
	latentAttention
	shortConvolution
	deltaNet
	mamba
)

func (m mixer) attends() bool { return m <= latentAttention }

// An activation is the function of gates.
type activation uint8

const (
	silu activation = iota
	gelu
	clamped // silu(1.702 x)/1.702 of what is at most 7, as in gpt-oss
)

func readConfig(f *gguf.File) (config, error) {
	var c config
	var err error
	if c.arch, err = findArchitecture(f); err != nil {
		return c, err
	}
	m := &metadata{file: f, prefix: c.arch.name + "."}
	if n := f.Split(); n > 1 {
		return c, fmt.Errorf("this file is one of %d parts of a split model, but is not named like one: name the parts NAME-00001-of-%05d.gguf and so on", n, n)
	}
	if n, _ := f.Uint(m.prefix + "expert_count"); n > 0 && !c.arch.mixes {
		return c, fmt.Errorf("this model is a mixture of %d experts, which is not supported for architecture %s; dense models are", n, c.arch.name)
	}
	c.pooling = readPooling(m)
	if c.pooling != poolNone && !c.arch.embeds && !c.arch.pools {
		m.fail("models of architecture %s that embed or rank texts are not supported", c.arch.name)
	}
	c.embeds = c.arch.embeds || c.pooling != poolNone
	c.labels = max(1, len(f.Strings(m.prefix+"classifier.output_labels")))

	c.context = m.size("context_length", 0, 1<<24)
	c.embedding = m.size("embedding_length", 0, 1<<16)
	c.layers = m.size("block_count", 0, 1<<10)
	c.nextn = m.optional("nextn_predict_layers", 0, 8)
	if c.nextn >= c.layers && m.err == nil {
		m.fail("the model has %d layers, all of them only for guesses: the file is damaged or was converted wrongly", c.layers)
	}
	c.layer = make([]layerShape, max(c.layers, 1))
	m.sizes(c.layer, "feed_forward_length", 1, 1<<18, func(l *layerShape) *int { return &l.feedForward })
	m.sizes(c.layer, "attention.head_count", 1, 1<<10, func(l *layerShape) *int { return &l.heads })
	for i := range c.layer { // unless it is told
		c.layer[i].kvHeads = c.layer[i].heads
	}
	least := 1
	if c.arch.recurs {
		least = 0
	}
	m.sizes(c.layer, "attention.head_count_kv", least, 1<<10, func(l *layerShape) *int { return &l.kvHeads })
	c.epsilon = m.number(c.arch.epsilon, math.NaN(), 0, 1)
	if m.err != nil {
		return c, m.err
	}
	c.head = m.size("attention.key_length", c.embedding/c.layer[0].heads, 1<<12)
	value := m.size("attention.value_length", c.head, 1<<12)
	global := c.readRope(m, c.head)
	c.ropes = []ropeShape{global}
	c.experts = readExperts(m)
	for i := range c.layer {
		l := &c.layer[i]
		l.head, l.value, l.source = c.head, value, i
		l.scale = float32(1 / math.Sqrt(float64(c.head)))
		l.mixed = c.experts.count > 0 && i >= c.experts.dense
		if l.kvHeads == 0 {
			l.mixer = c.arch.recurrence
		}
	}
	if m.err == nil && c.arch.read != nil {
		c.arch.read(&c, m)
	}
	if m.err == nil {
		c.check(m)
	}
	c.layers -= c.nextn
	return c, m.err
}

// check looks at what belongs together and adds up what sessions need.
func (c *config) check(m *metadata) {
	c.head = 0
	if c.experts.count > 0 && c.experts.feedForward == 0 {
		m.fail("the model does not tell its %sexpert_feed_forward_length: the file is damaged or was converted wrongly", m.prefix)
	}
	if c.experts.count > 0 && !slices.ContainsFunc(c.layer, func(l layerShape) bool { return l.mixed }) {
		m.fail("the model has %d experts, and no layer with any: the file is damaged or was converted wrongly", c.experts.count)
	}
	for i, l := range c.layer {
		c.feedForward = max(c.feedForward, l.feedForward)
		if !l.mixer.attends() {
			continue
		}
		switch {
		case l.heads%l.kvHeads != 0:
			m.fail("the model's %d heads cannot share %d key/value heads: the file is damaged or was converted wrongly", l.heads, l.kvHeads)
		case l.head != l.value && l.mixer != latentAttention:
			m.fail("keys of %d and values of %d numbers in one head are not supported; they must be equal", l.head, l.value)
		case l.rope >= 0 && (c.ropes[l.rope].rotated > l.head || c.ropes[l.rope].rotated%2 != 0):
			m.fail("the model rotates %d of the %d numbers in a head, which is impossible: the file is damaged or was converted wrongly", c.ropes[l.rope].rotated, l.head)
		case l.source < 0 || l.source > i || c.layer[l.source].source != l.source || c.layer[l.source].head != l.head || c.layer[l.source].kvHeads != l.kvHeads || !c.layer[l.source].mixer.attends():
			m.fail("the model's layer %d cannot use the keys and values of layer %d: the file is damaged or was converted wrongly", i, l.source)
		}
		if m.err != nil {
			return
		}
		c.heads, c.kvHeads, c.head = max(c.heads, l.heads), max(c.kvHeads, l.kvHeads), max(c.head, l.head)
		c.group = max(c.group, l.heads/l.kvHeads)
		c.queries, c.keys = max(c.queries, l.heads*l.head), max(c.keys, l.kvHeads*l.head)
		if l.mixer == gatedAttention {
			c.wide = max(c.wide, 2*l.heads*l.head)
		}
		if l.source == i && i < c.layers-c.nextn {
			c.remembered += l.kvHeads * (l.head + l.value)
		}
	}
	if c.heads == 0 {
		m.fail("models without attention are not supported")
	}
	c.recurrent.check(c, m)
}

// windows gives every layer but each period-th, counted from the first of them, a window and a
// rope of its own. Period 0: all have it.
func (c *config) windows(window, period int, globalFirst bool, rope int) {
	for i := range c.layer {
		sliding := period == 0 || i%period < period-1
		if globalFirst && period > 0 {
			sliding = i%period != 0
		}
		if sliding && window > 0 {
			c.layer[i].window, c.layer[i].rope = window, rope
		}
	}
}

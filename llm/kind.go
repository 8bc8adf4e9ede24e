package llm

import (
	"errors"
	"fmt"
	"slices"

	"alphaos/llm/gguf"
)

// Kind is what a GGUF file is for, as people call it.
type Kind string

// Much that lies beside language models has the same format.
const (
	Language   Kind = "language model"
	Embedding  Kind = "embedding model"
	Reranker   Kind = "reranking model"
	Projector  Kind = "vision projector" // mmproj; some are for sound
	Adapter    Kind = "LoRA adapter"
	Control    Kind = "control vector"
	Importance Kind = "importance matrix"
	Vocabulary Kind = "vocabulary"
)

// encoders are the architectures that only make embeddings, those included
// that cannot be computed here.
var encoders = []string{
	"bert", "modern-bert", "neo-bert", "eurobert", "nomic-bert", "nomic-bert-moe", "jina-bert-v2", "jina-bert-v3",
	"t5encoder", "gemma-embedding", "llama-embed",
}

// KindOf tells what a file is for by its metadata, as converters write them:
// general.type, general.architecture, and the pooling of token states, which
// only models have that are not to go on with a text. Names are no evidence.
func KindOf(f *gguf.File) Kind {
	kind, _ := f.String("general.type")
	arch, _ := f.String("general.architecture")
	pooling, _ := f.Uint(arch + ".pooling_type") // 0: none, 4: rank
	switch {
	case kind == "mmproj" || arch == "clip":
		return Projector
	case kind == "adapter" || f.Value("adapter.type") != nil:
		return Adapter
	case kind == "imatrix" || f.Value("imatrix.chunk_count") != nil:
		return Importance
	case arch == "controlvector":
		return Control
	case len(f.Tensors) == 0 && f.Value("tokenizer.ggml.tokens") != nil:
		return Vocabulary
	case pooling == 4:
		return Reranker
	case pooling != 0 || slices.Contains(encoders, arch):
		return Embedding
	}
	return Language
}

// Talks returns nil if there may be a conversation with such a model, or what
// it is instead: a clause that a person understands.
func (k Kind) Talks() error {
	switch k {
	case Language:
		return nil
	case Embedding:
		return errors.New("it is an embedding model, which compares texts and does not talk")
	case Reranker:
		return errors.New("it is a reranking model, which sorts texts and does not talk")
	}
	return k.loads()
}

// loads returns nil if such a file holds a model of its own.
func (k Kind) loads() error {
	switch k {
	case Projector:
		return errors.New("it is a vision projector (mmproj), which shows pictures to a language model and does not talk: copy that model as well")
	case Adapter:
		return errors.New("it is a LoRA adapter, which changes another model and does not talk: merge it into that model first")
	case Control, Importance:
		return fmt.Errorf("it is a file beside models (%s) and no model", k)
	case Vocabulary:
		return errors.New("it holds only a vocabulary and no weights: download the whole model")
	}
	return nil
}

// Check tells why Load would refuse a file, as far as its tables say.
func Check(f *gguf.File) error {
	return (&Model{file: f}).configure()
}

// configure reads the model's shape and checks its tables.
func (m *Model) configure() (err error) {
	if err := KindOf(m.file).loads(); err != nil {
		return err
	}
	if m.config, err = readConfig(m.file); err != nil {
		return err
	}
	if m.rotations, err = readRotations(m.file); err != nil {
		return err
	}
	if m.rotations != nil && m.config.embeds {
		return fmt.Errorf("embedding models of architecture %s with rotated weights are not supported", m.config.arch.name)
	}
	return m.checkTensors()
}

// Package tokenizer turns text into a language model's token ids and back,
// with the vocabulary that the model's GGUF file carries.
//
// Three families are read: SentencePiece BPE (tokenizer.ggml.model "llama"),
// byte-level BPE ("gpt2") and BERT's WordPiece ("bert"). Ids are those that llama.cpp computes, with one
// deliberate difference: a control token (<s>, <|eot_id|>, ...) never comes
// out of ordinary text, whatever the vocabulary says; it must be asked for with
// ParseSpecial. What a person types, or a document they open, therefore cannot
// forge the markers that separate the turns of a conversation. Files often give
// markers other types, so whoever knows the chat template tells which tokens it
// uses as markers (WithMarkers), and these are kept from ordinary text as well.
//
// Inside, every token is known by its piece: the bytes it stands for. Text is
// first cut at special tokens (special.go), byte-level BPE then cuts it into
// words (pretokenize.go), and each piece of text is merged pair by pair, best
// pair first, until no pair is in the vocabulary (merge.go); WordPiece takes the
// longest tokens instead (wordpiece.go).
package tokenizer

import (
	"errors"
	"fmt"
	"hash/maphash"
	"math"
	"strings"

	"alphaos/llm/gguf"
)

// Tokenizer is a model's vocabulary, ready for use. It does not change after
// New, so that any number of goroutines may share it.
type Tokenizer struct {
	bytelevel bool // byte-level BPE
	wordpiece bool // WordPiece; if neither, SentencePiece

	text   []string  // of each token, as in the file
	piece  []string  // the bytes that each token stands for
	attr   []attr    // of each token
	scores []float32 // of each token, SentencePiece only; a higher score merges first

	index   index      // piece -> id, of the tokens that ordinary text may become
	longest int        // piece in the index, in bytes
	byteID  [256]int32 // token, or for byte-level BPE symbol, of a lone byte; -1 if none
	merges  pairs      // byte-level BPE only
	symbols int32      // tokens and the merges' steps that are none

	pre          []matcher // byte-level BPE's pre-tokenizer
	ignoreMerges bool      // a word that is a token is not merged from its bytes
	spacePrefix  bool      // SentencePiece: text begins with a space
	spacesInside bool      // SentencePiece: some piece has a space after another character

	special     []int32 // ids of all special tokens, longest text first
	userDefined []int32 // the ones among them that ordinary text may become
	candidates  []int32 // that a template may use as markers, longest text first

	bos, eos, unk  int32 // -1: none
	addBOS, addEOS bool
	warnings       []string
}

// attr says what kind of token one is.
type attr uint8

const (
	attrControl     attr = 1 << iota // a marker, silent when decoded
	attrUnknown                      // stands for what the vocabulary lacks
	attrUserDefined                  // found in text before anything else
	attrByte                         // a lone byte, in SentencePiece
	attrUnused
	attrEnd    // generation ends with it
	attrRstrip // swallows white space that follows it
	attrMarker // a chat template writes it: special whatever its type, see WithMarkers
)

// Token types in the file (tokenizer.ggml.token_type).
const (
	typeNormal      = 1
	typeUnknown     = 2
	typeControl     = 3
	typeUserDefined = 4
	typeUnused      = 5
	typeByte        = 6
)

const maxTokens = 1 << 22 // real vocabularies have up to 262 thousand

// New reads the vocabulary in f's metadata. An error says in one sentence why
// it cannot be used; what can be used but is unusual is told by Warnings.
func New(f *gguf.File) (*Tokenizer, error) {
	model, ok := f.String("tokenizer.ggml.model")
	if !ok {
		return nil, errors.New("the model file has no tokenizer (tokenizer.ggml.model is missing): convert the model again")
	}
	t := &Tokenizer{bos: -1, eos: -1, unk: -1}
	switch model {
	case "llama":
		t.bos, t.eos, t.unk = 1, 2, 0
		t.spacePrefix, t.addBOS = true, true
	case "gpt2":
		t.bytelevel = true
	case "bert":
		t.wordpiece = true
		t.bos, t.eos, t.unk = 101, 102, 100 // [CLS], [SEP], [UNK]
		t.addBOS, t.addEOS = true, true
	default:
		return nil, fmt.Errorf("the model file's tokenizer is of kind %q; kinds \"llama\", \"gpt2\" and \"bert\" are supported", model)
	}
	if err := t.readTokens(f); err != nil {
		return nil, err
	}
	if t.bytelevel {
		pre, _ := f.String("tokenizer.ggml.pre")
		t.choosePreTokenizer(pre)
	}
	t.readFlags(f)
	t.classify(f)
	t.makePieces()
	t.makeIndex()
	if t.bytelevel {
		merges := f.Strings("tokenizer.ggml.merges")
		if merges == nil {
			return nil, errors.New("the model file's byte-level BPE tokenizer has no merges (tokenizer.ggml.merges is missing): convert the model again")
		}
		t.readMerges(merges)
	}
	t.collectSpecial()
	return t, nil
}

func (t *Tokenizer) readTokens(f *gguf.File) error {
	t.text = f.Strings("tokenizer.ggml.tokens")
	n := len(t.text)
	if n == 0 {
		return errors.New("the model file has an empty vocabulary (tokenizer.ggml.tokens): convert the model again")
	}
	if n > maxTokens {
		return fmt.Errorf("the model file has a vocabulary of %d tokens; at most %d are supported", n, maxTokens)
	}
	if !t.bytelevel {
		t.scores = make([]float32, n)
		switch v := f.Value("tokenizer.ggml.scores").(type) {
		case nil:
		case []float32:
			if len(v) < n {
				return fmt.Errorf("the model file has %d token scores for %d tokens: convert the model again", len(v), n)
			}
			for i := range t.scores {
				s := v[i]
				if s != s { // NaN would have no place in the order
					s = float32(math.Inf(-1))
				}
				t.scores[i] = s
			}
		case []int32:
			if len(v) < n {
				return fmt.Errorf("the model file has %d token scores for %d tokens: convert the model again", len(v), n)
			}
			for i := range t.scores {
				t.scores[i] = float32(v[i])
			}
		default:
			return fmt.Errorf("the model file's token scores (tokenizer.ggml.scores) are of type %T: convert the model again", v)
		}
	}
	t.attr = make([]attr, n)
	types := f.Ints("tokenizer.ggml.token_type")
	if types == nil {
		return nil
	}
	if len(types) < n {
		return fmt.Errorf("the model file has %d token types for %d tokens: convert the model again", len(types), n)
	}
	for i := range t.attr {
		switch types[i] {
		case typeUnknown:
			t.attr[i] = attrUnknown
		case typeControl:
			t.attr[i] = attrControl
		case typeUserDefined:
			t.attr[i] = attrUserDefined
		case typeUnused:
			t.attr[i] = attrUnused
		case typeByte:
			t.attr[i] = attrByte
		}
	}
	return nil
}

// readFlags reads the special ids and the add_... switches. An id outside the
// vocabulary counts as none.
func (t *Tokenizer) readFlags(f *gguf.File) {
	type special struct {
		key string
		id  *int32
	}
	keys := []special{{"bos", &t.bos}, {"eos", &t.eos}, {"unknown", &t.unk}}
	if t.wordpiece { // the first key is how converters once spelled the second
		keys = append(keys, special{"cls", &t.bos}, special{"seperator", &t.eos}, special{"separator", &t.eos})
	}
	for _, k := range keys {
		key := "tokenizer.ggml." + k.key + "_token_id"
		if int(*k.id) >= len(t.text) {
			*k.id = -1
		}
		v, ok := f.Uint(key)
		switch {
		case !ok:
		case v < uint64(len(t.text)):
			*k.id = int32(v)
		case v != math.MaxUint32: // which is how some converters write "none"
			t.warn("%s is %d, outside the vocabulary of %d tokens, and is ignored", key, v, len(t.text))
		}
	}
	if v, ok := f.Bool("tokenizer.ggml.add_space_prefix"); ok {
		t.spacePrefix = v
	}
	if v, ok := f.Bool("tokenizer.ggml.add_bos_token"); ok {
		t.addBOS = v
	}
	if v, ok := f.Bool("tokenizer.ggml.add_eos_token"); ok {
		t.addEOS = v
	}
	t.addBOS = t.addBOS && t.bos >= 0
	t.addEOS = t.addEOS && t.eos >= 0
}

func (t *Tokenizer) warn(format string, args ...any) {
	t.warnings = append(t.warnings, fmt.Sprintf(format, args...))
}

// Warnings are sentences about what is unusual in the vocabulary; nil if
// nothing is.
func (t *Tokenizer) Warnings() []string { return t.warnings }

// Size is the number of tokens; ids are 0 to Size()-1.
func (t *Tokenizer) Size() int { return len(t.text) }

// BOS is the id of the token that begins a text, -1 if there is none.
func (t *Tokenizer) BOS() int32 { return t.bos }

// EOS is the id of the token that ends a text, -1 if there is none.
func (t *Tokenizer) EOS() int32 { return t.eos }

// AddsBOS reports whether the model wants its texts to begin with BOS.
func (t *Tokenizer) AddsBOS() bool { return t.addBOS }

// IsEnd reports whether the model ends its answer with token id: EOS, and
// those that end a turn, such as <|eot_id|> and <|im_end|>.
func (t *Tokenizer) IsEnd(id int32) bool {
	return uint64(id) < uint64(len(t.attr)) && t.attr[id]&attrEnd != 0
}

// IsControl reports whether token id is a marker, which Decode leaves out.
func (t *Tokenizer) IsControl(id int32) bool {
	return uint64(id) < uint64(len(t.attr)) && t.attr[id]&attrControl != 0
}

// Text is a token as the vocabulary spells it, "" for an id outside of it.
func (t *Tokenizer) Text(id int32) string {
	if uint64(id) >= uint64(len(t.text)) {
		return ""
	}
	return t.text[id]
}

// Special finds a special token by its exact text, as in Special("<|im_end|>").
func (t *Tokenizer) Special(text string) (id int32, ok bool) {
	for _, id := range t.special {
		if t.spelling(id) == text {
			return id, true
		}
	}
	return -1, false
}

// EncodeOptions say what is added to the tokens of a text, and what is found
// in it. The zero value encodes the text as it stands.
type EncodeOptions struct {
	AddBOS       bool // begin with BOS, if the model's metadata wants that
	AddEOS       bool // end with EOS, if the model's metadata wants that
	ParseSpecial bool // find control tokens by their text
}

// Encode returns the token ids of text. Any bytes are accepted: what is not in
// the vocabulary becomes byte tokens where there are any.
func (t *Tokenizer) Encode(text string, o EncodeOptions) []int32 {
	return t.EncodeParts(o, Part{Text: text, Special: o.ParseSpecial})
}

// Part is a stretch of a text that is encoded as a whole: words may run across
// the border of two parts, special tokens may not.
type Part struct {
	Text    string
	Special bool    // find control tokens in Text; or: IDs end with one
	IDs     []int32 // ready ids instead of Text; they may be none
}

// EncodeParts encodes parts as one text. A prompt is made of trusted parts,
// where control tokens are found, and parts that people wrote, where they are
// not. o.ParseSpecial is ignored.
func (t *Tokenizer) EncodeParts(o EncodeOptions, parts ...Part) []int32 {
	var ids []int32
	if o.AddBOS && t.addBOS {
		ids = append(ids, t.bos)
	}
	e := encoder{t: t, ids: ids, afterSpecial: true}
	for _, p := range parts {
		if p.IDs != nil {
			e.flush()
			e.ids = append(e.ids, p.IDs...)
			e.afterSpecial = p.Special
			continue
		}
		tokens := t.userDefined
		if p.Special {
			tokens = t.special
		}
		t.partition(p.Text, tokens, e.special, e.raw)
	}
	e.flush()
	if o.AddEOS && t.addEOS {
		e.ids = append(e.ids, t.eos)
	}
	return e.ids
}

// An encoder gathers ordinary text until a special token or the end and then
// encodes it in one go.
type encoder struct {
	t            *Tokenizer
	ids          []int32
	pending      string
	afterSpecial bool // no ordinary text since the beginning or the last special token
	merger       merger
	word0        []byte // WordPiece: memory for a word
}

func (e *encoder) raw(text string) {
	if e.pending == "" {
		e.pending = text
	} else {
		e.pending += text
	}
}

func (e *encoder) special(id int32) {
	e.flush()
	e.ids = append(e.ids, id)
	e.afterSpecial = true
}

func (e *encoder) flush() {
	if e.pending == "" {
		return
	}
	text := e.pending
	e.pending = ""
	if e.t.bytelevel {
		split(e.t.pre, text, e.word)
	} else if e.t.wordpiece {
		e.words(text)
	} else {
		// SentencePiece writes a space as U+2581 and so cannot tell the two apart.
		text = strings.ReplaceAll(text, underline, " ")
		if e.t.spacePrefix && e.afterSpecial {
			text = " " + text
		}
		e.sentence(text)
	}
	e.afterSpecial = false
}

// sentence encodes a SentencePiece text. Where no piece has a space after
// another character, nothing is ever merged across the beginning of a word, so
// that words can be encoded one by one, which memory caches like.
func (e *encoder) sentence(text string) {
	start := 0
	if !e.t.spacesInside {
		for i := 1; i < len(text); i++ {
			if text[i] == ' ' && text[i-1] != ' ' {
				e.ids = e.merger.encode(e.t, text[start:i], e.ids)
				start = i
			}
		}
	}
	e.ids = e.merger.encode(e.t, text[start:], e.ids)
}

func (e *encoder) word(word string) {
	if e.t.ignoreMerges {
		if id := e.t.index.find(word); id >= 0 {
			e.ids = append(e.ids, id)
			return
		}
	}
	e.ids = e.merger.encode(e.t, word, e.ids)
}

const underline = "\u2581" // LOWER ONE EIGHTH BLOCK, SentencePiece's space

// makePieces works out the bytes that every token stands for.
func (t *Tokenizer) makePieces() {
	t.piece = make([]string, len(t.text))
	if !t.bytelevel {
		for i, text := range t.text {
			switch {
			case t.attr[i]&attrByte != 0:
				if b, ok := byteToken(text); ok {
					t.piece[i] = string([]byte{b})
				}
			case t.attr[i]&(attrControl|attrUnknown|attrUserDefined) != 0:
				t.piece[i] = text
			case strings.Contains(text, underline):
				t.piece[i] = strings.ReplaceAll(text, underline, " ")
			default:
				t.piece[i] = text
			}
		}
		return
	}
	total := 0
	for _, text := range t.text {
		total += len(text)
	}
	arena := make([]byte, 0, total) // one allocation for all pieces
	ends := make([]int32, len(t.text))
	for i, text := range t.text {
		switch {
		case t.attr[i]&attrByte != 0:
			if b, ok := byteToken(text); ok {
				arena = append(arena, b)
			}
		case t.attr[i]&(attrControl|attrUnknown|attrUserDefined) != 0:
			arena = append(arena, text...)
		default:
			arena = appendBytes(arena, text)
		}
		ends[i] = int32(len(arena))
	}
	all, start := string(arena), int32(0)
	for i, end := range ends {
		t.piece[i] = all[start:end]
		start = end
	}
}

// byteToken reads the text of a byte token, such as <0x0A>.
func byteToken(text string) (byte, bool) {
	if len(text) != 6 || text[:3] != "<0x" || text[5] != '>' {
		return 0, false
	}
	hi, lo := hexDigit(text[3]), hexDigit(text[4])
	return byte(hi<<4 | lo), hi >= 0 && lo >= 0
}

func hexDigit(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	}
	return -1
}

// makeIndex fills the index with the tokens that ordinary text may become.
func (t *Tokenizer) makeIndex() {
	t.index.init(t.piece)
	for i := range t.byteID {
		t.byteID[i] = -1
	}
	for i, p := range t.piece {
		a := t.attr[i]
		if p == "" || a&(attrControl|attrUnknown|attrMarker) != 0 {
			continue
		}
		if a&attrByte != 0 {
			t.byteID[p[0]] = int32(i)
			continue
		}
		if t.bytelevel && a&attrUserDefined != 0 {
			continue // found before text is cut into words
		}
		if !t.bytelevel && strings.Contains(t.text[i], " ") {
			continue // SentencePiece's own texts hold no spaces
		}
		if cut := strings.LastIndexByte(p, ' '); cut > 0 && strings.Trim(p[:cut], " ") != "" {
			t.spacesInside = true
		}
		t.index.add(int32(i))
		t.longest = max(t.longest, len(p))
	}
	for b := range t.byteID {
		if t.byteID[b] < 0 {
			t.byteID[b] = t.index.find(string([]byte{byte(b)}))
		}
	}
}

// index finds a token by its piece: a hash table with linear probing. Its
// hash is seeded, so that no vocabulary can be made to collide. A slot keeps
// half of the hash beside the id, so that hardly ever a wrong piece is looked
// at: with a large vocabulary the time goes into waiting for memory.
type index struct {
	seed  maphash.Seed
	piece []string
	slots []uint64 // hash's upper half, then id+1; 0: free
	mask  uint64
}

func (x *index) init(piece []string) {
	n := 16
	for n < 2*len(piece) {
		n *= 2
	}
	*x = index{maphash.MakeSeed(), piece, make([]uint64, n), uint64(n - 1)}
}

// add enters piece[id]. Of two equal pieces the later id stays.
func (x *index) add(id int32) {
	slot, tag := x.slot(x.piece[id])
	x.slots[slot] = tag | uint64(id+1)
}

// find returns the id of the token with piece p, -1 if there is none.
func (x *index) find(p string) int32 {
	slot, _ := x.slot(p)
	return int32(uint32(x.slots[slot])) - 1
}

// slot returns where piece p is or could be, and the hash's half for it.
func (x *index) slot(p string) (slot, tag uint64) {
	h := maphash.String(x.seed, p)
	tag = h &^ (1<<32 - 1)
	for i := h & x.mask; ; i = (i + 1) & x.mask {
		s := x.slots[i]
		if s == 0 || s&^(1<<32-1) == tag && x.piece[uint32(s)-1] == p {
			return i, tag
		}
	}
}

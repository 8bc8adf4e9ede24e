package llm

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"math"
	"slices"
	"unsafe"

	"alphaos/llm/gguf"
)

// What a session remembers, as bytes, so that a conversation can be gone on
// with at once. All numbers are little-endian:
//
//	magic     "ALPHAKV\n"
//	version   uint32, 2
//	form      uint32: bytes of a number, 2 or 4; 1 for Q8_0, with a scale for every 32
//	layers    uint32
//	heads     uint32, of keys and values, in the layer that has most of them
//	head      uint32, length of one
//	tokens    uint32, n
//	identity  32 bytes, Model.Identity
//	ids       n int32
//	crc       uint32, CRC-32C of all before
//	for each layer: for each head n rows of keys, then n of values, or what a recurrent layer
//	          remembers of n tokens; crc uint32 of all before, checksums left out: what is
//	          left of an older state fits nowhere
//	          (layers that use another's keys and values have only the checksum)
//	of a model with recurrent layers: uint32, tokens of a checkpoint, 0: there is none; what each of
//	          those layers remembers of them; crc uint32
//
// Keys and values suit only the weights they were computed with, which is what
// the identity is for. A state is read straight into its place; until its last
// checksum has been seen right the session counts as empty. So nothing in a
// damaged or hostile file can be used, and none makes the session take more
// memory.

const (
	stateMagic   = "ALPHAKV\n"
	stateVersion = 2
	stateHeader  = len(stateMagic) + 6*4 + sha256.Size
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ErrState is what ReadFrom's error wraps when a state is not of use.
var ErrState = errors.New("the saved state cannot be used")

// Identity tells models apart: a hash of the file's size, metadata and table
// of tensors, and of a sample of the weights. It does not depend on how the
// model was loaded.
func (m *Model) Identity() [sha256.Size]byte { return m.identity.sum }

// identity is made while a model is loaded: the weights' sample is hashed as
// they come in, because they are rearranged soon after.
type identity struct {
	sample []*gguf.Tensor // whose first bytes are hashed, in the order of the file; those that are still to come
	hash   hash.Hash
	sum    [sha256.Size]byte
}

// sampled is how many bytes of a tensor are hashed.
func sampled(t *gguf.Tensor) int64 { return min(256, t.Bytes) }

func newIdentity(f *gguf.File) identity {
	const samples = 48
	id := identity{hash: sha256.New()}
	for i := 0; i < len(f.Tensors); i += max(1, len(f.Tensors)/samples) {
		id.sample = append(id.sample, &f.Tensors[i])
	}
	slices.SortFunc(id.sample, func(a, b *gguf.Tensor) int { return cmp.Compare(a.Offset, b.Offset) })
	return id
}

// see hashes what is new of the file's bytes before at, of which data holds
// those from start on.
func (id *identity) see(data []byte, start, at int64) {
	for len(id.sample) > 0 {
		t := id.sample[0]
		if t.Offset+sampled(t) > at {
			return
		}
		id.hash.Write(data[t.Offset-start:][:sampled(t)])
		id.sample = id.sample[1:]
	}
}

// hashHead hashes what comes before the weights in the file.
func (m *Model) hashHead(r io.ReaderAt) (hash.Hash, error) {
	h := sha256.New()
	binary.Write(h, binary.LittleEndian, m.size)
	head := io.NewSectionReader(r, 0, m.file.DataOffset)
	if _, err := io.CopyBuffer(h, struct{ io.Reader }{head}, make([]byte, min(1<<20, m.file.DataOffset))); err != nil {
		return nil, fmt.Errorf("reading the model's head: %w", err)
	}
	return h, nil
}

// header is the state's head for n tokens.
func (s *Session) header(n int) []byte {
	c := &s.model.config
	b := make([]byte, 0, stateHeader)
	b = append(b, stateMagic...)
	bytes := 4 // of a number
	for i := range s.caches {
		if k := s.caches[i].keys; k != nil {
			bytes = len(k[0].Data(1)) / c.layer[i].head
			break
		}
	}
	form := bytes
	if s.model.decoder.longFactors != nil && s.size > c.ropes[0].original { // keys turn in another way
		form |= 1 << 8
	}
	for _, v := range []int{stateVersion, form, c.layers, c.kvHeads, c.head, n} {
		b = binary.LittleEndian.AppendUint32(b, uint32(v))
	}
	return append(b, s.model.identity.sum[:]...)
}

// tables lists what a layer remembers of n tokens, in the order of a state.
func (s *Session) tables(i, n int) [][]byte {
	var t [][]byte
	c := &s.caches[i]
	if s.model.config.layer[i].source != i {
		return nil
	}
	for i := range c.keys {
		t = append(t, c.keys[i].Data(n), c.values[i].Data(n))
	}
	if c.memory != nil {
		t = append(t, c.memory.kept.bytes()...)
	}
	return t
}

func (k kept) bytes() [][]byte { return [][]byte{bytesOf(k.inputs), bytesOf(k.state)} }

// bytesOf is the memory of x, little-endian on the processors there are.
func bytesOf(x []float32) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(x))), 4*len(x))
}

// keptBytes is how many bytes all recurrent layers remember.
func (c *config) keptBytes() (n int64) {
	for _, l := range c.layer[:c.layers] {
		n += 4 * int64(c.keptSize(l.mixer))
	}
	return n
}

// WriteTo writes the session's state. It implements io.WriterTo. Of a model with recurrent layers that is
// the state of as many of the first tokens as Save would write.
func (s *Session) WriteTo(w io.Writer) (int64, error) {
	_, written, err := s.save(w, math.MaxInt64)
	return written, err
}

// StateSize is how many bytes the state of n tokens takes.
func (s *Session) StateSize(n int) int64 {
	c := &s.model.config
	each := 4
	for i := range s.caches {
		if c.layer[i].source != i {
			continue
		}
		for j := range s.caches[i].keys {
			each += len(s.caches[i].keys[j].Data(1)) + len(s.caches[i].values[j].Data(1))
		}
	}
	size := int64(stateHeader+4+4*c.layers) + int64(n)*int64(each)
	if kept := c.keptBytes(); kept > 0 {
		size += 2*kept + 8
	}
	return size
}

// Save writes the state of as many of the session's first tokens as limit bytes
// have room for, and returns how many those are; it writes nothing if none. What recurrent layers
// remember cannot be cut: of a model that has some it is all tokens, or those up to the end of a prompt.
func (s *Session) Save(w io.Writer, limit int64) (tokens int, err error) {
	tokens, _, err = s.save(w, limit)
	return tokens, err
}

// savable is how many tokens the state may be of within limit bytes.
func (s *Session) savable(limit int64) int {
	each := s.StateSize(1) - s.StateSize(0)
	tokens := int(min(max(0, limit-s.StateSize(0))/each, int64(len(s.tokens))))
	if s.model.config.recurrent.taps == 0 {
		return tokens
	}
	p := &s.progress
	if at := s.resume(); at <= tokens {
		return at
	}
	for i := len(p.checkpoints) - 1; i >= 0; i-- {
		if at := p.checkpoints[i].tokens; at <= tokens {
			return at
		}
	}
	return 0
}

// save writes the state of as many tokens as limit bytes have room for.
func (s *Session) save(w io.Writer, limit int64) (tokens int, bytes int64, err error) {
	s.model.busy.Lock()
	defer s.model.busy.Unlock()
	n := s.savable(limit)
	if n == 0 && limit < math.MaxInt64 {
		return 0, 0, nil
	}
	bytes, err = s.write(w, n)
	return n, bytes, err
}

// write writes the state of the first n tokens.
func (s *Session) write(w io.Writer, n int) (int64, error) {
	var at, before *checkpoint // of n tokens, and of less
	for i := range s.progress.checkpoints {
		if c := &s.progress.checkpoints[i]; c.tokens == n {
			at = c
		} else if c.tokens < n {
			before = c
		}
	}
	memories := 0
	var written int64
	crc := uint32(0)
	write := func(b []byte) error {
		n, err := w.Write(b)
		written += int64(n)
		crc = crc32.Update(crc, castagnoli, b)
		return err
	}
	sum := func() error {
		before := crc
		err := write(binary.LittleEndian.AppendUint32(nil, before))
		crc = before
		return err
	}
	b := s.header(n)
	for _, id := range s.tokens[:n] {
		b = binary.LittleEndian.AppendUint32(b, uint32(id))
	}
	if err := errors.Join(write(b), sum()); err != nil {
		return written, fmt.Errorf("saving the state: %w", err)
	}
	for i := range s.caches {
		tables := s.tables(i, n)
		if s.caches[i].memory != nil {
			if s.progress.at != n && at != nil {
				tables = at.kept[memories].bytes()
			}
			memories++
		}
		for _, t := range tables {
			if err := write(t); err != nil {
				return written, fmt.Errorf("saving the state: %w", err)
			}
		}
		if err := sum(); err != nil {
			return written, fmt.Errorf("saving the state: %w", err)
		}
	}
	if memories == 0 {
		return written, nil
	}
	count := uint32(0)
	if before != nil {
		count = uint32(before.tokens)
	}
	err := write(binary.LittleEndian.AppendUint32(nil, count))
	for i := 0; before != nil && i < memories && err == nil; i++ {
		for _, t := range before.kept[i].bytes() {
			err = cmp.Or(err, write(t))
		}
	}
	if err = cmp.Or(err, sum()); err != nil {
		return written, fmt.Errorf("saving the state: %w", err)
	}
	return written, nil
}

// stateReader reads a state and sums up what was read.
type stateReader struct {
	r   io.Reader
	got int64
	crc uint32
}

func (r *stateReader) read(b []byte) error {
	n, err := io.ReadFull(r.r, b)
	r.got += int64(n)
	r.crc = crc32.Update(r.crc, castagnoli, b[:n])
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = errors.New("it is cut short")
	}
	return err
}

// check reads a checksum, which is that of all that was read but checksums.
func (r *stateReader) check() error {
	var b [4]byte
	want := r.crc
	if err := r.read(b[:]); err != nil {
		return err
	}
	if r.crc = want; binary.LittleEndian.Uint32(b[:]) != want {
		return errors.New("its checksum is wrong, so it is damaged")
	}
	return nil
}

// head reads what comes before the keys and values: the tokens.
func (s *Session) head(r *stateReader) ([]int32, error) {
	head := make([]byte, stateHeader)
	if err := r.read(head); err != nil {
		return nil, err
	}
	const tokensAt = len(stateMagic) + 5*4
	n := int(binary.LittleEndian.Uint32(head[tokensAt:]))
	want := s.header(n)
	switch {
	case string(head[:len(stateMagic)]) != stateMagic:
		return nil, errors.New("it is no saved state")
	case !slices.Equal(head[:len(stateMagic)+4], want[:len(stateMagic)+4]):
		return nil, fmt.Errorf("it is of version %d, not %d", binary.LittleEndian.Uint32(head[len(stateMagic):]), stateVersion)
	case !slices.Equal(head[tokensAt+4:], want[tokensAt+4:]):
		return nil, errors.New("it belongs to another model")
	case !slices.Equal(head, want):
		return nil, errors.New("its keys and values have another form than this session's")
	case n > s.size:
		return nil, fmt.Errorf("it has %d tokens, and this session holds at most %d", n, s.size)
	}
	b := make([]byte, 4*n)
	if err := errors.Join(r.read(b), r.check()); err != nil {
		return nil, err
	}
	tokens := make([]int32, n, max(n, cap(s.tokens)))
	for i := range tokens {
		tokens[i] = int32(binary.LittleEndian.Uint32(b[4*i:]))
		if tokens[i] < 0 || int(tokens[i]) >= s.model.config.vocabulary {
			return nil, fmt.Errorf("its token %d is not in the model's vocabulary", tokens[i])
		}
	}
	return tokens, nil
}

// StateTokens returns the tokens of a state without reading its keys and
// values, so that one can tell whether ReadFrom, from the same beginning, is
// worth while. The session stays as it is.
func (s *Session) StateTokens(r io.Reader) ([]int32, error) {
	tokens, err := s.head(&stateReader{r: r})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrState, err)
	}
	return tokens, nil
}

// ReadFrom replaces what the session remembers by a state that WriteTo or Save
// wrote, and reads no further than its end. When that fails the session is
// empty and the error wraps ErrState. The logits are not part of a state: at
// least one token has to be evaluated before there are any.
func (s *Session) ReadFrom(r io.Reader) (int64, error) {
	s.model.busy.Lock()
	defer s.model.busy.Unlock()
	s.tokens = s.tokens[:0]
	if s.model.closed {
		return 0, errors.New("the model has been closed")
	}
	in := &stateReader{r: r}
	fail := func(err error) (int64, error) { return in.got, fmt.Errorf("%w: %w", ErrState, err) }
	tokens, err := s.head(in)
	if err != nil {
		return fail(err)
	}
	n := len(tokens)
	s.progress = progress{at: -1, from: -1}
	if s.guesser != nil {
		s.guesser.reset()
	}
	memories := 0
	for i := range s.caches {
		if s.caches[i].memory != nil {
			memories++
		}
		for _, t := range s.tables(i, n) {
			if err := in.read(t); err != nil {
				return fail(err)
			}
		}
		if err := in.check(); err != nil {
			return fail(err)
		}
	}
	if memories == 0 {
		s.tokens = tokens
		return in.got, nil
	}
	var count [4]byte
	err = in.read(count[:])
	c := checkpoint{tokens: int(binary.LittleEndian.Uint32(count[:]))}
	if err == nil && c.tokens >= max(n, 1) {
		err = errors.New("its checkpoint is damaged")
	}
	for i := 0; c.tokens > 0 && i < len(s.caches) && err == nil; i++ {
		if s.caches[i].memory == nil {
			continue
		}
		k := s.model.config.newKept(s.caches[i].memory.mixer)
		c.kept = append(c.kept, k)
		for _, t := range k.bytes() {
			err = cmp.Or(err, in.read(t))
		}
	}
	if err = cmp.Or(err, in.check()); err != nil {
		return fail(err)
	}
	s.tokens, s.progress.at = tokens, n
	if c.tokens > 0 {
		s.progress.checkpoints = append(s.progress.checkpoints, c)
	}
	return in.got, nil
}

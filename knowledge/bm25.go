package knowledge

import (
	"encoding/binary"
	"math"
	"slices"
)

// The lexical index: for each term the chunks that have it. Robertson's BM25 says how well a chunk fits a
// query: the rarer a term is among all chunks, and the more often it is in this one for its length, the better.
//
//	score = Σ weight · ln(1 + (N - df + ½)/(df + ½)) · tf·(k1+1) / (tf + k1·(1 - b + b·length/average))
//
// Chunks get growing numbers, so that one is added by appending to the lists of its terms. One that is removed
// stays in them, is passed over, and leaves when the library is packed.
const (
	k1 = 2
	b  = .75
)

// postings are the chunks of a term: for each the distance from the one before, doubled, and one more if the
// term is in it several times, how often follows then; both as varints.
type postings struct {
	list []byte
	last uint32 // chunk
	df   uint32 // chunks that have it and are not removed
}

type index struct {
	ids     map[string]uint32
	terms   []postings
	lengths []uint16 // of chunks, in terms; 0: removed
	total   uint64   // of all lengths
	live    int      // chunks that are not removed
	counts  []uint32 // of a chunk while it is added
}

// add adds the next chunk, with the terms that are in it, each once or several times.
func (x *index) add(terms []string) {
	if x.ids == nil {
		x.ids = map[string]uint32{}
	}
	chunk := uint32(len(x.lengths))
	x.counts = x.counts[:0]
	for _, t := range terms {
		id, ok := x.ids[t]
		if !ok {
			id = uint32(len(x.terms))
			x.ids[t] = id
			x.terms = append(x.terms, postings{})
		}
		x.counts = append(x.counts, id)
	}
	slices.Sort(x.counts)
	for i := 0; i < len(x.counts); {
		id, n := x.counts[i], 0
		for ; i < len(x.counts) && x.counts[i] == id; i++ {
			n++
		}
		p := &x.terms[id]
		p.append(chunk, uint32(n))
		p.df++
	}
	x.lengths = append(x.lengths, uint16(min(max(len(terms), 1), math.MaxUint16)))
	x.total += uint64(x.lengths[chunk])
	x.live++
}

func (p *postings) append(chunk, n uint32) {
	delta := uint64(chunk-p.last) << 1
	if n > 1 {
		p.list = binary.AppendUvarint(p.list, delta|1)
		p.list = binary.AppendUvarint(p.list, uint64(n))
	} else {
		p.list = binary.AppendUvarint(p.list, delta)
	}
	p.last = chunk
}

// each calls f with the chunks that have a term, also removed ones.
func (p *postings) each(f func(chunk, n uint32)) {
	chunk := uint32(0)
	for list := p.list; len(list) > 0; {
		var v uint64
		if c := list[0]; c < 0x80 {
			v, list = uint64(c), list[1:]
		} else {
			n := 0
			if v, n = binary.Uvarint(list); n <= 0 {
				return
			}
			list = list[n:]
		}
		chunk += uint32(v >> 1)
		n := uint64(1)
		if v&1 != 0 {
			k := 0
			if n, k = binary.Uvarint(list); k <= 0 {
				return
			}
			list = list[k:]
		}
		f(chunk, uint32(n))
	}
}

// remove takes a chunk out, which has terms.
func (x *index) remove(chunk uint32, terms []string) {
	slices.Sort(terms)
	for _, t := range slices.Compact(terms) {
		if id, ok := x.ids[t]; ok && x.terms[id].df > 0 {
			x.terms[id].df--
		}
	}
	x.total -= uint64(x.lengths[chunk])
	x.lengths[chunk] = 0
	x.live--
}

func (x *index) df(t string) uint32 {
	if id, ok := x.ids[t]; ok {
		return x.terms[id].df
	}
	return 0
}

func (x *index) idf(df uint32) float64 {
	n := float64(x.live)
	return math.Log1p((n - float64(df) + .5) / (float64(df) + .5))
}

// A wanted is a term of a query: any of several texts, since one word has other stems in other languages.
type wanted struct {
	texts      []string
	weight     float64
	at, end    int  // in the query
	part, stop bool // of something that is wanted as a whole; a word that says nothing
}

// weigh returns what a wanted term counts, by how rare it is. 0: no chunk has it.
func (x *index) weigh(w wanted) float64 {
	df := uint32(0)
	for _, t := range w.texts {
		df = max(df, x.df(t))
	}
	if df == 0 {
		return 0
	}
	return w.weight * x.idf(df)
}

// score adds to scores, of all chunks, what they get for a query.
func (x *index) score(query []wanted, scores []float32) {
	average := float64(x.total) / float64(max(x.live, 1))
	// The length's part is the same for all terms.
	var norms [256]float32
	for i := range norms {
		norms[i] = float32(k1 * (1 - b + b*float64(i)*4/average))
	}
	for _, w := range query {
		weight := float32(x.weigh(w) * (k1 + 1))
		if weight == 0 {
			continue
		}
		for _, t := range w.texts {
			id, ok := x.ids[t]
			if !ok {
				continue
			}
			x.terms[id].each(func(chunk, n uint32) {
				if int(chunk) >= len(x.lengths) || x.lengths[chunk] == 0 {
					return
				}
				length := x.lengths[chunk]
				norm := norms[min(length/4, 255)]
				if length >= 1020 {
					norm = float32(k1 * (1 - b + b*float64(length)/average))
				}
				tf := float32(n)
				scores[chunk] += weight * tf / (tf + norm)
			})
		}
	}
}

package gguf

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"sort"
	"strconv"
	"strings"
)

// Split models: file systems such as FAT32 keep no file of 4 GiB or more, so
// large models come in parts, each a GGUF file with some of the tensors, whose
// names end in -00001-of-00003.gguf. The first part has the metadata. What a
// file is, its metadata tells (split.count); the name only tells where the
// other parts are, since people name other files so, too.
//
// Join shows them as one GGUF file that was never written: a new head, and
// behind it the data of all parts. Invariant: the data of each part begins at
// the same place within a page of 4 KiB as it does in the part, so that reads
// of whole pages of the one are reads of whole pages of the other.

var partName = regexp.MustCompile(`(?i)^(.*-)(\d{5})(-of-(\d{5})\.gguf)$`)

// maxParts of a model. One of 1000 parts of 4 GB would be rather large.
const maxParts = 1000

// Parts lists the names of all parts of a split model, given the name of one
// of them. ok is false if name is not like that of a part.
func Parts(name string) (names []string, ok bool) {
	m := partName.FindStringSubmatch(name)
	if m == nil {
		return nil, false
	}
	no, _ := strconv.Atoi(m[2])
	count, _ := strconv.Atoi(m[4])
	if no < 1 || no > count || count > maxParts {
		return nil, false
	}
	for i := range count {
		names = append(names, fmt.Sprintf("%s%05d%s", m[1], i+1, m[3]))
	}
	return names, true
}

// PlainName is a model's name as people write it: without .gguf, and without
// the number of its part.
func PlainName(file string) string {
	if _, ok := Parts(file); ok {
		return file[:len(file)-len("-00001-of-00001.gguf")]
	}
	if n := len(file) - len(".gguf"); n >= 0 && strings.EqualFold(file[n:], ".gguf") {
		return file[:n]
	}
	return file
}

// Split is how many parts the model has of which the file is one, as its
// metadata tells; 1 if it is whole.
func (f *File) Split() uint64 {
	n, _ := f.Uint("split.count")
	return max(n, 1)
}

// Part is one file of a split model.
type Part struct {
	Name string // for error messages
	R    io.ReaderAt
	Size int64 // bytes
}

// Joined is a split model as one file.
type Joined struct {
	pieces []piece // in order, with gaps that read as zeros
	size   int64
}

// piece is n bytes of r from offset, which appear at at.
type piece struct {
	at, n, offset int64
	r             io.ReaderAt
}

// Join reads the tables of all parts, in order, and joins them.
func Join(parts []Part) (*Joined, error) {
	if len(parts) == 0 || len(parts) > maxParts {
		return nil, fmt.Errorf("a model cannot have %d parts", len(parts))
	}
	files := make([]*File, len(parts))
	var tensors []Tensor
	var meta []KeyValue
	seen := map[string]string{}
	for i, p := range parts {
		f, err := Read(p.R, p.Size)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.Name, err)
		}
		files[i] = f
		count, ok := f.Uint("split.count")
		no, ok2 := f.Uint("split.no")
		if !ok || !ok2 || count != uint64(len(parts)) || no != uint64(i) {
			return nil, fmt.Errorf("%s is not part %d of %d of a split model as its name says: copy or download all parts again", p.Name, i+1, len(parts))
		}
		for _, t := range f.Tensors {
			if other, twice := seen[t.Name]; twice {
				return nil, fmt.Errorf("%s and %s both have the tensor %q: they are not parts of one model", other, p.Name, t.Name)
			}
			seen[t.Name] = p.Name
			if t.Offset%alignment != 0 {
				return nil, fmt.Errorf("%s: tensor %q is not aligned to %d bytes", p.Name, t.Name, alignment)
			}
		}
		tensors = append(tensors, f.Tensors...)
	}
	if n, ok := files[0].Uint("split.tensors.count"); ok && n != uint64(len(tensors)) {
		return nil, fmt.Errorf("the parts of the model have %d tensors together, not %d: copy or download all parts again", len(tensors), n)
	}
	for _, key := range files[0].Keys() {
		if !strings.HasPrefix(key, "split.") {
			meta = append(meta, KeyValue{key, files[0].Value(key)})
		}
	}

	// The head's length comes first, then the places, then the head.
	b, err := Head(meta, append([]Tensor(nil), tensors...))
	if err != nil {
		return nil, err
	}
	start := int64(len(b))
	j := &Joined{pieces: []piece{{at: 0, n: start}}, size: start}
	var place []int64
	for i, p := range parts {
		from := files[i].DataOffset
		n := p.Size - min(from, p.Size)
		at := j.size + (from-j.size)&4095
		if at > math.MaxInt64/2 {
			return nil, errors.New("the parts of the model are larger together than any file")
		}
		for _, t := range files[i].Tensors {
			place = append(place, at+t.Offset-from-start)
		}
		j.pieces = append(j.pieces, piece{at: at, n: n, offset: from, r: p.R})
		j.size = at + n
	}
	if b, err = head(meta, append([]Tensor(nil), tensors...), place); err != nil {
		return nil, err
	}
	j.pieces[0].r = bytes.NewReader(b)
	return j, nil
}

// Size is the size of the joined file in bytes.
func (j *Joined) Size() int64 { return j.size }

// ReadAt implements io.ReaderAt.
func (j *Joined) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, errors.New("gguf: negative offset")
	}
	// The last piece that begins at or before off.
	i := sort.Search(len(j.pieces), func(i int) bool { return j.pieces[i].at > off }) - 1
	for n < len(p) {
		at := off + int64(n)
		if at >= j.size {
			return n, io.EOF
		}
		for i+1 < len(j.pieces) && j.pieces[i+1].at <= at {
			i++
		}
		c := &j.pieces[i]
		if rest := c.at + c.n - at; rest > 0 {
			want := int(min(int64(len(p)-n), rest))
			got, err := c.r.ReadAt(p[n:n+want], c.offset+at-c.at)
			n += got
			if got < want {
				if err == nil || err == io.EOF {
					err = io.ErrUnexpectedEOF
				}
				return n, err
			}
			continue
		}
		gap := int(min(int64(len(p)-n), j.pieces[i+1].at-at))
		clear(p[n : n+gap])
		n += gap
	}
	return n, nil
}

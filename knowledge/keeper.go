package knowledge

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"sync"
	"time"
)

// Keeper keeps the library of some documents, and the index of it as a file. It works while others have nothing to do,
// and goes on where it was stopped. The index is written after the library has changed, as a whole and seldom, since it is
// large; what it lacks after a cut is read again from the documents.
type Keeper struct {
	Documents fs.FS
	Open      func() (fs.File, error)                   // the index; nil: there is none
	Save      func(write func(w io.Writer) error) error // puts another in its place; nil: it can only be read
	Bound     int64                                     // bytes of memory that the library may take, about; 0: any

	// Embedder loads the model for embeddings once the words of all documents are in the library, and again after
	// Rest. It returns nil where there is none, or no memory for it. nil: there is none.
	Embedder func(ctx context.Context) (e Embedder, model string, release func(), err error)

	mu      sync.Mutex // one Keep at a time
	library *Library
	release func() // of the embedder in use; nil: there is none
	tried   bool   // to load it
	whole   bool   // all documents are as Scan saw them
	dirty   bool   // the index does not have all that the library has
	saved   time.Time
	took    time.Duration // to save it
}

// ErrRebuilt says that the index could not be used, and is made anew.
var ErrRebuilt = errors.New("the index of your documents is damaged, or of another version, and is made anew from them")

// saveEvery is how long what was read waits to be saved, while more is read.
const saveEvery = time.Minute

// Library returns the library, as far as it is; the index is read when it is asked for first. It is usable whatever the
// error, which is told once.
func (k *Keeper) Library(ctx context.Context) (*Library, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.load(ctx)
}

func (k *Keeper) load(ctx context.Context) (*Library, error) {
	if k.library != nil {
		return k.library, nil
	}
	l, err := k.read(ctx)
	if ctx.Err() != nil {
		return New(nil, ""), ctx.Err()
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if l == nil {
		l, k.dirty = New(nil, ""), true
	}
	if errors.Is(err, ErrIndex) {
		err = ErrRebuilt
	}
	l.Bound(k.Bound)
	k.library, k.saved = l, time.Now()
	return l, err
}

func (k *Keeper) read(ctx context.Context) (*Library, error) {
	if k.Open == nil {
		return nil, nil
	}
	f, err := k.Open()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if k.Bound > 0 && info.Size() > 2*k.Bound { // written on a computer that has more memory
		return nil, fs.ErrNotExist
	}
	return Load(&stopping{ctx, f}, info.Size(), nil, "")
}

// Known returns the library when it has all documents and nobody is changing it.
func (k *Keeper) Known() (l *Library, ok bool) {
	if !k.mu.TryLock() {
		return nil, false
	}
	defer k.mu.Unlock()
	return k.library, k.whole
}

// Read brings the library up to date, so that documents are found by their words. did, unless it is nil, is
// told each change. When ctx ends, so does Read, with its error. It does nothing while all is up to date, until Again is called.
func (k *Keeper) Read(ctx context.Context, did func(Change)) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.scan(ctx, did)
}

func (k *Keeper) scan(ctx context.Context, did func(Change)) error {
	l, rebuilt := k.load(ctx)
	if ctx.Err() != nil || k.whole {
		return errors.Join(rebuilt, ctx.Err())
	}
	err := l.Scan(ctx, k.Documents, func(c Change) error { return k.changed(ctx, c, did) })
	k.whole = err == nil
	return errors.Join(rebuilt, err)
}

// changed notes a change, and saves the index if that is due.
func (k *Keeper) changed(ctx context.Context, c Change, did func(Change)) error {
	if k.dirty = true; did != nil {
		did(c)
	}
	if time.Since(k.saved) < max(saveEvery, 20*k.took) {
		return nil
	}
	return k.save(ctx)
}

// Keep is Read, and brings vectors and the index up to date.
func (k *Keeper) Keep(ctx context.Context, did func(Change)) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	rebuilt := k.scan(ctx, did)
	if rebuilt != nil && !errors.Is(rebuilt, ErrRebuilt) || !k.whole {
		return rebuilt
	}
	if _, chunks := k.library.Documents(); chunks > 0 && !k.tried && k.Embedder != nil {
		e, model, release, err := k.Embedder(ctx)
		if ctx.Err() == nil {
			k.tried = true
		}
		if err != nil {
			return errors.Join(rebuilt, err)
		}
		if e != nil {
			k.release = release
			k.library.Use(e, model)
		}
	}
	err := k.library.Embed(ctx, func(left int) error { return k.changed(ctx, Change{Left: left}, did) })
	if err == nil && k.dirty {
		err = k.save(ctx)
	}
	return errors.Join(rebuilt, err)
}

// Again has the next Keep look at the documents once more.
func (k *Keeper) Again() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.whole = false
}

// Rest gives back the memory of the model for embeddings, which the next Keep loads again.
func (k *Keeper) Rest() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.release != nil {
		k.library.Use(nil, "")
		k.release()
	}
	k.release, k.tried = nil, false
}

// Finish saves what is not saved yet.
func (k *Keeper) Finish(ctx context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.library == nil || !k.dirty {
		return nil
	}
	return k.save(ctx)
}

func (k *Keeper) save(ctx context.Context) error {
	began := time.Now()
	if documents, _ := k.library.Documents(); k.Save != nil && (documents > 0 || k.indexed()) {
		if err := k.Save(func(w io.Writer) error { return k.library.Save(&stoppingWriter{ctx, w}) }); err != nil {
			return err
		}
	}
	k.dirty, k.saved = false, time.Now()
	k.took = k.saved.Sub(began)
	return nil
}

// indexed tells whether there is an index: where nobody has documents none is made.
func (k *Keeper) indexed() bool {
	if k.Open == nil {
		return false
	}
	f, err := k.Open()
	if err != nil {
		return false
	}
	f.Close()
	return true
}

// stoppingWriter is a writer that ends with ctx.
type stoppingWriter struct {
	ctx context.Context
	io.Writer
}

func (s *stoppingWriter) Write(b []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.Writer.Write(b)
}

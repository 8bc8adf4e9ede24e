package llm

import (
	"errors"
	"fmt"
	"io"
	"sync"
)

// reading is the weights on their way from the file into memory. One goroutine
// brings them in the file's order, as fast as the medium gives them; whoever
// needs some waits until they are there. So what else loading a model takes,
// such as its vocabulary and the order of its weights, is done meanwhile and
// adds nothing to the medium's time where there are two processors.
type reading struct {
	mu      sync.Mutex
	changed sync.Cond
	at      int64 // all bytes of the file before this one are in memory
	err     error // why no more will come
	stopped bool  // nobody wants more
	ended   bool  // memory is not written any more
}

var errStopped = errors.New("reading was stopped")

// startReading begins to fill data with the file's bytes from start on. came is
// told, on the way and before anybody else, what is there: all bytes before at.
// It is not called any more once the last byte was waited for, or after stop.
func startReading(r io.ReaderAt, data []byte, start int64, came func(at int64)) *reading {
	w := &reading{at: start}
	w.changed.L = &w.mu
	go func() {
		came(start)
		var err error
		for done := 0; done < len(data) && err == nil; {
			p := data[done:min(done+readSize, len(data))]
			if err = readFull(r, p, start+int64(done), int64(len(p)), nil); err != nil {
				err = fmt.Errorf("reading the model %w", err)
				break
			}
			done += len(p)
			came(start + int64(done))
			err = w.publish(start + int64(done))
		}
		w.mu.Lock()
		w.err, w.ended = err, true
		w.changed.Broadcast()
		w.mu.Unlock()
	}()
	return w
}

// publish lets others use all bytes before at. An error is their wish to stop.
func (w *reading) publish(at int64) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.at = at
	w.changed.Broadcast()
	if w.stopped {
		return errStopped
	}
	return nil
}

// wait returns when all bytes of the file before end are in memory, or will
// never be.
func (w *reading) wait(end int64) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.at < end && !w.ended {
		w.changed.Wait()
	}
	if w.at >= end {
		return nil
	}
	return w.err
}

// stop returns when memory is not written any more.
func (w *reading) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	for !w.ended {
		w.changed.Wait()
	}
}

package llm

import (
	"sync/atomic"
)

// pool runs the parts of a job on several goroutines. One job runs at a time,
// and the caller works on it too.
//
// Each has a run of parts of its own, so that it reads on in memory where it was, which
// the processor fetches ahead; who has done all its own takes what is left of the others'.
//
// Jobs follow each other within microseconds, less than it takes to wake a
// goroutine: so who waits looks again and again for a short while before it
// goes to sleep, unless there are fewer processors than threads. That while is longer
// than waking takes where a hypervisor has halted the processor, half a millisecond: were it
// shorter, caller and worker could take turns to fall asleep waiting for each other to wake.
//
// A worker's state is idle (it looks), asleep (it sleeps in its channel) or
// called. Only the caller of run sets called, and sends to the channel exactly
// if the worker was asleep. The job's own state goes the same way, with the
// roles exchanged, when its last worker is done.
type pool struct {
	threads int
	looks   int // before going to sleep
	workers []*worker

	job   func(worker, part int)
	parts int64
	next  []share      // by worker, the caller the first
	left  atomic.Int32 // workers still at the job
	state atomic.Int32 // of the caller
	wake  chan struct{}
}

// share counts the parts taken of a worker's own, on a cache line of its own.
type share struct {
	next atomic.Int64
	_    [120]byte
}

type worker struct {
	state atomic.Int32
	wake  chan struct{}
}

const (
	idle = iota
	asleep
	called
)

// least is how much work, in bytes of weights, is worth waking others for, or
// sharing with others that are awake.
const least = 64 << 10

func newPool(threads, processors int) *pool {
	p := &pool{threads: threads, next: make([]share, threads), wake: make(chan struct{}, 1)}
	if threads <= processors {
		p.looks = 2000000 // some 1 ms
	}
	for i := 1; i < threads; i++ {
		w := &worker{wake: make(chan struct{}, 1)}
		p.workers = append(p.workers, w)
		go p.serve(w, i)
	}
	return p
}

// wait returns when state has become called, and makes it idle again.
func wait(state *atomic.Int32, wake chan struct{}, looks int) {
	for range looks {
		if state.Load() == called {
			state.Store(idle)
			return
		}
	}
	if state.CompareAndSwap(idle, asleep) {
		<-wake
	}
	state.Store(idle)
}

func call(state *atomic.Int32, wake chan struct{}) {
	if state.Swap(called) == asleep {
		wake <- struct{}{}
	}
}

func (p *pool) serve(w *worker, index int) {
	for {
		wait(&w.state, w.wake, p.looks)
		if p.job == nil {
			return
		}
		p.take(index)
		if p.left.Add(-1) == 0 {
			call(&p.state, p.wake)
		}
	}
}

// first is the first part of a worker's own.
func (p *pool) first(worker int) int64 { return p.parts * int64(worker) / int64(p.threads) }

func (p *pool) take(worker int) {
	for i := range p.threads {
		whose := (worker + i) % p.threads
		for end := p.first(whose + 1); ; {
			part := p.next[whose].next.Add(1) - 1
			if part >= end {
				break
			}
			p.job(worker, int(part))
		}
	}
}

// run calls job for every part, with the number of the worker, in [0,
// threads), that does it. Little work is done by the caller alone.
func (p *pool) run(parts, work int, job func(worker, part int)) {
	if len(p.workers) == 0 || parts == 1 || work < least {
		for i := range parts {
			job(0, i)
		}
		return
	}
	p.job, p.parts = job, int64(parts)
	for w := range p.next {
		p.next[w].next.Store(p.first(w))
	}
	p.left.Store(int32(len(p.workers)))
	for _, w := range p.workers {
		call(&w.state, w.wake)
	}
	p.take(0)
	wait(&p.state, p.wake, p.looks)
	p.job = nil // which holds a session
}

// each calls f for every i < n; size is the work in numbers for one.
func (p *pool) each(n, size int, f func(i int)) {
	p.run(n, n*size*16, func(_, i int) { f(i) })
}

// close ends the workers. The pool must be at rest.
func (p *pool) close() {
	p.job = nil
	for _, w := range p.workers {
		call(&w.state, w.wake)
	}
	p.workers = nil
}

package train

import (
	"sync"
	"sync/atomic"
)

// pool is the goroutines that compute. The parts of a job are handed out as
// workers come free, so no result may depend on which worker did a part or in
// which order parts were done: that makes training independent of the number of
// threads.
type pool struct {
	threads int
	next    atomic.Int64
	parts   int64
	do      func(worker, part int)
	start   []chan struct{}
	done    sync.WaitGroup
}

func newPool(threads int) *pool {
	p := &pool{threads: max(1, threads)}
	for w := 1; w < p.threads; w++ {
		c := make(chan struct{})
		p.start = append(p.start, c)
		go func() {
			for range c {
				p.work(w)
				p.done.Done()
			}
		}()
	}
	return p
}

func (p *pool) work(worker int) {
	for {
		i := p.next.Add(1) - 1
		if i >= p.parts {
			return
		}
		p.do(worker, int(i))
	}
}

// run calls do for every part below parts and returns when all are done.
func (p *pool) run(parts int, do func(worker, part int)) {
	if parts <= 0 {
		return
	}
	if p.threads == 1 || parts == 1 {
		for i := range parts {
			do(0, i)
		}
		return
	}
	p.next.Store(0)
	p.parts, p.do = int64(parts), do
	p.done.Add(len(p.start))
	for _, c := range p.start {
		c <- struct{}{}
	}
	p.work(0)
	p.done.Wait()
}

// close ends the goroutines.
func (p *pool) close() {
	for _, c := range p.start {
		close(c)
	}
	p.start, p.threads = nil, 1
}

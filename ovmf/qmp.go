package ovmf

// QMP, QEMU's control protocol: one JSON object a line, commands answered in
// order by id, events in between. Specification: docs/interop/qmp-spec.txt in
// QEMU's sources.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
)

type qmp struct {
	conn    net.Conn
	mu      sync.Mutex
	enc     *json.Encoder
	next    int
	pending map[int]chan qmpReply
	closed  chan struct{} // when QEMU hung up
	event   func(name string, data json.RawMessage)
}

type qmpReply struct {
	Return json.RawMessage `json:"return"`
	Error  *struct {
		Class string `json:"class"`
		Desc  string `json:"desc"`
	} `json:"error"`
	ID    int             `json:"id"`
	Event string          `json:"event"`
	Data  json.RawMessage `json:"data"`
}

// newQMP speaks on conn; event is called for each event, in order, on the
// goroutine that reads.
func newQMP(conn net.Conn, event func(string, json.RawMessage)) *qmp {
	q := &qmp{
		conn:    conn,
		enc:     json.NewEncoder(conn),
		pending: make(map[int]chan qmpReply),
		closed:  make(chan struct{}),
		event:   event,
	}
	go q.read()
	return q
}

func (q *qmp) read() {
	defer close(q.closed)
	dec := json.NewDecoder(q.conn)
	for {
		var r qmpReply
		if err := dec.Decode(&r); err != nil {
			return // QEMU has gone: callers learn it from closed
		}
		if r.Event != "" {
			q.event(r.Event, r.Data)
			continue
		}
		q.mu.Lock()
		ch := q.pending[r.ID]
		delete(q.pending, r.ID)
		q.mu.Unlock()
		if ch != nil {
			ch <- r
		}
	}
}

// execute runs one command and decodes its result into result, unless nil.
func (q *qmp) execute(ctx context.Context, command string, args, result any) error {
	ch := make(chan qmpReply, 1)
	q.mu.Lock()
	q.next++
	id := q.next
	q.pending[id] = ch
	msg := map[string]any{"execute": command, "id": id}
	if args != nil {
		msg["arguments"] = args
	}
	err := q.enc.Encode(msg)
	q.mu.Unlock()
	if err != nil {
		return fmt.Errorf("QMP %s: %w", command, err)
	}
	select {
	case r := <-ch:
		if r.Error != nil {
			return fmt.Errorf("QMP %s: %s: %s", command, r.Error.Class, r.Error.Desc)
		}
		if result == nil {
			return nil
		}
		if err := json.Unmarshal(r.Return, result); err != nil {
			return fmt.Errorf("QMP %s: %w", command, err)
		}
		return nil
	case <-q.closed:
		return fmt.Errorf("QMP %s: %w", command, errors.Join(errExited, net.ErrClosed))
	case <-ctx.Done():
		return fmt.Errorf("QMP %s: %w", command, ctx.Err())
	}
}

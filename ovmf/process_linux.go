package ovmf

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// processAttr makes the kernel end QEMU when this process dies, however it
// dies: a test run that is killed leaves no machine behind. QEMU gets its own
// process group so that Ctrl-C on the terminal is the machine's, not QEMU's.
func processAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}

// thread is one of a process's.
type thread struct{ process, id int }

// state tells whether a thread runs, or would if it were let, and for how long it has run.
func (t thread) state() (ready bool, ran time.Duration, err error) {
	dir := fmt.Sprintf("/proc/%d/task/%d/", t.process, t.id)
	stat, err := os.ReadFile(dir + "stat")
	if err != nil {
		return false, 0, err
	}
	sched, err := os.ReadFile(dir + "schedstat")
	if err != nil {
		return false, 0, err
	}
	// proc(5): the name in parentheses, then the state.
	after := stat[bytes.LastIndexByte(stat, ')')+1:]
	ran0, _, _ := strings.Cut(string(sched), " ")
	ns, err := strconv.ParseInt(ran0, 10, 64)
	if err != nil || len(after) < 2 {
		return false, 0, fmt.Errorf("%s: %s, %s", dir, stat, sched)
	}
	return bytes.IndexByte([]byte("RTt"), after[1]) >= 0, time.Duration(ns), nil // ready, or stopped by a signal
}

// unread reports whether something that was sent waits to be read at the other end.
func unread(conn net.Conn) (bool, error) {
	c, ok := conn.(syscall.Conn)
	if !ok {
		return false, fmt.Errorf("a %T does not tell what was read", conn)
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return false, err
	}
	var n int
	var failed error
	if err := raw.Control(func(fd uintptr) { n, failed = unix.IoctlGetInt(int(fd), unix.TIOCOUTQ) }); err != nil {
		return false, err
	}
	return n > 0, failed
}

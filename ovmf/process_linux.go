package ovmf

import "syscall"

// processAttr makes the kernel end QEMU when this process dies, however it
// dies: a test run that is killed leaves no machine behind. QEMU gets its own
// process group so that Ctrl-C on the terminal is the machine's, not QEMU's.
func processAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}

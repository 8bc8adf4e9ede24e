//go:build !linux

package ovmf

import "syscall"

func processAttr() *syscall.SysProcAttr { return nil }

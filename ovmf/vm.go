package ovmf

// A VM's life: Start makes its temporary directory and sockets, starts QEMU
// and returns once both sockets are connected, so not a byte of the serial
// port is lost. The machine ends by itself (ResetSystem), by Kill, or with the
// context given to Start. Close ends it if need be and removes the directory.

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Config describes a machine. The zero value of each field is a default.
type Config struct {
	Disk      string // image to boot; raw, or qcow2; "" for none
	First     string // image to boot instead, a raw one, which may start what Disk has; "" for none
	Bus       string // what the disk hangs on: "virtio" (default), "ahci", "nvme", "usb", or "usb-ssd": USB, but no removable medium
	BlockSize int    // bytes in a block of Disk, 512 (default) or 4096; on ahci only 512
	WriteRate int    // bytes a second that Disk takes at the most; 0: as many as the host does
	Snapshot  bool   // forget what is written to Disk
	MemoryMiB int    // default 1024
	CPUs      int    // default 1
	Accel     string // "kvm", "tcg", or "" for KVM if it really boots here, else TCG

	Display       string // "none" (default), or one of Displays
	Width, Height int    // screen in pixels, default 1280 by 800
	USBKeyboard   bool   // a USB keyboard instead of PS/2

	Reboot   bool      // let a reset start the machine again; by default it ends it
	Serial   io.Writer // gets a copy of what the machine sends, if not nil
	Firmware Firmware  // default: Find
	Extra    []string  // further arguments for QEMU
}

// VM is a running, or ended, machine.
type VM struct {
	dir    string
	cmd    *exec.Cmd
	cancel context.CancelFunc
	stderr lockedBuffer

	port   net.Conn // the serial port
	serial *serialLog
	qmp    *qmp

	exited chan struct{} // closed when QEMU has gone and its last words are read
	shots  atomic.Int32
	plugs  int  // how often a drive was plugged in
	fixed  bool // its medium is not removable

	mu     sync.Mutex
	code   int
	reason string
}

// variableStore is the file with the machine's copy of Firmware.Vars.
const variableStore = "vars.fd"

// Start boots a machine. When ctx ends, the machine is killed.
func Start(ctx context.Context, c Config) (*VM, error) {
	qemu, err := Program()
	if err != nil {
		return nil, err
	}
	if c.Firmware.Code == "" {
		if c.Firmware, err = Find(); err != nil {
			return nil, err
		}
	}
	accel, err := accelerator(ctx, c.Accel)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "alphaos-vm-")
	if err != nil {
		return nil, fmt.Errorf("starting QEMU: %w", err)
	}
	vm := &VM{dir: dir, serial: newSerialLog(c.Serial), fixed: c.Bus == usbSSD, exited: make(chan struct{})}
	if err := vm.start(ctx, qemu, accel, c); err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	return vm, nil
}

func (vm *VM) start(ctx context.Context, qemu string, accel []string, c Config) error {
	serialPath := filepath.Join(vm.dir, "serial")
	qmpPath := filepath.Join(vm.dir, "qmp")
	args, err := arguments(vm.dir, accel, c)
	if err != nil {
		return err
	}
	args = append(args,
		"-chardev", "socket,id=com1,path="+serialPath, "-serial", "chardev:com1",
		"-chardev", "socket,id=qmp,path="+qmpPath, "-mon", "chardev=qmp,mode=control",
	)
	args = append(args, c.Extra...)

	// This side listens and QEMU connects while it starts, so that the
	// connection is there before the firmware's first byte.
	serialListener, err := net.Listen("unix", serialPath)
	if err != nil {
		return fmt.Errorf("starting QEMU: %w", err)
	}
	defer serialListener.Close()
	qmpListener, err := net.Listen("unix", qmpPath)
	if err != nil {
		return fmt.Errorf("starting QEMU: %w", err)
	}
	defer qmpListener.Close()

	ctx, vm.cancel = context.WithCancel(ctx)
	vm.cmd = exec.CommandContext(ctx, qemu, args...)
	vm.cmd.Stderr = &vm.stderr
	vm.cmd.SysProcAttr = processAttr()
	if err := vm.cmd.Start(); err != nil {
		vm.cancel()
		return fmt.Errorf("starting QEMU: %w", err)
	}
	gone := make(chan struct{}) // QEMU's process has ended
	go func() {
		err := vm.cmd.Wait()
		vm.mu.Lock()
		vm.code = vm.cmd.ProcessState.ExitCode()
		if vm.code < 0 && err != nil && vm.reason == "" {
			vm.reason = err.Error()
		}
		vm.mu.Unlock()
		serialListener.Close() // wakes an Accept that would wait for ever
		qmpListener.Close()
		close(gone)
	}()

	serialConn, err := serialListener.Accept()
	if err == nil {
		vm.port = serialConn
		var qmpConn net.Conn
		if qmpConn, err = qmpListener.Accept(); err == nil {
			vm.qmp = newQMP(qmpConn, vm.event)
		}
	}
	if err != nil {
		vm.cancel()
		<-gone
		if ctx.Err() != nil && vm.stderr.String() == "" {
			return fmt.Errorf("starting QEMU: %w", ctx.Err())
		}
		return fmt.Errorf("QEMU did not start: %s", vm.stderr.lastLine())
	}
	read := make(chan struct{})
	go func() {
		// The end of the machine shows here as an error; Wait tells it.
		_, _ = io.Copy(vm.serial, vm.port)
		close(read)
	}()
	go func() {
		<-gone
		<-read
		<-vm.qmp.closed
		vm.port.Close()
		vm.qmp.conn.Close()
		vm.cancel()
		close(vm.exited)
	}()
	if err := vm.qmp.execute(ctx, "qmp_capabilities", nil, nil); err != nil {
		vm.cancel()
		<-vm.exited
		return fmt.Errorf("QEMU did not start: %s", vm.stderr.lastLine())
	}
	return nil
}

// event notes why the machine ended.
func (vm *VM) event(name string, data json.RawMessage) {
	if name != "SHUTDOWN" {
		return
	}
	var d struct {
		Reason string `json:"reason"`
	}
	if json.Unmarshal(data, &d) == nil {
		vm.mu.Lock()
		vm.reason = d.Reason
		vm.mu.Unlock()
	}
}

// arguments returns QEMU's command line but for the sockets.
func arguments(dir string, accel []string, c Config) ([]string, error) {
	if c.MemoryMiB == 0 {
		c.MemoryMiB = 1024
	}
	if c.CPUs == 0 {
		c.CPUs = 1
	}
	if c.Width == 0 || c.Height == 0 {
		c.Width, c.Height = 1280, 800
	}
	if c.Display == "" {
		c.Display = "none"
	}
	board := "q35,smm=off"
	if c.Firmware.Secure {
		board = "q35,smm=on"
	}
	args := append([]string{
		"-name", "AlphaOS",
		// No defaults: each device the firmware finds costs boot time, a
		// network card above all, and a CD-ROM drive shows up as a disk.
		"-nodefaults", "-no-user-config", "-nic", "none",
		"-machine", board,
		"-m", strconv.Itoa(c.MemoryMiB),
		"-smp", strconv.Itoa(c.CPUs),
		"-display", c.Display,
		"-device", fmt.Sprintf("VGA,edid=on,xres=%d,yres=%d,vgamem_mb=64", c.Width, c.Height),
		"-boot", "menu=off",
	}, accel...)
	if !c.Reboot {
		args = append(args, "-no-reboot")
	}

	if c.Firmware.Secure {
		args = append(args, "-global", "driver=cfi.pflash01,property=secure,value=on")
	}

	code := "if=pflash,format=raw,unit=0,readonly=on,file=" + escape(c.Firmware.Code)
	args = append(args, "-drive", code)
	if c.Firmware.Vars != "" {
		vars := filepath.Join(dir, variableStore)
		if err := copyFile(vars, c.Firmware.Vars); err != nil {
			return nil, fmt.Errorf("copying the firmware's variable store: %w", err)
		}
		args = append(args, "-drive", "if=pflash,format=raw,unit=1,file="+escape(vars))
	}

	if c.USBKeyboard || usb(c) {
		args = append(args, "-device", "qemu-xhci,id=xhci")
	}
	if c.USBKeyboard {
		args = append(args, "-device", "usb-kbd,id=keyboard,bus=xhci.0")
	}
	if c.Disk != "" {
		format, err := imageFormat(c.Disk)
		if err != nil {
			return nil, err
		}
		drive := "id=disk,if=none,format=" + format + ",file=" + escape(c.Disk)
		if c.WriteRate > 0 {
			drive += ",throttling.bps-write=" + strconv.Itoa(c.WriteRate)
		}
		if c.Snapshot {
			drive += ",snapshot=on"
		}
		var device string
		switch c.Bus {
		case "", "virtio":
			device = "virtio-blk-pci"
		case "ahci":
			device = "ide-hd,bus=ide.0"
		case "nvme":
			device = "nvme,serial=alphaos"
		case "usb", usbSSD:
			device = "usb-storage,id=stick,bus=xhci.0"
		default:
			return nil, fmt.Errorf("no disk bus is called %q: use virtio, ahci, nvme, usb or usb-ssd", c.Bus)
		}
		switch c.BlockSize {
		case 0, 512:
		case 4096:
			if c.Bus == "ahci" {
				return nil, errors.New("QEMU has no SATA disk with blocks of 4096 bytes: use virtio, nvme or usb")
			}
			if usb(c) { // usb-storage itself has none
				args = append(args, "-device", "usb-bot,id=stick,bus=xhci.0")
				device = "scsi-hd,bus=stick.0"
			}
			device += ",logical_block_size=4096,physical_block_size=4096"
		default:
			return nil, fmt.Errorf("no disk has blocks of %d bytes: use 512 or 4096", c.BlockSize)
		}
		if c.Bus == "usb" {
			device += ",removable=on"
		}
		args = append(args, "-drive", drive, "-device", device+",drive=disk,bootindex=1")
	}
	if c.First != "" {
		args = append(args, "-drive", "id=first,if=none,format=raw,file="+escape(c.First), "-device", "virtio-blk-pci,drive=first,bootindex=0")
	}
	return args, nil
}

// escape doubles commas, which separate options on QEMU's command line.
func escape(path string) string { return strings.ReplaceAll(path, ",", ",,") }

// imageFormat tells raw images from qcow2 ones: letting QEMU guess would let
// a guest that writes a qcow2 header into its raw disk read host files.
func imageFormat(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("the drive image cannot be opened: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", fmt.Errorf("the drive image cannot be read: %w", err)
	}
	if info.IsDir() {
		return "", fmt.Errorf("%s is a folder, not a drive image", path)
	}
	var magic [4]byte
	if n, err := io.ReadFull(f, magic[:]); err != nil {
		return "", fmt.Errorf("%s is %d bytes long: not a drive image", path, n)
	}
	if strings.HasSuffix(path, ".qcow2") && string(magic[:]) == "QFI\xfb" {
		return "qcow2", nil
	}
	return "raw", nil
}

func copyFile(to, from string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o600)
}

// Expect waits until the machine has sent text on the serial port after the
// end of the last match, and returns everything from there to its end, without
// carriage returns and escape sequences. If ctx or the machine ends first, the
// error holds the last output, and the path of a screenshot if one was taken.
func (vm *VM) Expect(ctx context.Context, text string) (string, error) {
	_, got, err := vm.ExpectAny(ctx, text)
	return got, err
}

// ExpectAny waits like Expect for whichever of texts comes first, and returns
// its index as well.
func (vm *VM) ExpectAny(ctx context.Context, texts ...string) (int, string, error) {
	which := -1
	got, err := vm.serial.wait(ctx, vm.exited, func(clean []byte, _ int) int {
		end := -1
		for i, t := range texts {
			if at := bytes.Index(clean, []byte(t)); at >= 0 && (end < 0 || at+len(t) < end) {
				which, end = i, at+len(t)
			}
		}
		return end
	})
	if err != nil {
		return -1, got, vm.explain(fmt.Sprintf("waiting for %q on the serial port", texts), err)
	}
	return which, got, nil
}

// explain adds to err what one needs to understand it from afar.
func (vm *VM) explain(doing string, err error) error {
	var b strings.Builder
	if errors.Is(err, errExited) {
		vm.mu.Lock()
		fmt.Fprintf(&b, " (exit code %d, reason %q)", vm.code, vm.reason)
		vm.mu.Unlock()
		if s := vm.stderr.String(); s != "" {
			fmt.Fprintf(&b, "\n--- QEMU's messages\n%s", s)
		}
	}
	out := vm.serial.text()
	if n := len(out); n > 4000 {
		out = "…" + out[n-4000:]
	}
	fmt.Fprintf(&b, "\n--- last serial output\n%s\n---", out)
	if !errors.Is(err, errExited) {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		path := filepath.Join(screensDir(), filepath.Base(vm.dir)+".png")
		if serr := vm.Screenshot(ctx, path); serr != nil {
			fmt.Fprintf(&b, " no screenshot: %v", serr)
		} else {
			fmt.Fprintf(&b, " screenshot: %s", path)
		}
	}
	return fmt.Errorf("%s: %w%s", doing, err, b.String())
}

func screensDir() string {
	if dir := os.Getenv("ALPHAOS_SCREENS"); dir != "" {
		return dir
	}
	return os.TempDir()
}

// Type sends text to the serial port, as a terminal would. Enter is "\r" there,
// so each "\n" is sent as "\r".
func (vm *VM) Type(text string) error {
	if _, err := vm.Write([]byte(strings.ReplaceAll(text, "\n", "\r"))); err != nil {
		return vm.explain("typing on the serial port", err)
	}
	return nil
}

// Write sends bytes to the serial port as they are.
func (vm *VM) Write(p []byte) (int, error) {
	select {
	case <-vm.exited:
		return 0, errExited
	default:
		return vm.port.Write(p)
	}
}

// Monitor gives QEMU's monitor a command, such as "nmi", and returns what it prints.
func (vm *VM) Monitor(ctx context.Context, command string) (string, error) {
	var out string
	args := map[string]string{"command-line": command}
	if err := vm.qmp.execute(ctx, "human-monitor-command", args, &out); err != nil {
		return "", vm.explain("giving the monitor a command", err)
	}
	return out, nil
}

const usbSSD = "usb-ssd"

// usb reports whether the disk is on USB.
func usb(c Config) bool { return c.Bus == "usb" || c.Bus == usbSSD }

// Unplug pulls a USB drive out.
func (vm *VM) Unplug(ctx context.Context) error {
	if err := vm.qmp.execute(ctx, "device_del", map[string]any{"id": "stick"}, nil); err != nil {
		return vm.explain("pulling the drive out", err)
	}
	return nil
}

// Plug plugs a USB drive with the raw image disk into a port, when the one
// before was pulled out.
func (vm *VM) Plug(ctx context.Context, disk string, port int) error {
	vm.plugs++
	node := fmt.Sprintf("plugged%d", vm.plugs)
	err := vm.qmp.execute(ctx, "blockdev-add", map[string]any{"node-name": node, "driver": "raw",
		"file": map[string]any{"driver": "file", "filename": disk}}, nil)
	if err == nil {
		err = vm.qmp.execute(ctx, "device_add", map[string]any{"id": "stick", "driver": "usb-storage", "bus": "xhci.0",
			"port": strconv.Itoa(port), "removable": !vm.fixed, "drive": node}, nil)
	}
	if err != nil {
		return vm.explain("plugging the drive in", err)
	}
	return nil
}

// Variables returns the firmware's variable store as it is now; nil if the firmware has none of its own.
func (vm *VM) Variables() ([]byte, error) {
	data, err := os.ReadFile(filepath.Join(vm.dir, variableStore))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	return data, err
}

// Output returns all that the machine has sent on the serial port, without
// carriage returns and escape sequences. Raw has them.
func (vm *VM) Output() string { return vm.serial.text() }

// Raw returns all bytes that the machine has sent on the serial port.
func (vm *VM) Raw() []byte { return vm.serial.bytes() }

// SeenAt returns when text was first complete on the serial port, on the
// host's clock: for measuring, good to about a millisecond.
func (vm *VM) SeenAt(text string) (time.Time, bool) { return vm.serial.seen(text) }

// Kill pulls the plug: QEMU gets SIGKILL, so nothing more reaches the disk.
// It returns when QEMU has gone.
func (vm *VM) Kill() {
	vm.cancel()
	<-vm.exited
}

// Exited is closed when the machine has ended.
func (vm *VM) Exited() <-chan struct{} { return vm.exited }

// Wait waits for the machine to end and returns QEMU's exit code: 0 after a
// shutdown or a reset, -1 after Kill.
func (vm *VM) Wait(ctx context.Context) (int, error) {
	select {
	case <-vm.exited:
		vm.mu.Lock()
		defer vm.mu.Unlock()
		return vm.code, nil
	case <-ctx.Done():
		return 0, vm.explain("waiting for the machine to end", ctx.Err())
	}
}

// Reason returns why the machine ended, in QEMU's words: "guest-shutdown"
// after ResetSystem(EfiResetShutdown), "guest-reset" after a reset or a triple
// fault, else a signal.
func (vm *VM) Reason() string {
	vm.mu.Lock()
	defer vm.mu.Unlock()
	return vm.reason
}

// Messages returns what QEMU itself has printed on its standard error.
func (vm *VM) Messages() string { return vm.stderr.String() }

// Close kills the machine if it still runs and removes its directory.
func (vm *VM) Close() error {
	vm.Kill()
	if err := os.RemoveAll(vm.dir); err != nil {
		return fmt.Errorf("removing the machine's directory: %w", err)
	}
	return nil
}

// lockedBuffer collects QEMU's messages while others read them.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func (b *lockedBuffer) lastLine() string {
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	if last := lines[len(lines)-1]; last != "" {
		return last
	}
	return "it ended without a word"
}

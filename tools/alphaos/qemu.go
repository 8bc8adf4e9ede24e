package main

// qemu: starts a drive image under OVMF with the serial port on this terminal.
// The terminal is raw, so every key, Ctrl-C included, is the machine's; only
// Ctrl-] is ours. Nothing here changes the image: what changes in it is what
// the machine writes.

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"alphaos/fs/gpt"
	"alphaos/ovmf"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

func qemuCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "qemu",
		Short: "Run drives in QEMU under OVMF, the UEFI firmware for virtual machines",
	}
	c.AddCommand(qemuRunCommand())
	return c
}

func qemuRunCommand() *cobra.Command {
	var memory, display, screen, keyboard, firmware string
	var noReboot bool
	var config ovmf.Config
	c := &cobra.Command{
		Use:   "run IMG [-- QEMU-ARGUMENT...]",
		Short: "Boot a drive image, with its serial port on this terminal",
		Long: `Boot a drive image in QEMU under OVMF.

The serial port is on this terminal and every key goes to the machine, Ctrl-C
too. Ctrl-] leaves: it pulls the machine's plug, like unplugging a real one.
To shut down safely type /bye at the prompt.

A window opens as well when there is a display and QEMU can show one. KVM is
used only if it really boots the firmware on this host. What the machine writes
is kept in the image, unless --snapshot is given. With --firmware OVMF does
before what firmware of some real machines does; docs/machine.md lists its
habits. When input comes from a file
or a pipe, each line is typed at a prompt, and the machine is shut down at the
end.`,
		Example: `  alphaos qemu run alphaos.img --cpus 2 --bus usb
  alphaos qemu run alphaos.img --firmware nonx,fullmap`,
		Args: func(cmd *cobra.Command, args []string) error {
			images := len(args)
			if dash := cmd.ArgsLenAtDash(); dash >= 0 {
				images = dash
			}
			if images != 1 {
				return errors.New("name one drive image: alphaos qemu run IMG (alphaos drive create makes one)")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if config.MemoryMiB, err = parseMemory(memory); err != nil {
				return err
			}
			if config.Width, config.Height, err = parseScreen(screen); err != nil {
				return err
			}
			switch keyboard {
			case "ps2":
			case "usb":
				config.USBKeyboard = true
			default:
				return fmt.Errorf("no keyboard is called %q: use ps2 or usb", keyboard)
			}
			config.Disk = args[0]
			config.Extra = args[1:]
			config.Reboot = !noReboot
			return qemuRun(cmd.Context(), config, display, firmware)
		},
	}
	f := c.Flags()
	f.StringVar(&memory, "memory", "1G", "memory, such as 1G or 512M")
	f.IntVar(&config.CPUs, "cpus", 1, "number of processors")
	f.StringVar(&config.Bus, "bus", "virtio", "what the disk hangs on: virtio, ahci, nvme or usb")
	f.StringVar(&config.Accel, "accel", "", "kvm or tcg (default: kvm if it boots here, else tcg)")
	f.StringVar(&display, "display", "auto", "auto, none, or a window of QEMU's: gtk, sdl, cocoa")
	f.StringVar(&screen, "screen", "1280x800", "screen size in pixels")
	f.StringVar(&keyboard, "keyboard", "ps2", "the window's keyboard: ps2 or usb")
	f.StringVar(&firmware, "firmware", "", "habits of other firmware for OVMF, with commas between")
	c.ValidArgsFunction = cobra.FixedCompletions([]string{"img"}, cobra.ShellCompDirectiveFilterFileExt)
	words := func(list ...string) func(string) []string { return func(string) []string { return list } }
	completeWith(c, "bus", words("virtio", "ahci", "nvme", "usb"))
	completeWith(c, "accel", words("kvm", "tcg"))
	completeWith(c, "display", words("auto", "none", "gtk", "sdl", "cocoa"))
	completeWith(c, "keyboard", words("ps2", "usb"))
	completeWith(c, "firmware", completeHabits)
	f.BoolVar(&config.Snapshot, "snapshot", false, "forget what the machine writes")
	f.BoolVar(&noReboot, "no-reboot", false, "end when the machine restarts")
	return c
}

// leaveKey is Ctrl-], as in telnet and virsh.
const leaveKey = 0x1d

func qemuRun(ctx context.Context, config ovmf.Config, display, habits string) error {
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()

	image, err := os.Open(config.Disk)
	if err != nil {
		return fmt.Errorf("the drive image cannot be opened: %w", err)
	}
	config.BlockSize = gpt.BlockSize(image, fileSize(image))
	image.Close()
	if habits != "" {
		dir, err := os.MkdirTemp("", "alphaos-firmware-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		if config.First, err = habitDrive(dir, habits); err != nil {
			return err
		}
	}
	accel, why := config.Accel, ""
	if accel == "" && os.Getenv("ALPHAOS_ACCEL") == "" {
		accel = "kvm"
		var ok bool
		if ok, why = ovmf.KVM(ctx); !ok {
			accel = "tcg"
		}
		config.Accel = accel
	}
	if config.Display, err = chooseDisplay(ctx, display); err != nil {
		return err
	}

	stdin := int(os.Stdin.Fd())
	interactive := term.IsTerminal(stdin)
	serial := &firmwareFilter{w: os.Stdout}
	newline := "\n"
	say := func(format string, args ...any) {
		if !serial.atLineStart() {
			fmt.Fprint(os.Stderr, newline)
		}
		fmt.Fprintf(os.Stderr, format+newline, args...)
	}
	if accel == "tcg" && why != "" {
		say("Without KVM (%s) QEMU emulates the processor: slower, but the same.", why)
	}
	if interactive {
		say("Starting %s. To shut down type /bye; Ctrl-] pulls the plug.", config.Disk)
	} else {
		say("Starting %s.", config.Disk)
	}

	config.Serial = serial
	vm, err := ovmf.Start(ctx, config)
	if err != nil {
		return err
	}
	defer vm.Close()

	var left bool
	if interactive {
		state, err := term.MakeRaw(stdin)
		if err != nil {
			return fmt.Errorf("switching the terminal to single keys: %w", err)
		}
		defer func() { _ = term.Restore(stdin, state) }()
		newline = "\r\n"
		leave := make(chan error, 1)
		go func() { leave <- typeKeys(os.Stdin, vm) }()
		select {
		case <-vm.Exited():
		case <-ctx.Done():
		case err := <-leave:
			if left = err == nil; left {
				vm.Kill()
			} else {
				<-vm.Exited()
			}
		}
	} else if err := typeLines(ctx, os.Stdin, vm); err != nil && ctx.Err() == nil {
		return err
	}
	if ctx.Err() != nil {
		return errors.New("interrupted: the machine's plug was pulled")
	}
	code, err := vm.Wait(ctx)
	if err != nil {
		return err
	}
	switch {
	case left:
		say("The machine's plug was pulled.")
	case code != 0:
		return fmt.Errorf("QEMU ended with exit code %d (%s) %s", code, vm.Reason(), strings.TrimSpace(vm.Messages()))
	case vm.Reason() == "guest-shutdown":
		say("The machine is off.")
	default:
		say("The machine has ended (%s).", vm.Reason())
	}
	return nil
}

// typeKeys sends what comes from the raw terminal to the machine until Ctrl-],
// when it returns nil.
func typeKeys(in io.Reader, vm io.Writer) error {
	buf := make([]byte, 256)
	for {
		n, err := in.Read(buf)
		keys, _, leave := bytes.Cut(buf[:n], []byte{leaveKey})
		if len(keys) > 0 {
			if _, werr := vm.Write(keys); werr != nil {
				return werr
			}
		}
		if leave {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// prompts end what the machine says when it waits for a line. The last is that
// of a machine which cannot find its drive, and has a word of its own to leave.
var prompts = []string{"you> ", "(number or name; Enter looks again) ", "or type \"shut down\": ", "(yes or no) ", "or type \"off\" to switch off: "}

// typeLines types each line at a prompt, and says goodbye at the end of input.
func typeLines(ctx context.Context, in io.Reader, vm *ovmf.VM) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	ended := func(err error) (bool, error) {
		select {
		case <-vm.Exited():
			return true, nil // a line has ended it
		default:
			return err != nil, err
		}
	}
	for goodbyes := 0; goodbyes < 5; {
		which, _, err := vm.ExpectAny(ctx, prompts...)
		if stop, err := ended(err); stop {
			return err
		}
		line := "shut down"
		switch which {
		case len(prompts) - 2:
			line = "yes"
		case len(prompts) - 1:
			line = "off"
		}
		if lines.Scan() {
			line = lines.Text()
		} else if err := lines.Err(); err != nil {
			return fmt.Errorf("reading what to type: %w", err)
		} else {
			goodbyes++
		}
		err = vm.Type(line + "\n")
		if stop, err := ended(err); stop {
			return err
		}
	}
	return errors.New("the machine does not shut down when asked to: its plug was pulled")
}

// chooseDisplay resolves "auto" to the best window that QEMU and this session
// can show, or to none.
func chooseDisplay(ctx context.Context, display string) (string, error) {
	if display != "auto" {
		return display, nil
	}
	if os.Getenv("DISPLAY") == "" && os.Getenv("WAYLAND_DISPLAY") == "" {
		return "none", nil
	}
	names, err := ovmf.Displays(ctx)
	if err != nil {
		return "", err
	}
	if len(names) == 0 {
		fmt.Fprintln(os.Stderr, "No window: QEMU's is not installed (apt-get install qemu-system-gui).")
		return "none", nil
	}
	return names[0], nil
}

// parseMemory reads "1G", "512M" or a number of MiB; the result is in MiB.
func parseMemory(s string) (int, error) {
	unit := 1
	digits := strings.TrimSuffix(strings.TrimSuffix(strings.ToUpper(s), "B"), "I")
	switch {
	case strings.HasSuffix(digits, "G"):
		digits, unit = strings.TrimSuffix(digits, "G"), 1024
	case strings.HasSuffix(digits, "M"):
		digits = strings.TrimSuffix(digits, "M")
	}
	n, err := strconv.Atoi(digits)
	if err != nil || n <= 0 || n > 1<<20 || n*unit < 128 {
		return 0, fmt.Errorf("%q is no memory size for a machine: write, for example, 1G or 512M (128M at least)", s)
	}
	return n * unit, nil
}

// parseScreen reads a size such as 1280x800.
func parseScreen(s string) (width, height int, err error) {
	w, h, ok := strings.Cut(s, "x")
	if ok {
		width, err = strconv.Atoi(w)
		if err == nil {
			height, err = strconv.Atoi(h)
		}
	}
	if !ok || err != nil || width < 320 || height < 200 || width > 8192 || height > 8192 {
		return 0, 0, fmt.Errorf("%q is no screen size: write, for example, 1280x800", s)
	}
	return width, height, nil
}

// firmwareFilter keeps the firmware from clearing the person's terminal: until
// the firmware says that it starts the program, it drops the escape sequences
// that erase, move the cursor or set modes (those that end in J, H or h). From
// then on every byte passes.
type firmwareFilter struct {
	w      io.Writer
	seq    []byte // an escape sequence that is not complete
	line   []byte // the current line, to recognise the start
	last   byte   // the last byte received
	passes bool
}

// atLineStart reports whether the cursor is at the start of a line. It must
// not be called while the machine runs.
func (f *firmwareFilter) atLineStart() bool { return f.last == 0 || f.last == '\n' }

func (f *firmwareFilter) Write(p []byte) (int, error) {
	if len(p) > 0 {
		f.last = p[len(p)-1]
	}
	if f.passes {
		return f.w.Write(p)
	}
	var out []byte
	for i, b := range p {
		switch {
		case len(f.seq) > 0 || b == 0x1b:
			f.seq = append(f.seq, b)
			if complete := len(f.seq) > 1 && b != '[' && (b >= '@' && b <= '~'); complete {
				if b != 'J' && b != 'H' && b != 'h' {
					out = append(out, f.seq...)
				}
				f.seq = nil
			}
		default:
			out = append(out, b)
			f.line = append(f.line, b)
			if b == '\n' {
				if bytes.Contains(f.line, []byte("BdsDxe: starting ")) {
					f.passes = true
					out = append(out, p[i+1:]...)
					_, err := f.w.Write(out)
					return len(p), err
				}
				f.line = f.line[:0]
			}
		}
	}
	if _, err := f.w.Write(out); err != nil {
		return 0, err
	}
	return len(p), nil
}

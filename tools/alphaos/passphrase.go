package main

// Passphrases of encrypted drives: asking for them, and changing who can open a drive.

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"alphaos/drive"
	"alphaos/drive/media"
	"alphaos/fs"
	"alphaos/fs/luks"
)

// passphraseFile is the flag of all commands that may meet an encrypted drive.
const passphraseFile = "passphrase-file"

func passphraseFlag(cmd *cobra.Command) {
	cmd.PersistentFlags().String(passphraseFile, "", "`file` with the passphrase of an encrypted drive, in place of asking for it; a line end at its end does not count")
}

// askPassphrase reads a passphrase from the file that a flag names, or asks for it. The caller clears it.
func askPassphrase(cmd *cobra.Command, flag, question string) ([]byte, error) {
	if f := cmd.Flag(flag); f != nil && f.Value.String() != "" {
		b, err := os.ReadFile(f.Value.String())
		if err != nil {
			return nil, err
		}
		return bytes.TrimSuffix(bytes.TrimSuffix(b, []byte("\n")), []byte("\r")), nil
	}
	in, ok := cmd.InOrStdin().(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return nil, fmt.Errorf("there is no terminal to ask for the passphrase; name a file that has it with --%s", flag)
	}
	fmt.Fprint(cmd.ErrOrStderr(), question)
	b, err := term.ReadPassword(int(in.Fd()))
	fmt.Fprintln(cmd.ErrOrStderr())
	return b, err
}

// newPassphrase asks for a new one, twice.
func newPassphrase(cmd *cobra.Command, flag string) ([]byte, error) {
	b, err := askPassphrase(cmd, flag, "New passphrase: ")
	if err != nil {
		return nil, err
	}
	if f := cmd.Flag(flag); f.Value.String() == "" {
		again, err := askPassphrase(cmd, flag, "The same once more: ")
		same := bytes.Equal(b, again)
		clear(again)
		if err == nil && !same {
			err = errors.New("these are two different passphrases; nothing was done")
		}
		if err != nil {
			clear(b)
			return nil, err
		}
	}
	if len(b) == 0 {
		return nil, errors.New("an empty passphrase protects nothing; choose another one")
	}
	if !utf8.Valid(b) || bytes.ContainsFunc(b, func(r rune) bool { return r < ' ' }) {
		clear(b)
		return nil, errors.New("that passphrase has characters that can't be typed when the drive is started; choose another one")
	}
	if n := utf8.RuneCount(b); n < 12 {
		fmt.Fprintf(cmd.ErrOrStderr(), "note: %d characters can be guessed by a patient machine; five random words are better\n", n)
	}
	if bytes.ContainsFunc(b, func(r rune) bool { return r >= utf8.RuneSelf }) {
		fmt.Fprintln(cmd.ErrOrStderr(), "note: not every keyboard has all of these characters; at the start the layout is that of the file of options")
	}
	return b, nil
}

// unlocker returns what unlocks a drive if that is locked. It asks once.
func unlocker(cmd *cobra.Command) func(*drive.Drive) error {
	var known []byte
	return func(d *drive.Drive) error {
		if d.Locked() == nil {
			return nil
		}
		if known == nil {
			b, err := askPassphrase(cmd, passphraseFile, "Passphrase or recovery key of the drive: ")
			if err != nil {
				return err
			}
			known = b
		}
		return d.Unlock(known)
	}
}

// mountDrive opens the drive on a disk, and unlocks it.
func mountDrive(cmd *cobra.Command, dev fs.BlockDevice, readOnly bool) (*drive.Drive, error) {
	if readOnly {
		dev = fs.ReadOnly(dev)
	}
	d, err := drive.Open(dev, readOnly)
	if err != nil {
		return nil, err
	}
	return d, unlocker(cmd)(d)
}

func drivePassphraseCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "passphrase",
		Short: "Add, change and remove passphrases of an encrypted drive",
		Long: `Add, change and remove passphrases of an encrypted drive.

A drive has room for some dozens, each of which opens it. They are as Linux has them
(LUKS2): cryptsetup can do all of this as well.`,
	}
	var cost luks.Cost
	var newFile string
	sub := func(use, short, long string, run func(cmd *cobra.Command, l *drive.Locked) error) *cobra.Command {
		var target targetFlags
		c := &cobra.Command{
			Use: use + " TARGET", Short: short, Long: short + ".\n\n" + long,
			Example: "  sudo alphaos drive passphrase " + use + " /dev/sdb",
			Args:    one("TARGET, an image or a drive, for example: alphaos drive passphrase " + use + " /dev/sdb"),
			RunE: func(cmd *cobra.Command, args []string) error {
				return target.change(cmd, args[0], func(dev *media.InPlace) error {
					d, err := drive.Open(dev, false)
					if err != nil {
						return err
					}
					l := d.Locked()
					if l == nil {
						return errors.New("this drive is not encrypted; alphaos drive create --encrypt makes one that is")
					}
					for _, note := range l.Notes() {
						fmt.Fprintln(cmd.ErrOrStderr(), "note: "+note)
					}
					return run(cmd, l)
				})
			},
		}
		target.add(c)
		return c
	}
	costFlag := func(c *cobra.Command) {
		c.Flags().Int64Var(&cost.Memory, "memory", 64<<20, "bytes of memory that each attempt takes, also when the drive is started")
		c.Flags().IntVar(&cost.Passes, "passes", 0, "passes over that memory (default: what takes a second here)")
	}
	newFlag := func(c *cobra.Command) {
		c.Flags().StringVar(&newFile, "new-passphrase-file", "", "`file` with the new passphrase, in place of asking for it")
	}
	old := func(cmd *cobra.Command) ([]byte, error) {
		return askPassphrase(cmd, passphraseFile, "A passphrase that opens the drive now: ")
	}
	add := sub("add", "Let a further passphrase open an encrypted drive", "Those that there are still do.", func(cmd *cobra.Command, l *drive.Locked) error {
		b, err := old(cmd)
		if err != nil {
			return err
		}
		defer clear(b)
		fresh, err := newPassphrase(cmd, "new-passphrase-file")
		if err != nil {
			return err
		}
		defer clear(fresh)
		return l.Add(drive.Typed(b), fresh, cost, false)
	})
	change := sub("change", "Put another passphrase in the place of one", "The old one does not open the drive any more. A copy of the drive from before, such as a backup, it still opens.", func(cmd *cobra.Command, l *drive.Locked) error {
		b, err := old(cmd)
		if err != nil {
			return err
		}
		defer clear(b)
		fresh, err := newPassphrase(cmd, "new-passphrase-file")
		if err != nil {
			return err
		}
		defer clear(fresh)
		return l.Change(drive.Typed(b), fresh, cost)
	})
	var slot int
	remove := sub("remove", "Take a passphrase, or a recovery key, from an encrypted drive", "It is the one that is given. With --slot it is the one of that keyslot, and any other one is asked for.\nThe last one stays.", func(cmd *cobra.Command, l *drive.Locked) error {
		b, err := old(cmd)
		if err != nil {
			return err
		}
		defer clear(b)
		if slot >= 0 {
			return l.RemoveSlot(slot, drive.Typed(b))
		}
		return l.Remove(drive.Typed(b))
	})
	remove.Flags().IntVar(&slot, "slot", -1, "number of the keyslot, as alphaos drive passphrase list has it")
	recovery := sub("recovery", "Make a recovery key, to be kept on paper", "It opens the drive when the passphrase is forgotten, is shown this once, and is checked for\nmistyping. It does not replace an earlier one.", func(cmd *cobra.Command, l *drive.Locked) error {
		b, err := old(cmd)
		if err != nil {
			return err
		}
		defer clear(b)
		key, err := luks.NewRecoveryKey()
		if err != nil {
			return err
		}
		if err := l.Add(drive.Typed(b), []byte(key), cost, true); err != nil {
			return err
		}
		showRecovery(cmd, key)
		return nil
	})
	list := sub("list", "List the keyslots of an encrypted drive", "Nothing is asked and nothing written.", func(cmd *cobra.Command, l *drive.Locked) error {
		for _, s := range l.Slots() {
			what := "passphrase"
			if s.Recovery {
				what = "recovery key"
			}
			needs := ""
			if s.Memory > 0 {
				needs = ", " + media.FormatSize(s.Memory)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%2d  %s, %s%s\n", s.Number, what, s.KDF, needs)
		}
		return nil
	})
	for _, c := range []*cobra.Command{add, change, recovery} {
		costFlag(c)
	}
	newFlag(add)
	newFlag(change)
	cmd.AddCommand(add, change, remove, recovery, list)
	for _, c := range cmd.Commands() {
		c.ValidArgsFunction = completeDrives
	}
	return cmd
}

func showRecovery(cmd *cobra.Command, key string) {
	fmt.Fprintf(cmd.OutOrStdout(), `The recovery key of this drive, shown this once:

    %s

Write it down and keep it apart from the drive: it opens it without the passphrase.
`, key)
}

// encryptionFlags are those with which a drive is made encrypted.
type encryptionFlags struct {
	encrypt, recovery bool
	cost              luks.Cost
}

func (e *encryptionFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVar(&e.encrypt, "encrypt", false, "encrypt the partition with conversations and documents, and ask for its passphrase (LUKS2; the full layout)")
	f.BoolVar(&e.recovery, "recovery", false, "with --encrypt: make a recovery key for paper, too, and show it")
	f.Int64Var(&e.cost.Memory, "key-memory", 64<<20, "with --encrypt: bytes of memory that an attempt at the passphrase takes, also when the drive is started")
	f.IntVar(&e.cost.Passes, "key-passes", 0, "with --encrypt: passes over that memory (default: what takes a second here)")
}

// keys asks for the passphrase, and makes the recovery key; both are nil without --encrypt.
func (e *encryptionFlags) keys(cmd *cobra.Command) (passphrase []byte, recovery string, err error) {
	switch {
	case !e.encrypt && e.recovery:
		return nil, "", errors.New("--recovery is for a drive that is encrypted: add --encrypt")
	case !e.encrypt:
		return nil, "", nil
	}
	if passphrase, err = newPassphrase(cmd, passphraseFile); err != nil {
		return nil, "", err
	}
	if e.recovery {
		recovery, err = luks.NewRecoveryKey()
	}
	return passphrase, recovery, err
}

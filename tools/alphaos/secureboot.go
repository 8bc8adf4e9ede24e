package main

// Secure Boot: signing a program, and the keys by which a firmware takes it.

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"alphaos/drive"
	"alphaos/drive/create"
	"alphaos/tools/secureboot"
	"alphaos/uefi/authenticode"
)

// keyFlags choose the key that signs.
type keyFlags struct{ dir, key, certificate string }

func (k *keyFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&k.dir, "keys", "", "`folder` with your keys PK, KEK and db, which are made if there are none (default: alphaos/secureboot among your settings)")
}

// addFiles adds the flags for a key that lies elsewhere.
func (k *keyFlags) addFiles(cmd *cobra.Command) {
	cmd.Flags().StringVar(&k.key, "key", "", "private RSA key to sign with, a PEM `file`")
	cmd.Flags().StringVar(&k.certificate, "cert", "", "its certificate, a PEM or DER `file`")
	completeFiles(cmd, "key", "key", "pem")
	completeFiles(cmd, "cert", "crt", "cer", "pem", "der")
}

// own opens the person's keys and says so if it has made them.
func (k *keyFlags) own(w io.Writer) (*secureboot.Keys, error) {
	dir := k.dir
	if dir == "" {
		settings, err := os.UserConfigDir()
		if err != nil {
			return nil, fmt.Errorf("there is no folder for settings to keep keys in; name one with --keys: %w", err)
		}
		dir = filepath.Join(settings, "alphaos", "secureboot")
	}
	keys, made, err := secureboot.OpenKeys(dir, time.Now())
	if err != nil {
		return nil, err
	}
	if made {
		fmt.Fprintf(w, "Keys of your own were made in %s. Who has db.key can make programs that your computer starts: keep a copy in a safe place, and show it to nobody.\n", dir)
	}
	return keys, nil
}

func (k *keyFlags) signer(w io.Writer) (*authenticode.Key, error) {
	switch {
	case k.key == "" && k.certificate == "":
		keys, err := k.own(w)
		if err != nil {
			return nil, err
		}
		return keys.Signer, nil
	case k.key == "" || k.certificate == "":
		return nil, errors.New("--key and --cert go together: the private key, and the certificate that the firmware has of it")
	case k.dir != "":
		return nil, errors.New("--keys and --key both name a key: leave one out")
	}
	return secureboot.ReadKey(k.key, k.certificate)
}

func efiSignCommand() *cobra.Command {
	var k keyFlags
	cmd := &cobra.Command{
		Use:   "sign IN.EFI [OUT.EFI]",
		Short: "Sign a UEFI application for Secure Boot",
		Long: `Sign a UEFI application, such as BOOTX64.EFI, for Secure Boot.

It is signed with your own key, which is made the first time, or with the one of --key
and --cert. Without OUT.EFI the file itself is replaced. Signatures that it has stay.
A firmware takes it once the key is enrolled: alphaos efi enroll.

With SOURCE_DATE_EPOCH in the environment the same input gives the same bytes.`,
		Example: `  alphaos efi sign build/BOOTX64.EFI
  alphaos efi sign BOOTX64.EFI signed.EFI --key MOK.key --cert MOK.crt`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 1 || len(args) > 2 {
				return errors.New("name the application, for example: alphaos efi sign build/BOOTX64.EFI")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			key, err := k.signer(cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			image, err := os.ReadFile(args[0])
			if err != nil {
				return err
			}
			signed, err := sign(image, key)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			out := args[len(args)-1]
			if out == args[0] && bytes.Equal(image, signed) {
				fmt.Fprintf(cmd.OutOrStdout(), "%s is signed by %s already.\n", out, key.Certificate.Subject)
				return nil
			}
			if err := replaceFile(out, signed); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s is signed by %s.\n", out, key.Certificate.Subject)
			return nil
		},
	}
	k.add(cmd)
	k.addFiles(cmd)
	return cmd
}

// sign returns the image with a signature by key, or as it is if it has one.
func sign(image []byte, key *authenticode.Key) ([]byte, error) {
	signatures, err := authenticode.Signatures(image)
	if err != nil && !errors.Is(err, authenticode.ErrUnsigned) {
		return nil, err
	}
	for _, s := range signatures {
		if s.Signer.Equal(key.Certificate) {
			return image, nil
		}
	}
	now, err := sourceTime()
	if err != nil {
		return nil, err
	}
	return authenticode.Sign(image, key, now)
}

// replaceFile writes a file so that the old one or the new one is there, whole.
func replaceFile(name string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

func efiVerifyCommand() *cobra.Command {
	var certificates []string
	var store string
	cmd := &cobra.Command{
		Use:   "verify FILE.EFI [--cert FILE]... [--vars OVMF_VARS.fd]",
		Short: "Tell who signed a UEFI application, and whether a firmware takes it",
		Long: `Tell who signed a UEFI application, and whether it is as it was then.

With --cert it must be signed by one of these; with --vars by the rules of a firmware
that has these variables, db and dbx. The exit status is 0 if all is well, else 1.`,
		Example: `  alphaos efi verify build/BOOTX64.EFI
  alphaos efi verify BOOTX64.EFI --cert db.crt`,
		Args: one("the application, for example: alphaos efi verify build/BOOTX64.EFI"),
		RunE: func(cmd *cobra.Command, args []string) error {
			image, err := os.ReadFile(args[0])
			if err != nil {
				return err
			}
			signatures, err := authenticode.Signatures(image)
			if err != nil && !(errors.Is(err, authenticode.ErrUnsigned) && store != "") {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			for _, s := range signatures {
				fmt.Fprintf(cmd.OutOrStdout(), "signed by %s, %s, and unchanged since\n", s.Signer.Subject, s.Hash)
			}
			var trust secureboot.Trust
			for _, name := range certificates {
				lists, err := trusted(name)
				if err != nil {
					return err
				}
				trust.DB = append(trust.DB, lists...)
			}
			if store != "" {
				s, _, err := openStore(store)
				if err != nil {
					return err
				}
				db, err := s.Lists(secureboot.DB)
				if err != nil {
					return fmt.Errorf("%s: %w", store, err)
				}
				trust.DB = append(trust.DB, db...)
				if trust.DBX, err = s.Lists(secureboot.DBX); err != nil {
					return fmt.Errorf("%s: %w", store, err)
				}
			}
			if store == "" && certificates == nil {
				return nil
			}
			if err := trust.Check(image); err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			fmt.Fprintln(cmd.OutOrStdout(), "A firmware with these keys starts it.")
			return nil
		},
	}
	cmd.Flags().StringArrayVar(&certificates, "cert", nil, "certificate or signature list (.esl) `file` that is trusted; may be repeated")
	cmd.Flags().StringVar(&store, "vars", "", "variable store `file` of a virtual machine's firmware, whose db and dbx count")
	return cmd
}

// trusted reads a file with certificates or signature lists.
func trusted(name string) ([]secureboot.List, error) {
	if filepath.Ext(name) != ".esl" {
		c, err := secureboot.ReadCertificate(name)
		if err != nil {
			return nil, err
		}
		return secureboot.CertificateList([16]byte{}, c), nil
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	lists, err := secureboot.ReadLists(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return lists, nil
}

// openStore reads a variable store; missing tells that there is no file, or that it is a folder.
func openStore(name string) (s *secureboot.Store, missing bool, err error) {
	fi, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) || err == nil && fi.IsDir() {
		return nil, true, fmt.Errorf("%s is not a file with a variable store", name)
	}
	if err != nil {
		return nil, false, err
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, false, err
	}
	if s, err = secureboot.OpenStore(data); err != nil {
		err = fmt.Errorf("%s: %w", name, err)
	}
	return s, false, err
}

func efiEnrollCommand() *cobra.Command {
	var k keyFlags
	var db, kek, revoke []string
	cmd := &cobra.Command{
		Use:   "enroll TARGET",
		Short: "Write the keys that a firmware is to trust",
		Long: `Write the keys that a firmware is to trust, for its menu or into its variables.

TARGET is a folder, which is made, or a variable store of a virtual machine's firmware,
such as a copy of OVMF_VARS_4M.fd, which is changed.

A folder gets PK, KEK and db in the three formats that menus ask for: .cer, a
certificate; .esl, a signature list; .auth, a list that is signed for the variable of
that name, and db-add.auth, which adds to db. Take them to the computer on a drive with
FAT32, and enroll db first and PK last: docs/secure-boot.md tells how.

A computer that is to start Windows or another system as well needs their certificates
too: --db and --kek add them, and --revoke puts a program or a certificate into dbx.`,
		Example: `  alphaos efi enroll keys
  alphaos efi enroll keys --db MicrosoftUEFICA2023.cer --kek MicrosoftKEK2K2023.cer
  cp /usr/share/OVMF/OVMF_VARS_4M.fd vars.fd && alphaos efi enroll vars.fd`,
		Args: one("TARGET, a folder or a variable store, for example: alphaos efi enroll keys"),
		RunE: func(cmd *cobra.Command, args []string) error {
			store, missing, err := openStore(args[0])
			if err != nil && !missing {
				return err
			}
			keys, err := k.own(cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			now, err := sourceTime()
			if err != nil {
				return err
			}
			enrolled, err := gather(keys, db, kek, revoke)
			if err != nil {
				return err
			}
			if missing {
				files, err := menuFiles(keys, enrolled, now)
				if err != nil {
					return err
				}
				if err := os.MkdirAll(args[0], 0o755); err != nil {
					return err
				}
				for _, f := range files {
					if err := replaceFile(filepath.Join(args[0], f.Path), f.Content); err != nil {
						return err
					}
					fmt.Fprintln(cmd.OutOrStdout(), filepath.Join(args[0], f.Path))
				}
				return nil
			}
			for _, e := range enrolled {
				lists := e.lists
				if e.variable == secureboot.DBX { // what was revoked before stays so
					before, err := store.Lists(e.variable)
					if err != nil {
						return fmt.Errorf("%s: %w", args[0], err)
					}
					lists = append(before, lists...)
				}
				store.SetLists(e.variable, lists, now)
			}
			store.Enable()
			data, err := store.Bytes()
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			if err := replaceFile(args[0], data); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s has your keys, and Secure Boot is on.\n", args[0])
			return nil
		},
	}
	k.add(cmd)
	cmd.Flags().StringArrayVar(&db, "db", nil, "certificate or signature list (.esl) `file` whose programs start, too; may be repeated")
	cmd.Flags().StringArrayVar(&kek, "kek", nil, "certificate or signature list `file` that may change db and dbx, too; may be repeated")
	cmd.Flags().StringArrayVar(&revoke, "revoke", nil, "application, certificate or signature list `file` that must not start; may be repeated")
	return cmd
}

// enrolled is what a variable is to hold.
type enrolled struct {
	variable secureboot.Variable
	lists    []secureboot.List
	by       *authenticode.Key // who may change it
}

// gather returns the variables in the order in which they are enrolled: PK comes last, since with it
// the firmware asks for signatures.
func gather(keys *secureboot.Keys, db, kek, revoke []string) ([]enrolled, error) {
	own := func(k *authenticode.Key) []secureboot.List {
		return secureboot.CertificateList(keys.Owner, k.Certificate)
	}
	all := []enrolled{{secureboot.DB, own(keys.Signer), keys.KEK}, {secureboot.DBX, nil, keys.KEK}, {secureboot.KEK, own(keys.KEK), keys.PK}, {secureboot.PK, own(keys.PK), keys.PK}}
	for i, names := range [][]string{db, revoke, kek} {
		for _, name := range names {
			lists, err := trusted(name)
			if filepath.Ext(name) != ".esl" && i == 1 {
				var image []byte
				if image, err = os.ReadFile(name); err == nil {
					if lists, err = secureboot.DigestList(keys.Owner, image); err != nil { // not a program
						lists, err = trusted(name)
					}
				}
			}
			if err != nil {
				return nil, err
			}
			all[i].lists = append(all[i].lists, lists...)
		}
	}
	return slices.DeleteFunc(all, func(e enrolled) bool { return e.lists == nil }), nil
}

// menuFiles are what a firmware's menu asks for.
func menuFiles(keys *secureboot.Keys, all []enrolled, now time.Time) (files []create.Extra, err error) {
	for _, e := range all {
		name := e.variable.Name
		files = append(files, create.Extra{Path: name + ".esl", Content: secureboot.WriteLists(e.lists)})
		if e.variable != secureboot.DBX { // what was revoked before stays so
			auth, err := secureboot.Authenticate(e.variable, e.lists, e.by, now, false)
			if err != nil {
				return nil, err
			}
			files = append(files, create.Extra{Path: name + ".auth", Content: auth})
		}
		if e.variable == secureboot.DB || e.variable == secureboot.DBX {
			add, err := secureboot.Authenticate(e.variable, e.lists, e.by, now, true)
			if err != nil {
				return nil, err
			}
			files = append(files, create.Extra{Path: name + "-add.auth", Content: add})
		}
		var own *authenticode.Certificate
		switch e.variable {
		case secureboot.DB:
			own = keys.Signer.Certificate
		case secureboot.KEK:
			own = keys.KEK.Certificate
		case secureboot.PK:
			own = keys.PK.Certificate
		default:
			continue
		}
		files = append(files, create.Extra{Path: name + ".cer", Content: own.Raw})
	}
	return files, nil
}

// signFlags have what is put on a drive signed.
type signFlags struct {
	keyFlags
	sign bool
}

func (s *signFlags) add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&s.sign, "sign", false, "sign the EFI application for Secure Boot, and a list of it, the models and the fonts, with your own key")
	s.keyFlags.add(cmd)
}

// program returns the EFI application to put on a drive: efi, or a signed copy, which remove removes,
// and then the files for the firmware's menu and the key as well.
func (s *signFlags) program(cmd *cobra.Command, efi string) (name string, files []create.Extra, key *authenticode.Key, remove func() error, err error) {
	if !s.sign {
		if s.dir != "" {
			return "", nil, nil, nil, errors.New("--keys says which keys --sign signs with: add --sign")
		}
		return efi, nil, nil, func() error { return nil }, nil
	}
	keys, err := s.own(cmd.ErrOrStderr())
	if err != nil {
		return "", nil, nil, nil, err
	}
	image, err := os.ReadFile(efi)
	if err != nil {
		return "", nil, nil, nil, err
	}
	signed, err := sign(image, keys.Signer)
	if err != nil {
		return "", nil, nil, nil, fmt.Errorf("%s: %w", efi, err)
	}
	now, err := sourceTime()
	if err != nil {
		return "", nil, nil, nil, err
	}
	all, err := gather(keys, nil, nil, nil)
	if err == nil {
		files, err = menuFiles(keys, all, now)
	}
	if err != nil {
		return "", nil, nil, nil, err
	}
	for i := range files {
		files[i].Path = drive.SecureBootDir + "/" + files[i].Path
	}
	f, err := os.CreateTemp("", "alphaos-signed-*.efi")
	if err != nil {
		return "", nil, nil, nil, err
	}
	_, err = f.Write(signed)
	if err = errors.Join(err, f.Close()); err != nil {
		return "", nil, nil, nil, errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), files, keys.Signer, func() error { return os.Remove(f.Name()) }, nil
}

// epoch is SOURCE_DATE_EPOCH, or the zero time if it is not set.
func epoch() (time.Time, error) {
	text := os.Getenv("SOURCE_DATE_EPOCH")
	if text == "" {
		return time.Time{}, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH is %q; it must be a number of seconds since 1970", text)
	}
	return time.Unix(n, 0), nil
}

// sourceTime is epoch, or now.
func sourceTime() (time.Time, error) {
	t, err := epoch()
	if t.IsZero() {
		t = time.Now()
	}
	return t, err
}

package main

// The signed manifest of a drive: making one, and comparing the drive with it.

import (
	"fmt"

	"github.com/spf13/cobra"

	"alphaos/drive"
	"alphaos/drive/manifest"
	"alphaos/drive/media"
	"alphaos/drive/update"
	"alphaos/fs"
	"alphaos/tools/secureboot"
	"alphaos/uefi/authenticode"
)

func driveSignCommand() *cobra.Command {
	var target targetFlags
	var k keyFlags
	var noVerify bool
	cmd := &cobra.Command{
		Use:   "sign TARGET",
		Short: "Sign a list of the program, the models and the fonts on a drive",
		Long: `Sign a list of the program, the models and the fonts on a drive, or on an image.

All of them are read. Their sizes and checksums are written to /` + drive.ManifestPath + `, and its
signature to /` + drive.ManifestSigPath + `, with your own key, which is made the first time, or with
the one of --key and --cert. alphaos drive verify and, on the machine, /models verify tell
later what has changed since. Nothing is kept from being used by it.

What is on the drive now is what is signed: look where it came from before.
With SOURCE_DATE_EPOCH in the environment the same input gives the same bytes.`,
		Example: `  sudo alphaos drive sign /dev/sdb
  alphaos drive sign alphaos.img --key MOK.key --cert MOK.crt`,
		Args: one("TARGET, an image or a drive, for example: alphaos drive sign /dev/sdb"),
		RunE: func(cmd *cobra.Command, args []string) error {
			key, err := k.signer(cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			now, err := sourceTime()
			if err != nil {
				return err
			}
			return target.change(cmd, args[0], func(dev *media.InPlace) error {
				r, m, err := update.Sign(dev, update.Options{Verify: !noVerify, Progress: meterOf(cmd).Step, Sign: key, Time: now})
				if err != nil {
					return err
				}
				sayUpdated(cmd, args[0], r)
				saySigned(cmd, len(m.Files), key)
				return nil
			})
		},
	}
	k.add(cmd)
	k.addFiles(cmd)
	cmd.Flags().BoolVar(&noVerify, "no-verify", false, "do not read back and compare what was written")
	target.add(cmd)
	return cmd
}

// saySigned tells by which key a manifest of n files is signed.
func saySigned(cmd *cobra.Command, n int, key *authenticode.Key) {
	files := fmt.Sprintf("%d files are", n)
	if n == 1 {
		files = "1 file is"
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s in the signed manifest, by %s. Fingerprint of the certificate:\n  %s\n", files, key.Certificate.Subject, key.Certificate.Fingerprint())
}

func driveVerifyCommand() *cobra.Command {
	var target targetFlags
	var certificate string
	cmd := &cobra.Command{
		Use:   "verify TARGET [--cert FILE]",
		Short: "Compare a drive with the list of files that was signed",
		Long: `Compare a drive, or an image, with the list of files that alphaos drive sign signed.

Each model and font and the program is read. One that is not what it was, is missing, or
was not there then is told. The list must be signed by the key of --cert or, without that, by
the one with which the program on the drive is signed: who could change the drive could sign
both with a key of their own, so name your certificate when the drive was out of your hands.
Nothing is written. The exit status is 0 if all is as it was signed, else 1.`,
		Example: `  sudo alphaos drive verify /dev/sdb --cert db.crt
  alphaos drive verify alphaos.img`,
		Args: one("TARGET, an image or a drive, for example: alphaos drive verify /dev/sdb"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var named manifest.Named
			if certificate != "" {
				c, err := secureboot.ReadCertificate(certificate)
				if err != nil {
					return err
				}
				named = func(by *authenticode.Certificate) bool { return by.Key.Equal(c.Key) }
			}
			dev, err := target.open(cmd, args[0], false)
			if err != nil {
				return err
			}
			defer dev.Close()
			d, err := drive.Open(fs.ReadOnly(dev), true)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			var tell func(done int64)
			meter := meterOf(cmd)
			r, err := manifest.Verify(cmd.Context(), d, named, func(done, total int64) {
				if tell == nil {
					tell = meter.Step(media.Verifying, total)
				}
				tell(done)
			})
			out := cmd.OutOrStdout()
			if r != nil {
				fmt.Fprintln(out, r.By)
				for _, s := range r.Wrong {
					fmt.Fprintln(out, s)
				}
			}
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			if len(r.Wrong) > 0 || !r.Known {
				return fmt.Errorf("%s: %s", args[0], r.Result())
			}
			fmt.Fprintln(out, r.Result())
			return nil
		},
	}
	cmd.Flags().StringVar(&certificate, "cert", "", "certificate of the key that must have signed it, a PEM or DER `file` (default: that of the program on the drive)")
	completeFiles(cmd, "cert", "crt", "cer", "pem", "der")
	return cmd
}

package main

// The standard library: what rests on the processor's features (crypto in
// assembly), on floats, and on a system without files or network.

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"math"
	"math/big"
	"os"
	"reflect"
	"regexp"
	"sort"
	"strings"

	"alphaos/amd64"
)

var libraryChecks = []check{
	{"SHA-256 of the standard's example", func() error {
		sum := sha256.Sum256([]byte("abc"))
		return want(hex.EncodeToString(sum[:]), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
	}},
	{"CRC-32C of the standard's example", func() error {
		sum := crc32.Checksum([]byte("123456789"), crc32.MakeTable(crc32.Castagnoli))
		return want(fmt.Sprintf("%08x", sum), "e3069283")
	}},
	{"random numbers, AES-GCM and Ed25519", func() error {
		key, nonce := make([]byte, 32), make([]byte, 12)
		rand.Read(key)
		if bytes.Equal(key, make([]byte, 32)) {
			return errors.New("32 random bytes are all zero")
		}
		block, err := aes.NewCipher(key)
		if err != nil {
			return err
		}
		gcm, err := cipher.NewGCM(block)
		if err != nil {
			return err
		}
		text := bytes.Repeat([]byte("secret "), 1000)
		plain, err := gcm.Open(nil, nonce, gcm.Seal(nil, nonce, text, nil), nil)
		if err != nil || !bytes.Equal(plain, text) {
			return fmt.Errorf("AES-GCM does not return what it was given: %v", err)
		}
		public, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return err
		}
		if !ed25519.Verify(public, text, ed25519.Sign(private, text)) {
			return errors.New("Ed25519 refuses its own signature")
		}
		return nil
	}},
	{"JSON there and back", func() error {
		type T struct {
			Name  string
			Nums  []float64
			Inner map[string]any
		}
		in := T{"ä\u2028\x00", []float64{0.1, 1e300, -5}, map[string]any{"a": true, "b": nil, "c": "d"}}
		data, err := json.Marshal(in)
		if err != nil {
			return err
		}
		var out T
		if err := json.Unmarshal(data, &out); err != nil {
			return err
		}
		if !reflect.DeepEqual(in, out) {
			return fmt.Errorf("%v became %v", in, out)
		}
		return nil
	}},
	{"floating point", func() error {
		zero := float64(len(os.Args) - len(os.Args))
		for _, c := range []struct {
			what string
			ok   bool
		}{
			{"1/0 is +Inf", math.IsInf(1/zero, 1)},
			{"0/0 is NaN", math.IsNaN(zero / zero)},
			{"sqrt 2", math.Sqrt(2+zero) == math.Sqrt2},
			{"FMA is exact", math.FMA(1+0x1p-52, 1+0x1p-52, -1) == 0x1p-51+0x1p-104},
			{"round to even", math.RoundToEven(2.5+zero) == 2},
			{"denormals are kept", (0x1p-1074+zero)/1 != 0},
			{"exp and log", math.Abs(math.Log(math.Exp(1.5+zero))-1.5) < 1e-15},
			{"formatting", fmt.Sprint(0.1+zero+0.2) == "0.30000000000000004"},
			{"float32", float32(16777216)+float32(zero)+1 == 16777216},
		} {
			if !c.ok {
				return errors.New(c.what + " does not hold")
			}
		}
		return nil
	}},
	{"big numbers, sorting, regular expressions", func() error {
		f := new(big.Int).MulRange(1, 200)
		if err := want(f.String(), "788657867364790503552363213932"); err != nil {
			return err
		}
		words := strings.Fields(strings.Repeat("the quick brown fox ", 2000))
		sort.Strings(words)
		if words[0] != "brown" || !sort.StringsAreSorted(words) {
			return errors.New("not sorted")
		}
		return want(regexp.MustCompile(`(\w+)@(\w+)\.org`).ReplaceAllString("me@here.org", "$2 $1"), "here me")
	}},
	{"a file that is not there is an error", func() error {
		if _, err := os.Open("/no/such/file"); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("opening it: %v, want ErrNotExist", err)
		}
		return nil
	}},
}

var machineChecks = []check{
	{"physical memory for firmware", func() error {
		for _, size := range []int{1, 4096, 1 << 20, 64 << 20} {
			p, err := amd64.AllocPhysical(size)
			if err != nil {
				return err
			}
			if len(p) != size || !amd64.Physical(p) {
				return fmt.Errorf("%d bytes: got %d, physical %v", size, len(p), amd64.Physical(p))
			}
			p[0], p[size-1] = 1, 2
			amd64.FreePhysical(p)
		}
		if amd64.Physical(make([]byte, 4096)) {
			return errors.New("the Go heap passes for memory that firmware can see")
		}
		return nil
	}},
	{"an impossible allocation is an error", func() error {
		p, err := amd64.AllocPhysical(1 << 45)
		if err == nil {
			amd64.FreePhysical(p)
			return errors.New("32 TiB were allocated")
		}
		return nil
	}},
}

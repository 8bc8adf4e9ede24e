package luks

import (
	"bytes"
	"crypto/aes"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	slow "golang.org/x/crypto/xts"

	"alphaos/fs"
	"alphaos/fs/fstest"
)

// cheap is a cost that tests can pay.
var cheap = Cost{Memory: 64 << 10, Passes: 4}

// volume makes a volume of 6 MiB, 4 of them data.
func volume(t testing.TB, block int, passphrase string, o Options) (data []byte, dev fs.BlockDevice, v *Volume, open *Device) {
	t.Helper()
	data = make([]byte, 6<<20)
	dev = fstest.NewDevice(data, block)
	o.Cost, o.Offset = cheap, 2<<20
	v, open, err := Format(dev, []byte(passphrase), o)
	if err != nil {
		t.Fatal(err)
	}
	return data, dev, v, open
}

func TestXTS(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	fill := func(b []byte) []byte {
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return b
	}
	for _, size := range []int{32, 64} {
		for _, sector := range []int{512, 1024, 2048, 4096} {
			for _, narrow := range []bool{false, true} {
				key, text := fill(make([]byte, size)), fill(make([]byte, 3*sector))
				unit := uint64(1<<32 - 9)
				x, err := newXTS(key)
				if err != nil {
					t.Fatal(err)
				}
				c, err := slow.NewCipher(aes.NewCipher, key)
				if err != nil {
					t.Fatal(err)
				}
				want, got := bytes.Clone(text), bytes.Clone(text)
				for i := range 3 {
					s, n := want[i*sector:][:sector], unit+uint64(i*sector/512)
					if narrow {
						n = uint64(uint32(n))
					}
					c.Encrypt(s, s, n)
				}
				x.encrypt(got, unit, sector, narrow)
				if !bytes.Equal(got, want) {
					t.Fatalf("key %d, sectors of %d: encrypted otherwise than by the library", size, sector)
				}
				if (&xts{slow: c}).encrypt(text, unit, sector, narrow); !bytes.Equal(text, want) {
					t.Errorf("the slow way differs")
				}
				x.decrypt(got, unit, sector, narrow)
				(&xts{slow: c}).decrypt(text, unit, sector, narrow)
				if !bytes.Equal(got, text) {
					t.Fatalf("key %d, sectors of %d: decrypted otherwise", size, sector)
				}
				if x.wipe(); x.fast != nil && *x.fast != (schedule{}) {
					t.Error("keys are left")
				}
			}
		}
	}
	if _, err := newXTS(make([]byte, 48)); err == nil {
		t.Error("a key of 48 bytes was taken")
	}
}

// The XTS-AES-128 vector 2 of IEEE 1619-2007, annex B, in the beginning of a sector.
func TestXTSVector(t *testing.T) {
	key, _ := hex.DecodeString(strings.Repeat("11", 16) + strings.Repeat("22", 16))
	x, err := newXTS(key)
	if err != nil {
		t.Fatal(err)
	}
	p := bytes.Repeat([]byte{0x44}, 512)
	x.encrypt(p, 0x3333333333, 512, false)
	if got := hex.EncodeToString(p[:32]); got != "c454185e6a16936e39334038acef838bfb186fff7480adc4289382ecd6d394f0" {
		t.Errorf("got %s", got)
	}
}

func TestVolume(t *testing.T) {
	for _, c := range []struct{ block, sector int }{{512, 512}, {512, 4096}, {4096, 4096}} {
		_, dev, _, d := volume(t, c.block, "open sesame", Options{Sector: c.sector, Label: "x"})
		if d.BlockSize() != c.sector || d.Blocks() != uint64(4<<20/c.sector) {
			t.Errorf("%v: %d blocks of %d bytes", c, d.Blocks(), d.BlockSize())
		}
		text := bytes.Repeat([]byte("what was said in confidence. "), 100000)
		text = text[:len(text)/4096*4096]
		if err := d.WriteBlocks(3, text); err != nil {
			t.Fatal(err)
		}
		again, err := Open(dev, []byte("open sesame"))
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(text))
		if err := again.ReadBlocks(3, got); err != nil || !bytes.Equal(got, text) {
			t.Errorf("%v: not what was written, error %v", c, err)
		}
		raw, _ := readBytes(dev, 0, 6<<20)
		if bytes.Contains(raw, []byte("confidence")) {
			t.Errorf("%v: the text is on the medium", c)
		}
		if err := again.ReadBlocks(again.Blocks(), got[:4096]); !errors.Is(err, fs.ErrOutOfRange) {
			t.Errorf("beyond the end: %v", err)
		}
		again.Close()
		again.Close()
		if again.ReadBlocks(0, got[:4096]) == nil || again.WriteBlocks(0, got[:4096]) == nil {
			t.Error("a locked volume is read or written")
		}
		if _, err := Open(dev, []byte("Open sesame")); !errors.Is(err, ErrPassphrase) {
			t.Errorf("a wrong passphrase: %v", err)
		}
	}
	if _, _, err := Format(fstest.NewDevice(make([]byte, 24<<20), 4096), []byte("x"), Options{Sector: 512}); err == nil {
		t.Error("sectors smaller than blocks")
	}
	if _, _, err := Format(fstest.NewDevice(make([]byte, 10<<20), 512), []byte("x"), Options{}); err == nil {
		t.Error("a medium that is too small")
	}
	if _, err := Read(fstest.NewDevice(make([]byte, 1<<20), 512)); !errors.Is(err, ErrNot) {
		t.Error("an empty medium is a volume")
	}
}

func TestKeys(t *testing.T) {
	_, dev, v, d := volume(t, 512, "one", Options{})
	defer d.Close()
	opens := func(want string) {
		t.Helper()
		again, err := Read(dev)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, p := range []string{"one", "two", "three"} {
			if d, err := again.Unlock([]byte(p)); err == nil {
				d.Close()
				got += " " + p
			} else if !errors.Is(err, ErrPassphrase) {
				t.Fatal(err)
			}
		}
		if got = strings.TrimSpace(got); got != want {
			t.Fatalf("%q open it, want %q", got, want)
		}
	}
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	opens("one")
	if err := v.Remove([]byte("one")); !errors.Is(err, ErrLast) {
		t.Errorf("the last one: %v", err)
	}
	ok(v.Add([]byte("one"), []byte("two"), cheap, false))
	opens("one two")
	if err := v.Add([]byte("nine"), []byte("three"), cheap, false); !errors.Is(err, ErrPassphrase) {
		t.Errorf("without a passphrase: %v", err)
	}
	ok(v.Change([]byte("one"), []byte("three"), cheap))
	opens("two three")
	ok(v.Remove([]byte("two")))
	opens("three")
	// A slot that became free is used again, and marks of a recovery key go with it.
	ok(v.Add([]byte("three"), []byte("one"), cheap, true))
	slots := v.Slots()
	var recovery int
	for _, s := range slots {
		if s.Recovery {
			recovery = s.Number
		}
	}
	if len(slots) != 2 || slots[0].Recovery == slots[1].Recovery || slots[0].Memory != 64<<10 {
		t.Errorf("%+v", slots)
	}
	if err := v.RemoveSlot(recovery, []byte("one")); err == nil {
		t.Error("a slot was removed by its own passphrase alone")
	}
	ok(v.RemoveSlot(recovery, []byte("three")))
	if len(v.h.tokens) > 0 || len(v.Slots()) != 1 {
		t.Errorf("%s, %v", v.h.tokens, v.Slots())
	}
	opens("three")
	// Each row of PBKDF2 hashes two blocks of SHA-256, 64 bytes each, in each round.
	work, took := v.Estimate()
	if want := 4*64<<10 + v.digest.rounds*2*64; work != want || len(v.digest.sum) != 32 || took <= 0 {
		t.Errorf("%d bytes in %v, want %d", work, took, want)
	}
	dear := *v
	dear.digest.rounds += 1 << 40 // no computer does that in a minute
	if more, long := dear.Estimate(); more != work+1<<40*128 || long < time.Minute || took > time.Minute {
		t.Errorf("with more rounds of the digest %d bytes in %v, after %d in %v", more, long, work, took)
	}
	for i := 0; ; i++ {
		if err := v.Add([]byte("three"), fmt.Append(nil, i), Cost{Memory: 32 << 10, Passes: 1}, false); err != nil {
			if i != 7 || !strings.Contains(err.Error(), "no room") {
				t.Errorf("%d more: %v", i, err)
			}
			break
		}
	}
	ok(Destroy(dev))
	if _, err := Read(dev); !errors.Is(err, ErrNot) {
		t.Errorf("after Destroy: %v", err)
	}
}

// What a cut of power leaves of a change opens with the old passphrase, the new one, or both.
func TestCutChange(t *testing.T) {
	data, _, _, d := volume(t, 512, "old", Options{})
	d.Close()
	r := rand.New(rand.NewPCG(3, 4))
	count := func() int {
		dev := fstest.NewDevice(bytes.Clone(data), 512)
		v, err := Read(dev)
		if err != nil {
			t.Fatal(err)
		}
		if err := v.Change([]byte("old"), []byte("new"), Cost{Memory: 32 << 10, Passes: 1}); err != nil {
			t.Fatal(err)
		}
		return dev.Steps()
	}()
	both := 0
	for range 100 {
		dev := fstest.NewDevice(bytes.Clone(data), 512)
		dev.InOrder, dev.Tear = false, fstest.TearAny
		v, err := Read(dev)
		if err != nil {
			t.Fatal(err)
		}
		dev.CutAfter(r.IntN(count))
		if err := v.Change([]byte("old"), []byte("new"), Cost{Memory: 32 << 10, Passes: 1}); err == nil {
			t.Fatal("power was not cut")
		}
		dev.PowerOn()
		v, err = Read(dev)
		if err != nil {
			t.Fatal(err)
		}
		_, errOld := v.Unlock([]byte("old"))
		_, errNew := v.Unlock([]byte("new"))
		if errOld != nil && errNew != nil {
			t.Fatalf("nobody can open it: %v, %v", errOld, errNew)
		}
		if errOld == nil && errNew == nil {
			both++
		}
		if err := v.Repair(); err != nil {
			t.Fatal(err)
		}
		if v, err = Read(dev); err != nil || v.Stale() {
			t.Fatalf("not repaired: %v", err)
		}
	}
	if both == 0 {
		t.Error("no cut between the two halves of the change")
	}
}

func TestDamagedHeaders(t *testing.T) {
	data, dev, _, d := volume(t, 512, "x", Options{})
	d.Close()
	for at, want := range map[int]string{5000: "its copy is used", 16384 + 5000: "copy of the encrypted volume's header is damaged", 0: "its copy is used", 16384: "copy of"} {
		data[at] ^= 0x40
		v, err := Read(dev)
		if err != nil || !v.Stale() || !strings.Contains(strings.Join(v.Notes(), " "), want) {
			t.Fatalf("damaged at %d: %v", at, err)
		}
		if _, err := v.Unlock([]byte("x")); err != nil {
			t.Error(err)
		}
		if err := v.Repair(); err != nil {
			t.Fatal(err)
		}
		if v, err := Read(dev); err != nil || v.Stale() || len(v.Notes()) > 0 {
			t.Errorf("damaged at %d: not repaired: %v", at, err)
		}
	}
	data[5000] ^= 1
	data[16384+5000] ^= 1
	if _, err := Read(dev); !errors.Is(err, ErrDamaged) {
		t.Errorf("both damaged: %v", err)
	}
}

// A cut while a damaged or older copy of the header is written anew leaves the other one.
func TestCutRepair(t *testing.T) {
	data, _, _, d := volume(t, 512, "x", Options{})
	d.Close()
	for _, at := range []int{5000, 16384 + 5000} {
		for cut := 1; ; cut++ {
			dev := fstest.NewDevice(bytes.Clone(data), 512)
			dev.Tear = fstest.TearAny
			dev.Bytes()[at] ^= 0x40
			v, err := Read(dev)
			if err != nil {
				t.Fatal(err)
			}
			dev.CutAfter(cut)
			whole := v.Repair() == nil
			dev.PowerOn()
			if v, err = Read(dev); err != nil {
				t.Fatalf("damaged at %d, cut %d: %v", at, cut, err)
			}
			if _, err := v.Unlock([]byte("x")); err != nil {
				t.Fatalf("damaged at %d, cut %d: %v", at, cut, err)
			}
			if whole {
				break
			}
		}
	}
}

// What would be refused when the volume is opened is not made.
func TestDearKeyslot(t *testing.T) {
	_, dev, v, d := volume(t, 512, "x", Options{})
	d.Close()
	for _, c := range []Cost{{Memory: 2 << 30, Passes: 1}, {Memory: 64 << 20, Passes: 4000}, {Memory: 1 << 20, Passes: -5}, {Memory: 1 << 50, Passes: 1}} {
		if err := v.Change([]byte("x"), []byte("y"), c); err == nil {
			t.Errorf("%+v is accepted", c)
		}
	}
	v, err := Read(dev)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Unlock([]byte("x")); err != nil {
		t.Error(err)
	}
}

// rewrite changes the JSON of a volume and writes it with right checksums.
func rewrite(t testing.TB, dev fs.BlockDevice, old, new string) {
	t.Helper()
	v, err := Read(dev)
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, part := range []map[string]rawJSON{v.h.json, v.h.keyslots} {
		for name, raw := range part {
			if bytes.Contains(raw, []byte(old)) {
				part[name], found = bytes.ReplaceAll(raw, []byte(old), []byte(new)), true
			}
		}
	}
	if !found {
		t.Fatalf("no %s there", old)
	}
	if err := v.write(); err != nil {
		t.Fatal(err)
	}
}

func TestHostile(t *testing.T) {
	for _, c := range []struct{ old, new, want string }{
		{`"memory":64`, `"memory":4194304`, "it asks for 4096 MiB of memory, and 1024 MiB can be had here"},
		{`"memory":64`, `"memory":-64`, "make no sense"},
		{`"time":4`, `"time":4000000000`, "seconds of work"},
		{`"cpus":1`, `"cpus":100000`, "make no sense"},
		{`"iterations":1000`, `"iterations":4000000000`, "make no sense"},
		{`"stripes":4000`, `"stripes":4000000`, "make no sense"},
		{`"type":"argon2id"`, `"type":"rot13"`, `"rot13" is not known`},
		{`"offset":"32768"`, `"offset":"9223372036854775807"`, "make no sense"},
		{`"offset":"32768"`, `"offset":"0"`, "make no sense"},
		{`"offset":"2097152"`, `"offset":"4096"`, "begin where they can't"},
		{`"offset":"2097152"`, `"offset":"-1"`, "no size"},
		{`"size":"dynamic"`, `"size":"99999999999"`, "longer than the medium"},
		{`"sector_size":512`, `"sector_size":513`, "sectors of 513 bytes"},
		{`aes-xts-plain64`, `aes-cbc-essiv:sha256`, "only aes-xts-plain64"},
		{`"type":"crypt"`, `"type":"linear"`, "is not known"},
		{`"keyslots_size":"2064384"`, `"keyslots_size":"9000000000000000000"`, "beyond the end"},
		{`"json_size":"12288","keyslots_size":"2064384"`, `"json_size":"12288","keyslots_size":"2064384","requirements":{"mandatory":["online-reencrypt-v2"]}`, "cryptsetup reencrypt has to finish"},
		{`"json_size":"12288","keyslots_size":"2064384"`, `"json_size":"12288","keyslots_size":"2064384","requirements":{"mandatory":["magic"]}`, `requires "magic"`},
	} {
		_, dev, _, d := volume(t, 512, "x", Options{})
		d.Close()
		rewrite(t, dev, c.old, c.new)
		v, err := Read(dev)
		if err == nil {
			if _, err = v.Unlock([]byte("x")); err == nil {
				t.Errorf("%s: it opens", c.new)
				continue
			}
			err = fmt.Errorf("%w %s", err, v.Notes())
		}
		if !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.new, err)
		}
	}
}

func TestRecoveryKey(t *testing.T) {
	key, err := NewRecoveryKey()
	if err != nil || len(key) != 35 {
		t.Fatalf("%q, error %v", key, err)
	}
	for _, typed := range []string{key, strings.ToLower(key), strings.ReplaceAll(key, "-", " "), strings.NewReplacer("0", "o", "1", "l", "-", "").Replace(key)} {
		if got, ok, err := ParseRecoveryKey(typed); got != key || !ok || err != nil {
			t.Errorf("%q: %q, %v, error %v", typed, got, ok, err)
		}
	}
	// All wrong characters, neighbours and groups in the wrong order.
	wrong := func(b []byte) {
		t.Helper()
		if string(b) == key {
			return
		}
		if got, ok, err := ParseRecoveryKey(string(b)); err == nil || !ok || got != "" {
			t.Errorf("%s is taken for %s", b, key)
		}
	}
	for i := range key {
		if key[i] == '-' {
			continue
		}
		for _, c := range alphabet {
			b := []byte(key)
			b[i] = byte(c)
			wrong(b)
		}
		if i+1 < len(key) && key[i+1] != '-' {
			b := []byte(key)
			b[i], b[i+1] = b[i+1], b[i]
			wrong(b)
		}
	}
	g := strings.Split(key, "-")
	g[1], g[4] = g[4], g[1]
	wrong([]byte(strings.Join(g, "-")))
	for _, no := range []string{"", "correct horse battery staple", key[:34], key + "0", "ß"} {
		if _, ok, err := ParseRecoveryKey(no); ok || err != nil {
			t.Errorf("%q looks like one, error %v", no, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	data, _, _, d := volume(f, 512, "x", Options{Label: "fuzz"})
	d.Close()
	text, _, _ := bytes.Cut(data[binarySize:16384], []byte{0})
	f.Add(data[:binarySize], text, true)
	f.Add(data[:binarySize], text, false)
	one := make([]byte, 4096)
	copy(one, magic1+"\x00\x01aes")
	copy(one[40:], "xts-plain64")
	copy(one[72:], "sha256")
	be.PutUint32(one[104:], 4096)
	be.PutUint32(one[108:], 64)
	be.PutUint32(one[164:], 1000)
	be.PutUint32(one[208:], 0x00AC71F3)
	be.PutUint32(one[212:], 1000)
	be.PutUint32(one[248:], 8)
	be.PutUint32(one[252:], 4000)
	f.Add(one, []byte(nil), false)
	f.Fuzz(func(t *testing.T, binary, text []byte, right bool) {
		data := make([]byte, 3<<20)
		copy(data, binary[:min(len(binary), 4096)])
		copy(data[4096:], text[:min(len(text), 12<<10)])
		if right { // else few inputs get beyond the checksum
			seal(data)
		}
		v, err := Read(fstest.NewDevice(data, 512))
		if err != nil {
			return
		}
		v.Slots()
		v.Memory = 1 << 20
		for _, s := range v.slots { // what each may cost is small here
			if s.kdf.rounds > 1000 {
				return
			}
		}
		if v.digest.rounds > 200_000 || len(v.slots) > 2 {
			return
		}
		if d, err := v.Unlock([]byte("y")); err == nil {
			d.Close()
		}
	})
}

package pdf

import (
	"bytes"
	"crypto/aes"
	cbc "crypto/cipher"
	"crypto/md5"
	"crypto/rc4"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
)

// Many files are encrypted with an empty password, only to say what a program should not let a
// person do. These are opened (ISO 32000-2, section 7.6: the standard security handler,
// revisions 2 to 6); of others a person has to remove the password first.

type cipher struct {
	key       []byte
	rev       int
	aes, none bool
}

// unlock makes the cipher of an encrypted file.
func (f *file) unlock() error {
	if f.trailer["Encrypt"] == nil {
		return nil
	}
	d := f.dict(f.trailer["Encrypt"])
	text := func(key name) []byte { s, _ := f.get(d[key]).(string); return []byte(s) }
	version, rev := int(f.num(d["V"], 0)), int(f.num(d["R"], 0))
	c := &cipher{rev: rev}
	bits := int(f.num(d["Length"], 40))
	switch version {
	case 1:
		bits = 40
	case 2:
	case 4, 5:
		filter, _ := f.get(d["StmF"]).(name)
		how := f.dict(f.dict(d["CF"])[filter])
		method, _ := f.get(how["CFM"]).(name)
		c.aes, c.none = method == "AESV2" || method == "AESV3", filter == "Identity" || filter == "" || method == "None"
		bits = 128
	default:
		return ErrPassword
	}
	if d["Filter"] != name("Standard") || bits < 40 || bits > 128 || bits%8 != 0 {
		return ErrPassword
	}
	if rev >= 5 {
		c.key = unlock256(rev, text("U"), text("UE"))
	} else {
		id, _ := f.get(append(f.array(f.trailer["ID"]), "")[0]).(string)
		meta, ok := f.get(d["EncryptMetadata"]).(bool)
		c.key = unlock128(rev, bits/8, text("O"), text("U"), int64(f.num(d["P"], 0)), []byte(id), meta || !ok)
	}
	if c.key == nil {
		return ErrPassword
	}
	f.cipher, f.cache, f.packs = c, map[int]any{}, map[int]*pack{}
	return nil
}

const padding = "\x28\xBF\x4E\x5E\x4E\x75\x8A\x41\x64\x00\x4E\x56\xFF\xFA\x01\x08\x2E\x2E\x00\xB6\xD0\x68\x3E\x80\x2F\x0C\xA9\xFE\x64\x53\x69\x7A"

// unlock128 is algorithms 2, 4 and 5 with an empty password: the key, or nil if it is another.
func unlock128(rev, size int, owner, user []byte, perms int64, id []byte, meta bool) []byte {
	if len(owner) < 32 || len(user) < 32 {
		return nil
	}
	h := md5.New()
	h.Write([]byte(padding))
	h.Write(owner[:32])
	h.Write(binary.LittleEndian.AppendUint32(nil, uint32(perms)))
	h.Write(id)
	if rev >= 4 && !meta {
		h.Write([]byte{255, 255, 255, 255})
	}
	key := h.Sum(nil)
	if rev >= 3 {
		for range 50 {
			sum := md5.Sum(key[:size])
			key = sum[:]
		}
	}
	key = key[:size]
	if rev == 2 {
		if bytes.Equal(encryptRC4(key, []byte(padding)), user[:32]) {
			return key
		}
		return nil
	}
	sum := md5.Sum(append([]byte(padding), id...))
	want := sum[:]
	for i := range 20 {
		k := bytes.Clone(key)
		for j := range k {
			k[j] ^= byte(i)
		}
		want = encryptRC4(k, want)
	}
	if !bytes.Equal(want, user[:16]) {
		return nil
	}
	return key
}

func encryptRC4(key, b []byte) []byte {
	c, err := rc4.NewCipher(key)
	if err != nil {
		return nil
	}
	out := make([]byte, len(b))
	c.XORKeyStream(out, b)
	return out
}

// unlock256 is algorithm 2.A with an empty password.
func unlock256(rev int, user, packed []byte) []byte {
	if len(user) < 48 || len(packed) < 32 {
		return nil
	}
	if !bytes.Equal(hash256(rev, user[32:40]), user[:32]) {
		return nil
	}
	block, err := aes.NewCipher(hash256(rev, user[40:48]))
	if err != nil {
		return nil
	}
	key := make([]byte, 32)
	cbc.NewCBCDecrypter(block, make([]byte, 16)).CryptBlocks(key, packed[:32])
	return key
}

// hash256 is algorithm 2.B with an empty password.
func hash256(rev int, salt []byte) []byte {
	sum := sha256.Sum256(salt)
	k := sum[:]
	if rev < 6 {
		return k
	}
	for i := 0; ; i++ {
		block, err := aes.NewCipher(k[:16])
		if err != nil {
			return nil
		}
		e := bytes.Repeat(k, 64)
		cbc.NewCBCEncrypter(block, k[16:32]).CryptBlocks(e, e)
		mod := 0
		for _, c := range e[:16] {
			mod += int(c)
		}
		switch mod % 3 {
		case 0:
			s := sha256.Sum256(e)
			k = s[:]
		case 1:
			s := sha512.Sum384(e)
			k = s[:]
		default:
			s := sha512.Sum512(e)
			k = s[:]
		}
		if i >= 63 && int(e[len(e)-1]) <= i-31 {
			return k[:32]
		}
	}
}

// stream deciphers the bytes of the object id.
func (c *cipher) stream(b []byte, id ref) []byte {
	if c.none {
		return b
	}
	key := c.key
	if c.rev < 5 {
		h := md5.New()
		h.Write(key)
		h.Write([]byte{byte(id.num), byte(id.num >> 8), byte(id.num >> 16), byte(id.gen), byte(id.gen >> 8)})
		if c.aes {
			h.Write([]byte("sAlT"))
		}
		key = h.Sum(nil)[:min(16, len(key)+5)]
	}
	if !c.aes {
		return encryptRC4(key, b)
	}
	block, err := aes.NewCipher(key)
	if err != nil || len(b) < 32 {
		return nil
	}
	out := make([]byte, (len(b)-16)/16*16)
	cbc.NewCBCDecrypter(block, b[:16]).CryptBlocks(out, b[16:16+len(out)])
	if pad := int(out[len(out)-1]); pad >= 1 && pad <= 16 {
		out = out[:len(out)-pad]
	}
	return out
}

// strings deciphers the strings in an object.
func (c *cipher) strings(o any, id ref, depth int) any {
	if depth > maxDepth {
		return o
	}
	switch v := o.(type) {
	case string:
		return string(c.stream([]byte(v), id))
	case []any:
		for i := range v {
			v[i] = c.strings(v[i], id, depth+1)
		}
	case dict:
		for k := range v {
			v[k] = c.strings(v[k], id, depth+1)
		}
	case *stream:
		c.strings(v.dict, id, depth+1)
	}
	return o
}

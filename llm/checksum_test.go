package llm

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"unicode/utf16"
)

func utf16le(s string) string {
	b := []byte{0xff, 0xfe}
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return string(b)
}

func utf16be(s string) string {
	b := []byte{0xfe, 0xff}
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.BigEndian.AppendUint16(b, u)
	}
	return string(b)
}

func TestFindSum(t *testing.T) {
	const sum = "1952943aea8dd7f769925b795c04d36fd8bbf24ad3a8a292d9ade87c5289f4e1"
	other := strings.Repeat("0", 64)
	upper := strings.ToUpper(sum)
	var spaced []string
	for i := 0; i < len(sum); i += 2 {
		spaced = append(spaced, sum[i:i+2])
	}
	const (
		head = "\r\nAlgorithm       Hash                                                                   Path\r\n---------       ----                                                                   ----\r\n"
		list = "\r\n\r\nAlgorithm : %s\r\nHash      : %s\r\nPath      : %s\r\n\r\n"
	)
	table := head + "SHA256          " + upper + "       C:\\Users\\Jo Doe\\m.gguf\r\n\r\n"
	for name, text := range map[string]string{
		"alone": sum, "alone, upper case, spaces": "  " + upper + " \r\n",
		"GNU": sum + "  m.gguf\n", "GNU binary": sum + " *m.gguf\n", "one space": sum + " m.gguf", "tab": sum + "\tm.gguf\n", "star after two": sum + "  *m.gguf",
		"folder": sum + "  ./sub/m.gguf\n", "backslashes": sum + " *.\\m.gguf\r\n", "absolute": sum + "  C:\\models\\M.GGUF\r\n", "quoted": sum + "  \"m.gguf\"\n",
		"GNU escaped": "\\" + sum + "  dir\\\\m.gguf\n", "BOM": "\ufeff" + sum + "  m.gguf\r\n",
		"several": "# made today\n; rhash\n" + other + "  other.gguf\n" + sum + "  m.gguf\n" + other + "  m.gguf.old\n", "old Mac lines": other + "  other.gguf\r" + sum + "  m.gguf\r",
		"twice": sum + "  m.gguf\n" + upper + " *m.gguf\n", "alone among others": other + "  other.gguf\n" + sum + "\n",
		"BSD": "SHA256 (m.gguf) = " + sum + "\n", "BSD several": "SHA256 (o(1).gguf) = " + other + "\nSHA256 (m.gguf) = " + upper + "\n",
		"openssl 3": "SHA2-256(m.gguf)= " + sum + "\n", "openssl 1": "SHA256(m.gguf)= " + sum + "\n", "openssl stdin": "SHA2-256(stdin)= " + sum + "\n", "GNU stdin": sum + "  -\n",
		"other algorithm, too": "SHA3-256 (m.gguf) = " + other + "\nSHA256 (m.gguf) = " + sum + "\nMD5 (m.gguf) = 0123\nBLAKE2s256 (m.gguf) = " + other,
		"Get-FileHash":         table, "Get-FileHash in UTF-16": utf16le(table), "Get-FileHash, big-endian": utf16be(table), "without mark": utf16le(table)[2:], "big-endian without mark": utf16be(table)[2:],
		"Get-FileHash without path": "SHA256          " + upper, "Get-FileHash, path cut": head + "SHA256          " + upper + "       C:\\Users\\jo\\Downl...\r\n",
		"list": fmt.Sprintf(list, "SHA256", upper, `C:\m.gguf`), "list in UTF-16": utf16le(fmt.Sprintf(list, "SHA256", upper, `C:\m.gguf`)),
		"lists": fmt.Sprintf(list, "SHA256", other, `C:\o.gguf`) + fmt.Sprintf(list, "SHA256", upper, `C:\m.gguf`), "list wrapped": fmt.Sprintf(list, "SHA256", upper, "C:\\a\\ver\r\n            ylong\\m.\r\n            gguf"),
		"certutil":      "SHA256 hash of m.gguf:\r\n" + sum + "\r\nCertUtil: -hashfile command completed successfully.\r\n",
		"certutil, old": "SHA256-Hash der Datei m.gguf:\r\n" + strings.Join(spaced, " ") + "\r\nCertUtil\r\n",
		"name first":    "m.gguf  " + sum + "\n", "name and colon": "m.gguf: " + sum, "registry": "sha256:" + sum, "equals": "SHA256=" + upper, "colon": "SHA-256: " + sum + "\n",
	} {
		if got, ok := findSum([]byte(text), "m.gguf"); !ok || fmt.Sprintf("%x", got) != sum {
			t.Errorf("%s: %x, %v", name, got, ok)
		}
	}
	for name, text := range map[string]string{
		"empty": "", "other file": sum + "  other.gguf\n", "longer name": sum + "  xm.gguf\n", "short": sum[1:] + "  m.gguf", "long": sum + "0  m.gguf", "no digits": strings.Repeat("x", 64),
		"two alone": sum + "\n" + other + "\n", "contradiction": sum + "  m.gguf\n" + other + "  m.gguf\n", "words": "the checksum is unknown", "a mark alone": "\xff\xfe",
		"SHA3": "SHA3-256(m.gguf)= " + sum, "SHA-512/256": "SHA512/256 (m.gguf) = " + sum, "BLAKE2s": "BLAKE2s256 (m.gguf) = " + sum, "table of SHA3": "SHA3-256  " + sum + "  m.gguf", "list of SHA-512/256": fmt.Sprintf(list, "SHA512/256", upper, `C:\m.gguf`),
		"BSD, other file": "SHA256 (other.gguf) = " + sum, "table, other file": head + "SHA256   " + sum + "   C:\\other.gguf",
	} {
		if got, ok := findSum([]byte(text), "m.gguf"); ok {
			t.Errorf("%s: %x", name, got)
		}
	}
}

// Whatever lies beside a model, a checksum that is found stands in it as 64
// digits, when what encodings put between them is left out.
func FuzzSum(f *testing.F) {
	sum := strings.Repeat("0a", 32)
	for _, s := range []string{
		"", sum, sum + "  m.gguf\n", sum + " *other\n\xff", strings.Repeat("x", 1<<16), "SHA256 (m.gguf) = " + sum, utf16le("SHA256  " + sum + "  C:\\m.gguf"),
		"Algorithm : SHA256\nHash : " + sum + "\nPath : m.\n  gguf", strings.Repeat("0a ", 32), "m.gguf: " + sum, "\\" + sum + "  m.gguf",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		sum, ok := findSum(b, "m.gguf")
		if !ok {
			return
		}
		digits := strings.Map(func(r rune) rune {
			if strings.ContainsRune("0123456789abcdef", r) {
				return r
			}
			return -1
		}, strings.ToLower(string(b)))
		if !strings.Contains(digits, fmt.Sprintf("%x", sum)) {
			t.Errorf("%x is not in %q", sum, b)
		}
	})
}

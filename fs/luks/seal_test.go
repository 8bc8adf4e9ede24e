package luks

import (
	"crypto/sha256"
	"encoding/json"
)

type rawJSON = json.RawMessage

// seal gives the primary header in data the checksum that it should have.
func seal(data []byte) {
	copy(data, magic1)
	be.PutUint16(data[atVersion:], 2)
	be.PutUint64(data[atSize:], 16384)
	be.PutUint64(data[atOffset:], 0)
	clear(data[atAlg:][:32])
	copy(data[atAlg:], "sha256")
	clear(data[atSum:][:sumSize])
	sum := sha256.Sum256(data[:16384])
	copy(data[atSum:], sum[:])
}

package main

// What a conversation on the host writes as files goes into the directory in which the command was started.

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// saveDocument writes a file. It replaces one that there is only if it is told so.
func saveDocument(_ time.Time, name string, content []byte, replace bool) (string, error) {
	how := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if replace {
		how = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	f, err := os.OpenFile(name, how, 0o666)
	if err != nil {
		return "", err
	}
	_, err = f.Write(content)
	return name, errors.Join(err, f.Close())
}

// saveExport writes a conversation under a new name like name.
func saveExport(now time.Time, name string, content []byte) (string, error) {
	const most = 999
	extension := filepath.Ext(name)
	base := strings.TrimSuffix(name, extension)
	for n := 1; n <= most; n++ {
		if n > 1 {
			name = fmt.Sprintf("%s-%d%s", base, n, extension)
		}
		path, err := saveDocument(now, name, content, false)
		if !errors.Is(err, iofs.ErrExist) {
			return path, err
		}
	}
	return "", fmt.Errorf("there are %d files of that name", most)
}

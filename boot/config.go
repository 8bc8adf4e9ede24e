package boot

// The file of options on the drive, config.json: one JSON object, which people write on any computer, and in which
// AlphaOS changes a setting when a person does so in the conversation. Invariants: whatever the file holds, AlphaOS
// starts; what it does not know in there stays as it was written; and a file that is no such object is not lost but
// kept as config.bad, beside a new one.

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"alphaos/console"
	"alphaos/drive"
	drivefs "alphaos/fs"
)

const maxConfig = 64 << 10

// config is the file: its members in their order, also those that are not known here.
type config []member

type member struct {
	name  string
	value json.RawMessage
}

// errNoConfig marks an error about what is in the file, and not about the drive.
var errNoConfig = errors.New("no file of options")

// readConfig reads the file in the drive's file system. A missing or empty one has no members.
func readConfig(vol fs.FS) (c config, data []byte, err error) {
	f, err := vol.Open(drive.ConfigPath)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err == nil {
		defer f.Close()
		data, err = io.ReadAll(io.LimitReader(f, maxConfig+1))
	}
	if err != nil {
		return nil, nil, fmt.Errorf("it cannot be read: %w", err)
	}
	c, err = parseConfig(data)
	return c, data, err
}

// parseConfig reads a JSON object. Its errors are errNoConfig.
func parseConfig(data []byte) (config, error) {
	bad := func(format string, args ...any) (config, error) {
		return nil, &configError{fmt.Sprintf(format, args...)}
	}
	if len(data) > maxConfig {
		return bad("it is larger than %d KiB", maxConfig>>10)
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")) // editors on Windows write it
	// An unused preallocated file is zeros or blanks.
	if len(bytes.Trim(data, "\x00 \t\r\n")) == 0 {
		return nil, nil
	}
	d := json.NewDecoder(bytes.NewReader(data))
	fail := func(err error) (config, error) {
		at := d.InputOffset()
		if s := (*json.SyntaxError)(nil); errors.As(err, &s) {
			at = s.Offset
		}
		at = min(at, int64(len(data)))
		what := err.Error()
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || at == int64(len(data)) {
			at, what = int64(len(data)), "it ends too early"
		}
		return bad("it is not valid JSON (line %d: %s)", 1+bytes.Count(data[:at], []byte("\n")), what)
	}
	t, err := d.Token()
	if err != nil {
		return fail(err)
	}
	if t != json.Delim('{') {
		return bad(`it is not a JSON object: it must look like {"verbose": true}`)
	}
	var c config
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return fail(err)
		}
		m := member{name: t.(string)} // the decoder takes nothing else for a key
		if err := d.Decode(&m.value); err != nil {
			return fail(err)
		}
		c = append(c, m)
	}
	if _, err := d.Token(); err != nil {
		return fail(err)
	}
	if _, err := d.Token(); err != io.EOF {
		return bad("there is something behind its closing brace")
	}
	return c, nil
}

type configError struct{ what string }

func (e *configError) Error() string        { return e.what }
func (e *configError) Is(target error) bool { return target == errNoConfig }

// settings are the members as options: texts, numbers, true and false. One that is null is as if it were not there.
func (c config) settings() (list []setting) {
	for _, m := range c {
		s := setting{name: m.name}
		switch text := string(m.value); text[0] {
		case 'n':
			continue
		case '"':
			if json.Unmarshal(m.value, &s.value) != nil {
				s.value = text
			}
		case '{', '[':
			s.value = "of several parts" // no option has such a value
		default:
			s.value = text
		}
		list = append(list, s)
	}
	return list
}

// names tells whether there is a member of that name.
func (c config) names(name string) bool {
	return slices.ContainsFunc(c, func(m member) bool { return strings.EqualFold(m.name, name) })
}

// with returns the file with another text for a member that it has; "" takes the member out.
func (c config) with(name, value string) (out config) {
	for _, m := range c {
		switch {
		case !strings.EqualFold(m.name, name):
			out = append(out, m)
		case value != "" && !out.names(name):
			text, _ := json.Marshal(value) // a string can always be written
			out = append(out, member{m.name, text})
		}
	}
	return out
}

// text is the file as it is written, a member a line.
func (c config) text() []byte {
	var b bytes.Buffer
	b.WriteString("{")
	for i, m := range c {
		if i > 0 {
			b.WriteString(",")
		}
		name, _ := json.Marshal(m.name)
		fmt.Fprintf(&b, "\n  %s: %s", name, m.value)
	}
	b.WriteString("\n}\n")
	return b.Bytes()
}

// KeepBadConfig puts a file that could not be understood aside, and a new one in its place, unless nothing is to be written.
func (s *Start) KeepBadConfig(con *console.Console, d *drive.Drive) {
	if s.badConfig == nil || s.Safe || d.ReadOnly() {
		return
	}
	where, err := d.SaveConfig(s.machine.Now(), config{{"version", json.RawMessage("1")}}.text(), s.badConfig)
	if err != nil {
		con.Quiet("It could not be put aside: " + drivefs.Explain(err))
		return
	}
	con.Quiet("It is kept as " + where + ", and a new one without options stands in its place.")
}

// SaveOption changes an option in the file, if the file has it: else it would undo at the next start what the person
// has chosen now. An empty value takes it out.
func (s *Start) SaveOption(d *drive.Drive, name, value string) error {
	c, _, err := readConfig(d)
	if err != nil || !c.names(name) {
		return err
	}
	if s.Safe {
		return errors.New("a safe start writes nothing but the journal")
	}
	_, err = d.SaveConfig(s.machine.Now(), c.with(name, value).text(), nil)
	return err
}

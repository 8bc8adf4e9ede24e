package media

import (
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

const (
	mostDepth = 64
	mostPlist = 16 << 20 // bytes
)

// parsePlist reads a property list in XML (Apple's PropertyList-1.0.dtd): dictionaries are
// map[string]any, arrays []any, integers int64, reals float64, data []byte, strings and dates
// string. An integer that is too large for that, which addresses are, is a string, too.
func parsePlist(text []byte) (any, error) {
	if len(text) > mostPlist {
		return nil, fmt.Errorf("a property list of %d bytes is too long", len(text))
	}
	d := xml.NewDecoder(strings.NewReader(string(text)))
	p := plist{d}
	v, err := p.document()
	if err != nil {
		return nil, fmt.Errorf("property list, byte %d: %w", d.InputOffset(), err)
	}
	return v, nil
}

type plist struct{ *xml.Decoder }

var errPlist = errors.New("not well formed")

// next returns the next element, or nil where the one around it ends.
func (p plist) next() (*xml.StartElement, error) {
	for {
		t, err := p.Token()
		if err == io.EOF {
			return nil, io.ErrUnexpectedEOF
		} else if err != nil {
			return nil, err
		}
		switch t := t.(type) {
		case xml.StartElement:
			return &t, nil
		case xml.EndElement:
			return nil, nil
		case xml.CharData:
			if strings.TrimSpace(string(t)) != "" {
				return nil, errPlist
			}
		}
	}
}

func (p plist) document() (any, error) {
	e, err := p.next()
	if err != nil {
		return nil, err
	}
	if e == nil || e.Name.Local != "plist" {
		return nil, errors.New("it does not begin with plist")
	}
	if e, err = p.next(); err != nil {
		return nil, err
	} else if e == nil {
		return nil, errors.New("it is empty")
	}
	return p.value(e, mostDepth)
}

func (p plist) value(e *xml.StartElement, depth int) (any, error) {
	if depth == 0 {
		return nil, errors.New("it is too deep")
	}
	switch e.Name.Local {
	case "dict":
		return p.dict(depth)
	case "array":
		list := []any{}
		for {
			e, err := p.next()
			if e == nil || err != nil {
				return list, err
			}
			v, err := p.value(e, depth-1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
	case "true", "false":
		return e.Name.Local == "true", p.Skip()
	}
	s, err := p.text()
	if err != nil {
		return nil, err
	}
	switch e.Name.Local {
	case "string", "date":
		return s, nil
	case "integer":
		n, err := strconv.ParseInt(strings.TrimSpace(s), 0, 64)
		if errors.Is(err, strconv.ErrRange) {
			return s, nil
		}
		return n, err
	case "real":
		return strconv.ParseFloat(strings.TrimSpace(s), 64)
	case "data":
		return base64.StdEncoding.DecodeString(strings.Join(strings.Fields(s), ""))
	}
	return nil, fmt.Errorf("unknown element %q", e.Name.Local)
}

func (p plist) dict(depth int) (any, error) {
	m := map[string]any{}
	for {
		e, err := p.next()
		if e == nil || err != nil {
			return m, err
		}
		if e.Name.Local != "key" {
			return nil, errPlist
		}
		key, err := p.text()
		if err != nil {
			return nil, err
		}
		if e, err = p.next(); err != nil {
			return nil, err
		} else if e == nil {
			return nil, errPlist
		}
		if m[key], err = p.value(e, depth-1); err != nil {
			return nil, err
		}
	}
}

// text returns what is in an element that has no others.
func (p plist) text() (string, error) {
	var b strings.Builder
	for {
		t, err := p.Token()
		if err != nil {
			return "", err
		}
		switch t := t.(type) {
		case xml.CharData:
			b.Write(t)
		case xml.EndElement:
			return b.String(), nil
		case xml.StartElement:
			return "", errPlist
		}
	}
}
